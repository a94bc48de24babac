//! What each long-running program of ours does the same way: tasks, shutdown, signals, the clock,
//! backoff, logging and files that survive a power cut.
//!
//! Never knows anything of this system: no pods, no nodes, no wire.

mod backoff;
mod clock;
mod file;
pub mod log;
mod signals;
mod tasks;

pub use backoff::Backoff;
pub use clock::Clock;
pub use file::{make_private_dir, write_private};
pub use signals::Termination;
pub use tasks::{OnExit, Tasks};
