//! A child process whose output is kept in a file, so that it never waits for its reader.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use tokio::process::{Child, Command};

/// Bytes of output that are read; a process that writes more is ended.
const MOST_OUTPUT: u64 = 16 << 20;

/// A process that ends when this is dropped.
pub(super) struct Process {
    child: Child,
    output: File,
    file: PathBuf,
    read: u64,
    /// As one would type it.
    pub(super) command: String,
}

impl Process {
    /// Starts it, with both outputs into this file.
    pub(super) fn start(mut command: Command, output: &Path) -> io::Result<Self> {
        let shown = shown(command.as_std());
        let writer = File::options().create(true).append(true).open(output)?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).kill_on_drop(true);
        // What it starts ends with it.
        #[cfg(unix)]
        command.process_group(0);
        Ok(Self {
            child: command.spawn()?,
            output: File::open(output)?,
            file: output.to_owned(),
            read: 0,
            command: shown,
        })
    }

    /// What it wrote since the last call.
    pub(super) fn output(&mut self) -> io::Result<Vec<u8>> {
        self.check_output()?;
        let mut bytes = Vec::new();
        let left = MOST_OUTPUT.saturating_sub(self.read);
        self.read += (&self.output).take(left).read_to_end(&mut bytes)? as u64;
        Ok(bytes)
    }

    /// Ends it if it wrote too much; whether it did.
    pub(super) fn check_output(&mut self) -> io::Result<bool> {
        let too_much = self.output.metadata()?.len() > MOST_OUTPUT;
        if too_much && self.ended().is_none() {
            self.child.start_kill()?;
        }
        Ok(too_much)
    }

    /// All that it wrote so far.
    pub(super) fn all_output(&mut self) -> io::Result<String> {
        self.check_output()?;
        let mut bytes = Vec::new();
        File::open(&self.file)?.take(MOST_OUTPUT).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        #[cfg(unix)]
        {
            let id = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
            if let Some(id) = id {
                // It may have ended by itself.
                let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
            }
        }
    }
}

/// A command as one would type it.
fn shown(command: &std::process::Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = |word: &OsStr| {
        let word = word.to_string_lossy();
        shlex::try_quote(&word).map(|word| word.into_owned()).unwrap_or_else(|_| word.into_owned())
    };
    words.map(quoted).collect::<Vec<_>>().join(" ")
}
