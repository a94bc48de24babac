//! The signals that ask a program to end.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Hears SIGINT and SIGTERM from when it is made: make it before saying that the program is up.
#[derive(Debug)]
pub struct Termination(Option<(Signal, Signal)>);

impl Termination {
    /// From now on neither signal kills this process. Where no handler can be set, the default action stays.
    ///
    /// # Panics
    /// Outside an asynchronous runtime.
    #[must_use]
    pub fn listen() -> Self {
        let interrupt = signal(SignalKind::interrupt());
        Self(interrupt.ok().zip(signal(SignalKind::terminate()).ok()))
    }

    /// Waits for a signal that came since it was made, or since it was last waited for.
    pub async fn asked(&mut self) {
        let Some((interrupt, terminate)) = &mut self.0 else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}
