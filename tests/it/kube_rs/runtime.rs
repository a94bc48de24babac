//! kube's runtime: watchers, a reflector's store, a recorder of events; and a lease that has one holder.

use super::{LIMIT, Server, map, names, object, refusal};
use anyhow::{Context as _, bail};
use coracle_tests::wait;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{ConfigMap, Event as CoreEvent},
    events::v1::Event,
};
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{
        DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams, entry,
    },
    runtime::{
        WatchStreamExt as _,
        events::{self, EventType, Recorder},
        reflector, watcher,
    },
};
use serde_json::json;
use std::{future::ready, pin::pin};
use tokio::time::timeout;

/// The next event of a watcher, in a word and a name.
async fn next<K: kube::Resource>(
    stream: &mut (impl Stream<Item = watcher::Result<watcher::Event<K>>> + Unpin),
) -> anyhow::Result<String> {
    let event = timeout(LIMIT, stream.try_next()).await??;
    Ok(match event.context("the watcher ended")? {
        watcher::Event::Init => "init".to_owned(),
        watcher::Event::InitApply(object) => format!("init {}", object.name_any()),
        watcher::Event::InitDone => "done".to_owned(),
        watcher::Event::Apply(object) => format!("apply {}", object.name_any()),
        watcher::Event::Delete(object) => format!("delete {}", object.name_any()),
    })
}

async fn a_watcher_sees_all(config: watcher::Config) -> anyhow::Result<()> {
    let server = Server::start().await?;
    let (maps, post) = (server.maps(), PostParams::default());
    for name in ["a", "b", "c"] {
        maps.create(&post, &map(name, json!({}))?).await?;
    }
    let mut seen = pin!(watcher(maps.clone(), config.labels("app=t")));
    for expected in ["init", "init a", "init b", "init c", "done"] {
        assert_eq!(next(&mut seen).await?, expected);
    }
    let label = async |name: &str, value: &str| {
        let patch = json!({"metadata": {"labels": {"app": value}}});
        let params = PatchParams::default();
        maps.patch(name, &params, &Patch::Merge(patch)).await
    };
    maps.create(&post, &map("d", json!({}))?).await?;
    label("b", "other").await?;
    maps.delete("c", &DeleteParams::default()).await?;
    label("b", "t").await?;
    maps.create(&post, &object(json!({"metadata": {"name": "unseen"}}))?)
        .await?;
    maps.delete("a", &DeleteParams::default()).await?;
    for expected in ["apply d", "delete b", "delete c", "apply b", "delete a"] {
        assert_eq!(next(&mut seen).await?, expected);
    }
    Ok(())
}

#[tokio::test]
async fn a_watcher_with_pages_sees_all() -> anyhow::Result<()> {
    a_watcher_sees_all(watcher::Config::default().page_size(2)).await
}

#[tokio::test]
async fn a_watcher_with_a_streaming_list_sees_all() -> anyhow::Result<()> {
    a_watcher_sees_all(watcher::Config::default().streaming_lists()).await
}

#[tokio::test]
async fn a_watch_ends_and_goes_on_where_it_was() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let (maps, post) = (server.maps(), PostParams::default());
    let mut version = maps.list(&ListParams::default()).await?.metadata;
    for name in ["a", "b"] {
        let labelled = json!({"metadata": {"name": name, "labels": {"of": "test"}}});
        maps.create(&post, &object(labelled)?).await?;
        let from = version.resource_version.take().context("no version")?;
        // The namespace's own map may come at any time.
        let params = WatchParams::default().timeout(1).labels("of=test");
        let events = maps.watch(&params, &from).await?;
        let events: Vec<_> = timeout(LIMIT, events.try_collect()).await??;
        let [WatchEvent::Added(added), rest @ ..] = &events[..] else {
            bail!("{events:?}");
        };
        assert_eq!(added.name_any(), name);
        let [.., WatchEvent::Bookmark(last)] = rest else {
            bail!("no bookmark at the end: {rest:?}");
        };
        version.resource_version = Some(last.metadata.resource_version.clone());
    }
    Ok(())
}

#[tokio::test]
async fn a_store_equals_the_list_after_churn_and_a_restart() -> anyhow::Result<()> {
    let mut server = Server::start().await?;
    let maps = server.maps();
    let (reader, writer) = reflector::store();
    let config = watcher::Config::default().streaming_lists();
    let reflecting = watcher(maps.clone(), config)
        .default_backoff()
        .reflect(writer)
        .for_each(|_event| ready(()));
    let test = async {
        timeout(LIMIT, reader.wait_until_ready()).await??;
        churn(&maps).await?;
        same_as_list(&maps, &reader).await?;
        server.restart().await?;
        churn(&maps).await?;
        same_as_list(&maps, &reader).await?;

        let old = maps.watch(&WatchParams::default(), "1").await?;
        let old: Vec<_> = timeout(LIMIT, old.try_collect()).await??;
        let [WatchEvent::Error(gone)] = &old[..] else {
            bail!("a watch from revision 1 said {old:?}");
        };
        assert_eq!((gone.code, gone.reason.as_str()), (410, "Expired"));
        Ok(())
    };
    tokio::select! {
        () = reflecting => bail!("the reflector ended"),
        done = test => done,
    }
}

/// Objects come, change and go; some stay.
async fn churn(maps: &Api<ConfigMap>) -> anyhow::Result<()> {
    for round in 0..40 {
        let name = format!("m{}", round % 7);
        if round % 5 == 4 {
            let gone = maps.delete(&name, &DeleteParams::default()).await;
            let gone = gone.map(|_| ()).or_else(absent);
            gone?;
        } else {
            let mut entry = maps
                .entry(&name)
                .await?
                .or_insert(ConfigMap::default)
                .and_modify(|map| {
                    map.data = Some([("round".to_owned(), round.to_string())].into());
                });
            entry.commit(&PostParams::default()).await?;
        }
    }
    Ok(())
}

fn absent(error: kube::Error) -> kube::Result<()> {
    match error {
        kube::Error::Api(status) if status.is_not_found() => Ok(()),
        other => Err(other),
    }
}

async fn same_as_list(
    maps: &Api<ConfigMap>,
    reader: &reflector::Store<ConfigMap>,
) -> anyhow::Result<()> {
    let versions = |all: &mut dyn Iterator<Item = &ConfigMap>| {
        let mut all: Vec<_> = all
            .map(|map| (map.name_any(), map.resource_version()))
            .collect();
        all.sort_unstable();
        all
    };
    let listed = maps.list(&ListParams::default()).await?.items;
    let listed = versions(&mut listed.iter());
    assert!(listed.len() > 3, "{listed:?}");
    wait::level("store that equals the list", LIMIT, async || {
        let stored = reader.state();
        let stored = versions(&mut stored.iter().map(AsRef::as_ref));
        Ok(if stored == listed {
            Ok(())
        } else {
            Err(format!("{stored:?} is not {listed:?}"))
        })
    })
    .await
}

#[tokio::test]
async fn a_recorder_writes_events_and_a_series() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let made = map("a", json!({}))?;
    let made = server.maps().create(&PostParams::default(), &made).await?;
    let recorder = Recorder::new(server.client.clone(), "tester".into());
    let event = events::Event {
        type_: EventType::Warning,
        reason: "Flickers".to_owned(),
        note: Some("the light flickers".to_owned()),
        action: "Switch".to_owned(),
        secondary: None,
    };
    for _ in 0..3 {
        recorder.publish(&event, &made.object_ref(&())).await?;
    }
    let about = format!(
        "regarding.kind=ConfigMap,regarding.uid={}",
        made.uid().context("no uid")?
    );
    let events: Api<Event> = Api::default_namespaced(server.client.clone());
    let events = events
        .list(&ListParams::default().fields(&about))
        .await?
        .items;
    let [found] = &events[..] else {
        bail!("{events:?}");
    };
    assert_eq!(found.series.as_ref().map(|series| series.count), Some(3));
    assert_eq!(found.reporting_controller.as_deref(), Some("tester"));

    let events: Api<CoreEvent> = Api::default_namespaced(server.client.clone());
    let about = ListParams::default().fields("involvedObject.name=a,type=Warning");
    let events = events.list(&about).await?.items;
    let [found] = &events[..] else {
        bail!("{events:?}");
    };
    assert_eq!(found.message.as_deref(), Some("the light flickers"));
    assert_eq!(found.reporting_component.as_deref(), Some("tester"));
    assert_eq!(found.involved_object.uid, made.uid());
    Ok(())
}

#[tokio::test]
async fn a_lease_has_one_holder() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let leases: Api<Lease> = Api::default_namespaced(server.client.clone());
    let hold = |who: &'static str, transitions: i32| {
        move |lease: &mut Lease| {
            let spec = lease.spec.get_or_insert_default();
            spec.holder_identity = Some(who.to_owned());
            spec.lease_duration_seconds = Some(15);
            spec.lease_transitions = Some(transitions);
        }
    };
    let post = PostParams::default();
    // Two see that there is none; one makes it.
    let (one, two) = (leases.entry("leader").await?, leases.entry("leader").await?);
    let mut one = one.or_insert(Lease::default).and_modify(hold("one", 0));
    let mut two = two.or_insert(Lease::default).and_modify(hold("two", 0));
    one.commit(&post).await?;
    let late = refused(two.commit(&post).await)?;
    assert!(late.is_already_exists(), "{late:?}");

    // Two see that it ended; one takes it, and the holder that comes back finds out.
    let taken = leases.entry("leader").await?.or_insert(Lease::default);
    let mut taken = taken.and_modify(hold("two", 1));
    taken.commit(&post).await?;
    let mut one = one.and_modify(hold("one", 2));
    let late = refused(one.commit(&post).await)?;
    assert!(late.is_conflict() && late.code == 409, "{late:?}");
    let held = leases.get("leader").await?.spec.context("no spec")?;
    assert_eq!(held.holder_identity.as_deref(), Some("two"));
    assert_eq!(
        names(&leases.list(&ListParams::default()).await?.items),
        ["leader"]
    );

    // The same with owners of fields: who does not force is told who holds it.
    let applied = |who: &str| {
        Patch::Apply(json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "applied"},
            "spec": {"holderIdentity": who, "leaseDurationSeconds": 15},
        }))
    };
    let params = PatchParams::apply("one");
    leases.patch("applied", &params, &applied("one")).await?;
    let params = PatchParams::apply("two");
    let late = refusal(leases.patch("applied", &params, &applied("two")).await);
    assert!(
        late.message
            .contains("conflict with \"one\": .spec.holderIdentity"),
        "{late:?}"
    );
    Ok(())
}

fn refused(answer: Result<(), entry::CommitError>) -> anyhow::Result<kube::core::Status> {
    match answer {
        Err(entry::CommitError::Save(error)) => Ok(refusal::<()>(Err(error))),
        other => bail!("expected a refusal, got {other:?}"),
    }
}
