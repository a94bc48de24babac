//! tcp-echo: sends back what it gets over TCP.
//!
//! What one deploys to see whether packets arrive: `nc NODE PORT` and type. Also a model for
//! guests that speak a protocol of their own: one task a connection, and a limit on how many.
//!
//! Environment: `PORT` (default 7, the echo port; a pod's ports are its own, also those under
//! 1024).

use std::{cell::Cell, rc::Rc};
use wstd::{
    io::{self, AsyncWrite as _},
    iter::AsyncIterator as _,
    net::{TcpListener, TcpStream},
    runtime::spawn,
    task::sleep,
    time::Duration,
};

/// Connections at one time; a further one is told so and closed.
const CONNECTIONS_MAX: usize = 256;
/// After a failed accept, so that a lasting error does not spin.
const ACCEPT_PAUSE_MILLIS: u64 = 100;

#[wstd::main]
async fn main() -> io::Result<()> {
    let port = match std::env::var("PORT") {
        Ok(text) => text
            .parse::<u16>()
            .map_err(|_| io::Error::other(format!("PORT is {text:?}, not a port number")))?,
        Err(_) => 7,
    };
    let listener = TcpListener::bind(&format!("0.0.0.0:{port}")).await?;
    println!("echoing on port {port}");

    let open = Rc::new(Cell::new(0_usize));
    let mut incoming = listener.incoming();
    while let Some(accepted) = incoming.next().await {
        match accepted {
            Ok(stream) => {
                let open = Rc::clone(&open);
                spawn(serve(stream, open)).detach();
            }
            Err(error) => {
                eprintln!("cannot accept: {error}");
                sleep(Duration::from_millis(ACCEPT_PAUSE_MILLIS)).await;
            }
        }
    }
    Ok(())
}

async fn serve(stream: TcpStream, open: Rc<Cell<usize>>) {
    if open.get() >= CONNECTIONS_MAX {
        let mut writer = &stream;
        // It is closed either way.
        let _ = writer.write_all(b"too many connections\n").await;
        return;
    }
    open.set(open.get() + 1);
    if let Err(error) = io::copy(&stream, &stream).await {
        eprintln!("connection ended: {error}");
    }
    open.set(open.get() - 1);
}
