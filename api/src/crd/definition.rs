//! A CustomResourceDefinition's defaults and status: names it may have, versions that are stored.
//!
//! Source: k8s.io/apiextensions-apiserver `pkg/apis/apiextensions/v1/defaults.go`,
//! `pkg/controller/status` and `pkg/controller/establish`. Times are given in: nothing here knows a
//! clock.

use crate::kind::KINDS;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The finalizer that holds a definition until its objects are gone.
pub const CLEANUP_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Fills in what a definition leaves out. What has a wrong shape is left for validation.
pub fn set_defaults(crd: &mut Value) {
    let Some(spec) = crd.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    if let Some(names) = spec.get_mut("names").and_then(Value::as_object_mut) {
        let kind = text(names.get("kind"));
        let singular = kind.to_lowercase();
        let list_kind = format!("{kind}List");
        if text(names.get("singular")).is_empty() && !singular.is_empty() {
            names.insert("singular".to_owned(), json!(singular));
        }
        if text(names.get("listKind")).is_empty() && !singular.is_empty() {
            names.insert("listKind".to_owned(), json!(list_kind));
        }
    }
    if spec.get("conversion").is_none_or(Value::is_null) {
        spec.insert("conversion".to_owned(), json!({"strategy": "None"}));
    }
}

/// The status of a new definition: what a client sent of it does not count.
pub fn prepare_create(crd: &mut Value) {
    set_status(crd, json!({}));
    add_stored_version(crd);
}

/// The status of an update: the old one, and the version that is stored from now on.
pub fn prepare_update(new: &mut Value, old: &Value) {
    set_status(new, old.get("status").cloned().unwrap_or_else(|| json!({})));
    add_stored_version(new);
}

fn set_status(crd: &mut Value, status: Value) {
    if let Some(crd) = crd.as_object_mut() {
        crd.insert("status".to_owned(), status);
    }
}

fn add_stored_version(crd: &mut Value) {
    let Some(name) = storage_version(crd).map(str::to_owned) else {
        return;
    };
    let Some(status) = crd.get_mut("status").and_then(Value::as_object_mut) else {
        return;
    };
    let stored = status.entry("storedVersions").or_insert_with(|| json!([]));
    match stored.as_array_mut() {
        Some(stored) if stored.contains(&json!(name)) => {}
        Some(stored) => stored.push(json!(name)),
        None => *stored = json!([name]),
    }
}

/// The version in which objects are stored.
#[must_use]
pub fn storage_version(crd: &Value) -> Option<&str> {
    let versions = crd.get("spec")?.get("versions")?.as_array()?;
    let stored = versions
        .iter()
        .find(|version| version["storage"] == json!(true))?;
    stored.get("name")?.as_str()
}

fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

/// Whether a condition of a definition is true.
#[must_use]
pub fn is_condition_true(crd: &Value, kind: &str) -> bool {
    condition(&crd["status"], kind).is_some_and(|condition| condition["status"] == "True")
}

fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = status.get("conditions")?.as_array()?;
    conditions
        .iter()
        .find(|condition| condition["type"] == kind)
}

/// Sets a condition; the time of its last change stays where its status does.
pub fn set_condition(
    status: &mut Value,
    (kind, is, reason, message): (&str, &str, &str, &str),
    now: &str,
) {
    let before = condition(status, kind);
    let same = before.filter(|before| before["status"] == is);
    let since = same.map_or("", |before| text(before.get("lastTransitionTime")));
    let since = if since.is_empty() { now } else { since };
    let new = json!({
        "type": kind, "status": is, "reason": reason, "message": message, "lastTransitionTime": since,
    });
    let Some(status) = status.as_object_mut() else {
        return;
    };
    let conditions = status.entry("conditions").or_insert_with(|| json!([]));
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let Some(conditions) = conditions.as_array_mut() else {
        return;
    };
    match conditions
        .iter_mut()
        .find(|condition| condition["type"] == kind)
    {
        Some(condition) => *condition = new,
        None => conditions.push(new),
    }
}

/// Names that are taken in a group.
#[derive(Debug, Default)]
struct Taken {
    /// Plural, singular and short names.
    resources: BTreeSet<String>,
    /// Kinds and list kinds.
    kinds: BTreeSet<String>,
}

impl Taken {
    fn names(&mut self, names: &Value) {
        for name in ["plural", "singular"] {
            self.resources.insert(text(names.get(name)).to_owned());
        }
        for name in ["kind", "listKind"] {
            self.kinds.insert(text(names.get(name)).to_owned());
        }
        let short = names.get("shortNames").and_then(Value::as_array);
        let short = short.into_iter().flatten().filter_map(Value::as_str);
        self.resources.extend(short.map(str::to_owned));
    }

    fn new<'a>(group: &str, crds: impl Iterator<Item = &'a Value>) -> Self {
        let mut taken = Self::default();
        for crd in crds.filter(|crd| crd["spec"]["group"] == group) {
            taken.names(&crd["status"]["acceptedNames"]);
        }
        for kind in KINDS.iter().filter(|kind| kind.group == group) {
            let short = kind.short_names.iter().copied();
            let resources = [kind.plural, kind.singular].into_iter().chain(short);
            taken.resources.extend(resources.map(str::to_owned));
            taken.kinds.insert(kind.kind.to_owned());
            taken.kinds.insert(format!("{}List", kind.kind));
        }
        taken
    }
}

/// `"x" is already in use`, where the name is not the definition's own already.
fn in_use(requested: &str, accepted: &str, taken: &BTreeSet<String>) -> Option<String> {
    let free = requested == accepted || !taken.contains(requested);
    (!free).then(|| format!("{requested:?} is already in use"))
}

/// The status after looking at the names that other definitions and built-in kinds of the group have;
/// nothing where it stays as it is. `all` may hold the definition itself.
#[must_use]
pub fn accept_names<'a>(
    crd: &Value,
    all: impl Iterator<Item = &'a Value>,
    now: &str,
) -> Option<Value> {
    let wanted = &crd["spec"]["names"];
    let before = &crd["status"]["acceptedNames"];
    if tidy(wanted) == tidy(before) {
        return None;
    }
    let taken = Taken::new(text(crd["spec"].get("group")), all);
    let mut names = tidy(before);
    let mut conflict = None;
    let rows = [
        ("plural", "PluralConflict", &taken.resources),
        ("singular", "SingularConflict", &taken.resources),
        ("shortNames", "ShortNamesConflict", &taken.resources),
        ("kind", "KindConflict", &taken.kinds),
        ("listKind", "ListKindConflict", &taken.kinds),
    ];
    for (name, reason, taken) in rows {
        let problem = if name == "shortNames" {
            short_names(&wanted[name], &before[name], taken)
        } else {
            in_use(text(wanted.get(name)), text(before.get(name)), taken)
        };
        match problem {
            Some(message) => conflict = Some((reason, message)),
            None => {
                names.insert(name.to_owned(), wanted[name].clone());
            }
        }
    }
    names.insert("categories".to_owned(), wanted["categories"].clone());
    let names = Value::Object(tidy(&Value::Object(names)));
    let accepted = match &conflict {
        Some((reason, message)) => ("NamesAccepted", "False", *reason, message.as_str()),
        None => ("NamesAccepted", "True", "NoConflicts", "no conflicts found"),
    };
    let old_status = crd.get("status").filter(|status| status.is_object());
    let mut status = old_status.cloned().unwrap_or_else(|| json!({}));
    if names == Value::Object(tidy(before)) && is_same(condition(&status, accepted.0), accepted) {
        return None;
    }
    if let Some(status) = status.as_object_mut() {
        // Clients read these as they are: they are there even where they are empty.
        let mut names = names;
        for name in ["plural", "kind"] {
            names[name] = json!(text(names.get(name)));
        }
        status.insert("acceptedNames".to_owned(), names);
    }
    set_condition(&mut status, accepted, now);
    installing(&mut status, conflict.is_none(), now);
    Some(status)
}

fn is_same(before: Option<&Value>, (_, is, reason, message): (&str, &str, &str, &str)) -> bool {
    before.is_some_and(|before| {
        before["status"] == is && before["reason"] == reason && before["message"] == message
    })
}

/// Once established, a definition stays so.
fn installing(status: &mut Value, accepted: bool, now: &str) {
    let before = condition(status, "Established");
    let established = before.is_some_and(|before| before["status"] == "True");
    if established || (before.is_some() && !accepted) {
        return;
    }
    let (reason, message) = if accepted {
        ("Installing", "the initial names have been accepted")
    } else {
        ("NotAccepted", "not all names are accepted")
    };
    set_condition(status, ("Established", "False", reason, message), now);
}

/// The status of a definition whose names are accepted and which is served from now on; nothing where
/// it stays as it is.
#[must_use]
pub fn establish(crd: &Value, now: &str) -> Option<Value> {
    if !is_condition_true(crd, "NamesAccepted") || is_condition_true(crd, "Established") {
        return None;
    }
    let mut status = crd["status"].clone();
    let message = "the initial names have been accepted";
    let condition = ("Established", "True", "InitialNamesAccepted", message);
    set_condition(&mut status, condition, now);
    Some(status)
}

fn short_names(wanted: &Value, before: &Value, taken: &BTreeSet<String>) -> Option<String> {
    let list = |names: &Value| names.as_array().cloned().unwrap_or_default();
    let own = list(before);
    let problems: Vec<String> = list(wanted)
        .iter()
        .filter(|name| !own.contains(name))
        .filter_map(|name| in_use(name.as_str()?, "", taken))
        .collect();
    match problems.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("[{}]", many.join(", "))),
    }
}

/// Names without those that are empty.
fn tidy(names: &Value) -> Map<String, Value> {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    let names = names.as_object().into_iter().flatten();
    names
        .filter(|(_, value)| !empty(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
