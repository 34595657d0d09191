//! `serve` over real connections on the loopback, with a small component whose behaviour the path chooses
//! (`tests/fixtures/guest.wat`).

#![expect(clippy::unwrap_used, reason = "a test may fail by it")]

mod access_log;
mod cache;
mod clients;
mod ends;
mod exchange;
mod failures;
mod heads;
mod limits;
mod metrics;
mod nesting;
mod outgoing;
mod policy;
mod preinit;
mod process;
mod profile;
mod shared;
mod single;
mod support;
mod tls;
mod upkeep;
