//! The agent as a whole, in this process, against a controller that is played over the real link on loopback.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod controller;
mod guests;
mod harness;

mod http;
mod joining;
mod lifecycle;
mod recovery;
