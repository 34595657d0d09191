//! What stands around a host while it is compared with the real Envoy: for `compare` and for the adapter's own tests.
//!
//! | file | idea |
//! |---|---|
//! | `envoy` | Envoy's configuration for filters and their settings |
//! | `http1` | HTTP/1.1 as it was on the wire |
//! | `alike` | what differs from run to run, and is shown alike |
//! | `lines` | two texts, line by line, where they differ |
//!
//! Nothing here decides what is the same: that is for those who compare.

pub mod alike;
pub mod envoy;
pub mod http1;
pub mod lines;
