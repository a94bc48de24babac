//! The signals that ask a program to end.

use tokio::signal::unix::{SignalKind, signal};

/// Waits for SIGINT or SIGTERM. Where no handler can be set, never returns: the default action stays.
pub async fn terminated() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
