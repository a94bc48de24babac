//! What each long-running program of ours does the same way: tasks, shutdown, signals, the clock,
//! backoff and logging.
//!
//! Never knows anything of this system: no pods, no nodes, no wire.

mod backoff;
mod clock;
pub mod log;
mod signals;
mod tasks;

pub use backoff::Backoff;
pub use clock::Clock;
pub use signals::terminated;
pub use tasks::{OnExit, Tasks};
