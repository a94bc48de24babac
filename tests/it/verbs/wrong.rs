//! What must be refused, and how: wrong methods, media types, names, versions and bodies.

use super::{
    custom, exceptions,
    session::{MANAGER, Session, text},
};
use serde_json::{Value, json};

/// Tries the wrong things beside an object that is there.
pub(super) async fn all(session: &mut Session<'_>) -> anyhow::Result<()> {
    methods(session).await?;
    media_types(session).await?;
    bodies(session).await?;
    identities(session).await?;
    names(session).await?;
    places(session).await
}

async fn methods(session: &mut Session<'_>) -> anyhow::Result<()> {
    let (collection, one, object) = (session.collection(), session.one(), session.object.clone());
    for (method, path) in [("POST", &one), ("PUT", &collection), ("PATCH", &collection)] {
        let answer = session.ask(method, path, &object).await?;
        session.refused(
            &format!("{method} {path}"),
            &answer,
            405,
            "MethodNotAllowed",
        );
    }
    let answer = session
        .ask("GET", &format!("{one}/nothing"), &Value::Null)
        .await?;
    session.refused("an unknown subresource", &answer, 404, "NotFound");
    Ok(())
}

async fn media_types(session: &mut Session<'_>) -> anyhow::Result<()> {
    let (collection, one) = (session.collection(), session.one());
    let object = text(&session.object);
    for (method, path, media) in [
        ("POST", &collection, "text/plain"),
        ("PUT", &one, "application/xml"),
        ("PATCH", &one, "application/json"),
    ] {
        let answer = session
            .ask_with(method, path, &[("content-type", media)], &object)
            .await?;
        session.refused(
            &format!("{method} of {media}"),
            &answer,
            415,
            "UnsupportedMediaType",
        );
    }
    let other = "application/json;as=Table;v=v1;g=other";
    for (path, accept) in [
        (&one, "text/html"),
        (&collection, "text/html"),
        (&one, other),
        (&collection, other),
    ] {
        let answer = session
            .ask_with("GET", path, &[("accept", accept)], "")
            .await?;
        session.refused(&format!("GET as {accept}"), &answer, 406, "NotAcceptable");
    }
    Ok(())
}

async fn bodies(session: &mut Session<'_>) -> anyhow::Result<()> {
    let (collection, one) = (session.collection(), session.one());
    for body in ["", "{", "[]", "7"] {
        let answer = session.ask_with("POST", &collection, &[], body).await?;
        session.refused(&format!("POST of {body:?}"), &answer, 400, "BadRequest");
    }
    for (kind, body) in [
        ("json-patch", "{}"),
        ("merge-patch", "{"),
        ("strategic-merge-patch", "[]"),
    ] {
        if kind.starts_with("strategic") && super::custom::is_custom(session.row) {
            continue;
        }
        let media = format!("application/{kind}+json");
        let answer = session
            .ask_with("PATCH", &one, &[("content-type", &*media)], body)
            .await?;
        session.refused(&format!("{kind} of {body}"), &answer, 400, "BadRequest");
    }
    let headers = [("content-type", "application/json-patch+json")];
    for patch in [
        r#"[{"op": "remove", "path": "/metadata/labels/absent"}]"#,
        r#"[{"op": "bend", "path": "/metadata"}]"#,
    ] {
        let answer = session.ask_with("PATCH", &one, &headers, patch).await?;
        session.refused(&format!("JSON patch {patch}"), &answer, 422, "Invalid");
    }
    let apply = [("content-type", "application/apply-patch+yaml")];
    let body = text(&super::drive::identity(session));
    let answer = session.ask_with("PATCH", &one, &apply, &body).await?;
    session.refused("apply by nobody", &answer, 422, "Invalid");
    let forced = format!("{one}?force=true&{MANAGER}");
    let merge = [("content-type", "application/merge-patch+json")];
    let answer = session.ask_with("PATCH", &forced, &merge, "{}").await?;
    session.refused("a merge by force", &answer, 422, "Invalid");

    let mut unknown = session.object.clone();
    unknown["unheard"] = json!("of");
    let strict = format!("{collection}?dryRun=All&fieldValidation=Strict");
    let answer = session.ask("POST", &strict, &unknown).await?;
    session.refused("an unknown field", &answer, 400, "BadRequest");
    for option in ["dryRun=Some", "fieldValidation=Perhaps"] {
        let answer = session
            .ask(
                "POST",
                &format!("{collection}?{option}"),
                &session.object.clone(),
            )
            .await?;
        session.refused(option, &answer, 422, "Invalid");
    }
    Ok(())
}

/// A body that says it is something else than the URL says.
async fn identities(session: &mut Session<'_>) -> anyhow::Result<()> {
    let (collection, one, object) = (session.collection(), session.one(), session.object.clone());
    let mut other_version = object.clone();
    other_version["apiVersion"] = json!("other.example.com/v1");
    let mut other_kind = object.clone();
    other_kind["kind"] = json!("Other");
    // A custom object's kind is looked at by its own rules, which are asked late.
    let of_kind = if custom::is_custom(session.row) {
        (422, "Invalid")
    } else {
        (400, "BadRequest")
    };
    for (what, body, (code, reason)) in [
        ("another apiVersion", &other_version, (400, "BadRequest")),
        ("another kind", &other_kind, of_kind),
    ] {
        for (method, path) in [("POST", &collection), ("PUT", &one)] {
            let answer = session.ask(method, path, body).await?;
            session.refused(&format!("{method} of {what}"), &answer, code, reason);
        }
    }
    let mut other_name = object.clone();
    other_name["metadata"]["name"] = json!("other");
    let answer = session.ask("PUT", &one, &other_name).await?;
    session.refused("PUT of another name", &answer, 400, "BadRequest");
    let mut nameless = object.clone();
    nameless["metadata"] = json!({});
    let answer = session.ask("PUT", &one, &nameless).await?;
    session.refused("PUT without a name", &answer, 400, "BadRequest");
    let merge = [("content-type", "application/merge-patch+json")];
    let rename = r#"{"metadata": {"name": "other"}}"#;
    let answer = session.ask_with("PATCH", &one, &merge, rename).await?;
    session.refused("a patch of the name", &answer, 400, "BadRequest");
    let apply = [("content-type", "application/apply-patch+yaml")];
    let path = format!("{one}?{MANAGER}");
    let answer = session
        .ask_with("PATCH", &path, &apply, &text(&other_name))
        .await?;
    session.refused("apply of another name", &answer, 400, "BadRequest");
    if session.row.namespaced {
        let mut elsewhere = object;
        elsewhere["metadata"]["namespace"] = json!("default");
        let moved = r#"{"metadata": {"namespace": "default"}}"#;
        let answer = session.ask_with("PATCH", &one, &merge, moved).await?;
        session.refused("a patch of the namespace", &answer, 400, "BadRequest");
        for (method, path) in [("POST", &collection), ("PUT", &one)] {
            let answer = session.ask(method, path, &elsewhere).await?;
            session.refused(
                &format!("{method} of another namespace"),
                &answer,
                400,
                "BadRequest",
            );
        }
    }
    Ok(())
}

async fn names(session: &mut Session<'_>) -> anyhow::Result<()> {
    let path = format!("{}?dryRun=All", session.collection());
    let mut object = session.object.clone();
    if let Some(meta) = object["metadata"].as_object_mut() {
        meta.remove("name");
    }
    let answer = session.ask("POST", &path, &object).await?;
    if session.row.name == "limitranges" {
        // Its strategy gives it a name.
        session.documented(session.row, "create", &answer, 201);
    } else {
        session.refused("POST without a name", &answer, 422, "Invalid");
    }
    if !exceptions::has_own_names(session.row) {
        object["metadata"]["generateName"] = json!("some-");
        let made = session.ask("POST", &path, &object).await?;
        let made = session.documented(session.row, "create", &made, 201);
        let name = made["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let is_made = name.len() == 10 && name.starts_with("some-");
        session.check("generateName", is_made, || format!("called {name:?}"));
    }
    object["metadata"] = json!({"name": "no/name"});
    let answer = session.ask("POST", &path, &object).await?;
    session.refused("POST of a name with a slash", &answer, 422, "Invalid");
    let mut versioned = session.object.clone();
    versioned["metadata"]["resourceVersion"] = json!("1");
    let answer = session
        .ask("POST", &session.collection(), &versioned)
        .await?;
    // An error without a word of its own: `ErrResourceVersionSetOnCreate` of the storage.
    let said = answer.json();
    let is_so = answer.status == 500
        && said.get("reason").is_none()
        && said["message"] == "resourceVersion should not be set on objects to be created";
    session.check("POST with a version", is_so, || {
        format!("{}: {said}", answer.status)
    });
    Ok(())
}

/// Namespaces that are missing, not asked for, or not there.
async fn places(session: &mut Session<'_>) -> anyhow::Result<()> {
    let (row, object) = (session.row, session.object.clone());
    if !row.namespaced {
        if row.name != "namespaces" {
            let plain = row.collection("");
            let inside = plain.replacen(
                &row.version,
                &format!("{}/namespaces/default", row.version),
                1,
            );
            let answer = session.ask("GET", &inside, &Value::Null).await?;
            session.refused("inside of a namespace", &answer, 404, "NotFound");
        }
        return Ok(());
    }
    let all = row.collection("");
    for method in ["POST", "DELETE"] {
        let answer = session.ask(method, &all, &object).await?;
        session.refused(
            &format!("{method} in all namespaces"),
            &answer,
            405,
            "MethodNotAllowed",
        );
    }
    let nowhere = row.collection("nowhere");
    let mut object = object;
    let text = object.to_string().replace(&session.namespace, "nowhere");
    object = serde_json::from_str(&text)?;
    let answer = session.ask("POST", &nowhere, &object).await?;
    session.refused("POST into no namespace", &answer, 404, "NotFound");
    let empty = session.ask("GET", &nowhere, &Value::Null).await?;
    let list = session.documented(row, "list", &empty, 200);
    let none = list["items"].as_array().is_some_and(Vec::is_empty);
    session.check("list of no namespace", none, || {
        format!("not empty: {list}")
    });
    Ok(())
}
