//! Which hosts a component is for, and what is linked behind it, as options and settings name them.

use std::path::PathBuf;

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

/// What is linked behind a component that is middleware.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Next {
    /// Whatever the component is composed with later: it imports a handler.
    Handler,
    /// The component in this file.
    Component(PathBuf),
}

/// `handler`, or a file.
impl From<String> for Next {
    fn from(text: String) -> Self {
        if text == HANDLER { Self::Handler } else { Self::Component(text.into()) }
    }
}

impl From<Next> for String {
    fn from(next: Next) -> Self {
        match next {
            Next::Handler => HANDLER.into(),
            Next::Component(file) => file.display().to_string(),
        }
    }
}

/// What stands for [`Next::Handler`].
const HANDLER: &str = "handler";
