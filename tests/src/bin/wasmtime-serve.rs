//! The stock `wasmtime serve`, as the crate `wasmtime-cli` has it.

use std::process::ExitCode;

use clap::Parser;
use wasmtime_cli::commands::ServeCommand;

fn main() -> ExitCode {
    match ServeCommand::parse().execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}
