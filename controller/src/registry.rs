//! The one door: every write of every kind passes here, in one order.
//!
//! A write is decided against the newest state, gets the next revision, goes to the store, and is
//! seen in the cache once it is on disk: nobody ever sees what a power cut could take back.

mod account;
mod admission;
mod bind;
mod certificate;
mod commit;
mod custom;
mod eviction;
mod keep;
mod ledger;
mod limits;
mod load;
mod managers;
mod node_restriction;
mod owners;
mod parts;
mod pod;
mod pod_security;
mod put;
mod request;
mod rights;
mod runtime_class;
pub(crate) mod scale;
mod service;
mod shape;
mod strategy;
mod workload;

pub(crate) use eviction::selects as protects;
pub use ledger::QuotaUsage;
pub(crate) use put::version_of;
pub use request::{
    Context, DeleteOptions, Deleted, FieldValidation, Patch, PatchForm, PatchKind, Propagation,
    Subresource,
};
pub(crate) use shape::refused_patch;

use crate::{
    auth::Authorizer,
    cache::{Cache, ChangeKind},
    kinds::Custom,
    object::Object,
    store::{self, Store},
};
use commit::{Committer, Decision, Others};
use coracle_api::{
    Key, KindRef, Revision, StatusError, kind, priority::SYSTEM_CLASSES, status::Cause, view,
    warnings,
};
use coracle_daemon::{Clock, Tasks};
use serde_json::{Value, json};
use shape::{Refused, Shape};
use std::sync::Arc;

/// Why the registry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store cannot be read.
    #[error("cannot load the store")]
    Store(#[from] store::Error),
    /// An object in the store cannot be read.
    #[error(
        "the store holds {key}, which cannot be read; it may be of a newer version of this program"
    )]
    Object {
        /// Its key.
        key: String,
        /// Why.
        #[source]
        source: StatusError,
    },
}

/// The registry. A clone is another handle to it.
#[derive(Debug, Clone)]
pub struct Registry {
    cache: Cache,
    authorizer: Authorizer,
    clock: Clock,
    committer: Committer,
}

/// Revisions skipped at a start: volatile writes take revisions that no disk remembers, and none may
/// be handed out twice.
const RESTART_GAP: u64 = 1 << 20;
/// Namespaces that are always there.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];
/// Those that stay, as upstream's admission has it.
const UNDELETABLE: [&str; 3] = ["default", "kube-public", "kube-system"];

impl Registry {
    /// Loads the store and starts to take writes.
    ///
    /// # Errors
    /// When the store or an object in it cannot be read.
    pub fn open(store: Arc<dyn Store>, clock: Clock, tasks: &Tasks) -> Result<Self, Error> {
        let (entries, counter) = store.load()?;
        let kinds = load::known_kinds(&entries)?;
        let objects = entries
            .into_iter()
            .map(|entry| load::read(&kinds, entry))
            .collect::<Result<_, Error>>()?;
        let start = Revision((counter.0 / RESTART_GAP + 1) * RESTART_GAP);
        let cache = Cache::with_kinds(kinds, objects, start);
        let committer = Committer::start(store, cache.clone(), clock.clone(), tasks);
        Ok(Self {
            authorizer: Authorizer::new(cache.clone()),
            cache,
            clock,
            committer,
        })
    }

    /// Creates what every cluster has, where it is missing.
    ///
    /// # Errors
    /// When the store refuses a write.
    pub async fn bootstrap(&self) -> Result<(), StatusError> {
        let context = Context::system("apiserver");
        for name in NAMESPACES {
            if self
                .cache
                .get(kind::NAMESPACE, &Key::cluster(name))
                .is_none()
            {
                self.create(
                    &context,
                    kind::NAMESPACE,
                    "",
                    json!({"metadata": {"name": name}}),
                )
                .await?;
            }
            account::ensure_default(self, &context, name).await?;
        }
        for class in SYSTEM_CLASSES {
            let key = Key::cluster(class.name);
            if self.cache.get(kind::PRIORITY_CLASS, &key).is_none() {
                let value = json!({
                    "metadata": {"name": class.name},
                    "value": class.value,
                    "description": class.description,
                });
                self.create(&context, kind::PRIORITY_CLASS, "", value)
                    .await?;
            }
        }
        Ok(())
    }

    /// The read side.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Who may do what, by the roles that the cache shows.
    #[must_use]
    pub fn authorizer(&self) -> &Authorizer {
        &self.authorizer
    }

    /// How much of a quota is taken, with what nobody sees yet; none when there is no such quota.
    #[must_use]
    pub fn quota_usage(&self, quota: &Key) -> Option<QuotaUsage> {
        self.committer.quota_usage(quota)
    }

    /// The time.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Creates an object.
    ///
    /// # Errors
    /// As upstream: 400, 403, 404 (namespace), 409, 422.
    pub async fn create(
        &self,
        context: &Context,
        kind: KindRef,
        namespace: &str,
        value: Value,
    ) -> Result<Arc<Object>, StatusError> {
        let value = self.decode(context, kind, value)?;
        let value = self.owned(context, kind.written_as(), value);
        let mut value = self.prepare_create(context, kind, namespace, value)?;
        let kind = kind.written_as();
        if kind == kind::POD {
            account::wait(&self.cache, namespace, &value).await;
            account::admit(&self.cache, &mut value)?;
        }
        let key = strategy::key_of(kind, &value);
        self.committer
            .write(kind, &key, context.target(false), |current, others| {
                if current.is_some() {
                    return Err(StatusError::already_exists(kind, &key.name));
                }
                let value = service::allocate(others, kind, value, None)?;
                Ok(Decision::Put(ChangeKind::Added, value))
            })
            .await
    }

    /// A new object as its sender means it, with its sender as its manager: what the server adds belongs to nobody.
    fn owned(&self, context: &Context, kind: KindRef, mut value: Value) -> Value {
        strategy::complete(kind, &mut value);
        let place = (kind, Subresource::None);
        let (shape, now) = (self.shape(kind), self.clock.now());
        managers::track(context, place, shape.ty(), None, &mut value, now);
        value
    }

    /// A new object in its stored form, checked; a view may ask more of it than the kind that is stored.
    fn prepare_create(
        &self,
        context: &Context,
        asked: KindRef,
        namespace: &str,
        mut value: Value,
    ) -> Result<Value, StatusError> {
        let kind = asked.written_as();
        if kind.is_custom() {
            custom::may_create(&self.cache, &*self.custom(kind)?)?;
        }
        strategy::stamp_new(kind, namespace, &mut value, self.clock.now())?;
        if kind.namespaced {
            self.check_namespace(kind, namespace, &value)?;
        }
        admission::admit(&self.cache, kind, &mut value)?;
        strategy::before_create(kind, &mut value, self.clock.now());
        runtime_class::admit(&self.cache, kind, &mut value)?;
        if kind == kind::CUSTOM_RESOURCE_DEFINITION {
            custom::define(&mut value);
        }
        let is_request = kind == kind::CERTIFICATE_SIGNING_REQUEST;
        if is_request {
            certificate::stamp(&context.user, &mut value);
            certificate::restrict_subject(&value)?;
        }
        let write = rights::Write {
            user: &context.user,
            kind,
            key: &strategy::key_of(kind, &value),
            part: Subresource::None,
            new: &value,
            old: None,
        };
        rights::check(&self.authorizer, &write)?;
        let mut causes = coracle_api::validate::create(asked, &value);
        if let Some(custom) = self.cache.kinds().custom_of(kind) {
            causes.extend(custom::problems(&custom, Subresource::None, &value, None));
        }
        if kind == kind::CUSTOM_RESOURCE_DEFINITION {
            causes.extend(custom::definition_problems(Subresource::None, &value, None));
        }
        if is_request {
            causes.extend(certificate::problems(&value));
        }
        causes.extend(pod_security::label_problems(kind, &value, None));
        if causes.is_empty() {
            self.check_limits(context, kind, &value, None)?;
            context.warn(|| warnings::of_new(kind, &value));
            return Ok(value);
        }
        let name = value["metadata"]["name"].as_str().unwrap_or_default();
        Err(StatusError::invalid(kind, name, causes))
    }

    /// What a namespace has against a valid object; how much it has room for is asked when the write is decided.
    fn check_limits(
        &self,
        context: &Context,
        kind: KindRef,
        new: &Value,
        old: Option<&Value>,
    ) -> Result<(), StatusError> {
        limits::check(&self.cache, kind, new, old)?;
        pod_security::check(&self.cache, context, kind, new, old)
    }

    fn shape(&self, kind: KindRef) -> Shape {
        Shape {
            kind,
            custom: self.cache.kinds().custom_of(kind),
        }
    }

    /// As [`Registry::read`], of what somebody sent.
    fn decode(&self, context: &Context, kind: KindRef, value: Value) -> Result<Value, StatusError> {
        let read = self.read(context, kind, value);
        let mut value = read.map_err(|refused| match refused {
            Refused::Unreadable(why) => StatusError::unreadable(kind, why.why()),
            Refused::Status(error) => error,
        })?;
        owners::dedup(context, &mut value, false);
        Ok(value)
    }

    /// Strict decoding by the kind's shape; what comes out is in the form that is stored.
    fn read(&self, context: &Context, kind: KindRef, mut value: Value) -> Result<Value, Refused> {
        if !kind.is_custom() {
            return Ok(strategy::decode_as(context, kind, value)?);
        }
        custom::decode(context, &*self.custom(kind)?, &mut value)?;
        Ok(value)
    }

    /// What makes a kind custom; it may have gone since the request came.
    fn custom(&self, kind: KindRef) -> Result<Arc<Custom>, StatusError> {
        let found = self.cache.kinds().custom(kind);
        found.ok_or_else(StatusError::no_resource)
    }

    fn check_namespace(
        &self,
        kind: KindRef,
        namespace: &str,
        value: &Value,
    ) -> Result<(), StatusError> {
        let found = self.cache.get(kind::NAMESPACE, &Key::cluster(namespace));
        let Some(found) = found else {
            return Err(StatusError::not_found(kind::NAMESPACE, namespace));
        };
        if found.is_deleting() {
            let name = value["metadata"]["name"].as_str().unwrap_or_default();
            let why = format!(
                "unable to create new content in namespace {namespace} because it is being terminated"
            );
            return Err(StatusError::forbidden(kind, name, &why).because(Cause {
                reason: "NamespaceTerminating",
                message: format!("namespace {namespace} is being terminated"),
                field: "metadata.namespace".to_owned(),
            }));
        }
        Ok(())
    }

    /// Reads, changes and writes an object in one step; the closure may run again.
    ///
    /// # Errors
    /// What the closure says, or as [`Registry::update`].
    pub async fn modify(
        &self,
        context: &Context,
        kind: KindRef,
        key: &Key,
        part: Subresource,
        mut change: impl FnMut(&mut Value) -> Result<(), StatusError>,
    ) -> Result<Arc<Object>, StatusError> {
        self.change(context, kind, key, part, |current| {
            let mut value = current.clone();
            change(&mut value)?;
            Ok(value)
        })
        .await
    }

    /// Applies a patch; true with the object when it was created by it.
    ///
    /// # Errors
    /// As upstream: 400, 404, 409, 415, 422.
    pub async fn patch(
        &self,
        context: &Context,
        kind: KindRef,
        key: &Key,
        part: Subresource,
        patch: Patch,
    ) -> Result<(Arc<Object>, bool), StatusError> {
        let form = match patch.kind {
            PatchKind::Change(form) => form,
            PatchKind::Apply => {
                let body = view::stored(kind, patch.body);
                let patch = Patch { body, ..patch };
                return self.apply(context, kind, key, part, &patch).await;
            }
        };
        let patched = self
            .change(context, kind, key, part, |current| {
                if part == Subresource::Scale {
                    return shape::patched(&self.shape(kind), current, form, &patch.body);
                }
                // A patch is about the object as its client sees it.
                let shown = view::shown(kind, current.clone());
                let shape = self.shape(kind);
                let make = || -> Result<Value, Refused> {
                    let value = shape::patched(&shape, &shown, form, &patch.body)?;
                    shape::check_type(&shape, &shown, &value, form)?;
                    put::check_same(key, &value)?;
                    let mut value = self.read(context, kind, value)?;
                    owners::dedup(context, &mut value, true);
                    Ok(value)
                };
                make().map_err(|refused| shape::blame(refused, &shape, &shown, form, &patch.body))
            })
            .await?;
        Ok((patched, false))
    }

    /// Server-side apply; creates the object where there is none.
    async fn apply(
        &self,
        context: &Context,
        asked: KindRef,
        key: &Key,
        part: Subresource,
        patch: &Patch,
    ) -> Result<(Arc<Object>, bool), StatusError> {
        let kind = asked.written_as();
        if kind == kind::POD && self.cache.get(kind, key).is_none() {
            account::wait(&self.cache, &key.namespace, &patch.body).await;
        }
        if part == Subresource::Scale {
            let scaled = self.apply_scale(context, kind, key, patch).await?;
            return Ok((scaled, false));
        }
        let now = self.clock.now();
        let (place, shape) = ((kind, part), self.shape(kind));
        let (mut created, mut tightened) = (false, None);
        let written = self
            .committer
            .write(kind, key, context.target(false), |current, others| {
                let Some(current) = current else {
                    if part != Subresource::None {
                        return Err(StatusError::not_found(kind, &key.name));
                    }
                    created = true;
                    let applied =
                        managers::apply(context, place, shape.ty(), &json!({}), patch, now)?;
                    let value = self.create_applied(context, asked, key, applied, others)?;
                    return Ok(Decision::Put(ChangeKind::Added, value));
                };
                let old = shape.shown(&current);
                let wanted = managers::apply(context, place, shape.ty(), &old, patch, now)?;
                let wanted = self.decode(context, kind, wanted)?;
                let managers = managers::of(&wanted);
                let mut new =
                    self.admit(context, (asked, part), (&current, &old, others), wanted)?;
                managers::put(&mut new, managers);
                tightened = pod_security::tightened(kind, &new, &old);
                Ok(settle(kind, current, &old, new))
            })
            .await?;
        pod_security::warn_of_pods(&self.cache, context, key, tightened).await;
        Ok((written, created))
    }

    fn create_applied(
        &self,
        context: &Context,
        asked: KindRef,
        key: &Key,
        mut applied: Value,
        others: Others<'_>,
    ) -> Result<Value, StatusError> {
        let kind = asked.written_as();
        rights::may_create(&self.authorizer, &context.user, kind, key)?;
        put::check_same(key, &applied)?;
        if let Some(uid) = applied["metadata"]["uid"]
            .as_str()
            .filter(|uid| !uid.is_empty())
        {
            let why = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            );
            return Err(StatusError::conflict(kind, &key.name, &why));
        }
        applied["metadata"]["name"] = json!(key.name);
        let applied = self.decode(context, kind, applied)?;
        let managers = managers::of(&applied);
        let mut value = self.prepare_create(context, asked, &key.namespace, applied)?;
        if kind == kind::POD {
            account::admit(&self.cache, &mut value)?;
        }
        managers::put(&mut value, managers);
        service::allocate(others, kind, value, None)
    }

    /// The common path of all changes but apply: what `change` makes of the current object is checked and put.
    async fn change(
        &self,
        context: &Context,
        asked: KindRef,
        key: &Key,
        part: Subresource,
        mut change: impl FnMut(&Value) -> Result<Value, StatusError>,
    ) -> Result<Arc<Object>, StatusError> {
        let (kind, mut tightened) = (asked.written_as(), None);
        let written = self
            .committer
            .write(kind, key, context.target(false), |current, others| {
                let before = current.clone();
                let step =
                    self.step(context, (asked, part), (key, current, others), &mut change)?;
                tightened = pod_security::tightened_by(kind, before.as_deref(), &step);
                Ok(step)
            })
            .await?;
        pod_security::warn_of_pods(&self.cache, context, key, tightened).await;
        Ok(written)
    }

    /// What becomes of an object when `change` was made to it.
    fn step(
        &self,
        context: &Context,
        (asked, part): (KindRef, Subresource),
        (key, current, others): (&Key, Option<Arc<Object>>, Others<'_>),
        mut change: impl FnMut(&Value) -> Result<Value, StatusError>,
    ) -> Result<Decision, StatusError> {
        let kind = asked.written_as();
        let current = current.ok_or_else(|| StatusError::not_found(kind, &key.name))?;
        let shape = self.shape(kind);
        let old = shape.shown(&current);
        let shown = if part == Subresource::Scale {
            scale::of(shape.custom.as_deref(), &old)?
        } else {
            old.clone()
        };
        let wanted = change(&shown)?;
        let mut new = self.admit(context, (asked, part), (&current, &old, others), wanted)?;
        let now = self.clock.now();
        managers::track(context, (kind, part), shape.ty(), Some(&old), &mut new, now);
        Ok(settle(kind, current, &old, new))
    }

    /// The next state of an object, checked.
    fn admit(
        &self,
        context: &Context,
        (asked, part): (KindRef, Subresource),
        (current, old, others): (&Object, &Value, Others<'_>),
        wanted: Value,
    ) -> Result<Value, StatusError> {
        let kind = asked.written_as();
        strategy::check_version(kind, current, &wanted)?;
        let custom = match kind.is_custom() {
            true => Some(self.custom(kind)?),
            false => None,
        };
        let new = match &custom {
            Some(custom) if part == Subresource::Scale => {
                custom::set_replicas(custom, old, strategy::replicas(kind, old, &wanted)?)?
            }
            _ => strategy::merge_part(kind, part, old, wanted)?,
        };
        let mut new = strategy::before_update(kind, part, old, new);
        certificate::tell_times((kind, part), &mut new, old, self.clock.now());
        if kind == kind::CUSTOM_RESOURCE_DEFINITION && part == Subresource::None {
            custom::redefine(&mut new, old);
        }
        let new = service::allocate(others, kind, new, Some(old))?;
        admission::one_default_priority(&self.cache, kind, &new)?;
        let write = rights::Write {
            user: &context.user,
            kind,
            key: &current.key,
            part,
            new: &new,
            old: Some(old),
        };
        rights::check(&self.authorizer, &write)?;
        let mut causes = match part {
            Subresource::None | Subresource::Scale => {
                coracle_api::validate::update(asked, &new, old)
            }
            Subresource::Status => coracle_api::validate::status(asked, &new, old),
            Subresource::Finalize => coracle_api::validate::finalize(kind, &new, old),
            Subresource::Approval => coracle_api::validate::metadata(kind, &new, old),
        };
        if let Some(custom) = &custom {
            causes.extend(custom::problems(custom, part, &new, Some(old)));
        }
        if kind == kind::CUSTOM_RESOURCE_DEFINITION {
            causes.extend(custom::definition_problems(part, &new, Some(old)));
        }
        if kind == kind::CERTIFICATE_SIGNING_REQUEST {
            causes.extend(certificate::changed(part, &new, old));
        }
        if part == Subresource::None {
            causes.extend(pod_security::label_problems(kind, &new, Some(old)));
        }
        if causes.is_empty() {
            if part == Subresource::None {
                self.check_limits(context, kind, &new, Some(old))?;
                context.warn(|| warnings::of_changed(kind, &new, old));
            }
            return Ok(new);
        }
        Err(StatusError::invalid(kind, &current.key.name, causes))
    }

    /// Deletes an object, or asks it to go.
    ///
    /// # Errors
    /// As upstream: 404, 409 (preconditions).
    pub async fn delete(
        &self,
        context: &Context,
        kind: KindRef,
        key: &Key,
        options: DeleteOptions,
    ) -> Result<Deleted, StatusError> {
        let now = self.clock.now();
        if let Some(why) = undeletable(kind, &key.name) {
            return Err(StatusError::forbidden(kind, &key.name, why));
        }
        let mut gone = false;
        let object = self
            .committer
            .write(
                kind,
                key,
                context.target(options.dry_run),
                |current, _others| {
                    let current = current.ok_or_else(|| StatusError::not_found(kind, &key.name))?;
                    strategy::check_preconditions(kind, &current, &options)?;
                    let decision = strategy::before_delete(kind, &current, &options, now);
                    gone = matches!(decision, Decision::Delete(_));
                    Ok(decision)
                },
            )
            .await?;
        Ok(if gone {
            Deleted::Gone(object)
        } else {
            Deleted::Pending(object)
        })
    }

    /// Ends a pod that its node has let go of, whatever grace it has left.
    ///
    /// # Errors
    /// 404 when the pod with this uid is gone already.
    pub async fn finish_delete(&self, key: &Key, uid: &str) -> Result<(), StatusError> {
        let options = DeleteOptions {
            grace_period_seconds: Some(0),
            uid: Some(uid.to_owned()),
            ..DeleteOptions::default()
        };
        self.delete(&Context::system("node"), kind::POD, key, options)
            .await
            .map(|_deleted| ())
    }
}

/// Why an object stays, if it does.
fn undeletable(kind: KindRef, name: &str) -> Option<&'static str> {
    if kind == kind::NAMESPACE && UNDELETABLE.contains(&name) {
        return Some("this namespace may not be deleted");
    }
    let is_system = SYSTEM_CLASSES.iter().any(|class| class.name == name);
    (kind == kind::PRIORITY_CLASS && is_system)
        .then_some("this is a system priority class and cannot be deleted")
}

/// What becomes of an object whose next state is known.
fn settle(kind: KindRef, current: Arc<Object>, old: &Value, new: Value) -> Decision {
    if strategy::is_released(kind, &new) {
        return Decision::Delete(new);
    }
    if strategy::is_same(&new, old) {
        return Decision::Keep(current);
    }
    Decision::Put(ChangeKind::Modified, new)
}

/// `/registry/<resource>/<namespace>/<name>`; the namespace is empty for cluster-scoped kinds.
fn store_key(kind: KindRef, key: &Key) -> String {
    format!(
        "/registry/{}/{}/{}",
        kind.storage().group_resource(),
        key.namespace,
        key.name
    )
}

#[cfg(test)]
mod tests;
