//! kube-rs against the controller: typed and dynamic objects, every patch, apply with owners, discovery.
//!
//! Watchers, events and leases are in `kube_rs/runtime.rs`, a custom kind and its controller in `kube_rs/lamp.rs`.

mod lamp;
mod runtime;

use anyhow::Context as _;
use coracle_tests::{Controller, wait};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::{
    Api, Client, Config, Discovery, Resource as _, ResourceExt as _,
    api::{
        ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
        PostParams, Preconditions,
    },
    config::{KubeConfigOptions, Kubeconfig},
    core::Status,
    discovery::{Scope, verbs},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

const LIMIT: Duration = Duration::from_secs(20);

/// A controller, and kube's client of it as its kubeconfig says.
struct Server {
    client: Client,
    controller: Option<Controller>,
    dir: tempfile::TempDir,
}

impl Server {
    async fn start() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let controller = Controller::start(dir.path())?;
        let kubeconfig = Kubeconfig::read_from(controller.kubeconfig())?;
        let config =
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Ok(Self {
            client: Client::try_from(config)?,
            controller: Some(controller),
            dir,
        })
    }

    /// The same controller once more, on the same address and data; it answers.
    async fn restart(&mut self) -> anyhow::Result<()> {
        let running = self.controller.take().context("no controller")?;
        let kubeconfig = Kubeconfig::read_from(running.kubeconfig())?;
        let cluster = kubeconfig.clusters.into_iter().next();
        let url = cluster.and_then(|named| named.cluster?.server);
        let url = url.context("no server in the kubeconfig")?;
        let address = url.strip_prefix("https://").context("no https")?;
        running.stop(LIMIT)?;
        let again = Controller::start_on(self.dir.path(), address, "127.0.0.1:0")?;
        self.controller = Some(again);
        wait::level("answer after the restart", LIMIT, async || {
            let answer = self.client.apiserver_version().await;
            Ok(answer.map(drop).map_err(|error| error.to_string()))
        })
        .await
    }

    fn maps(&self) -> Api<ConfigMap> {
        Api::default_namespaced(self.client.clone())
    }
}

fn object<K: serde::de::DeserializeOwned>(value: Value) -> anyhow::Result<K> {
    Ok(serde_json::from_value(value)?)
}

fn map(name: &str, data: Value) -> anyhow::Result<ConfigMap> {
    object(json!({"metadata": {"name": name, "labels": {"app": "t"}}, "data": data}))
}

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [
                    {"name": "web", "image": "hello:v1", "env": [{"name": "A", "value": "1"}]},
                ]},
            },
        },
    })
}

/// What the server answered when it refused.
#[track_caller]
fn refusal<T: std::fmt::Debug>(answer: kube::Result<T>) -> Status {
    match answer {
        Err(kube::Error::Api(status)) => *status,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

fn entry<'a>(map: &'a ConfigMap, key: &str) -> Option<&'a str> {
    Some(map.data.as_ref()?.get(key)?.as_str())
}

#[tokio::test]
async fn typed_objects_live() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let (maps, post) = (server.maps(), PostParams::default());
    let made = maps.create(&post, &map("a", json!({"k": "1"}))?).await?;
    assert!(made.uid().is_some() && made.resource_version().is_some());
    let again = refusal(maps.create(&post, &map("a", json!({}))?).await);
    assert!(again.is_already_exists(), "{again:?}");
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    maps.create(&dry, &map("b", json!({}))?).await?;
    assert!(maps.get_opt("b").await?.is_none());

    let mut newer = made.clone();
    newer.data = Some([("k".to_owned(), "2".to_owned())].into());
    maps.replace("a", &post, &newer).await?;
    let stale = refusal(maps.replace("a", &post, &made).await);
    assert!(stale.is_conflict() && stale.code == 409, "{stale:?}");
    let bad = object(json!({"metadata": {"name": "not_a_name"}}))?;
    let bad = refusal(maps.create(&post, &bad).await);
    assert!(bad.is_invalid() && bad.details.is_some(), "{bad:?}");

    for name in ["b", "c", "d", "e"] {
        maps.create(&post, &map(name, json!({}))?).await?;
    }
    let all = maps.list(&ListParams::default().labels("app=t")).await?;
    assert_eq!(names(&all.items), ["a", "b", "c", "d", "e"]);
    let mut page = ListParams::default().labels("app in (t)").limit(2);
    let mut paged = Vec::new();
    loop {
        let part = maps.list(&page).await?;
        assert!(part.items.len() <= 2);
        paged.extend(names(&part.items));
        match part.metadata.continue_ {
            Some(token) if !token.is_empty() => page = page.continue_token(&token),
            _ => break,
        }
    }
    assert_eq!(paged, ["a", "b", "c", "d", "e"]);
    let one = ListParams::default().fields("metadata.name=c");
    let metadata = maps.list_metadata(&one).await?;
    assert_eq!(metadata.items.len(), 1);
    assert_eq!(metadata.items[0].labels()["app"], "t");

    let other = DeleteParams::default().preconditions(Preconditions {
        uid: Some("another".to_owned()),
        resource_version: None,
    });
    assert_eq!(refusal(maps.delete("a", &other).await).code, 409);
    maps.delete("a", &DeleteParams::default()).await?;
    assert!(refusal(maps.get("a").await).is_not_found());
    let rest = ListParams::default().labels("app=t");
    maps.delete_collection(&DeleteParams::default(), &rest)
        .await?;
    assert_eq!(maps.list(&rest).await?.items.len(), 0);
    Ok(())
}

fn names<K: kube::Resource>(items: &[K]) -> Vec<String> {
    items.iter().map(kube::ResourceExt::name_any).collect()
}

#[tokio::test]
async fn every_patch() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let api: Api<Deployment> = Api::default_namespaced(server.client.clone());
    let made = api
        .create(&PostParams::default(), &object(deployment())?)
        .await?;
    let mine = PatchParams::default();

    let json_patch = serde_json::from_value(json!([
        {"op": "test", "path": "/spec/replicas", "value": 0},
        {"op": "add", "path": "/metadata/annotations", "value": {"by": "json"}},
    ]))?;
    let patched = api
        .patch("web", &mine, &Patch::Json::<()>(json_patch))
        .await?;
    assert_eq!(patched.annotations()["by"], "json");
    // As upstream, a Deployment's annotations count like its spec.
    assert_eq!(
        (made.metadata.generation, patched.metadata.generation),
        (Some(1), Some(2))
    );
    let failing = serde_json::from_value(
        json!([{"op": "test", "path": "/metadata/annotations/by", "value": "merge"}]),
    )?;
    let failed = refusal(api.patch("web", &mine, &Patch::Json::<()>(failing)).await);
    assert_eq!(failed.code, 422, "{failed:?}");

    let merge = json!({"metadata": {"annotations": {"by": null, "also": "merge"}}});
    let patched = api.patch("web", &mine, &Patch::Merge(&merge)).await?;
    assert_eq!(patched.annotations().get("by"), None);
    assert_eq!(patched.annotations()["also"], "merge");

    let strategic = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "web", "env": [{"name": "B", "value": "2"}]},
        {"name": "side", "image": "side:v1"},
    ]}}}});
    let patched = api
        .patch("web", &mine, &Patch::Strategic(&strategic))
        .await?;
    let pod = patched.spec.and_then(|spec| spec.template.spec);
    let containers = pod.map(|pod| pod.containers).unwrap_or_default();
    let mut seen: Vec<_> = containers.iter().map(|c| c.name.as_str()).collect();
    seen.sort_unstable();
    assert_eq!(seen, ["side", "web"]);
    let web = containers.iter().find(|c| c.name == "web");
    assert_eq!(web.and_then(|c| c.env.as_ref()).map(Vec::len), Some(2));

    let strict = mine.clone().validation_strict();
    let typo = json!({"spec": {"replcas": 1}});
    let said = refusal(api.patch("web", &strict, &Patch::Merge(&typo)).await);
    assert!(
        said.message.contains("unknown field \"spec.replcas\""),
        "{said:?}"
    );
    api.patch(
        "web",
        &mine.clone().validation_ignore(),
        &Patch::Merge(&typo),
    )
    .await?;
    Ok(())
}

#[tokio::test]
async fn subresources() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let api: Api<Deployment> = Api::default_namespaced(server.client.clone());
    api.create(&PostParams::default(), &object(deployment())?)
        .await?;
    let mine = PatchParams::default();
    let scaled = api
        .patch_scale(
            "web",
            &mine,
            &Patch::Merge(json!({"spec": {"replicas": 0}})),
        )
        .await?;
    assert_eq!(scaled.spec.and_then(|spec| spec.replicas), Some(0));
    let scale = api.get_scale("web").await?;
    assert_eq!(
        scale.status.and_then(|status| status.selector).as_deref(),
        Some("app=web")
    );
    let condition = json!({"status": {"conditions": [
        {"type": "Ours", "status": "True", "reason": "Test", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z", "lastUpdateTime": "2026-01-01T00:00:00Z"},
    ]}});
    let patched = api
        .patch_status("web", &mine, &Patch::Strategic(condition))
        .await?;
    let conditions = patched.status.and_then(|status| status.conditions);
    assert!(conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ours")));
    Ok(())
}

#[tokio::test]
async fn apply_has_owners_conflicts_and_force() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let maps = server.maps();
    let body = |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data});
    let apply = async |params: &PatchParams, data: Value| {
        maps.patch("c", params, &Patch::Apply(body(data))).await
    };
    let (one, two) = (PatchParams::apply("one"), PatchParams::apply("two"));
    let first = apply(&one, json!({"a": "1", "b": "1"})).await?;
    let same = apply(&one, json!({"a": "1", "b": "1"})).await?;
    assert_eq!(first.resource_version(), same.resource_version());

    let conflict = refusal(apply(&two, json!({"a": "2"})).await);
    assert_eq!((conflict.code, conflict.reason.as_str()), (409, "Conflict"));
    let causes = conflict.details.map(|details| details.causes);
    let cause = causes.and_then(|causes| causes.into_iter().next());
    let cause = cause.map(|cause| (cause.reason, cause.field));
    assert_eq!(
        cause,
        Some(("FieldManagerConflict".to_owned(), ".data.a".to_owned()))
    );
    let forced = apply(&two.clone().force(), json!({"a": "2"})).await?;
    assert_eq!(entry(&forced, "a"), Some("2"));
    let left = apply(&one, json!({"c": "1"})).await?;
    assert_eq!(
        left.data,
        Some(
            [("a", "2"), ("c", "1")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into()
        )
    );
    let owners: Vec<_> = left
        .managed_fields()
        .iter()
        .map(|entry| (entry.manager.as_deref(), entry.operation.as_deref()))
        .collect();
    assert_eq!(
        owners,
        [(Some("one"), Some("Apply")), (Some("two"), Some("Apply"))]
    );
    let dry = apply(&one.clone().dry_run(), json!({"c": "9"})).await?;
    assert_eq!(entry(&dry, "c"), Some("9"));
    assert_eq!(entry(&maps.get("c").await?, "c"), Some("1"));
    let nobody = refusal(apply(&PatchParams::default(), json!({})).await);
    assert_eq!(nobody.code, 422, "{nobody:?}");
    Ok(())
}

#[tokio::test]
async fn discovery_finds_every_group_both_ways() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let client = &server.client;
    assert!(
        client
            .apiserver_version()
            .await?
            .git_version
            .starts_with('v')
    );
    let plain = Discovery::new(client.clone()).run().await?;
    let aggregated = Discovery::new(client.clone()).run_aggregated().await?;
    assert_eq!(kinds(&plain), kinds(&aggregated));
    let groups: BTreeSet<&str> = plain
        .groups()
        .map(kube::discovery::ApiGroup::name)
        .collect();
    for expected in [
        "",
        "apps",
        "batch",
        "apiextensions.k8s.io",
        "authorization.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "rbac.authorization.k8s.io",
    ] {
        assert!(groups.contains(expected), "no {expected:?} in {groups:?}");
    }

    // Everything that says it can be listed can be.
    for group in aggregated.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            if capabilities.supports_operation(verbs::LIST) {
                let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
                let listed = api.list(&ListParams::default().limit(5)).await;
                assert!(listed.is_ok(), "{resource:?}: {listed:?}");
            }
        }
    }
    Ok(())
}

fn kinds(discovery: &Discovery) -> BTreeSet<String> {
    let resources = discovery.groups().flat_map(|group| {
        let of = |version| group.versioned_resources(version);
        group.versions().flat_map(of).collect::<Vec<_>>()
    });
    resources
        .map(|(resource, capabilities)| {
            let scope = matches!(capabilities.scope, Scope::Namespaced);
            let mut operations = capabilities.operations.clone();
            operations.sort_unstable();
            let mut inside: Vec<_> = capabilities
                .subresources
                .iter()
                .map(|s| &s.0.plural)
                .collect();
            inside.sort_unstable();
            format!(
                "{}/{} {} {scope} {operations:?} {inside:?}",
                resource.api_version, resource.kind, resource.plural
            )
        })
        .collect()
}

#[tokio::test]
async fn dynamic_objects_live() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let client = server.client.clone();
    let kind = GroupVersionKind::gvk("apps", "v1", "Deployment");
    let (resource, capabilities) = kube::discovery::pinned_kind(&client, &kind).await?;
    assert_eq!(capabilities.scope, Scope::Namespaced);
    assert_eq!(resource, ApiResource::erase::<Deployment>(&()));
    let api: Api<DynamicObject> = Api::default_namespaced_with(client, &resource);

    let made: DynamicObject = object(deployment())?;
    let made = api.create(&PostParams::default(), &made).await?;
    assert_eq!(made.data["spec"]["strategy"]["type"], "RollingUpdate");
    let merge = json!({"spec": {"replicas": 0, "paused": true}});
    let patched = api
        .patch("web", &PatchParams::default(), &Patch::Merge(merge))
        .await?;
    assert_eq!(patched.data["spec"]["paused"], true);
    let mut applied = deployment();
    applied["spec"]["minReadySeconds"] = json!(3);
    let params = PatchParams::apply("dynamic").force();
    let applied = api.patch("web", &params, &Patch::Apply(applied)).await?;
    assert_eq!(applied.data["spec"]["minReadySeconds"], 3);
    assert_eq!(applied.data["spec"]["paused"], true);
    let typed: Deployment = applied.try_parse()?;
    assert_eq!(typed.spec.and_then(|spec| spec.paused), Some(true));
    let listed = api.list(&ListParams::default()).await?;
    assert_eq!(names(&listed.items), ["web"]);
    assert_eq!(listed.types.kind, "DeploymentList");

    api.delete("web", &DeleteParams::background()).await?;
    wait::level("end of the deployment", LIMIT, async || {
        let left = api.get_opt("web").await?;
        Ok(left.map_or(Ok(()), |left| Err(format!("{:?}", left.meta()))))
    })
    .await
}
