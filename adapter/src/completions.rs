//! `proxy-wasm-adapter completions`

use clap::CommandFactory;
use clap_complete::Shell;

use super::exit::Code;
use super::failure::Failure;
use super::{Cli, output};

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  proxy-wasm-adapter completions bash > ~/.bash_completion
  proxy-wasm-adapter completions zsh > ~/.zfunc/_proxy-wasm-adapter
  proxy-wasm-adapter completions fish \\
    > ~/.config/fish/completions/proxy-wasm-adapter.fish")]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<Code, Failure> {
    let mut text = Vec::new();
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut text);
    output::stdout(&text)?;
    Ok(Code::Done)
}
