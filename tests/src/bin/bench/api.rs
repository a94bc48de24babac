//! The API over HTTPS, one controller without nodes: writes against etcd, reads, watches, memory, and how all that
//! changes with the number of objects.
//!
//! Clients and server share the machine's processors.

mod creates;
mod etcd;
mod growth;
mod watchers;

use crate::{Bench, process::Memory, say, settle, table::Row};
use coracle_tests::{Controller, client::Endpoint};

pub(crate) async fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let dir = tempfile::tempdir_in(".")?;
    let controller = Controller::start(dir.path())?;
    let endpoint = Endpoint::read(&controller.kubeconfig(), &bench.tasks)?;
    settle();
    let idle = Memory::of(controller.pid())?.pss;
    bench.rows.push(
        Row::new("api: idle controller, PSS")
            .value(crate::table::bytes(idle))
            .goal("<= 30 MB", idle <= 30_000_000),
    );
    say("api: durable creates against durable puts of etcd");
    let rows = creates::measure(bench, &endpoint).await;
    bench.keep("api creates", rows);
    say("api: watchers");
    let rows = watchers::measure(bench, &endpoint).await;
    bench.keep("api watchers", rows);
    drop(controller);

    // From an empty store, so that what grows is what was put there.
    let dir = tempfile::tempdir_in(".")?;
    let controller = Controller::start(dir.path())?;
    let endpoint = Endpoint::read(&controller.kubeconfig(), &bench.tasks)?;
    let rows = growth::measure(bench, &endpoint, controller.pid()).await;
    bench.keep("api growth", rows);
    Ok(())
}
