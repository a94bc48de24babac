//! The wire between controller and agent, and the types the agent works with.
//!
//! The inner types (`pod`, `status`, `route`, `node`) carry no serde and no protobuf; `convert` turns wire types into
//! them and checks every field. `frame` delimits messages on a stream, `session` decides what is sent, `quic` sets up
//! the endpoints, `enroll` and `token` are how a box becomes a node.
//!
//! **Versions.** The wire only grows (`proto/link.proto`). An older agent skips fields it does not know; a message of a
//! kind it does not know decodes to none and is skipped with a log line; an unknown request on a stream is refused with
//! a `Failure`. An older controller does the same. What changes the meaning of an existing message gets another ALPN.

#![warn(missing_docs)]

pub mod convert;
pub mod enroll;
pub mod frame;
pub mod node;
pub mod pod;
pub mod quic;
pub mod route;
pub mod session;
pub mod status;
pub mod token;

/// The messages of `proto/link.proto`. They have no `Debug`: pods carry secrets.
#[allow(missing_docs, reason = "generated; described in the .proto")]
#[allow(
    missing_debug_implementations,
    reason = "a Debug of a message could print a secret"
)]
#[allow(clippy::all, reason = "generated")]
pub mod pb {
    include!(concat!(env!("OUT_DIR"), "/coracle.link.v1.rs"));
}
