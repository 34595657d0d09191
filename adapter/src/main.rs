//! The command line of `proxy-wasm-adapter`, see `proxy-wasm-adapter --help`: reads files, calls the library, writes files, says what went wrong.
//!
//! The contract: stdout is for the product only (a component, a filter, a report), everything else goes to stderr; no
//! WebAssembly goes to a terminal; a file that was asked for is there whole or not at all; the exit code is one of
//! [`exit::CODES`], but for `compare` and `test`, whose answer is in their code.

mod adapt;
mod compare;
mod completions;
mod compose;
mod composed;
mod exit;
mod extract;
mod failure;
mod help;
mod input;
mod inspect;
mod man;
mod migrate;
mod migrated;
mod oci;
mod output;
mod plugin;
mod preinit;
mod report;
mod serve;
mod test;
mod traffic;

use std::process::ExitCode;

use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};

use exit::Code;
use report::{Color, Reporter};

/// Of what `serve` takes for a request a fifteenth is saved over glibc's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Turns an unmodified proxy-wasm HTTP filter into a component for any wasi:http host
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, after_help = exit::help(), max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// When to color messages; NO_COLOR turns `auto` off
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    color: Color,

    /// Say what is being done
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Adapt(Box<adapt::Args>),
    Compose(compose::Args),
    Inspect(inspect::Args),
    Extract(extract::Args),
    Migrate(migrate::Args),
    Serve(Box<serve::Args>),
    Test(Box<test::Args>),
    Compare(Box<compare::Args>),
    Completions(completions::Args),
    Man(man::Args),
}

/// The command line. What looks like a negative number is a value, so that the option itself says what is wrong with it.
fn command() -> clap::Command {
    let takes_values = |arg: &Arg| arg.get_action().takes_values() && !arg.is_positional();
    let change = |arg: Arg| if takes_values(&arg) { arg.allow_negative_numbers(true) } else { arg };
    Cli::command().mut_subcommands(|command| command.mut_args(change))
}

fn main() -> ExitCode {
    let parsed = command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Where this cannot be written there is no one to tell.
            let _ = error.print();
            return if error.use_stderr() { Code::Usage } else { Code::Done }.into();
        }
    };
    let reporter = Reporter::new(cli.color, cli.verbose);
    let result = match cli.command {
        Command::Adapt(args) => adapt::run(*args, &reporter),
        Command::Compose(args) => compose::run(&args, &reporter),
        Command::Inspect(args) => inspect::run(&args),
        Command::Extract(args) => extract::run(&args, &reporter),
        Command::Migrate(args) => migrate::run(&args, &reporter),
        Command::Serve(args) => serve::run(*args, &reporter),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args, &reporter),
        // These have exit codes of their own.
        Command::Test(args) => return test::run(*args, &reporter),
        Command::Compare(args) => return compare::run(*args, &reporter),
    };
    match result {
        Ok(code) => code.into(),
        Err(failure) => {
            reporter.failure(&failure);
            failure.code().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn negative_numbers_are_values() {
        for option in ["--buffer-limit", "--max-memory", "--max-queue", "--queue-timeout"] {
            let words = ["proxy-wasm-adapter", "serve", "f.wasm", option, "-1"];
            let error = command().try_get_matches_from(words).unwrap_err();
            assert!(error.to_string().starts_with(&format!("error: invalid value '-1' for '{option} <")), "{error}");
        }
    }

    /// Lines that are shown as they stand are not broken by a terminal of 80 columns, and a paragraph is not broken by us.
    #[test]
    fn help_fits_a_terminal() {
        let mut wrong = Vec::new();
        let root = Cli::command();
        for command in std::iter::once(&root).chain(root.get_subcommands()) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let mut before = "";
            for line in help.lines() {
                let is_shown = line.starts_with(' ');
                let is_in_two = |before: &str| !before.is_empty() && !before.starts_with(' ') && !before.ends_with(':');
                if line.chars().count() > 80 && is_shown || !line.is_empty() && !is_shown && is_in_two(before) {
                    wrong.push(format!("{}: {line}", command.get_name()));
                }
                before = line;
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// Each line of each `Examples:` is a command that parses.
    #[test]
    fn examples_parse() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let help = help.replace("\\\n", "");
            let examples: Vec<&str> =
                help.lines().map(str::trim).filter(|line| line.starts_with("proxy-wasm-adapter")).collect();
            assert!(!examples.is_empty(), "`{}` has no example", command.get_name());
            for example in examples {
                let words = shlex::split(example).unwrap_or_default();
                let words = words.iter().take_while(|word| !matches!(word.as_str(), "|" | ">"));
                if let Err(error) = Cli::try_parse_from(words) {
                    panic!("{example}: {error}");
                }
            }
        }
    }
}
