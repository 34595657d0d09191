//! `proxy-wasm-adapter serve` as its users run it: what it says, and what it does under load and under attack.

#![expect(clippy::unwrap_used, reason = "a test may fail by it")]

#[cfg(target_os = "linux")]
mod hostile;
mod messages;
mod policy;
mod strained;
