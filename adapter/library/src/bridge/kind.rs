//! The two kinds of bridge, as options and settings name them.

use serde::{Deserialize, Serialize};

/// How bytes get from the one memory to the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// By one module with both memories. Needs a host with multi-memory and bulk memory: Wasmtime, and all that embed it.
    #[default]
    MemoryCopy,
    /// By modules that hosts without multi-memory can play: jco on older Node.
    Portable,
}

impl Kind {
    /// All kinds, the default first.
    pub const ALL: [Self; 2] = [Self::MemoryCopy, Self::Portable];

    /// Its name in options and settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::MemoryCopy => "memory-copy",
            Self::Portable => "portable",
        }
    }
}
