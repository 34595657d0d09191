//! `proxy-wasm-adapter man`

use std::fs;
use std::path::PathBuf;

use clap::CommandFactory;

use super::Cli;
use super::exit::Code;
use super::failure::Failure;
use super::report::Reporter;

/// Write man pages, one for each command, into a directory
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  proxy-wasm-adapter man ~/.local/share/man/man1")]
pub(super) struct Args {
    /// The directory; it is made if need be
    directory: PathBuf,
}

pub(super) fn run(args: &Args, reporter: &Reporter) -> Result<Code, Failure> {
    let failed =
        |error| Failure::Write { file: args.directory.display().to_string(), option: Some("man DIRECTORY"), error };
    fs::create_dir_all(&args.directory)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), &args.directory))
        .map_err(failed)?;
    reporter.verbose(|| format!("wrote the pages into `{}`", args.directory.display()));
    Ok(Code::Done)
}
