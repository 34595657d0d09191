//! Components whose plugins are started before their host is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};
use proxy_wasm_adapter_preinit::{Options, Preinitialised, Refusal, Refused, preinitialise};

/// What came of a component that was pre-initialised.
pub const DONE: &str = "pre-initialised";

static IS_ON: AtomicBool = AtomicBool::new(false);

static COUNTS: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

/// From now on hosts get components that are pre-initialised, wherever that can be.
pub fn begin() {
    IS_ON.store(true, Ordering::SeqCst);
}

/// How many components were pre-initialised, by what came of it.
pub fn counts() -> BTreeMap<String, usize> {
    COUNTS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The component that a host gets, and what its plugins logged already.
pub(super) fn apply(component: Vec<u8>) -> Result<(Vec<u8>, Vec<String>)> {
    if !IS_ON.load(Ordering::SeqCst) {
        return Ok((component, Vec::new()));
    }
    let options = Options { allow_random: true, ..Options::default() };
    let (outcome, result) = match preinitialise(&component, &options) {
        Ok(Preinitialised { component, report }) => (DONE.to_owned(), (component, report.log)),
        Err(Refused { refusal: refusal @ (Refusal::Internal(_) | Refusal::NotAdapted), .. }) => bail!("{refusal}"),
        Err(Refused { refusal, .. }) => (refusal.to_string(), (component, Vec::new())),
    };
    *COUNTS.lock().unwrap_or_else(PoisonError::into_inner).entry(outcome).or_default() += 1;
    Ok(result)
}
