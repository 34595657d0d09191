//! Keys of settings, each of which may be missing.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a key says, if it is said at all.
pub(super) trait Said: Default {
    /// Whether it says something.
    fn is_said(&self) -> bool;

    /// This, and where it says nothing, that.
    fn over(self, below: Self) -> Self;
}

impl<T> Said for Option<T> {
    fn is_said(&self) -> bool {
        self.is_some()
    }

    fn over(self, below: Self) -> Self {
        self.or(below)
    }
}

/// A list that is said as a whole.
impl<T> Said for Vec<T> {
    fn is_said(&self) -> bool {
        !self.is_empty()
    }

    fn over(self, below: Self) -> Self {
        if self.is_empty() { below } else { self }
    }
}

/// Entries by key, in the order in which they are said. A key that stands twice is found when the settings are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entries<T>(pub Vec<(String, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> From<Vec<(String, T)>> for Entries<T> {
    fn from(entries: Vec<(String, T)>) -> Self {
        Self(entries)
    }
}

impl<T> Entries<T> {
    /// The keys, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.0.iter().map(|(key, _)| key)
    }

    /// Whether an entry has this key.
    pub fn has(&self, key: &str) -> bool {
        self.keys().any(|known| known == key)
    }
}

/// Both; an entry here takes the place of those with the same key there.
impl<T> Said for Entries<T> {
    fn is_said(&self) -> bool {
        !self.0.is_empty()
    }

    fn over(mut self, below: Self) -> Self {
        let mut joined: Vec<_> = below.0.into_iter().filter(|(key, _)| !self.has(key)).collect();
        joined.append(&mut self.0);
        Self(joined)
    }
}

impl<T: Serialize> Serialize for Entries<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = std::collections::BTreeMap::<String, T>::deserialize(deserializer)?;
        Ok(Self(entries.into_iter().collect()))
    }
}

/// A struct of keys.
pub(super) trait Keys: Sized {
    /// All of them.
    const KEYS: &[&str];

    /// Each key of this, and where it says nothing, that of the other.
    fn merged(self, below: Self) -> Self;

    /// The keys that say something.
    fn said(&self) -> Vec<&'static str>;
}

/// A struct of keys, which is read from a settings file and written into one as it stands here.
macro_rules! keys {
    ($(#[$meta:meta])* pub struct $type:ident { $($(#[$of:meta])* pub $key:ident: $value:ty,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Deserialize, serde::Serialize)]
        #[serde(deny_unknown_fields)]
        #[non_exhaustive]
        pub struct $type {
            $($(#[$of])* #[serde(default, skip_serializing_if = "crate::settings::keys::is_unsaid")] pub $key: $value,)+
        }

        impl crate::settings::keys::Keys for $type {
            const KEYS: &[&str] = &[$(stringify!($key)),+];

            fn merged(self, below: Self) -> Self {
                Self { $($key: crate::settings::keys::Said::over(self.$key, below.$key),)+ }
            }

            fn said(&self) -> Vec<&'static str> {
                let mut said = Vec::new();
                $(if crate::settings::keys::Said::is_said(&self.$key) { said.push(stringify!($key)); })+
                said
            }
        }
    };
}

pub(super) use keys;

/// Whether a file that says this can leave it out.
pub(super) fn is_unsaid(value: &impl Said) -> bool {
    !value.is_said()
}
