//! Why a command failed.

use std::io;

use proxy_wasm_adapter::error::{NotExtractable, Problem, Severity};
use proxy_wasm_adapter::{Error, FilterProblem, settings};
use proxy_wasm_adapter_compare as compare;
use proxy_wasm_adapter_compose as compose;
use proxy_wasm_adapter_preinit::{Refusal, Refused};
use proxy_wasm_adapter_serve as serve;

use super::exit::Code;

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The command cannot be meant like this.
    Usage { message: String, help: String },
    /// The library's error, about these files.
    Library { files: Vec<String>, error: Error },
    /// A file or stream cannot be read.
    Read { file: String, error: io::Error },
    /// The file of a filter that the settings name cannot be read.
    ReadNamed { file: String, settings: String, plugin: usize, error: io::Error },
    /// A file, which this option names, or a stream cannot be written.
    Write { file: String, option: Option<&'static str>, error: io::Error },
    /// These components can't be joined.
    Compose { files: Vec<String>, error: compose::Error },
    /// The component of these filters can't begin with its plugins started.
    Preinit { files: Vec<String>, refused: Box<Refused> },
    /// A configuration of Envoy's has these faults.
    Migration(Vec<Message>),
    /// The host could not begin.
    Serve(serve::Error),
    /// There is no comparison.
    Compare(compare::Error),
    /// More than one of these; the exit code is the first's.
    Several(Vec<Failure>),
}

/// One thing to say: how much it weighs, what it is, what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) severity: Severity,
    pub(super) text: String,
    pub(super) help: Option<String>,
}

impl Message {
    /// A problem of one of the filters in these files.
    pub(super) fn of(files: &[String], of: &FilterProblem) -> Self {
        let (problem, file) = (&of.problem, files.get(of.plugin.unwrap_or(0)).map_or("the filter", String::as_str));
        Self { severity: problem.severity(), text: format!("`{file}` {problem}"), help: Some(problem.remedy()) }
    }

    /// Why these filters are not pre-initialised.
    pub(super) fn preinit(severity: Severity, files: &[String], refused: &Refused) -> Self {
        let refusal = &refused.refusal;
        let text = format!("`{}` cannot be pre-initialised: {refusal}", files.join("`, `"));
        Self { severity, text, help: Some(refusal.remedy().into()) }
    }

    fn error(text: String, help: impl Into<Option<String>>) -> Self {
        Self { severity: Severity::Error, text, help: help.into() }
    }
}

impl Failure {
    /// The settings are wrong.
    pub(super) fn settings(problems: Vec<settings::Problem>) -> Self {
        Self::Library { files: Vec::new(), error: Error::Settings(problems) }
    }

    /// The filter in this file is wrong.
    pub(super) fn filter(file: String, problems: Vec<Problem>) -> Self {
        let problems = problems.into_iter().map(|problem| FilterProblem { plugin: None, problem });
        Self::Library { files: vec![file], error: Error::Filter(problems.collect()) }
    }

    /// All of these, of which there is one at least.
    pub(super) fn all(mut failures: Vec<Self>) -> Self {
        if failures.len() == 1 { failures.swap_remove(0) } else { Self::Several(failures) }
    }

    pub(super) fn code(&self) -> Code {
        match self {
            Self::Usage { .. } => Code::Usage,
            Self::Library { error: Error::Filter(_) | Error::Extract(_), .. } | Self::Compose { .. } => Code::Unusable,
            Self::Library { error: Error::Settings(_), .. } | Self::Migration(_) => Code::Settings,
            Self::Library { .. } => Code::Internal,
            Self::Read { .. } | Self::ReadNamed { .. } | Self::Write { .. } => Code::Io,
            Self::Preinit { refused, .. } => match refused.refusal {
                Refusal::Failed | Refusal::Trapped { .. } => Code::Refused,
                Refusal::Internal(_) => Code::Internal,
                _ => Code::Unusable,
            },
            Self::Several(failures) => failures.first().map_or(Code::Internal, Self::code),
            // `compare` has a code of its own for all that keeps it from running.
            Self::Compare(_) => Code::Usage,
            Self::Serve(error) => match error {
                serve::Error::Refused { .. } | serve::Error::StartTrapped { .. } => Code::Refused,
                serve::Error::Listen { .. }
                | serve::Error::AccessLog(_)
                | serve::Error::Cache { .. }
                | serve::Error::Certificates { .. }
                | serve::Error::Runtime(_) => Code::Io,
                serve::Error::NoBypassByExchange => Code::Usage,
                _ => Code::Unusable,
            },
        }
    }

    pub(super) fn messages(&self) -> Vec<Message> {
        match self {
            Self::Usage { message, help } => vec![Message::error(message.clone(), help.clone())],
            Self::Library { files, error: Error::Filter(problems) } => {
                problems.iter().map(|problem| Message::of(files, problem)).collect()
            }
            Self::Library { error: Error::Settings(problems), .. } => {
                problems.iter().map(|problem| Message::error(problem.to_string(), problem.remedy())).collect()
            }
            Self::Library { files, error: Error::Extract(problem) } => vec![extract(&files.join("`, `"), problem)],
            Self::Library { files, error } => {
                let help = "Report it, with the file and this message.".to_owned();
                vec![Message::error(format!("{error} (with `{}`)", files.join("`, `")), help)]
            }
            Self::Read { file, error } => {
                vec![Message::error(format!("cannot read `{file}`: {}", reason(error)), read_help(error))]
            }
            Self::ReadNamed { file, settings, plugin, error } => {
                let named = format!("the filter that `{settings}` names for plugin {plugin}");
                let help = "Correct the `filter` there: it is relative to the settings file.".to_owned();
                vec![Message::error(format!("cannot read `{file}`, {named}: {}", reason(error)), help)]
            }
            Self::Write { file, option, error } => {
                vec![Message::error(format!("cannot write `{file}`: {}", reason(error)), write_help(*option, error))]
            }
            Self::Several(failures) => failures.iter().flat_map(Self::messages).collect(),
            Self::Compose { files, error: compose::Error::Parts(problems) } => problems
                .iter()
                .map(|(part, problem)| {
                    let file = files.get(*part).map_or("", String::as_str);
                    Message::error(format!("`{file}` {problem}"), problem.remedy())
                })
                .collect(),
            Self::Compose { error, .. } => {
                vec![Message::error(error.to_string(), "Build them for the same version of `wasi:http`.".to_owned())]
            }
            Self::Preinit { files, refused } => vec![Message::preinit(Severity::Error, files, refused)],
            Self::Migration(messages) => messages.clone(),
            Self::Serve(error) => vec![Message::error(error.to_string(), None)],
            Self::Compare(error @ compare::Error::Requests { file, problems }) => {
                let mut messages: Vec<Message> =
                    problems.iter().map(|problem| Message::error(problem.in_file(file), None)).collect();
                if let Some(last) = messages.last_mut() {
                    last.help = error.remedy();
                }
                messages
            }
            Self::Compare(error) => vec![Message::error(error.to_string(), error.remedy())],
        }
    }
}

fn extract(file: &str, problem: &NotExtractable) -> Message {
    Message::error(format!("`{file}` {problem}"), problem.remedy())
}

fn read_help(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "Check the name.",
        io::ErrorKind::IsADirectory => "Give a file, not a directory.",
        io::ErrorKind::NotADirectory => "A file is where a directory is to be: check the name.",
        _ => "Make it readable.",
    }
    .into()
}

fn write_help(option: Option<&'static str>, error: &io::Error) -> String {
    let other = match option {
        Some(option) => format!("choose another place with `{option}`"),
        None => "redirect it to another place".into(),
    };
    match error.kind() {
        io::ErrorKind::StorageFull => format!("Make room, or {other}."),
        io::ErrorKind::NotFound => format!("Make the directory first, or {other}."),
        io::ErrorKind::IsADirectory => format!("Name a file in it, or {other}."),
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            format!("A file is where a directory is to be: take it away, or {other}.")
        }
        _ => format!("Make it writable, or {other}."),
    }
}

/// What the system says, without the number.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
