//! Runs a command: one instance, on the CPU threads, from `run` to its exit.

use crate::{
    Exit,
    container::{Container, OwesExit},
    cpu::Preempted,
    instance::{End, State},
    sandbox::{Entry, Loaded},
};
use std::sync::Arc;
use wasmtime::Store;

/// Starts the command; its exit is the container's.
pub(crate) fn start(container: &Arc<Container>, loaded: &Arc<Loaded>) -> Result<(), crate::Error> {
    // A command yields its thread at each tick anyway; nobody asks whether it was preempted.
    let store = container.store(loaded, false, Arc::new(Preempted::default()))?;
    let owes_exit = OwesExit(Arc::clone(container));
    let loaded = Arc::clone(loaded);
    let run = container.metered(async move { run(store, &loaded).await });
    container.spawn(async move {
        let exit = run.await;
        owes_exit.0.end(exit);
    });
    Ok(())
}

async fn run(mut store: Store<State>, loaded: &Loaded) -> Exit {
    match call(&mut store, loaded).await {
        Ok(Ok(())) => Exit::Code(0),
        Ok(Err(())) => Exit::Code(1),
        Err(error) => End::of(&error).into_exit(),
    }
}

async fn call(store: &mut Store<State>, loaded: &Loaded) -> wasmtime::Result<Result<(), ()>> {
    match &loaded.entry {
        Entry::CommandP2(pre) => {
            let command = pre.instantiate_async(&mut *store).await?;
            command.wasi_cli_run().call_run(store).await
        }
        Entry::CommandP3(pre) => {
            let command = pre.instantiate_async(&mut *store).await?;
            store
                .run_concurrent(async |accessor| command.wasi_cli_run().call_run(accessor).await)
                .await?
        }
        Entry::HttpP2(_) | Entry::HttpP3(_) => Err(wasmtime::Error::msg(
            "an HTTP component was started as a command",
        )),
    }
}
