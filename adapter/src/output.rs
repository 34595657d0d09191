//! Writing files whole or not at all, or stdout.

use std::fs::{self, File};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::input::is_stdin;

/// Refuses an output that is the input, and a terminal, before any work is done; `option` names the output.
pub(super) fn check<'a>(
    inputs: impl IntoIterator<Item = &'a Path>,
    output: &Path,
    option: &'static str,
) -> Result<(), Failure> {
    if output.as_os_str() == "-" {
        if io::stdout().is_terminal() {
            return Err(Failure::Usage {
                message: "the output is WebAssembly, and stdout is a terminal".into(),
                help: "Name a file with `-o`, or redirect stdout.".into(),
            });
        }
        return Ok(());
    }
    let is_output = |input: &Path| {
        !is_stdin(input)
            && matches!((fs::canonicalize(input), fs::canonicalize(output)), (Ok(input), Ok(output)) if input == output)
    };
    if inputs.into_iter().any(is_output) {
        return Err(Failure::Usage {
            message: format!("the output `{}` is the input", output.display()),
            help: format!("Name another file with `{option}`."),
        });
    }
    Ok(())
}

/// Writes the bytes to a file, which `option` names, or to stdout for `-`.
pub(super) fn write(output: &Path, bytes: &[u8], option: &'static str) -> Result<(), Failure> {
    if output.as_os_str() == "-" {
        return stdout(bytes);
    }
    let failed = |error| Failure::Write { file: output.display().to_string(), option: Some(option), error };
    // What a link points to is replaced, not the link.
    let target = fs::canonicalize(output).unwrap_or_else(|_| output.to_owned());
    match fs::metadata(&target) {
        // A device or a pipe is written to; nothing may take its place.
        Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => {
            File::options().write(true).open(&target).and_then(|mut file| file.write_all(bytes)).map_err(failed)
        }
        Ok(metadata) if metadata.is_file() => replace(&target, bytes, Some(metadata.permissions())).map_err(failed),
        Ok(_) => Err(failed(io::Error::from(ErrorKind::IsADirectory))),
        Err(_) => replace(&target, bytes, None).map_err(failed),
    }
}

/// Writes bytes to stdout. That the reader has gone is no error.
pub(super) fn stdout(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| Failure::Write { file: "stdout".into(), option: None, error }),
    }
}

/// Writes a file beside the target, then puts it in the target's place.
fn replace(target: &Path, bytes: &[u8], permissions: Option<fs::Permissions>) -> io::Result<()> {
    let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.map_or_else(|| PathBuf::from("."), Path::to_owned);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".proxy-wasm-adapter-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The mode of any new file; the umask takes its part.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(directory)?;
    file.write_all(bytes)?;
    if let Some(permissions) = permissions {
        file.as_file().set_permissions(permissions)?;
    }
    // A full disk may show only here.
    file.as_file().sync_all()?;
    file.persist(target).map_err(|error| error.error)?;
    Ok(())
}
