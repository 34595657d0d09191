//! What became of each part of the input.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::Serialize;

use crate::node::Place;

/// What became of a part of the input, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The component does the same.
    Carried,
    /// The component does nearly the same.
    CarriedWithDifference,
    /// It is left behind, and there is something to do.
    NotCarried,
    /// It is left behind, and requests pass without it that Envoy refuses.
    Unguarded,
    /// No field of this name is known: it may be a slip.
    Unknown,
    /// The input is wrong, or something of it is missing: no component can be made of that part.
    Wrong,
}

impl Outcome {
    /// Every outcome, in the order of the report.
    pub const ALL: [Self; 6] =
        [Self::Wrong, Self::Unguarded, Self::Unknown, Self::NotCarried, Self::CarriedWithDifference, Self::Carried];

    /// Whether something of the input is lost by it.
    pub fn is_loss(self) -> bool {
        matches!(self, Self::NotCarried | Self::Unguarded | Self::Unknown | Self::Wrong)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Carried => "carried",
            Self::CarriedWithDifference => "carried with a difference",
            Self::NotCarried => "not carried",
            Self::Unguarded => "unguarded",
            Self::Unknown => "unknown",
            Self::Wrong => "wrong",
        })
    }
}

/// What became of one part of the input.
///
/// It never holds a value of a filter's configuration or environment: there are secrets among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What became of it.
    pub outcome: Outcome,
    /// What it belongs to, such as ``filter `auth` ``.
    pub object: String,
    /// The listener that it is within, as [`Component::listener`](crate::Component::listener) has it; none, where it is of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    /// The name of the file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The way to it from the top of its document, such as `static_resources.listeners[0].name`.
    pub path: String,
    /// What is the case.
    pub what: String,
    /// What to do, where there is something.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl Finding {
    /// Whether it is something of this listener's component.
    pub(crate) fn concerns(&self, listener: &str) -> bool {
        self.listener.as_deref().is_none_or(|own| own == listener)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}: {}", self.file, self.line, self.column, self.object, self.what)?;
        if !self.path.is_empty() {
            write!(f, " ({})", self.path)?;
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Noted {
    pub(crate) outcome: Outcome,
    pub(crate) object: String,
    pub(crate) listener: Option<String>,
    pub(crate) place: Place,
    pub(crate) what: String,
    pub(crate) remedy: String,
}

/// Takes down what becomes of the input while it is read.
#[derive(Debug, Default)]
pub(crate) struct Report {
    noted: RefCell<Vec<Noted>>,
    seen: RefCell<HashSet<(Place, String)>>,
}

impl Report {
    fn note(&self, outcome: Outcome, object: &str, place: Place, what: impl Into<String>, remedy: impl Into<String>) {
        let (object, what, remedy) = (object.into(), what.into(), remedy.into());
        let noted = Noted { outcome, object, listener: None, place, what, remedy };
        // What stands behind an alias, or is looked at from two sides, is one thing.
        if self.seen.borrow_mut().insert((place, noted.what.clone())) {
            self.noted.borrow_mut().push(noted);
        }
    }

    pub(crate) fn carried(&self, object: &str, place: Place, what: impl Into<String>) {
        self.note(Outcome::Carried, object, place, what, "");
    }

    pub(crate) fn differs(&self, object: &str, place: Place, what: impl Into<String>, remedy: impl Into<String>) {
        self.note(Outcome::CarriedWithDifference, object, place, what, remedy);
    }

    pub(crate) fn lost(&self, object: &str, place: Place, what: impl Into<String>, remedy: impl Into<String>) {
        self.note(Outcome::NotCarried, object, place, what, remedy);
    }

    pub(crate) fn unguarded(&self, object: &str, place: Place, what: impl Into<String>, remedy: impl Into<String>) {
        self.note(Outcome::Unguarded, object, place, what, remedy);
    }

    pub(crate) fn unknown(&self, object: &str, place: Place, what: impl Into<String>, remedy: impl Into<String>) {
        self.note(Outcome::Unknown, object, place, what, remedy);
    }

    pub(crate) fn wrong(&self, object: &str, place: Place, what: impl Into<String>, remedy: impl Into<String>) {
        self.note(Outcome::Wrong, object, place, what, remedy);
    }

    /// How many parts were noted.
    pub(crate) fn len(&self) -> usize {
        self.noted.borrow().len()
    }

    /// What was noted behind so many parts belongs to nothing that is carried: no request passes there.
    pub(crate) fn is_of_nothing(&self, behind: usize) {
        for noted in self.noted.borrow_mut().iter_mut().skip(behind) {
            if noted.outcome == Outcome::Unguarded {
                noted.outcome = Outcome::NotCarried;
            }
        }
    }

    /// What was noted behind so many parts is within this listener.
    pub(crate) fn is_of(&self, behind: usize, listener: &str) {
        for noted in self.noted.borrow_mut().iter_mut().skip(behind) {
            noted.listener = Some(listener.into());
        }
    }

    /// What was noted behind so many parts is nothing that was asked for.
    pub(crate) fn forget(&self, behind: usize) {
        self.noted.borrow_mut().truncate(behind);
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.noted.borrow().iter().any(|noted| noted.outcome == Outcome::Wrong)
    }

    pub(crate) fn take(&self) -> Vec<Noted> {
        self.noted.take()
    }
}
