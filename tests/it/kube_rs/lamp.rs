//! A kind that `#[derive(CustomResource)]` defines, and kube's controller that keeps its objects, with a finalizer.

use super::{LIMIT, Server, refusal};
use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use k8s_openapi::{
    api::core::v1::ConfigMap,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, CustomResource, CustomResourceExt as _, KubeSchema, Resource as _,
    ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    runtime::{
        controller::{Action, Controller},
        finalizer,
        wait::{await_condition, conditions},
        watcher,
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{future::ready, sync::Arc, time::Duration};
use tokio::time::timeout;

/// A lamp somebody wants on or off.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[kube(
    group = "tests.coracle.dev",
    version = "v1",
    kind = "Lamp",
    namespaced,
    status = "LampStatus",
    shortname = "lp",
    printcolumn = r#"{"name": "On", "type": "boolean", "jsonPath": ".spec.on"}"#,
    derive = "PartialEq"
)]
struct LampSpec {
    on: bool,
    #[x_kube(validation = Rule::new("self <= 100").message("too bright"))]
    #[serde(default)]
    brightness: u8,
    /// Left out when it is none: as upstream, null is no value of an enum, even where it may be null.
    #[serde(skip_serializing_if = "Option::is_none")]
    color: Option<Color>,
}

#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
enum Color {
    Warm,
    Cold,
}

#[derive(JsonSchema, Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
struct LampStatus {
    seen: i64,
}

const FINALIZER: &str = "tests.coracle.dev/switch-off";

async fn define(client: &Client) -> anyhow::Result<Api<Lamp>> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let definition = Lamp::crd();
    let params = PatchParams::apply("tests").force();
    let name = definition.name_any();
    definitions
        .patch(&name, &params, &Patch::Apply(definition))
        .await?;
    let established = await_condition(definitions, &name, conditions::is_crd_established());
    timeout(LIMIT, established).await??;
    Ok(Api::default_namespaced(client.clone()))
}

/// Each lamp gets a map that it owns and a status; a lamp that goes leaves a note.
async fn reconcile(
    lamp: Arc<Lamp>,
    client: Arc<Client>,
) -> Result<Action, finalizer::Error<kube::Error>> {
    let lamps: Api<Lamp> = Api::default_namespaced((*client).clone());
    finalizer::finalizer(&lamps, FINALIZER, lamp, |event| async {
        let maps: Api<ConfigMap> = Api::default_namespaced((*client).clone());
        let apply = PatchParams::apply("lamp-controller").force();
        match event {
            finalizer::Event::Apply(lamp) => {
                let name = lamp.name_any();
                let owner = lamp
                    .controller_owner_ref(&())
                    .into_iter()
                    .collect::<Vec<_>>();
                let child = json!({
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": {"name": name, "ownerReferences": owner},
                    "data": {"on": lamp.spec.on.to_string()},
                });
                maps.patch(&name, &apply, &Patch::Apply(child)).await?;
                let status = json!({
                    "apiVersion": "tests.coracle.dev/v1", "kind": "Lamp",
                    "status": {"seen": lamp.metadata.generation},
                });
                lamps
                    .patch_status(&name, &apply, &Patch::Apply(status))
                    .await?;
            }
            finalizer::Event::Cleanup(lamp) => {
                let note = json!({
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": {"name": format!("{}-was-here", lamp.name_any())},
                });
                maps.patch(
                    &format!("{}-was-here", lamp.name_any()),
                    &apply,
                    &Patch::Apply(note),
                )
                .await?;
            }
        }
        Ok::<_, kube::Error>(Action::await_change())
    })
    .await
}

#[tokio::test]
async fn a_controller_with_a_finalizer_runs_a_derived_kind() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let client = server.client.clone();
    let lamps = define(&client).await?;
    let running = Controller::new(lamps.clone(), watcher::Config::default().streaming_lists())
        .owns(server.maps(), watcher::Config::default())
        .run(
            reconcile,
            |_lamp, _error, _client| Action::requeue(Duration::from_millis(200)),
            Arc::new(client),
        )
        .for_each(|_outcome| ready(()));
    let test = async { lamps_live(&lamps, &server.maps()).await };
    tokio::select! {
        () = running => bail!("the controller ended"),
        done = test => done,
    }
}

async fn lamps_live(lamps: &Api<Lamp>, maps: &Api<ConfigMap>) -> anyhow::Result<()> {
    let post = PostParams::default();
    let bright = Lamp::new(
        "desk",
        LampSpec {
            on: true,
            brightness: 101,
            color: None,
        },
    );
    let said = refusal(lamps.create(&post, &bright).await);
    assert!(
        said.is_invalid() && said.message.contains("too bright"),
        "{said:?}"
    );
    let spec = LampSpec {
        on: true,
        brightness: 7,
        color: Some(Color::Warm),
    };
    let made = lamps
        .create(&post, &Lamp::new("desk", spec.clone()))
        .await?;
    assert_eq!(made.spec, spec);
    let uid = made.uid().context("no uid")?;

    let child = |on: &'static str| {
        move |map: Option<&ConfigMap>| map.is_some_and(|map| super::entry(map, "on") == Some(on))
    };
    let seen = |generation: i64| {
        move |lamp: Option<&Lamp>| {
            let status = lamp.and_then(|lamp| lamp.status.as_ref());
            status.is_some_and(|status| status.seen == generation)
        }
    };
    let at = |generation| {
        timeout(
            LIMIT,
            await_condition(lamps.clone(), "desk", seen(generation)),
        )
    };
    let has = |on| timeout(LIMIT, await_condition(maps.clone(), "desk", child(on)));
    at(1).await??;
    has("true").await??;

    // What it owns comes back, and follows the lamp.
    let first = maps.get("desk").await?.uid().context("no uid")?;
    maps.delete("desk", &DeleteParams::default()).await?;
    let gone = await_condition(maps.clone(), "desk", conditions::is_deleted(&first));
    timeout(LIMIT, gone).await??;
    has("true").await??;
    let off = json!({"spec": {"on": false}});
    let params = PatchParams::default();
    lamps.patch("desk", &params, &Patch::Merge(off)).await?;
    has("false").await??;
    at(2).await??;

    let lamp = lamps.get("desk").await?;
    assert_eq!(lamp.finalizers(), [FINALIZER]);
    lamps.delete("desk", &DeleteParams::default()).await?;
    let gone = await_condition(lamps.clone(), "desk", conditions::is_deleted(&uid));
    timeout(LIMIT, gone).await??;
    maps.get("desk-was-here").await?;
    let child = await_condition(maps.clone(), "desk", |map: Option<&ConfigMap>| {
        map.is_none()
    });
    timeout(LIMIT, child).await??;
    Ok(())
}
