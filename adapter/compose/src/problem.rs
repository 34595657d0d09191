//! Why a component can't stand where it was given.

use std::fmt;

use proxy_wasm_adapter::composition::{HANDLER, Hop};
use proxy_wasm_adapter::{damage, is_component};

/// Why a component can't stand where it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is no WebAssembly.
    NoComponent,
    /// It is a core module, perhaps a filter.
    Module,
    /// It was cut off, or is damaged otherwise.
    Damaged(proxy_wasm_adapter::Problem),
    /// It exports no handler.
    NoHandler,
    /// It is for WASI 0.2.
    Of02,
    /// It exports the handlers of WASI 0.2 and of 0.3.
    Two,
    /// Others stand behind it, and it imports no handler.
    NoMiddleware,
    /// It imports a handler, and nothing stands behind it.
    NeedsNext,
    /// It breaks the rules of the component model, in these words of the validator's.
    Invalid {
        /// Which one, and where.
        reason: String,
    },
}

impl Problem {
    /// What is wrong with a component that stands last, or before others; nothing, where it can.
    pub fn of(component: &[u8], is_last: bool) -> Option<Self> {
        if !is_component(component) {
            return Some(if component.starts_with(b"\0asm") { Self::Module } else { Self::NoComponent });
        }
        if let Some(damaged) = damage(component) {
            return Some(Self::Damaged(damaged));
        }
        match (Hop::of(component), is_last) {
            (None, _) => Some(Self::NoHandler),
            (Some(Hop::ServiceOf02 | Hop::MiddlewareOf02), _) => Some(Self::Of02),
            (Some(Hop::Both), _) => Some(Self::Two),
            (Some(Hop::Service), false) => Some(Self::NoMiddleware),
            (Some(Hop::Middleware), true) => Some(Self::NeedsNext),
            (Some(Hop::Service), true) | (Some(Hop::Middleware), false) => None,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::NoComponent => "Give a component: a file that begins with `\\0asm` and is for the component model.".into(),
            Self::Module => "If it is a filter, make it middleware first: `adapt FILTER --next handler -o OUT`.".into(),
            Self::Damaged(problem) => problem.remedy(),
            Self::NoHandler => "Give components that handle HTTP requests.".into(),
            Self::Of02 => {
                "Take its build for WASI 0.3; if it is an adapted filter, `extract` it and `adapt` it with `--wasi 0.3`.".into()
            }
            Self::Two => "Take a build of it that is for WASI 0.3 alone.".into(),
            Self::NoMiddleware => "Put it last; if it is an adapted filter, `adapt` it with `--next handler`.".into(),
            Self::NeedsNext => "Add the service that answers requests, behind it.".into(),
            Self::Invalid { .. } => "Build or compose it anew: no host would run it.".into(),
        }
    }
}

/// What is wrong, as what stands after the component's name.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoComponent => write!(f, "is no component"),
            Self::Module => write!(f, "is a core module, not a component"),
            Self::Damaged(problem) => problem.fmt(f),
            Self::NoHandler => write!(f, "does not export `{HANDLER}`, so no request can reach it"),
            Self::Of02 => {
                write!(f, "is for WASI 0.2: it exports `wasi:http/incoming-handler`, and `{HANDLER}` is needed")
            }
            Self::Two => write!(f, "exports the handlers of both WASI 0.2 and 0.3, and only that of 0.3 would stay"),
            Self::NoMiddleware => {
                write!(f, "imports no `{HANDLER}`, so no request would reach the components behind it")
            }
            Self::NeedsNext => write!(f, "is middleware: it needs a next handler, and nothing stands behind it"),
            Self::Invalid { reason } => write!(f, "is no valid component: {reason}"),
        }
    }
}
