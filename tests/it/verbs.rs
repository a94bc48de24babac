//! Every verb and subresource of every kind, beside what upstream's documents say of it.
//!
//! The measure is `verbs/upstream.txt`, which `cargo xtask upstream` writes from the Kubernetes project's own files;
//! where this server or upstream's differs from it, `verbs/exceptions.rs` says so, with the reason. A run tells all
//! differences, not the first.

mod custom;
mod discovery;
mod drive;
mod exceptions;
mod objects;
mod session;
mod subresources;
mod table;
mod wrong;

use anyhow::ensure;
use coracle_daemon::Tasks;
use coracle_tests::{Controller, client::Endpoint};
use serde_json::Value;
use session::Session;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use table::{Row, Table};
use tokio::task::JoinSet;

/// Resources that are tried at once.
const AT_ONCE: usize = 8;

/// A controller, what the table says, and a way to ask.
struct Tried {
    table: Arc<Table>,
    endpoint: Endpoint,
    tasks: Tasks,
    _controller: Controller,
    _dir: tempfile::TempDir,
}

impl Tried {
    fn start() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let controller = Controller::start(dir.path())?;
        let tasks = Tasks::new();
        let endpoint = Endpoint::read(&controller.kubeconfig(), &tasks)?;
        let mut table = Table::read()?;
        custom::extend(&mut table);
        Ok(Self {
            table: Arc::new(table),
            endpoint,
            tasks,
            _controller: controller,
            _dir: dir,
        })
    }

    /// The resources that are served, without their subresources.
    fn served(&self) -> Vec<usize> {
        let rows = self.table.rows.iter().enumerate();
        let served = rows.filter(|(_, row)| {
            !row.is_subresource() && !custom::is_custom(row) && exceptions::later(row).is_none()
        });
        served.map(|(number, _)| number).collect()
    }
}

fn judge(problems: &[String]) -> anyhow::Result<()> {
    ensure!(
        problems.is_empty(),
        "{} differences:\n{}",
        problems.len(),
        problems.join("\n")
    );
    Ok(())
}

#[tokio::test]
async fn discovery_says_what_upstream_says() -> anyhow::Result<()> {
    let tried = Tried::start()?;
    custom::define(&tried.endpoint).await?;
    let mut client = tried.endpoint.connect().await?;
    let problems = discovery::differences(&tried.table, &mut client).await?;
    tried.tasks.stop().cancel();
    judge(&problems)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(
    clippy::disallowed_methods,
    reason = "the tasks end with the set that holds them"
)]
async fn every_verb_of_every_kind() -> anyhow::Result<()> {
    let tried = Arc::new(Tried::start()?);
    let (served, taken) = (Arc::new(tried.served()), Arc::new(AtomicUsize::new(0)));
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (tried, served, taken) = (Arc::clone(&tried), Arc::clone(&served), Arc::clone(&taken));
        workers.spawn(async move {
            let mut problems = Vec::new();
            while let Some(number) = served.get(taken.fetch_add(1, Ordering::Relaxed)) {
                let row = &tried.table.rows[*number];
                let namespace = format!("tried-{number}");
                match try_resource(&tried, row, &namespace).await {
                    Ok(found) => problems.extend(found),
                    Err(error) => {
                        problems.push(format!("{} {}: {error:#}", row.version, row.name));
                    }
                }
            }
            problems
        });
    }
    let mut problems = workers.join_all().await.concat();
    problems.sort();
    judge(&problems)
}

async fn try_resource(tried: &Tried, row: &Row, namespace: &str) -> anyhow::Result<Vec<String>> {
    let mut session = Session::begin(&tried.table, row, &tried.endpoint, namespace).await?;
    if row.verbs.keys().eq(["create"]) {
        created_only(&mut session).await?;
    } else if row.verbs.keys().eq(["get", "list"]) {
        read_only(&mut session).await?;
    } else {
        drive::resource(&mut session).await?;
    }
    Ok(session.problems)
}

/// What is asked, and answered at once: reviews and bindings.
async fn created_only(session: &mut Session<'_>) -> anyhow::Result<()> {
    let (collection, row) = (session.collection(), session.row);
    let object = session.object.clone();
    if row.name == "bindings" {
        let pod = objects::of("v1/Pod", &session.namespace)?;
        let pods = format!("/api/v1/namespaces/{}/pods", session.namespace);
        let made = session.ask("POST", &pods, &pod).await?;
        ensure!(made.status == 201, "no pod to bind: {}", made.json());
    }
    let answer = session.ask("POST", &collection, &object).await?;
    session.documented(row, "create", &answer, 201);
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
        let answer = session.ask(method, &collection, &Value::Null).await?;
        session.refused(method, &answer, 405, "MethodNotAllowed");
    }
    let mut other = object.clone();
    other["kind"] = "Other".into();
    let answer = session.ask("POST", &collection, &other).await?;
    session.refused("POST of another kind", &answer, 400, "BadRequest");
    let media = [("content-type", "text/plain")];
    let answer = session
        .ask_with("POST", &collection, &media, &object.to_string())
        .await?;
    session.refused("POST of text", &answer, 415, "UnsupportedMediaType");
    let html = [("accept", "text/html")];
    let answer = session
        .ask_with("POST", &collection, &html, &object.to_string())
        .await?;
    session.refused("POST for text/html", &answer, 406, "NotAcceptable");
    Ok(())
}

/// What is told when it is asked for, and has no version.
async fn read_only(session: &mut Session<'_>) -> anyhow::Result<()> {
    let (collection, one, row) = (session.collection(), session.one(), session.row);
    let answer = session.ask("GET", &one, &Value::Null).await?;
    let told = session.documented(row, "get", &answer, 200);
    let name = session.name();
    session.check("get", told["metadata"]["name"] == *name, || {
        format!("it is another: {told}")
    });
    let answer = session.ask("GET", &collection, &Value::Null).await?;
    let list = session.documented(row, "list", &answer, 200);
    let is_listed = list["items"]
        .as_array()
        .is_some_and(|items| items.iter().any(|item| item["metadata"]["name"] == *name));
    session.check("list", is_listed, || format!("{name} is not in {list}"));
    for (method, path) in [
        ("POST", &collection),
        ("DELETE", &collection),
        ("PUT", &one),
        ("PATCH", &one),
        ("DELETE", &one),
        ("GET", &format!("{collection}?watch=true")),
    ] {
        let answer = session.ask(method, path, &Value::Null).await?;
        session.refused(method, &answer, 405, "MethodNotAllowed");
    }
    for (accept, status) in [
        ("application/vnd.kubernetes.protobuf", 200),
        ("application/yaml", 200),
        ("text/html", 406),
    ] {
        let answer = session
            .ask_with("GET", &collection, &[("accept", accept)], "")
            .await?;
        session.check(accept, answer.status == status, || {
            format!("{} instead of {status}", answer.status)
        });
    }
    Ok(())
}

#[tokio::test]
async fn every_verb_of_a_custom_kind() -> anyhow::Result<()> {
    let tried = Tried::start()?;
    custom::define(&tried.endpoint).await?;
    judge(&custom::try_it(&tried.table, &tried.endpoint).await?)
}

#[tokio::test]
async fn what_is_nothing_is_not_found() -> anyhow::Result<()> {
    let tried = Tried::start()?;
    let namespaces = tried.table.rows.iter().find(|row| row.name == "namespaces");
    let row = namespaces.expect("the table has namespaces");
    let mut session = Session::begin(&tried.table, row, &tried.endpoint, "").await?;
    for path in [
        "/api/v1/nothings",
        "/api/v2/pods",
        "/apis/apps/v2/deployments",
    ] {
        let answer = session.ask("GET", path, &Value::Null).await?;
        session.refused(path, &answer, 404, "NotFound");
    }
    // Upstream's server of last resort knows no Status.
    for path in [
        "/apis/nothing.example.com/v1/things",
        "/apis/nothing.example.com/v1",
        "/apis/nothing.example.com",
        "/nothing",
    ] {
        let answer = session.ask("GET", path, &Value::Null).await?;
        let is_plain = answer.status == 404 && &*answer.body == b"404 page not found\n";
        session.check(path, is_plain, || format!("{answer:?}"));
    }
    judge(&session.problems)
}
