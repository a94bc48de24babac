//! One watcher: a view, and the connections that keep it.

use super::{
    Last, NAMESPACES, Shared, count,
    view::{Kept, View, read, version},
};
use anyhow::{Context as _, bail, ensure};
use coracle_tests::client::Watch;
use http::{Method, StatusCode};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

/// Between two tries to reach a controller that is down.
const RETRY: Duration = Duration::from_millis(100);
/// After everything was seen, nothing more may come for so long.
const SILENCE_SECONDS: u64 = 1;

/// What a watcher selects.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    namespace: Option<&'static str>,
    group: Option<&'static str>,
    name: Option<String>,
    /// Begins with events, not with a list.
    initial_events: bool,
    bookmarks: bool,
    metadata_alone: bool,
}

impl Scope {
    /// Every sort of watcher comes often.
    pub(super) fn of(number: usize) -> Self {
        Self {
            namespace: [None, Some(NAMESPACES[0]), Some(NAMESPACES[1])][number % 3],
            group: [None, None, Some("a"), Some("b")][number / 3 % 4],
            name: (number % 10 == 9).then(|| format!("w{}-{}", number / 10 % 4, number / 40)),
            initial_events: number.is_multiple_of(2),
            bookmarks: number % 4 < 3,
            metadata_alone: number % 5 == 4,
        }
    }

    fn path(&self) -> String {
        let place = self
            .namespace
            .map_or_else(String::new, |name| format!("/namespaces/{name}"));
        let group = self
            .group
            .map_or_else(String::new, |group| format!("%2Cgroup%3D{group}"));
        let mut path = format!("/api/v1{place}/configmaps?labelSelector=churn%3Dyes{group}");
        if let Some(name) = &self.name {
            path.push_str(&format!("&fieldSelector=metadata.name%3D{name}"));
        }
        path
    }

    /// Of the final list, what this watcher has to know.
    fn part(&self, whole: &View) -> View {
        let selected = whole.iter().filter(|((namespace, name), seen)| {
            self.namespace.is_none_or(|wanted| wanted == namespace)
                && self.group.is_none_or(|wanted| wanted == seen.group)
                && self.name.as_ref().is_none_or(|wanted| wanted == name)
        });
        selected
            .map(|(key, seen)| (key.clone(), seen.clone()))
            .collect()
    }
}

/// Everything there is, once the controller answers.
pub(super) async fn list_all(shared: &Shared) -> anyhow::Result<Last> {
    let list = shared
        .endpoint
        .connect()
        .await?
        .get(&Scope::default().path())
        .await?;
    let items = list["items"].as_array().into_iter().flatten();
    Ok(Last {
        view: items.map(read).collect::<anyhow::Result<_>>()?,
        revision: version(&list["metadata"])?,
    })
}

pub(super) struct Watcher {
    shared: Arc<Shared>,
    number: usize,
    scope: Scope,
    rng: StdRng,
    kept: Kept,
    /// Where to go on; none where the view has to begin anew.
    position: Option<u64>,
    /// Initial events, until their end.
    initial: Option<View>,
    last: watch::Receiver<Option<Arc<Last>>>,
}

impl Watcher {
    pub(super) fn new(shared: Arc<Shared>, number: usize, scope: Scope) -> Self {
        let rng = StdRng::seed_from_u64(shared.seed ^ ((number as u64 + 1) << 32));
        Self {
            kept: Kept::new(scope.group.is_none()),
            last: shared.last.clone(),
            shared,
            number,
            scope,
            rng,
            position: None,
            initial: None,
        }
    }

    /// Until the view is the final list.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        let scope = self.scope.clone();
        let number = self.number;
        let watched = self.watch().await;
        watched.with_context(|| format!("watcher {number} of {scope:?}"))
    }

    async fn watch(&mut self) -> anyhow::Result<()> {
        loop {
            if self.position.is_none() && !self.scope.initial_events && !self.list().await? {
                sleep(RETRY).await;
                continue;
            }
            let Some(stream) = self.open(None).await? else {
                sleep(RETRY).await;
                continue;
            };
            if self.follow(stream).await? {
                return self.silence().await;
            }
            if self.last.borrow().is_none() {
                // Some are away for so long that they are forgotten.
                let away = if self.rng.random_bool(0.2) {
                    2_000
                } else {
                    200
                };
                sleep(Duration::from_millis(self.rng.random_range(0..away))).await;
            }
        }
    }

    /// The view anew, by a list; false while the controller is down.
    async fn list(&mut self) -> anyhow::Result<bool> {
        let Ok(mut client) = self.shared.endpoint.connect().await else {
            return Ok(false);
        };
        let Ok(answer) = client
            .exchange(Method::GET, &self.scope.path(), &[], "")
            .await
        else {
            return Ok(false);
        };
        if answer.status != StatusCode::OK {
            return self.may_be_down(answer.status).map(|()| false);
        }
        let list = answer.json();
        let items = list["items"].as_array().context("a list without items")?;
        let view = items.iter().map(read).collect::<anyhow::Result<View>>()?;
        let revision = version(&list["metadata"])?;
        self.kept.replace(view, revision)?;
        self.position = Some(revision);
        Ok(true)
    }

    /// A server that starts or ends may say so; anything else is wrong.
    fn may_be_down(&self, status: StatusCode) -> anyhow::Result<()> {
        let is_known = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        ensure!(is_known, "answered with {status}");
        Ok(())
    }

    /// A watch from where we are; none while the controller is down.
    async fn open(&mut self, seconds: Option<u64>) -> anyhow::Result<Option<Watch>> {
        let mut path = format!("{}&watch=true", self.scope.path());
        match self.position {
            Some(position) => path.push_str(&format!("&resourceVersion={position}")),
            None => {
                path.push_str("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
                self.initial = Some(View::new());
            }
        }
        if self.scope.bookmarks || self.position.is_none() {
            path.push_str("&allowWatchBookmarks=true");
        }
        let short = self
            .rng
            .random_bool(0.3)
            .then(|| self.rng.random_range(1..5));
        if let Some(seconds) = seconds.or(short) {
            path.push_str(&format!("&timeoutSeconds={seconds}"));
        }
        let accept = if self.scope.metadata_alone {
            "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        } else {
            "application/json"
        };
        let Ok(client) = self.shared.endpoint.connect().await else {
            return Ok(None);
        };
        let Ok((status, watch)) = client.open_watch(&path, &[("accept", accept)]).await else {
            return Ok(None);
        };
        if status == StatusCode::GONE {
            self.forget();
            return Ok(None);
        }
        if status != StatusCode::OK {
            return self.may_be_down(status).map(|()| None);
        }
        if self.position.is_some() {
            count(&self.shared.counts.resumed);
        }
        Ok(Some(watch))
    }

    fn forget(&mut self) {
        count(&self.shared.counts.expired);
        self.position = None;
    }

    /// Reads until the connection is lost or given up; true once the view is the final list.
    async fn follow(&mut self, mut stream: Watch) -> anyhow::Result<bool> {
        let patience = self.rng.random_range(200..6_000);
        let given_up = Instant::now() + Duration::from_millis(patience);
        loop {
            if self.is_done()? {
                return Ok(true);
            }
            let is_quiet = self.last.borrow_and_update().is_some();
            let event = tokio::select! {
                event = stream.next() => event,
                () = sleep_until(given_up), if !is_quiet => {
                    count(&self.shared.counts.lost);
                    return Ok(false);
                }
                _told = self.last.changed(), if !is_quiet => continue,
            };
            // The end of a watch, or of its connection.
            let Ok(Some((kind, object))) = event else {
                return Ok(false);
            };
            self.take(&kind, &object)?;
            if kind == "ERROR" {
                return Ok(false);
            }
        }
    }

    fn is_done(&self) -> anyhow::Result<bool> {
        let last = self.last.borrow().clone();
        let at_home = self.initial.is_none() && self.position.is_some();
        Ok(at_home && last.is_some_and(|last| self.scope.part(&last.view) == self.kept.view))
    }

    fn take(&mut self, kind: &str, object: &Value) -> anyhow::Result<()> {
        count(&self.shared.counts.events);
        match kind {
            "ERROR" => {
                ensure!(object["code"] == 410, "an error: {object}");
                self.forget();
                return Ok(());
            }
            "BOOKMARK" => {
                let revision = version(&object["metadata"])?;
                if let Some(view) = self.initial.take() {
                    let end = &object["metadata"]["annotations"]["k8s.io/initial-events-end"];
                    ensure!(end == "true", "a bookmark among initial events: {object}");
                    self.kept.replace(view, revision)?;
                } else {
                    ensure!(
                        self.scope.bookmarks,
                        "a bookmark that nobody asked for: {object}"
                    );
                    self.kept.reach(revision)?;
                }
                self.position = Some(revision);
                return Ok(());
            }
            _ => {}
        }
        let (key, seen) = read(object)?;
        if kind != "DELETED" {
            let selected = self.scope.part(&View::from([(key.clone(), seen.clone())]));
            ensure!(
                !selected.is_empty(),
                "{kind} of {key:?} {seen:?}, which is not selected"
            );
        }
        if let Some(initial) = &mut self.initial {
            ensure!(kind == "ADDED", "{kind} of {key:?} among initial events");
            if let Some(twice) = initial.insert(key, seen) {
                bail!("{twice:?} twice among initial events");
            }
            return Ok(());
        }
        self.position = Some(seen.version);
        self.kept.change(kind, key, seen)
    }

    /// Once all is seen, a watch from there has nothing to tell of what came after the final list. The view may have
    /// been that list too early: what entered and left it since is still to come.
    async fn silence(&mut self) -> anyhow::Result<()> {
        let last = self.last.borrow().clone().context("no final list")?;
        let Some(mut stream) = self.open(Some(SILENCE_SECONDS)).await? else {
            bail!("the controller is gone");
        };
        while let Some((kind, object)) = stream.next().await? {
            self.take(&kind, &object)?;
            // Who saw its last event long ago may be forgotten.
            let is_event = !matches!(kind.as_str(), "BOOKMARK" | "ERROR");
            ensure!(
                !is_event || version(&object["metadata"])? <= last.revision,
                "{kind} after the end at {}: {object}",
                last.revision
            );
        }
        let (has, wanted) = (&self.kept.view, self.scope.part(&last.view));
        ensure!(
            *has == wanted,
            "the view ends as {has:?}, not as {wanted:?}"
        );
        Ok(())
    }
}
