//! What can go wrong, by who is at fault: the filter, the settings, a file that was taken for an adapted component, or us.

mod problem;

use std::fmt;

use crate::settings;

pub use problem::{ImportedFunction, Problem, Severity};

/// Why there is no result.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// A filter of the input can't run here: all that is wrong with it, and with others.
    Filter(Vec<FilterProblem>),
    /// The settings are wrong: all that is wrong with them.
    Settings(Vec<settings::Problem>),
    /// The filter can't be taken out of this file.
    Extract(NotExtractable),
    /// A mistake of ours.
    Internal(Internal),
}

/// A problem, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterProblem {
    /// The first plugin with that filter, counted from 0; none where there is one plugin only.
    pub plugin: Option<usize>,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for FilterProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.plugin {
            None => write!(f, "the filter {}", self.problem),
            Some(plugin) => write!(f, "the filter of plugin {} {}", plugin + 1, self.problem),
        }
    }
}

/// A mistake in this program rather than in its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Internal {
    /// What was being done.
    pub stage: &'static str,
    /// What came of it.
    pub message: String,
}

impl Internal {
    pub(crate) fn new(stage: &'static str, message: impl fmt::Display) -> Self {
        Self { stage, message: message.to_string() }
    }
}

impl From<Internal> for Error {
    fn from(internal: Internal) -> Self {
        Self::Internal(internal)
    }
}

/// Why no filter can be taken out of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotExtractable {
    /// It is a core module, perhaps the filter itself.
    CoreModule,
    /// It is no component that this program made.
    NotAdapted,
    /// It was cut off, or is damaged otherwise.
    Damaged(Problem),
    /// It was made by a program newer than this one.
    Newer {
        /// The version that made it.
        version: String,
    },
    /// A filter in it is not the one that went in.
    Changed {
        /// The digest that the component states.
        sha256: String,
    },
    /// Shim and filters are one module: it was made to be run at once.
    Joined,
    /// It has several filters, and any may be meant.
    Several {
        /// The plugins that run them, as messages call them.
        plugins: Vec<String>,
    },
    /// It has no such plugin.
    NoSuchPlugin {
        /// The number or name that was asked for.
        wanted: String,
        /// The plugins that there are, as messages call them.
        plugins: Vec<String>,
    },
}

impl NotExtractable {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::CoreModule => "Nothing needs to be taken out: only adapted components hold a filter.".into(),
            Self::NotAdapted => "Give a component that `proxy-wasm-adapter adapt` wrote.".into(),
            Self::Damaged(problem) => problem.remedy(),
            Self::Newer { .. } => "Use that version, or a newer one.".into(),
            Self::Changed { .. } => {
                "Something rewrote the component since: take it as `proxy-wasm-adapter adapt` wrote it.".into()
            }
            Self::Joined => "Adapt the filter without `joined`.".into(),
            Self::Several { plugins } => {
                format!("Say whose with `--plugin NUMBER` or `--plugin NAME`: there are {}.", plugins.join(", "))
            }
            Self::NoSuchPlugin { plugins, .. } => match plugins.as_slice() {
                [only] => format!("There is only {only}."),
                several => format!("There are {}.", several.join(", ")),
            },
        }
    }
}

/// What is wrong, as what stands after the file's name.
impl fmt::Display for NotExtractable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CoreModule => write!(f, "is a core module, not an adapted component"),
            Self::NotAdapted => write!(f, "is not a component that proxy-wasm-adapter made"),
            Self::Damaged(problem) => problem.fmt(f),
            Self::Newer { version } => {
                write!(f, "was made by proxy-wasm-adapter {version}, in a form newer than this one knows")
            }
            Self::Joined => write!(f, "holds its filters in one module with the shim, not as they went in"),
            Self::Several { .. } => write!(f, "holds more than one filter that may be meant"),
            Self::NoSuchPlugin { wanted, .. } => write!(f, "has no plugin `{wanted}`"),
            Self::Changed { sha256 } => write!(f, "no longer holds the filter that went in (sha256 {sha256})"),
        }
    }
}

impl fmt::Display for Internal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a mistake in proxy-wasm-adapter, while it {}: {}", self.stage, self.message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = |f: &mut fmt::Formatter<'_>, i: usize, text: String, remedy: String| {
            write!(f, "{}{text}. {remedy}", if i == 0 { "" } else { "\n" })
        };
        match self {
            Self::Filter(problems) => {
                problems.iter().enumerate().try_for_each(|(i, of)| sentence(f, i, of.to_string(), of.problem.remedy()))
            }
            Self::Settings(problems) => problems
                .iter()
                .enumerate()
                .try_for_each(|(i, problem)| sentence(f, i, problem.to_string(), problem.remedy())),
            Self::Extract(problem) => sentence(f, 0, format!("the file {problem}"), problem.remedy()),
            Self::Internal(internal) => write!(f, "{internal}"),
        }
    }
}

impl std::error::Error for Error {}
