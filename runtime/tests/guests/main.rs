//! The example guests as they are committed, on the real runtime: each does what its page says, and
//! what a bad one does hurts only itself.

#![expect(
    clippy::unwrap_used,
    reason = "what cannot fail in a test fails the test"
)]

mod harness;

mod commands;
mod hostile;
mod servers;
mod starvation;
