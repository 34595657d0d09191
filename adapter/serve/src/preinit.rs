//! Starting plugins once, where many instances are to begin with them started.

use proxy_wasm_adapter_preinit::{Options as Limits, Preinitialised, preinitialise};

use super::logs::{Lines, Output, Stream};
use super::options::Options;

/// Requests of one instance from which on its start no longer matters: it would be a hundredth of what they cost.
const REUSE_ENOUGH: u32 = 100;

/// Instructions that a filter computes in a second, about.
const INSTRUCTIONS_PER_SECOND: u64 = 1_000_000_000;

/// The component whose instances begin with their plugins started, if that is of use and can be. What the plugins logged is
/// written, once.
pub(super) async fn snapshot(component: &[u8], options: &Options, output: &Output) -> Option<Vec<u8>> {
    if options.no_preinit || options.reuse() >= REUSE_ENOUGH {
        return None;
    }
    let limits = Limits {
        memory_max: options.max_memory,
        instructions_max: options.cpu_timeout.as_secs().max(1).saturating_mul(INSTRUCTIONS_PER_SECOND),
        ..Limits::default()
    };
    let component = component.to_vec();
    // It has a runtime of its own.
    let done = tokio::task::spawn_blocking(move || preinitialise(&component, &limits)).await;
    match done {
        Ok(Ok(Preinitialised { component, report })) => {
            let lines = Lines::new(output.clone(), output.form(options.log_format), Stream::Stderr);
            report.log.iter().for_each(|line| lines.write(line.as_bytes()));
            Some(component)
        }
        // The plugins start with each instance, and a start that fails is told of there.
        Ok(Err(refused)) => {
            tracing::debug!("not pre-initialised: {refused}");
            None
        }
        Err(error) => {
            tracing::error!("pre-initialising failed: {error}");
            None
        }
    }
}
