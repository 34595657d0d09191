//! Which hosts a component is for, and what is linked behind it, as options and settings name them.

use serde::{Deserialize, Serialize};

/// A version of WASI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wasi {
    /// `wasi:http/proxy@0.2`.
    #[default]
    #[serde(rename = "0.2")]
    V0_2,
    /// `wasi:http/service@0.3.0`, or `wasi:http/middleware@0.3.0` where a next handler is wanted.
    #[serde(rename = "0.3")]
    V0_3,
}

impl Wasi {
    /// All of them, the default first.
    pub const ALL: [Self; 2] = [Self::V0_2, Self::V0_3];

    /// Its name in options and settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::V0_2 => "0.2",
            Self::V0_3 => "0.3",
        }
    }
}

/// The next hop of a component that is middleware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Next {
    /// The handler that the component imports: another component is linked behind it.
    Handler,
}

impl Next {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Handler];

    /// Its name in options and settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Handler => "handler",
        }
    }
}
