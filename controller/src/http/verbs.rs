//! The verbs of every stored kind: read from the cache, written through the registry.
//!
//! Generic over the table of kinds; subresources that deviate have their own step here.

mod evict;
pub(super) mod identity;
mod options;
mod remove;
mod scale;
mod token_request;
mod write;

use super::{
    Body, Call, State, components, connect, error, list,
    negotiate::{self, Format},
    query,
    render::{Include, Render},
    respond, reviews,
    route::RequestInfo,
    usage, watch,
};
use crate::object::Object;
use coracle_api::{
    Key, KindRef, Revision,
    schema::{BINDING, COMPONENT_STATUS},
    status::StatusError,
};
use http::{Method, Response, StatusCode};

/// A request for a stored kind.
pub(crate) struct Target<'a> {
    pub(crate) state: &'a State,
    pub(crate) info: &'a RequestInfo,
    pub(crate) kind: KindRef,
    pub(crate) format: Format,
}

/// Answers a request for a resource.
pub(crate) async fn handle(
    state: &State,
    info: &RequestInfo,
    call: Call,
) -> Result<Response<Body>, StatusError> {
    if info.group == usage::GROUP && info.version == usage::VERSION {
        return usage::answer(state, info, &call);
    }
    if let Some(review) = reviews::find(&info.group, &info.version, &info.resource) {
        return reviews::answer(state, review, info, call).await;
    }
    let kinds = state.registry.cache().kinds();
    let names = |kind: KindRef| (kind.group, kind.version, kind.plural);
    let asked = (&*info.group, &*info.version, &*info.resource);
    let kind = match kinds.find(&info.group, &info.version, &info.resource) {
        Some(kind) => kind,
        None if asked == names(BINDING) => return write::bindings(state, info, call).await,
        None if asked == names(COMPONENT_STATUS) => return components::answer(state, info, &call),
        None => return Err(error::no_such_resource()),
    };
    check_scope(kind, info)?;
    // As upstream: what is built in knows no HEAD, but for what is asked of a pod or a service.
    let is_head = call.parts.method == Method::HEAD;
    if is_head && !kind.is_custom() && info.subresource != "proxy" {
        return Err(error::method_not_allowed());
    }
    match (kind.plural, info.subresource.as_str()) {
        ("pods", "log") if info.verb == "get" => return connect::log(state, info, &call).await,
        ("pods", "proxy") => return connect::pod_proxy(state, info, call).await,
        ("services", "proxy") => return connect::service_proxy(state, info, call).await,
        ("serviceaccounts", "token") if info.verb == "create" => {
            return token_request::create(state, info, call).await;
        }
        _ => {}
    }
    if !info.rest.trim_matches('/').is_empty() {
        return Err(error::no_such_resource());
    }
    // What is custom has no protobuf, but its scale is a kind of Kubernetes' own.
    let has_protobuf = !kind.is_custom() || info.subresource == "scale";
    let format =
        negotiate::format(call.accept(), has_protobuf).ok_or_else(error::not_acceptable)?;
    let target = Target {
        state,
        info,
        kind,
        format,
    };
    let answered = if info.subresource.is_empty() {
        let answered = target.main(call).await;
        answered.map_err(|refused| error::of_view(kind, refused))
    } else {
        target.subresource(call).await
    };
    match kinds.deprecation(kind) {
        Some(warning) => warned(answered, &warning),
        None => answered,
    }
}

/// The answer of a kind that is on its way out says so, whatever was asked and also where it is refused.
fn warned(
    answered: Result<Response<Body>, StatusError>,
    warning: &str,
) -> Result<Response<Body>, StatusError> {
    let mut response = match answered {
        Ok(response) => response,
        Err(refused) if refused.code < 500 => error::reply(&refused),
        // Nobody has looked at the kind; and it is told in the log.
        Err(failed) => return Err(failed),
    };
    respond::warn_first(&mut response, warning);
    Ok(response)
}

/// A namespaced kind needs a namespace for one object; a cluster's kind must not have one.
fn check_scope(kind: KindRef, info: &RequestInfo) -> Result<(), StatusError> {
    if kind.namespaced {
        let all_namespaces = info.namespace.is_empty();
        if all_namespaces && !info.name.is_empty() {
            return Err(error::no_such_resource());
        }
        if all_namespaces && !matches!(info.verb, "list" | "watch") {
            return Err(error::method_not_allowed());
        }
        return Ok(());
    }
    // A request for a namespace is decided as one in it.
    let is_own_namespace =
        kind.plural == "namespaces" && kind.group.is_empty() && info.name == info.namespace;
    if info.namespace.is_empty() || is_own_namespace {
        return Ok(());
    }
    Err(error::no_such_resource())
}

impl Target<'_> {
    async fn main(&self, call: Call) -> Result<Response<Body>, StatusError> {
        if !self.kind.verbs.contains(&self.info.verb) {
            return Err(error::method_not_allowed());
        }
        let Self {
            state,
            kind,
            info,
            format,
        } = *self;
        match info.verb {
            "get" => {
                format.check(kind, false, &call.query)?;
                self.get(&call).await
            }
            // kubectl get NAME -w asks for a collection of one.
            "list" => {
                format.check(kind, true, &call.query)?;
                list::list(state, kind, &info.namespace, &call, format).await
            }
            "watch" => watch::watch(state, kind, info, &call, format).await,
            "create" if info.name.is_empty() => write::create(self, call).await,
            "update" if !info.name.is_empty() => write::update(self, call).await,
            "patch" if !info.name.is_empty() => write::patch(self, call).await,
            "delete" => remove::delete(self, call).await,
            "deletecollection" => remove::delete_collection(self, call).await,
            _ => Err(error::method_not_allowed()),
        }
    }

    async fn subresource(&self, call: Call) -> Result<Response<Body>, StatusError> {
        let name = self.info.subresource.as_str();
        let known = self.kind.subresources.iter().find(|sub| sub.name == name);
        let Some(known) = known else {
            return Err(error::no_such_resource());
        };
        if !known.verbs.contains(&self.info.verb) {
            return Err(error::method_not_allowed());
        }
        match (name, self.info.verb) {
            ("status" | "approval", "get") => self.get(&call).await,
            ("status" | "finalize" | "approval", "update") => write::update(self, call).await,
            ("status" | "approval", "patch") => write::patch(self, call).await,
            ("scale", _) => scale::scale(self, call).await,
            ("binding", "create") => write::bind(self, call).await,
            ("eviction", "create") => evict::evict(self, call).await,
            _ => Err(error::method_not_allowed()),
        }
    }

    /// The key of the object that is named.
    pub(crate) fn key(&self) -> Key {
        let namespace = if self.kind.namespaced {
            self.info.namespace.clone()
        } else {
            String::new()
        };
        Key {
            namespace,
            name: self.info.name.clone(),
        }
    }

    /// The object that is named.
    pub(crate) fn object(&self) -> Result<std::sync::Arc<Object>, StatusError> {
        self.state
            .registry
            .cache()
            .get(self.kind, &self.key())
            .ok_or_else(|| StatusError::not_found(self.kind, &self.info.name))
    }

    async fn get(&self, call: &Call) -> Result<Response<Body>, StatusError> {
        if let Some(wanted) = query::resource_version(&call.query)? {
            list::wait_for(self.state.registry.cache(), Revision(wanted)).await?;
        }
        let object = self.object()?;
        Ok(self.show(StatusCode::OK, &object, call.query.get("includeObject")))
    }

    /// An object in the format that was asked for.
    pub(crate) fn show(
        &self,
        status: StatusCode,
        object: &Object,
        include: Option<&str>,
    ) -> Response<Body> {
        respond::json_bytes(status, self.render(include).object(object))
    }

    /// How this client wants to see objects.
    pub(crate) fn render(&self, include: Option<&str>) -> Render {
        Render {
            kind: self.kind,
            custom: self.state.registry.cache().kinds().custom_of(self.kind),
            format: self.format,
            include: Include::parse(include),
            now: self.state.registry.clock().now(),
        }
    }
}
