//! The subresources of a resource, each by its name: what they take differs too much for one way.

use super::{
    drive::identity,
    exceptions, objects,
    session::{MANAGER, Session, text},
    table::Row,
};
use anyhow::ensure;
use serde_json::{Value, json};

/// A write loses against a controller's now and then.
const TRIES: usize = 20;

/// Tries those of the table that are served.
pub(super) async fn all(session: &mut Session<'_>) -> anyhow::Result<()> {
    let (table, of) = (session.table, session.row);
    for row in table
        .subresources(of)
        .filter(|row| exceptions::later(row).is_none())
    {
        let name = row.name.rsplit('/').next().unwrap_or_default();
        match name {
            "status" => state(session, row).await?,
            "approval" => approval(session, row).await?,
            "scale" => scale(session, row).await?,
            "finalize" => finalize(session, row).await?,
            "binding" => bind(session, row).await?,
            "eviction" => evict(session, row).await?,
            "token" => token(session, row).await?,
            "log" => log(session, row).await?,
            "proxy" => proxy(session, row).await?,
            other => session.note(other, "nobody tries this subresource"),
        }
        wrong_methods(session, row, name).await?;
    }
    Ok(())
}

/// What the table does not list is refused.
async fn wrong_methods(session: &mut Session<'_>, row: &Row, name: &str) -> anyhow::Result<()> {
    let path = format!("{}/{name}", session.one());
    let methods = [
        ("GET", "get"),
        ("POST", "create"),
        ("PUT", "update"),
        ("PATCH", "patch"),
        ("DELETE", "delete"),
    ];
    for (method, _) in methods
        .iter()
        .filter(|(_, verb)| !row.verbs.contains_key(*verb))
    {
        let answer = session.ask(method, &path, &Value::Null).await?;
        session.refused(
            &format!("{method} {name}"),
            &answer,
            405,
            "MethodNotAllowed",
        );
    }
    Ok(())
}

/// Reads, changes and writes until no controller was faster.
pub(super) async fn replace(
    session: &mut Session<'_>,
    path: &str,
    change: impl Fn(&mut Value),
) -> anyhow::Result<coracle_tests::client::Answer> {
    for _ in 0..TRIES {
        let mut current = session.ask("GET", path, &Value::Null).await?.json();
        change(&mut current);
        let put = session
            .ask("PUT", &format!("{path}?{MANAGER}"), &current)
            .await?;
        if put.status != 409 {
            return Ok(put);
        }
    }
    anyhow::bail!("{path} changes all the time")
}

/// The status alone: labels that are sent along stay as they were.
async fn state(session: &mut Session<'_>, row: &Row) -> anyhow::Result<()> {
    let path = format!("{}/status", session.one());
    let got = session.ask("GET", &path, &Value::Null).await?;
    session.documented(row, "get", &got, 200);
    let generation = got.json()["metadata"]["generation"].clone();
    let put = replace(session, &path, |object| object["spec"] = json!({})).await?;
    let put = session.documented(row, "update", &put, 200);
    let kept = put["metadata"]["generation"] == generation;
    session.check("update status", kept, || {
        format!("the spec was written too: {put}")
    });

    let patched = format!("{path}?{MANAGER}");
    let mut medias = vec!["merge-patch+json", "json-patch+json"];
    if !super::custom::is_custom(session.row) {
        medias.push("strategic-merge-patch+json");
    }
    for media in medias {
        let kind = format!("application/{media}");
        let body = if media.starts_with("json") {
            "[]"
        } else {
            "{}"
        };
        let answer = session
            .ask_with("PATCH", &patched, &[("content-type", &*kind)], body)
            .await?;
        session.documented(row, "patch", &answer, 200);
    }
    let body = text(&identity(session));
    let apply = [("content-type", "application/apply-patch+yaml")];
    let answer = session.ask_with("PATCH", &patched, &apply, &body).await?;
    session.documented(row, "patch", &answer, 200);
    Ok(())
}

async fn approval(session: &mut Session<'_>, row: &Row) -> anyhow::Result<()> {
    let path = format!("{}/approval", session.one());
    let got = session.ask("GET", &path, &Value::Null).await?;
    session.documented(row, "get", &got, 200);
    let approved = json!([{"type": "Approved", "status": "True", "reason": "Tried", "message": "for the test"}]);
    let put = replace(session, &path, |object| {
        object["status"]["conditions"] = approved.clone();
    })
    .await?;
    let put = session.documented(row, "update", &put, 200);
    let condition = &put["status"]["conditions"][0]["type"];
    session.check("approval", condition == "Approved", || {
        format!("not approved: {put}")
    });
    let headers = [("content-type", "application/merge-patch+json")];
    let answer = session.ask_with("PATCH", &path, &headers, "{}").await?;
    session.documented(row, "patch", &answer, 200);
    Ok(())
}

async fn scale(session: &mut Session<'_>, row: &Row) -> anyhow::Result<()> {
    let path = format!("{}/scale", session.one());
    let got = session.ask("GET", &path, &Value::Null).await?;
    let got = session.documented(row, "get", &got, 200);
    let own = session
        .ask("GET", &session.one(), &Value::Null)
        .await?
        .json();
    let same = ["name", "namespace", "uid", "creationTimestamp"]
        .iter()
        .all(|field| got["metadata"][*field] == own["metadata"][*field]);
    session.check("scale", same, || {
        format!("metadata of something else: {got}")
    });
    let put = replace(session, &path, |scale| scale["spec"]["replicas"] = json!(1)).await?;
    let put = session.documented(row, "update", &put, 200);
    session.check("update scale", put["spec"]["replicas"] == 1, || {
        format!("not scaled: {put}")
    });

    let mut stale = put.clone();
    stale["metadata"]["resourceVersion"] = json!("1");
    let conflict = session.ask("PUT", &path, &stale).await?;
    session.refused_object("scale of an old version", &conflict, 409, "Conflict");
    let mut negative = put;
    negative["spec"]["replicas"] = json!(-1);
    if let Some(meta) = negative["metadata"].as_object_mut() {
        meta.remove("resourceVersion");
    }
    let invalid = session.ask("PUT", &path, &negative).await?;
    session.refused("scale below nothing", &invalid, 422, "Invalid");

    let to_zero = json!({"spec": {"replicas": 0}});
    for media in ["merge-patch+json", "apply-patch+yaml"] {
        let kind = format!("application/{media}");
        let mut body = to_zero.clone();
        if media == "apply-patch+yaml" {
            body["apiVersion"] = json!("autoscaling/v1");
            body["kind"] = json!("Scale");
            body["metadata"] = json!({"name": session.name()});
        }
        let patched = format!("{path}?{MANAGER}&force={}", media == "apply-patch+yaml");
        let answer = session
            .ask_with("PATCH", &patched, &[("content-type", &*kind)], &text(&body))
            .await?;
        let scaled = session.documented(row, "patch", &answer, 200);
        session.check("patch scale", scaled["spec"]["replicas"] == 0, || {
            format!("not scaled: {scaled}")
        });
    }
    Ok(())
}

async fn finalize(session: &mut Session<'_>, row: &Row) -> anyhow::Result<()> {
    let one = session.one();
    let current = session.ask("GET", &one, &Value::Null).await?.json();
    let put = session
        .ask("PUT", &format!("{one}/finalize"), &current)
        .await?;
    session.documented(row, "update", &put, 200);
    Ok(())
}

/// Another pod beside the one that is tried: it will not be there for long.
async fn another_pod(session: &mut Session<'_>, name: &str) -> anyhow::Result<String> {
    let mut pod = session.object.clone();
    pod["metadata"]["name"] = json!(name);
    let made = session.ask("POST", &session.collection(), &pod).await?;
    ensure!(made.status == 201, "no pod {name}: {}", made.json());
    Ok(format!("{}/{name}", session.collection()))
}

async fn bind(session: &mut Session<'_>, row: &Row) -> anyhow::Result<()> {
    let pod = another_pod(session, "bound").await?;
    let mut binding = objects::of("v1/Binding", &session.namespace)?;
    binding["metadata"]["name"] = json!("other");
    let refused = session
        .ask("POST", &format!("{pod}/binding"), &binding)
        .await?;
    session.refused("binding of another name", &refused, 400, "BadRequest");
    binding["metadata"]["name"] = json!("bound");
    let bound = session
        .ask("POST", &format!("{pod}/binding"), &binding)
        .await?;
    session.documented(row, "create", &bound, 201);
    let again = session
        .ask("POST", &format!("{pod}/binding"), &binding)
        .await?;
    session.refused("bind twice", &again, 409, "Conflict");
    Ok(())
}

async fn evict(session: &mut Session<'_>, row: &Row) -> anyhow::Result<()> {
    let pod = another_pod(session, "evicted").await?;
    let mut eviction = objects::of("policy/v1/Eviction", &session.namespace)?;
    eviction["metadata"]["name"] = json!("evicted");
    let evicted = session
        .ask("POST", &format!("{pod}/eviction"), &eviction)
        .await?;
    session.documented(row, "create", &evicted, 201);
    let again = session
        .ask("POST", &format!("{pod}/eviction"), &eviction)
        .await?;
    session.refused("evict twice", &again, 404, "NotFound");
    Ok(())
}

async fn token(session: &mut Session<'_>, row: &Row) -> anyhow::Result<()> {
    let body = objects::of("authentication.k8s.io/v1/TokenRequest", &session.namespace)?;
    let made = session
        .ask("POST", &format!("{}/token", session.one()), &body)
        .await?;
    let made = session.documented(row, "create", &made, 201);
    let is_token = made["status"]["token"].is_string();
    session.check("token", is_token, || format!("no token: {made}"));
    let missing = session
        .ask(
            "POST",
            &format!("{}/none/token", session.collection()),
            &body,
        )
        .await?;
    session.refused("token of nobody", &missing, 404, "NotFound");
    Ok(())
}

/// No node has the pod; what a log answers is for the tests with agents.
async fn log(session: &mut Session<'_>, row: &Row) -> anyhow::Result<()> {
    let is_text = row.verbs["get"].shape == "string";
    session.check("log", is_text, || "upstream answers text".to_owned());
    let answer = session
        .ask("GET", &format!("{}/log", session.one()), &Value::Null)
        .await?;
    session.refused("log of a pod without a node", &answer, 400, "BadRequest");
    let answer = session
        .ask(
            "GET",
            &format!("{}/none/log", session.collection()),
            &Value::Null,
        )
        .await?;
    session.refused("log of no pod", &answer, 404, "NotFound");
    Ok(())
}

/// Nothing runs here; what a proxy passes on is for the tests with agents.
async fn proxy(session: &mut Session<'_>, row: &Row) -> anyhow::Result<()> {
    let path = format!("{}/none/proxy/", session.collection());
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        let answer = session.ask(method, &path, &Value::Null).await?;
        session.refused(&format!("{method} {}", row.name), &answer, 404, "NotFound");
    }
    Ok(())
}
