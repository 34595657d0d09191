//! The driver's actions, with exchanges and callouts under way at once.

mod bodies;
mod calls;
#[allow(dead_code, unused_imports, reason = "the semantics' test bed, of which each suite uses a part")]
#[path = "../../../semantics/tests/semantics/common/mod.rs"]
mod common;
mod cors;
mod deadlines;
mod edge;
mod egress;
mod events;
mod exchanges;
mod freezes;
mod grpc;
mod property;
mod relay;
mod retries;
mod rounds;
mod several;
mod stays;
mod vocabulary;
mod world;
