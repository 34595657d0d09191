//! Why a component was not pre-initialised.

/// What the start of plugins asked for that only its own instance may have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It is no component that this version of the adapter made.
    #[error("it has no `freeze`, by which its plugins are started: no component, or one of an older adapter")]
    NotAdapted,
    /// It is pre-initialised already.
    #[error("it is pre-initialised already")]
    Already,
    /// Components with modules are within it.
    #[error("it was composed of others")]
    Composed,
    /// A module has what a snapshot can't hold.
    #[error("{what}, which a snapshot cannot hold")]
    Unsupported {
        /// What it has.
        what: String,
    },
    /// A plugin refused to start.
    #[error("a plugin did not start")]
    Failed,
    /// A filter trapped.
    #[error("a filter trapped while it started: {reason}")]
    Trapped {
        /// What the engine says of it.
        reason: String,
    },
    /// It asked for random bytes: each instance would have the same.
    #[error("its start asks for {bytes} random bytes, and each instance would have the same")]
    Random {
        /// How many.
        bytes: u64,
    },
    /// It asked for something that is yet to come.
    #[error("its start makes callouts")]
    Callouts,
    /// It used shared data or queues that a host keeps.
    #[error("its start uses data or queues that its host shares among instances")]
    SharedState,
    /// It called something else that its host is to offer.
    #[error("its start calls `{name}` of the host")]
    Import {
        /// The import.
        name: String,
    },
    /// A handle of the host's was not given back.
    #[error("its start keeps something open that is the host's")]
    Handles,
    /// It ran longer than it may.
    #[error("its start takes more than {limit} instructions")]
    TooLong {
        /// Instructions.
        limit: u64,
    },
    /// It took more memory than it may.
    #[error("its start takes more than {limit} bytes of memory")]
    TooLarge {
        /// Bytes.
        limit: usize,
    },
    /// A fault of this program.
    #[error(transparent)]
    Internal(#[from] Internal),
}

impl Refusal {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotAdapted => "Adapt the filter anew.",
            Self::Already => "Use it as it is.",
            Self::Composed => "Pre-initialise its parts, then compose them.",
            Self::Unsupported { .. } => "Do without `--preinit`.",
            Self::Failed | Self::Trapped { .. } => {
                "Give the plugin the configuration that it wants; what it logged is above. An instance fails in the same way."
            }
            Self::Random { .. } => {
                "Where what the filter draws when it starts is no secret and need not differ, as the seeds of Go's maps: \
                 `--preinit-allow random`."
            }
            Self::Callouts | Self::SharedState | Self::Import { .. } | Self::Handles => {
                "Do without `--preinit`, or let the filter do so with the first request or tick."
            }
            Self::TooLong { .. } | Self::TooLarge { .. } => "Do without `--preinit`.",
            Self::Internal(_) => "Report it, with the filter.",
        }
    }
}

/// Something that can't be, unless this program is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pre-initialising failed: {0}")]
pub struct Internal(String);

impl Internal {
    pub(crate) fn new(message: impl std::fmt::Display) -> Self {
        Self(message.to_string())
    }

    pub(crate) fn reads(error: wasmparser::BinaryReaderError) -> Self {
        Self::new(error)
    }

    pub(crate) fn encodes(error: wasm_encoder::reencode::Error) -> Self {
        Self::new(error)
    }

    pub(crate) fn runs(error: impl std::fmt::Display) -> Self {
        Self(format!("{error:#}"))
    }
}
