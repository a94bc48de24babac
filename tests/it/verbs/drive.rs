//! The verbs of a resource, in the order of an object's life.

use super::{
    exceptions,
    session::{MANAGER, Session, text},
    subresources, wrong,
};
use coracle_tests::client::{Answer, Watch};
use serde_json::{Value, json};
use std::time::Duration;

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const PARTIAL: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
const PARTIALS: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
/// For an event that must come.
const EVENT_LIMIT: Duration = Duration::from_secs(20);

/// Tries everything that the resource has; what is only created is tried apart.
pub(super) async fn resource(session: &mut Session<'_>) -> anyhow::Result<()> {
    let one = session.one();
    let missing = session.ask("GET", &one, &Value::Null).await?;
    session.refused_object("get what is not there", &missing, 404, "NotFound");
    create(session).await?;
    read(session).await?;
    let events = begin_watch(session).await?;
    update(session).await?;
    patch(session).await?;
    subresources::all(session).await?;
    wrong::all(session).await?;
    delete(session).await?;
    end_watch(session, events).await?;
    begin_again(session).await
}

async fn create(session: &mut Session<'_>) -> anyhow::Result<()> {
    let (collection, one, row) = (session.collection(), session.one(), session.row);
    let object = session.object.clone();
    let dry = format!("{collection}?dryRun=All&{MANAGER}");
    let tried = session.ask("POST", &dry, &object).await?;
    session.documented(row, "create", &tried, 201);
    let missing = session.ask("GET", &one, &Value::Null).await?;
    session.refused_object("get after a dry run", &missing, 404, "NotFound");

    let path = format!("{collection}?{MANAGER}&fieldValidation=Strict");
    let made = session.ask("POST", &path, &object).await?;
    let made = session.documented(row, "create", &made, 201);
    let meta = &made["metadata"];
    for field in ["name", "uid", "resourceVersion", "creationTimestamp"] {
        let is_there = meta[field].as_str().is_some_and(|text| !text.is_empty());
        session.check("create", is_there, || format!("no {field} in {meta}"));
    }
    let home = if row.namespaced {
        json!(session.namespace)
    } else {
        Value::Null
    };
    session.check("create", meta["namespace"] == home, || {
        format!("wrong namespace in {meta}")
    });
    let managed = &meta["managedFields"][0];
    let is_managed = managed["manager"] == "tester" && managed["operation"] == "Update";
    session.check("create", is_managed, || format!("not managed: {managed}"));

    let again = session.ask("POST", &path, &object).await?;
    session.refused_object("create twice", &again, 409, "AlreadyExists");
    Ok(())
}

/// One object and the collection, in each of their forms.
async fn read(session: &mut Session<'_>) -> anyhow::Result<()> {
    let (collection, one, row) = (session.collection(), session.one(), session.row);
    let name = session.name();
    let got = session.ask("GET", &one, &Value::Null).await?;
    let got = session.documented(row, "get", &got, 200);
    session.check("get", got["metadata"]["name"] == *name, || {
        format!("another one: {got}")
    });

    let list = session.ask("GET", &collection, &Value::Null).await?;
    let list = session.documented(row, "list", &list, 200);
    check_list(session, "list", &list);
    let by_name = format!("{collection}?fieldSelector=metadata.name%3D{name}&limit=1");
    let page = session.ask("GET", &by_name, &Value::Null).await?;
    let page = session.documented(row, "list", &page, 200);
    check_list(session, "list by name", &page);
    if row.namespaced {
        let all = session
            .ask("GET", &row.collection(""), &Value::Null)
            .await?;
        let all = session.documented(row, "list", &all, 200);
        check_list(session, "list of all namespaces", &all);
    }
    for (path, accept, kind) in [
        (&one, TABLE, "Table"),
        (&collection, TABLE, "Table"),
        (&one, PARTIAL, "PartialObjectMetadata"),
        (&collection, PARTIALS, "PartialObjectMetadataList"),
    ] {
        let answer = session
            .ask_with("GET", path, &[("accept", accept)], "")
            .await?;
        check_form(session, path, &answer, kind);
    }
    encodings(session).await
}

/// What the document says a client may ask for, beside JSON.
async fn encodings(session: &mut Session<'_>) -> anyhow::Result<()> {
    for path in [session.one(), session.collection()] {
        let protobuf = "application/vnd.kubernetes.protobuf";
        let answer = session
            .ask_with("GET", &path, &[("accept", protobuf)], "")
            .await?;
        if exceptions::has_no_protobuf(session.row) {
            // The refusal itself has it.
            let is_so = answer.status == 406 && answer.body.starts_with(b"k8s\0");
            session.check("GET as protobuf", is_so, || format!("{}", answer.status));
        } else {
            let is_so = answer.status == 200
                && answer
                    .headers
                    .get("content-type")
                    .is_some_and(|kind| kind == protobuf)
                && answer.body.starts_with(b"k8s\0");
            session.check("GET as protobuf", is_so, || format!("{}", answer.status));
        }
        let yaml = "application/yaml";
        let answer = session
            .ask_with("GET", &path, &[("accept", yaml)], "")
            .await?;
        let is_so = answer
            .headers
            .get("content-type")
            .is_some_and(|kind| kind == yaml);
        let value: Value = serde_yaml_ng::from_slice(&answer.body).unwrap_or_default();
        let kind = session.object["kind"].as_str().unwrap_or_default();
        let is_so = is_so
            && value["kind"]
                .as_str()
                .is_some_and(|found| found.starts_with(kind));
        session.check("GET as YAML", is_so, || {
            format!("{}: {value}", answer.status)
        });
        let watch = format!("{}?watch=true", session.collection());
        let answer = session
            .ask_with("GET", &watch, &[("accept", yaml)], "")
            .await?;
        // Said in YAML, as it was asked for.
        let status: Value = serde_yaml_ng::from_slice(&answer.body).unwrap_or_default();
        let is_refused = answer.status == 406 && status["reason"] == "NotAcceptable";
        session.check("watch as YAML", is_refused, || {
            format!("{}: {status}", answer.status)
        });
    }
    Ok(())
}

fn check_list(session: &mut Session<'_>, what: &str, list: &Value) {
    let version = list["metadata"]["resourceVersion"]
        .as_str()
        .unwrap_or_default();
    session.check(what, version.parse::<u64>().is_ok(), || {
        format!("no version: {list}")
    });
    let name = session.name();
    let items = list["items"].as_array().map_or(&[][..], Vec::as_slice);
    let found = items
        .iter()
        .filter(|item| item["metadata"]["name"] == *name);
    let namespace = session.namespace.clone();
    let own =
        found.filter(|item| !session.row.namespaced || item["metadata"]["namespace"] == *namespace);
    let count = own.count();
    session.check(what, count == 1, || {
        format!("holds the object {count} times")
    });
}

/// A table or metadata alone, of the one object.
fn check_form(session: &mut Session<'_>, path: &str, answer: &Answer, kind: &str) {
    let what = format!("{path} as {kind}");
    let value = answer.json();
    let is_one =
        answer.status == 200 && value["kind"] == kind && value["apiVersion"] == "meta.k8s.io/v1";
    session.check(&what, is_one, || format!("{}: {value}", answer.status));
    let holds = match kind {
        "Table" => {
            let columns = value["columnDefinitions"].as_array().map_or(0, Vec::len);
            let rows = value["rows"].as_array().map_or(&[][..], Vec::as_slice);
            let whole = |row: &Value| {
                row["cells"]
                    .as_array()
                    .is_some_and(|cells| cells.len() == columns)
                    && row["object"]["kind"] == "PartialObjectMetadata"
            };
            columns > 0 && !rows.is_empty() && rows.iter().all(whole)
        }
        "PartialObjectMetadata" => {
            value["metadata"]["uid"].is_string() && value.get("spec").is_none()
        }
        _ => value["items"].as_array().is_some_and(|items| {
            !items.is_empty()
                && items
                    .iter()
                    .all(|item| item["kind"] == "PartialObjectMetadata")
        }),
    };
    session.check(&what, holds, || format!("not whole: {value}"));
}

/// Follows the object from before its first change.
async fn begin_watch(session: &mut Session<'_>) -> anyhow::Result<Watch> {
    let (collection, name) = (session.collection(), session.name());
    let selected = format!("{collection}?watch=true&fieldSelector=metadata.name%3D{name}");
    let whole = format!(
        "{selected}&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    for accept in ["application/json", TABLE] {
        let client = session.endpoint.connect().await?;
        let mut initial = client.follow(&whole, &[("accept", accept)]).await?;
        let added = next(&mut initial).await?;
        let mark = next(&mut initial).await?;
        let mut end = &mark.1["metadata"]["annotations"]["k8s.io/initial-events-end"];
        if accept == TABLE {
            end = &mark.1["rows"][0]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"];
        }
        let is_whole = added.0 == "ADDED" && mark.0 == "BOOKMARK" && end == "true";
        session.check("watch with initial events", is_whole, || {
            format!("{added:?}, {mark:?}")
        });
    }
    let list = session.ask("GET", &collection, &Value::Null).await?.json();
    let version = list["metadata"]["resourceVersion"]
        .as_str()
        .unwrap_or_default();
    let client = session.endpoint.connect().await?;
    client
        .follow(&format!("{selected}&resourceVersion={version}"), &[])
        .await
}

async fn next(watch: &mut Watch) -> anyhow::Result<(String, Value)> {
    let event = tokio::time::timeout(EVENT_LIMIT, watch.next()).await;
    let event = event.map_err(|_over| anyhow::anyhow!("no event within {EVENT_LIMIT:?}"))?;
    event?.ok_or_else(|| anyhow::anyhow!("the watch has ended"))
}

/// The changes of one object in their order, and then its end.
async fn end_watch(session: &mut Session<'_>, mut events: Watch) -> anyhow::Result<()> {
    let (mut last, row) = (0, session.row);
    loop {
        let (kind, object) = next(&mut events).await?;
        let version = object["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or_default();
        let version: u64 = version.parse().unwrap_or(0);
        session.check("watch", version > last, || {
            format!("{version} after {last}")
        });
        last = version;
        if let Some(problem) = session.table.misshapen(&object, &row.kind) {
            session.note("watch", &format!("{problem}: {object}"));
        }
        match kind.as_str() {
            "MODIFIED" => {}
            "DELETED" => return Ok(()),
            other => session.note("watch", &format!("{other} of {object}")),
        }
    }
}

async fn update(session: &mut Session<'_>) -> anyhow::Result<()> {
    let (one, row) = (session.one(), session.row);
    let path = format!("{one}?{MANAGER}");
    let stale = session.ask("GET", &one, &Value::Null).await?.json();
    let change = |object: &mut Value| object["metadata"]["labels"]["tried"] = json!("update");
    let put = subresources::replace(session, &one, change).await?;
    let put = session.documented(row, "update", &put, 200);
    let label = &put["metadata"]["labels"]["tried"];
    session.check("update", label == "update", || {
        format!("not written: {put}")
    });

    let mut current = stale;
    current["metadata"]["labels"]["tried"] = json!("stale");
    let conflict = session.ask("PUT", &path, &current).await?;
    session.refused_object("update of an old version", &conflict, 409, "Conflict");

    if let Some(meta) = current["metadata"].as_object_mut() {
        meta.remove("resourceVersion");
    }
    current["metadata"]["labels"]["tried"] = json!("without");
    let put = session.ask("PUT", &path, &current).await?;
    if exceptions::put_needs_version(row) {
        session.refused("update without a version", &put, 422, "Invalid");
    } else {
        session.documented(row, "update", &put, 200);
    }
    Ok(())
}

/// The four media types.
async fn patch(session: &mut Session<'_>) -> anyhow::Result<()> {
    let (path, row) = (format!("{}?{MANAGER}", session.one()), session.row);
    let label = |value: &str| json!({"metadata": {"labels": {"tried": value}}});
    let json_patch =
        json!([{"op": "add", "path": "/metadata/labels/tried", "value": "json-patch"}]);
    for (kind, body) in [
        ("json-patch", json_patch),
        ("merge-patch", label("merge-patch")),
        ("strategic-merge-patch", label("strategic-merge-patch")),
    ] {
        let media = format!("application/{kind}+json");
        let headers = [("content-type", &*media)];
        let answer = session
            .ask_with("PATCH", &path, &headers, &text(&body))
            .await?;
        if super::custom::is_custom(row) && kind == "strategic-merge-patch" {
            let what = "strategic patch of a custom object";
            session.refused(what, &answer, 415, "UnsupportedMediaType");
            continue;
        }
        let patched = session.documented(row, "patch", &answer, 200);
        let label = &patched["metadata"]["labels"]["tried"];
        session.check(kind, label == kind, || format!("not written: {patched}"));
    }
    let mut applied = identity(session);
    applied["metadata"]["labels"] = json!({"applied": "yes"});
    let apply = [("content-type", "application/apply-patch+yaml")];
    let answer = session
        .ask_with("PATCH", &path, &apply, &text(&applied))
        .await?;
    let applied = session.documented(row, "patch", &answer, 200);
    let entries = applied["metadata"]["managedFields"].as_array();
    let is_applied = entries
        .into_iter()
        .flatten()
        .any(|entry| entry["operation"] == "Apply");
    session.check("apply", is_applied, || format!("nobody applied {applied}"));
    Ok(())
}

/// What an object is, and nothing else.
pub(super) fn identity(session: &Session<'_>) -> Value {
    let (object, name) = (&session.object, session.name());
    json!({"apiVersion": object["apiVersion"], "kind": object["kind"], "metadata": {"name": name}})
}

async fn delete(session: &mut Session<'_>) -> anyhow::Result<()> {
    let (one, row) = (session.one(), session.row);
    let other = json!({"preconditions": {"uid": "00000000-0000-4000-8000-000000000000"}});
    let kept = session.ask("DELETE", &one, &other).await?;
    session.refused_object("delete of another uid", &kept, 409, "Conflict");
    let dry = session
        .ask("DELETE", &format!("{one}?dryRun=All"), &Value::Null)
        .await?;
    session.documented(row, "delete", &dry, 200);
    // What waits for its dependents is still there, and is answered itself.
    let waiting = format!("{one}?dryRun=All&propagationPolicy=Foreground");
    let waiting = session.ask("DELETE", &waiting, &Value::Null).await?;
    if row.name == "events" {
        // The one kind that the garbage collector has no part in.
        session.documented(row, "delete", &waiting, 200);
    } else {
        session.expect("delete in the foreground", &waiting, 200, &row.kind);
    }

    let options =
        json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"});
    let gone = session.ask("DELETE", &one, &options).await?;
    let gone = session.documented(row, "delete", &gone, 200);
    if gone["kind"] == "Status" {
        let details = &gone["details"];
        let is_own = gone["status"] == "Success"
            && details["name"] == session.name()
            && details["kind"] == row.plural()
            && details["group"].as_str().unwrap_or_default() == row.group()
            && details["uid"].is_string();
        session.check("delete", is_own, || {
            format!("details are of something else: {gone}")
        });
    }
    wait_gone(session).await?;
    let missing = session.ask("DELETE", &one, &Value::Null).await?;
    session.refused_object("delete what is not there", &missing, 404, "NotFound");
    Ok(())
}

/// A namespace or a definition takes its content along first.
async fn wait_gone(session: &mut Session<'_>) -> anyhow::Result<()> {
    let one = session.one();
    let begin = tokio::time::Instant::now();
    loop {
        let answer = session.ask("GET", &one, &Value::Null).await?;
        if answer.status == 404 {
            return Ok(());
        }
        let last = answer.json();
        anyhow::ensure!(begin.elapsed() < EVENT_LIMIT, "{one} does not go: {last}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Objects that a PUT and an apply create, and the deletion of a collection.
async fn begin_again(session: &mut Session<'_>) -> anyhow::Result<()> {
    let (collection, one, row) = (session.collection(), session.one(), session.row);
    let path = format!("{one}?{MANAGER}&fieldValidation=Strict");
    let mut object = session.object.clone();
    object["metadata"]["labels"] = json!({"again": "yes"});
    let put = session.ask("PUT", &path, &object).await?;
    if exceptions::is_created_by_put(row) {
        session.documented(row, "update", &put, 201);
        session.ask("DELETE", &one, &Value::Null).await?;
        wait_gone(session).await?;
    } else {
        session.refused_object("update what is not there", &put, 404, "NotFound");
    }
    let headers = [("content-type", "application/merge-patch+json")];
    let missing = session.ask_with("PATCH", &path, &headers, "{}").await?;
    session.refused_object("patch what is not there", &missing, 404, "NotFound");

    let headers = [("content-type", "application/apply-patch+yaml")];
    let applied = session
        .ask_with("PATCH", &path, &headers, &text(&object))
        .await?;
    session.documented(row, "patch", &applied, 201);
    let selected = format!("{collection}?labelSelector=again%3Dyes");
    let gone = session.ask("DELETE", &selected, &Value::Null).await?;
    if row.verbs.contains_key("deletecollection") {
        let gone = session.documented(row, "deletecollection", &gone, 200);
        check_list(session, "deletecollection", &gone);
    } else {
        session.refused("deletecollection", &gone, 405, "MethodNotAllowed");
        session.ask("DELETE", &one, &Value::Null).await?;
    }
    wait_gone(session).await
}
