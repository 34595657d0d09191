//! A scripted filter, on a machine whose clocks, randomness and log the test holds.

pub(crate) mod filter;
mod machine;
mod show;

pub(crate) use filter::{Call, Id};
pub(crate) use machine::{Bed, REQUEST, RESPONSE};
pub(crate) use show::text;
