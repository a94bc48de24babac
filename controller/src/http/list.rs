//! LIST: a consistent snapshot, whole or in pages.
//!
//! The cache holds the newest state only; an older one is the newest with the change log undone.
//! A page never mixes two revisions unless the client was told so (410 with a token to go on).

use super::{
    Body, Call, State, error,
    negotiate::{self, Choice, Encoding, Format},
    query::{ListOptions, Match, Query},
    render::{Include, ListMeta, Render},
    respond,
    select::Selection,
};
use crate::{
    cache::{self, Cache, TooOld},
    object::Object,
};
use base64::Engine as _;
use coracle_api::{
    Key, KindRef, Revision,
    go::{base64_error, syntax_error},
    status::StatusError,
};
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

/// How long a list waits for a revision that this server has not seen yet; as upstream.
const FRESH_WAIT_MAX: Duration = Duration::from_secs(3);

/// Smaller lists are sent whole.
const STREAM_BYTES_MIN: usize = 256 * 1024;

const EXPIRED_CONTINUE: &str = "The provided continue parameter is too old to display a consistent \
    list result. You can start a new list without the continue parameter, or use the continue \
    token in this response to retrieve the remainder of the results. Continuing with the provided \
    token results in an inconsistent list - objects that were created, modified, or deleted \
    between the time the first chunk was returned and now may show up in the list.";

const TOO_OLD_LIST: &str = "The resourceVersion for the provided list is too old.";

/// Where the next page starts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Token {
    v: String,
    /// -1: whatever is newest.
    rv: i64,
    start: String,
}

impl Token {
    fn encode(rv: i64, start: &Key) -> String {
        let start = format!("{}/{}", start.namespace, start.name);
        let token = Self {
            v: "meta.k8s.io/v1".to_owned(),
            rv,
            start,
        };
        let json = serde_json::to_vec(&token).expect("three plain fields");
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json)
    }

    /// Source: k8s.io/apiserver `pkg/storage/continue.go`.
    fn decode(text: &str) -> Result<Self, StatusError> {
        let refused = |why: String| {
            error::bad_request(format!(
                "invalid continue token: continue key is not valid: {why}"
            ))
        };
        let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text);
        let json = json.map_err(|why| refused(base64_error(&why, text)))?;
        let token: Self = serde_json::from_slice(&json).map_err(|why| {
            let syntax = syntax_error(&json, json.len());
            refused(syntax.unwrap_or_else(|| format!("json: {why}")))
        })?;
        if token.v != "meta.k8s.io/v1" {
            let why = format!("server does not recognize this encoded version {}", token.v);
            return Err(refused(why));
        }
        if token.rv == 0 {
            let why = "incorrect encoded start resourceVersion (version meta.k8s.io/v1)";
            return Err(refused(why.to_owned()));
        }
        if token.start.is_empty() {
            let why = "encoded start key empty (version meta.k8s.io/v1)";
            return Err(refused(why.to_owned()));
        }
        let is_odd = |part: &str| matches!(part, "" | "." | "..");
        if token.start.trim_start_matches('/').split('/').any(is_odd) {
            return Err(refused(token.start));
        }
        Ok(token)
    }

    /// The last object of the page before.
    fn key(&self) -> Key {
        let (namespace, name) = self.start.split_once('/').unwrap_or(("", &self.start));
        Key {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

/// Whether a list is made while it is sent: plain JSON, which nothing has to see as a whole.
pub(crate) fn is_streamed(call: &Call) -> bool {
    let plain = Choice {
        format: Format::Json,
        encoding: Encoding::Json,
    };
    negotiate::choice(call.accept(), true) == Some(plain)
        && !call.query.is_pretty(&call.parts.headers)
}

/// About how many bytes of JSON a list is made of; of a page, as if all objects were of one size.
pub(crate) fn bytes(cache: &Cache, kind: KindRef, namespace: &str, query: &Query) -> usize {
    let (objects, bytes) = cache.weight(kind, (!namespace.is_empty()).then_some(namespace));
    let limit: Option<usize> = query.get("limit").and_then(|limit| limit.parse().ok());
    match limit {
        Some(limit) if 0 < limit && limit < objects => bytes.saturating_mul(limit) / objects,
        _ => bytes,
    }
}

/// Answers a LIST.
pub(crate) async fn list(
    state: &State,
    kind: KindRef,
    namespace: &str,
    call: &Call,
    format: Format,
) -> Result<Response<Body>, StatusError> {
    let query = &call.query;
    let options = ListOptions::parse(query, false)?;
    let cache = state.registry.cache();
    let selection = Selection::new(cache.kinds(), kind, namespace, &options)?;
    let page = match page(cache, kind, &selection, &options).await {
        Ok(page) => page,
        Err(error) => return refused(error, &options),
    };
    let render = Render {
        kind,
        custom: cache.kinds().custom_of(kind),
        format,
        include: Include::parse(query.get("includeObject")),
        now: state.registry.clock().now(),
    };
    let Page { objects, meta } = page;
    let size: usize = objects.iter().map(|object| object.raw.len()).sum();
    if size >= STREAM_BYTES_MIN && is_streamed(call) {
        return Ok(respond::json_chunks(
            render.chunks(objects, &meta),
            &call.parts.headers,
        ));
    }
    Ok(respond::json_bytes(
        StatusCode::OK,
        render.list(&objects, &meta),
    ))
}

/// What a list answers with.
pub(super) struct Page {
    pub(super) objects: Vec<Arc<Object>>,
    pub(super) meta: ListMeta,
}

/// What the options ask for, of what is selected.
pub(super) async fn page(
    cache: &Cache,
    kind: KindRef,
    selection: &Selection,
    options: &ListOptions,
) -> Result<Page, StatusError> {
    if let Some(wanted) = options.resource_version {
        wait_for(cache, Revision(wanted)).await?;
    }
    let token = match options.continue_token.as_str() {
        "" => None,
        text => Some(Token::decode(text)?),
    };
    if token.is_some() && options.resource_version.is_some_and(|version| version > 0) {
        let why = "specifying resource version is not allowed when using continue";
        return Err(error::bad_request(why));
    }
    let exact = match (&token, options.version_match) {
        (Some(token), _) => u64::try_from(token.rv).ok().map(Revision),
        (None, Match::Exact) => options.resource_version.map(Revision),
        // A page at a version of its own, as upstream reads the old form without a match.
        (None, Match::Unset) if options.limit > 0 => options
            .resource_version
            .filter(|version| *version > 0)
            .map(Revision),
        _ => None,
    };
    // Of a token: this server has given out none that it has not come to yet.
    if let Some(future) = exact.filter(|exact| *exact > cache.revision()) {
        return Err(error::too_large(future, cache.revision()));
    }
    let start = token.as_ref().map(Token::key);
    let limit = if options.limit == 0 {
        usize::MAX
    } else {
        options.limit
    };
    let selected = select(cache, kind, selection, exact, start.as_ref(), limit);
    let cache::Page {
        objects,
        remaining,
        revision,
    } = selected.map_err(|TooOld| match &token {
        Some(_) => StatusError::expired(EXPIRED_CONTINUE),
        None => StatusError::expired(TOO_OLD_LIST),
    })?;
    let mut meta = ListMeta {
        resource_version: revision.0,
        ..ListMeta::default()
    };
    if remaining > 0
        && let Some(last) = objects.last()
    {
        let rv = i64::try_from(revision.0).unwrap_or(i64::MAX);
        meta.continue_token = Token::encode(rv, &last.key);
        meta.remaining = selection.is_all().then_some(remaining);
    }
    Ok(Page { objects, meta })
}

fn select(
    cache: &Cache,
    kind: KindRef,
    selection: &Selection,
    exact: Option<Revision>,
    start: Option<&Key>,
    limit: usize,
) -> Result<cache::Page, TooOld> {
    let namespace = selection.namespace.as_deref();
    if selection.is_all() {
        return cache.page(kind, namespace, exact, start, limit);
    }
    let (all, revision) = snapshot(cache, kind, namespace, exact)?;
    let mut rest = all
        .into_iter()
        .filter(|object| start.is_none_or(|start| object.key > *start))
        .filter(|object| selection.matches(object));
    let objects = rest.by_ref().take(limit).collect();
    Ok(cache::Page {
        objects,
        // Nobody is told how many.
        remaining: usize::from(rest.next().is_some()),
        revision,
    })
}

/// What is said instead of a page. A token that is too old is answered with one that goes on.
pub(super) fn refused(
    error: StatusError,
    options: &ListOptions,
) -> Result<Response<Body>, StatusError> {
    if error.reason == "Expired" && !options.continue_token.is_empty() {
        return go_on_inconsistently(&error, &options.continue_token);
    }
    Err(error)
}

/// 410 with a token that continues at whatever is newest then.
fn go_on_inconsistently(error: &StatusError, token: &str) -> Result<Response<Body>, StatusError> {
    let mut status = error.to_json();
    status["metadata"]["continue"] = Token::encode(-1, &Token::decode(token)?.key()).into();
    Ok(respond::json(StatusCode::GONE, &status))
}

/// All objects in key order, and the revision at which this was the state.
pub(crate) fn snapshot(
    cache: &Cache,
    kind: KindRef,
    namespace: Option<&str>,
    exact: Option<Revision>,
) -> Result<(Vec<Arc<Object>>, Revision), TooOld> {
    let page = cache.page(kind, namespace, exact, None, usize::MAX)?;
    Ok((page.objects, page.revision))
}

/// Waits until the cache is at least at `wanted`.
pub(crate) async fn wait_for(cache: &Cache, wanted: Revision) -> Result<(), StatusError> {
    let mut newest = cache.newest();
    let reached = newest.wait_for(|revision| *revision >= wanted);
    match tokio::time::timeout(FRESH_WAIT_MAX, reached).await {
        Ok(Ok(_reached)) => Ok(()),
        _ => Err(error::too_large(wanted, cache.revision())),
    }
}
