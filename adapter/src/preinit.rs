//! Pre-initialising, as a part of `adapt`.

use clap::ValueEnum;
use proxy_wasm_adapter::error::Severity;
use proxy_wasm_adapter_preinit::{Options, preinitialise};

use super::failure::{Failure, Message};
use super::report::Reporter;

/// Whether a component has to begin with its plugins started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Preinit {
    Require,
    Try,
}

/// What the start of plugins may do, though all instances then have the same of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Allowed {
    Random,
}

/// Whether and how to pre-initialise.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct PreinitOptions {
    /// Start the plugins now, so that instances begin configured: where that cannot be, `require` makes no component and
    /// `try` an ordinary one [without a word: require]
    #[arg(
        long,
        value_name = "WHETHER",
        value_enum,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "require",
        help_heading = "Component"
    )]
    preinit: Option<Preinit>,

    /// What the start may do with `--preinit`, though all instances then have the same of it: `random` for bytes that are no
    /// secret, as Go's are
    #[arg(long, value_name = "WHAT", value_enum, requires = "preinit", help_heading = "Component")]
    preinit_allow: Vec<Allowed>,
}

impl PreinitOptions {
    /// The component, with its plugins started if that was asked for.
    pub(super) fn apply(&self, component: Vec<u8>, files: &[String], reporter: &Reporter) -> Result<Vec<u8>, Failure> {
        let Some(wanted) = self.preinit else { return Ok(component) };
        let allow_random = self.preinit_allow.contains(&Allowed::Random);
        let result = preinitialise(&component, &Options { allow_random, ..Options::default() });
        let report = match &result {
            Ok(done) => &done.report,
            Err(refused) => &refused.report,
        };
        report.log.iter().for_each(|line| reporter.log(line));
        match result {
            Ok(done) => {
                if done.report.reads_wall_clock {
                    reporter.message(&stale(files));
                }
                Ok(done.component)
            }
            Err(refused) if wanted == Preinit::Try => {
                let mut message = Message::preinit(Severity::Warning, files, &refused);
                message.text.push_str("; the component starts its plugins in each instance");
                reporter.message(&message);
                Ok(component)
            }
            Err(refused) => Err(Failure::Preinit { files: files.to_vec(), refused: Box::new(refused) }),
        }
    }
}

fn stale(files: &[String]) -> Message {
    Message {
        severity: Severity::Warning,
        text: format!(
            "`{}` looks what time it is when it starts, and that was now, for all instances: so is what it makes of it, such as \
             the seed of random numbers",
            files.join("`, `")
        ),
        help: Some(
            "Do without `--preinit`, if the filter needs the time of its start, or numbers that differ between instances."
                .into(),
        ),
    }
}
