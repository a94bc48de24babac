//! What a write does to metadata, and what kinds do differently. Pure but for random names.
//!
//! Source: k8s.io/apiserver `pkg/registry/rest`, k8s.io/kubernetes `pkg/registry/*/strategy.go`.

use super::{
    Context, DeleteOptions, FieldValidation, Propagation, Subresource, commit::Decision, custom,
    parts, pod, put, workload,
};
use crate::{cache::ChangeKind, object::Object};
use coracle_api::{
    Key, KindRef, StatusError, crd::definition, defaults, disabled, go::type_of, kind, pairs,
    protobuf, schema, status::Cause, time, view,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

/// Letters of generated names, as upstream: no vowels, no look-alikes.
const SUFFIX_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LEN: usize = 5;
/// Longest base of a generated name.
const BASE_LEN_MAX: usize = 58;

/// Why a body, or what a patch made, is no object of its kind.
#[derive(Debug)]
pub(super) struct Unreadable(String);

impl Unreadable {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }

    pub(super) fn why(&self) -> &str {
        &self.0
    }
}

/// Strict decoding: types are checked, unknown fields go, with a word or an error as asked.
pub(super) fn decode(context: &Context, of: KindRef, value: &mut Value) -> Result<(), Unreadable> {
    if !value.is_object() {
        return Err(no_object(value));
    }
    let findings = schema::check(of, value);
    judge(context, findings)
}

pub(super) fn no_object(value: &Value) -> Unreadable {
    let found = type_of(value);
    Unreadable(format!(
        "json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
    ))
}

/// A wrong type is an error; of unknown fields the client hears as it asked.
pub(super) fn judge(context: &Context, findings: schema::Findings) -> Result<(), Unreadable> {
    if let Some(mistyped) = findings.mistyped {
        return Err(Unreadable(mistyped));
    }
    match context.field_validation {
        FieldValidation::Strict
            if !(context.duplicates.is_empty() && findings.unknown.is_empty()) =>
        {
            let list = [context.duplicates.as_slice(), &findings.unknown].concat();
            let list = list.join(", ");
            Err(Unreadable(format!("strict decoding error: {list}")))
        }
        FieldValidation::Warn => {
            context.warnings.lock().extend(findings.unknown);
            Ok(())
        }
        FieldValidation::Strict | FieldValidation::Ignore => Ok(()),
    }
}

/// As [`decode`], of a kind that may be a view: what comes out is in the form that is stored.
pub(super) fn decode_as(
    context: &Context,
    of: KindRef,
    mut value: Value,
) -> Result<Value, Unreadable> {
    decode(context, of, &mut value)?;
    if of.storage() == of {
        return Ok(value);
    }
    let mut stored = view::stored(of, value);
    // What a view keeps as text was not looked into yet.
    match schema::check(of.storage(), &mut stored).mistyped {
        Some(mistyped) => Err(Unreadable(mistyped)),
        None => Ok(stored),
    }
}

pub(super) fn key_of(kind: KindRef, value: &Value) -> Key {
    let field = |name: &str| {
        value["metadata"][name]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    Key::new(
        if kind.namespaced {
            field("namespace")
        } else {
            String::new()
        },
        field("name"),
    )
}

/// Fills in what the server owns in the metadata of a new object.
pub(super) fn stamp_new(
    of: KindRef,
    namespace: &str,
    value: &mut Value,
    now: Timestamp,
) -> Result<(), StatusError> {
    if !value["metadata"].is_object() {
        value["metadata"] = json!({});
    }
    let Some(meta) = value["metadata"].as_object_mut() else {
        return Ok(());
    };
    let version = meta.get("resourceVersion").and_then(Value::as_str);
    if version.is_some_and(|version| put::version_of(version).is_ok_and(|version| version > 0)) {
        // Of the storage, upstream: an error that it has no word for. What is no number is passed over there.
        return Err(StatusError::plain(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    let base = meta
        .get("generateName")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let named = meta
        .get("name")
        .and_then(Value::as_str)
        .is_some_and(|name| !name.is_empty());
    if !named && !base.is_empty() {
        meta.insert("name".to_owned(), json!(generate_name(&base)));
    } else if !named && of == kind::LIMIT_RANGE {
        meta.insert("name".to_owned(), json!(uuid()));
    }
    for field in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "resourceVersion",
    ] {
        meta.remove(field);
    }
    if of.namespaced {
        meta.insert("namespace".to_owned(), json!(namespace));
    } else {
        meta.remove("namespace");
    }
    meta.insert("uid".to_owned(), json!(uuid()));
    meta.insert("creationTimestamp".to_owned(), json!(time(now)));
    if of.generation {
        meta.insert("generation".to_owned(), json!(1));
    }
    Ok(())
}

fn generate_name(base: &str) -> String {
    let mut name: String = base.chars().take(BASE_LEN_MAX).collect();
    for _ in 0..SUFFIX_LEN {
        name.push(char::from(
            SUFFIX_LETTERS[rand::random_range(0..SUFFIX_LETTERS.len())],
        ));
    }
    name
}

/// A random UUID, version 4 of RFC 9562.
fn uuid() -> String {
    let bits =
        rand::random::<u128>() & !(0xf000 << 64 | 0xc000 << 48) | 0x4000 << 64 | 0x8000 << 48;
    let hex = format!("{bits:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// What upstream's decoding leaves out and fills in: whoever sends an object owns it.
pub(super) fn complete(of: KindRef, value: &mut Value) {
    pairs::in_step(of, value);
    protobuf::canonical(of, value);
    if of == kind::SECRET {
        fold_string_data(value);
    } else if of == kind::CUSTOM_RESOURCE_DEFINITION {
        definition::set_defaults(value);
    }
    defaults::apply(of, value);
}

/// An object that an older version stored, as a write that changes nothing would leave it: such a write is none then.
pub(super) fn renew(of: KindRef, value: &mut Value) {
    if of.is_custom() || of == kind::CUSTOM_RESOURCE_DEFINITION {
        return;
    }
    let old = (of == kind::PERSISTENT_VOLUME_CLAIM).then(|| value.clone());
    prepare(of, value, old.as_ref());
    complete(of, value);
}

/// What a kind lets nobody write, and what it writes twice.
fn prepare(of: KindRef, new: &mut Value, old: Option<&Value>) {
    if of == kind::PERSISTENT_VOLUME_CLAIM {
        pairs::data_sources(new, old);
    } else if of == kind::SERVICE_ACCOUNT {
        // Of a secret its name counts: it is of the account's namespace.
        let secrets = new.get_mut("secrets").and_then(Value::as_array_mut);
        let secrets = secrets.into_iter().flatten();
        for secret in secrets.filter_map(Value::as_object_mut) {
            secret.retain(|field, _value| field == "name");
        }
    }
}

/// What a client may not set at creation, and what only the server knows: nobody owns it.
pub(super) fn before_create(of: KindRef, value: &mut Value, now: Timestamp) {
    if of.status_split() && of != kind::NODE {
        clear(value, "status");
    }
    if of == kind::POD {
        pod::complete_new(value);
    }
    if of == kind::NAMESPACE {
        hold_content(value);
    }
    disabled::drop_fields(of, value, None);
    workload::complete_new(of, value);
    prepare(of, value, None);
    // Also of a name that was made, and of what admission added.
    complete(of, value);
    if of == kind::POD {
        value["status"] = pod::first_status(&value["spec"], now);
    }
}

/// Whatever else holds a namespace, its content does.
fn hold_content(namespace: &mut Value) {
    let finalizers = &mut namespace["spec"]["finalizers"];
    let own = json!("kubernetes");
    match finalizers.as_array_mut() {
        Some(list) if list.contains(&own) => {}
        Some(list) => list.push(own),
        None => *finalizers = json!([own]),
    }
}

pub(super) fn clear(value: &mut Value, field: &str) {
    if let Some(map) = value.as_object_mut() {
        map.remove(field);
    }
}

/// `stringData` is written as `data`, base64.
fn fold_string_data(secret: &mut Value) {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let Some(Value::Object(strings)) = secret
        .as_object_mut()
        .and_then(|secret| secret.remove("stringData"))
    else {
        return;
    };
    if !secret["data"].is_object() {
        secret["data"] = json!({});
    }
    for (name, text) in strings {
        secret["data"][name] = json!(STANDARD.encode(text.as_str().unwrap_or_default()));
    }
}

/// A `resourceVersion` in a write must be the current one; so must a uid.
pub(super) fn check_version(
    of: KindRef,
    current: &Object,
    wanted: &Value,
) -> Result<(), StatusError> {
    let version = wanted["metadata"]["resourceVersion"]
        .as_str()
        .unwrap_or_default();
    let version = put::version_of(version)?;
    if version == 0 {
        put::check_versioned(of, &current.key.name)?;
    } else if version != current.revision.0 {
        return Err(StatusError::stale(of, &current.key.name));
    }
    let uid = wanted["metadata"]["uid"].as_str().unwrap_or_default();
    if !uid.is_empty() && uid != current.uid() {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            current.uid()
        );
        return Err(StatusError::conflict(of, &current.key.name, &why));
    }
    Ok(())
}

/// Takes from `wanted` only the part that the write is for.
pub(super) fn merge_part(
    of: KindRef,
    part: Subresource,
    old: &Value,
    mut wanted: Value,
) -> Result<Value, StatusError> {
    match part {
        Subresource::None if of == kind::CERTIFICATE_SIGNING_REQUEST => {
            let mut new = old.clone();
            new["metadata"] = wanted["metadata"].take();
            keep_server_fields(&mut new, old);
            Ok(new)
        }
        Subresource::None => {
            if of.status_split() {
                restore(&mut wanted, old, "status");
            }
            if of == kind::NAMESPACE {
                // What holds a namespace is written by itself.
                restore(&mut wanted["spec"], &old["spec"], "finalizers");
            }
            keep_server_fields(&mut wanted, old);
            Ok(wanted)
        }
        Subresource::Status | Subresource::Finalize | Subresource::Approval => {
            let mut new = parts::merge(of, part, old, wanted);
            keep_server_fields(&mut new, old);
            if of == kind::POD {
                keep_class(&mut new, old);
            }
            Ok(new)
        }
        Subresource::Scale => {
            let replicas = replicas(of, old, &wanted)?;
            let mut new = old.clone();
            new["spec"]["replicas"] = json!(replicas);
            Ok(new)
        }
    }
}

/// The number of replicas that a Scale asks for.
pub(super) fn replicas(of: KindRef, old: &Value, scale: &Value) -> Result<i32, StatusError> {
    let wanted = &scale["spec"]["replicas"];
    let number = wanted.as_i64().unwrap_or(0);
    match i32::try_from(number) {
        Ok(replicas) if replicas >= 0 => Ok(replicas),
        _ => {
            let detail = "must be greater than or equal to 0";
            let cause = Cause::invalid("spec.replicas", wanted, detail);
            let name = old["metadata"]["name"].as_str().unwrap_or_default();
            Err(StatusError::invalid(of, name, vec![cause]))
        }
    }
}

/// Who tells a pod's status need not know of its class, which stays.
fn keep_class(new: &mut Value, old: &Value) {
    let class = &old["status"]["qosClass"];
    let untold = matches!(new["status"]["qosClass"].as_str(), None | Some(""));
    if untold && !class.is_null() {
        new["status"]["qosClass"] = class.clone();
    }
}

pub(super) fn restore(new: &mut Value, old: &Value, field: &str) {
    match old.get(field) {
        Some(value) => new[field] = value.clone(),
        None => clear(new, field),
    }
}

/// What no client changes: who an object is, and that it is going.
fn keep_server_fields(new: &mut Value, old: &Value) {
    if !new["metadata"].is_object() {
        new["metadata"] = json!({});
    }
    let fields = [
        "uid",
        "creationTimestamp",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ];
    for field in fields {
        let value = old["metadata"].get(field).cloned();
        let Some(meta) = new["metadata"].as_object_mut() else {
            return;
        };
        match value {
            Some(value) => meta.insert(field.to_owned(), value),
            None => meta.remove(field),
        };
    }
    // Nobody's: upstream forgets it before it stores.
    clear(&mut new["metadata"], "selfLink");
    for field in ["name", "namespace"] {
        if new["metadata"].get(field).is_none_or(Value::is_null)
            && !old["metadata"][field].is_null()
        {
            new["metadata"][field] = old["metadata"][field].clone();
        }
    }
}

/// Defaults again, and a new generation where the spec changed.
pub(super) fn before_update(of: KindRef, part: Subresource, old: &Value, mut new: Value) -> Value {
    if matches!(
        part,
        Subresource::Status | Subresource::Finalize | Subresource::Approval
    ) {
        if part == Subresource::Status {
            pairs::in_step(of, &mut new);
            defaults::status(of, &mut new);
            disabled::drop_fields(of, &mut new, Some(old));
        }
        protobuf::canonical(of, &mut new);
        return new;
    }
    // Before anything is compared with what is stored: a client may write out what nobody stores.
    prepare(of, &mut new, Some(old));
    complete(of, &mut new);
    disabled::drop_fields(of, &mut new, Some(old));
    if of == kind::SERVICE && new["spec"]["type"] != "ExternalName" {
        for field in ["clusterIP", "clusterIPs"] {
            if let (true, Some(had)) = (new["spec"][field].is_null(), old["spec"].get(field)) {
                new["spec"][field] = had.clone();
            }
        }
    }
    workload::count_changed(of, old, &mut new);
    if of.generation && (counted_metadata_differs(of, &new, old) || content_differs(&new, old)) {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or(0);
        new["metadata"]["generation"] = json!(generation + 1);
    }
    new
}

/// Of a few kinds controllers act on some of the metadata too.
fn counted_metadata_differs(of: KindRef, new: &Value, old: &Value) -> bool {
    let field = match of {
        of if of == kind::DEPLOYMENT => "annotations",
        of if of == kind::ENDPOINT_SLICE => "labels",
        _ => return false,
    };
    // No labels are as an empty map of them.
    let has = |object: &Value| {
        let map = object["metadata"][field].as_object();
        map.is_some_and(|map| !map.is_empty())
    };
    let differs = new["metadata"][field] != old["metadata"][field];
    differs && (has(new) || has(old))
}

/// Differs in what a client asks for: not in metadata, not in what is observed.
fn content_differs(new: &Value, old: &Value) -> bool {
    !is_same_but(new, old, &["apiVersion", "kind", "metadata", "status"])
}

/// Differs in nothing but the version, and when managers wrote.
pub(super) fn is_same(new: &Value, old: &Value) -> bool {
    let parts = ["apiVersion", "kind", "metadata"];
    let meta = ["resourceVersion", "managedFields"];
    let entries = |object: &Value| {
        let mut entries = object["metadata"]["managedFields"].clone();
        for entry in entries.as_array_mut().into_iter().flatten() {
            clear(entry, "time");
        }
        entries
    };
    is_same_but(new, old, &parts)
        && is_same_but(&new["metadata"], &old["metadata"], &meta)
        && (new["metadata"]["managedFields"] == old["metadata"]["managedFields"]
            || entries(new) == entries(old))
}

fn is_same_but(one: &Value, other: &Value, fields: &[&str]) -> bool {
    let (Value::Object(one), Value::Object(other)) = (one, other) else {
        return one == other;
    };
    let counts = |name: &String| !fields.contains(&name.as_str());
    let names =
        |map: &serde_json::Map<String, Value>| map.keys().filter(|name| counts(name)).count();
    names(one) == names(other)
        && one
            .iter()
            .filter(|(name, _)| counts(name))
            .all(|(name, value)| other.get(name) == Some(value))
}

/// Deletion was asked for and nothing holds the object any more.
pub(super) fn is_released(of: KindRef, value: &Value) -> bool {
    let none = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    let graced =
        of == kind::POD && value["metadata"]["deletionGracePeriodSeconds"].as_i64() != Some(0);
    !value["metadata"]["deletionTimestamp"].is_null()
        && none(&value["metadata"]["finalizers"])
        && (of != kind::NAMESPACE || none(&value["spec"]["finalizers"]))
        && !graced
}

pub(super) fn check_preconditions(
    of: KindRef,
    current: &Object,
    options: &DeleteOptions,
) -> Result<(), StatusError> {
    let failed = |what: &str, wanted: &str, actual: &str| {
        let why = format!(
            "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {actual}"
        );
        Err(StatusError::conflict(of, &current.key.name, &why))
    };
    if let Some(uid) = options.uid.as_ref().filter(|uid| *uid != current.uid()) {
        return failed("UID", uid, current.uid());
    }
    let actual = current.revision.to_string();
    if let Some(version) = options
        .resource_version
        .as_ref()
        .filter(|version| **version != actual)
    {
        return failed("ResourceVersion", version, &actual);
    }
    Ok(())
}

/// What a deletion makes of an object: gone, or marked.
pub(super) fn before_delete(
    of: KindRef,
    current: &Arc<Object>,
    options: &DeleteOptions,
    now: Timestamp,
) -> Decision {
    let mut value = current.value();
    if !current.is_deleting() {
        custom::hold(of, &mut value);
    }
    // Nothing belongs to an event: it goes at once, whatever is asked, as upstream.
    let propagation = options.propagation.filter(|_asked| of != kind::EVENT);
    let finalizers_changed = set_deletion_finalizer(&mut value, propagation);
    let grace = grace_secs(of, &value, options);
    let earlier = value["metadata"]["deletionGracePeriodSeconds"].as_i64();
    let is_sooner = earlier.is_none_or(|earlier| grace < earlier);
    if current.is_deleting() && !is_sooner {
        protobuf::canonical(of, &mut value);
        return match (is_released(of, &value), finalizers_changed) {
            (true, _) => Decision::Delete(value),
            (false, true) => Decision::Put(ChangeKind::Modified, value),
            (false, false) => Decision::Keep(Arc::clone(current)),
        };
    }
    let until = now
        .saturating_add(jiff::SignedDuration::from_secs(grace))
        .unwrap_or(now);
    value["metadata"]["deletionTimestamp"] = json!(time(until));
    value["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
    if !current.is_deleting()
        && let Some(generation) = value["metadata"]["generation"].as_i64()
    {
        // Deletion is a new thing to act on for who watches generations, as upstream.
        value["metadata"]["generation"] = json!(generation + 1);
    }
    if of == kind::NAMESPACE {
        value["status"]["phase"] = json!("Terminating");
    }
    protobuf::canonical(of, &mut value);
    if is_released(of, &value) {
        return Decision::Delete(value);
    }
    Decision::Put(ChangeKind::Modified, value)
}

/// Puts the finalizer of a policy, and only that one; no policy leaves an earlier one. True when
/// something changed.
fn set_deletion_finalizer(value: &mut Value, propagation: Option<Propagation>) -> bool {
    let wanted = match propagation {
        None => return false,
        Some(Propagation::Foreground) => Some("foregroundDeletion"),
        Some(Propagation::Orphan) => Some("orphan"),
        Some(Propagation::Background) => None,
    };
    let before = value["metadata"]["finalizers"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let mut after = before.clone();
    after.retain(|one| wanted == one.as_str() || (one != "foregroundDeletion" && one != "orphan"));
    if let Some(wanted) = wanted.filter(|wanted| !after.iter().any(|one| one == wanted)) {
        after.push(json!(wanted));
    }
    if after == before {
        return false;
    }
    value["metadata"]["finalizers"] = json!(after);
    true
}

/// Only pods that a node has get time to end.
fn grace_secs(of: KindRef, value: &Value, options: &DeleteOptions) -> i64 {
    let ended = matches!(
        value["status"]["phase"].as_str(),
        Some("Succeeded" | "Failed")
    );
    if of != kind::POD
        || ended
        || value["spec"]["nodeName"]
            .as_str()
            .unwrap_or_default()
            .is_empty()
    {
        return 0;
    }
    let own = value["spec"]["terminationGracePeriodSeconds"]
        .as_i64()
        .unwrap_or(30);
    options.grace_period_seconds.unwrap_or(own).max(0)
}

/// Sets a condition of a status, keeping the others.
pub(super) fn set_condition(status: &mut Value, name: &str, state: &str, time: &str) {
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    let Some(list) = status["conditions"].as_array_mut() else {
        return;
    };
    list.retain(|condition| condition["type"] != name);
    list.push(
        json!({"type": name, "status": state, "lastProbeTime": null, "lastTransitionTime": time}),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_accounts_secrets_the_names_are_kept() {
        let secrets =
            json!([{"name": "s", "namespace": "n", "kind": "Secret", "uid": "u"}, {"uid": "u"}]);
        let sent = json!({"metadata": {"name": "a"}, "secrets": secrets});
        let mut made = sent.clone();
        before_create(kind::SERVICE_ACCOUNT, &mut made, Timestamp::UNIX_EPOCH);
        let kept = json!([{"name": "s"}, {}]);
        assert_eq!(made["secrets"], kept);
        let put = before_update(kind::SERVICE_ACCOUNT, Subresource::None, &made, sent);
        assert_eq!(put["secrets"], kept);
    }

    #[test]
    fn no_policies_are_not_the_default_ones() {
        let mut scaler = json!({"spec": {"behavior": {"scaleUp": {"policies": []}}}});
        complete(kind::HORIZONTAL_POD_AUTOSCALER, &mut scaler);
        let behavior = &scaler["spec"]["behavior"];
        assert_eq!(behavior["scaleUp"]["policies"], json!([]));
        assert_eq!(behavior["scaleDown"]["policies"][0]["value"], 100);
    }
}
