//! Which objects a request selects: namespace, name, labels and fields.
//!
//! A field label that the kind does not support is a 400, as upstream; never "matches nothing".

use super::{error, query::ListOptions};
use crate::{
    kinds::{self, Custom, Kinds},
    object::Object,
};
use coracle_api::{
    KindRef,
    selector::{self, FieldSelector, LabelSelector},
    status::StatusError,
};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// The part of a collection that a request is about.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    /// None for all namespaces and for cluster scope.
    pub(crate) namespace: Option<String>,
    labels: Option<LabelSelector>,
    fields: Option<Fields>,
}

#[derive(Debug, Clone)]
struct Fields {
    selector: FieldSelector,
    /// Those that are not in the metadata: reading them needs the whole object.
    paths: Vec<String>,
    custom: Option<Arc<Custom>>,
}

impl Selection {
    /// The selection of these options.
    pub(crate) fn new(
        kinds: &Kinds,
        kind: KindRef,
        namespace: &str,
        options: &ListOptions,
    ) -> Result<Self, StatusError> {
        let labels = if options.label_selector.is_empty() {
            None
        } else {
            let selector = LabelSelector::parse(&options.label_selector)
                .map_err(|refused| error::bad_request(refused.to_string()))?;
            Some(selector)
        };
        let fields = if options.field_selector.is_empty() {
            None
        } else {
            Some(Fields::parse(kinds, kind, &options.field_selector)?)
        };
        let namespace = (!namespace.is_empty() && kind.namespaced).then(|| namespace.to_owned());
        Ok(Self {
            namespace,
            labels,
            fields,
        })
    }

    /// Whether an object is selected.
    pub(crate) fn matches(&self, object: &Object) -> bool {
        self.namespace
            .as_ref()
            .is_none_or(|namespace| *namespace == object.key.namespace)
            && self
                .labels
                .as_ref()
                .is_none_or(|labels| match &object.meta.labels {
                    Some(found) => labels.matches(found),
                    None => labels.matches(&BTreeMap::new()),
                })
            && self
                .fields
                .as_ref()
                .is_none_or(|fields| fields.match_object(object))
    }

    /// Whether every object of the namespace is selected.
    pub(crate) fn is_all(&self) -> bool {
        self.labels.is_none() && self.fields.is_none()
    }
}

impl Fields {
    fn parse(kinds: &Kinds, kind: KindRef, text: &str) -> Result<Self, StatusError> {
        let selector = FieldSelector::parse(text).map_err(|refused| match refused {
            selector::Error::Syntax(part) => error::bad_request(format!(
                "invalid selector: '{text}'; can't understand '{part}'"
            )),
            selector::Error::Field(_) => error::bad_request(refused.to_string()),
        })?;
        let custom = kinds.custom_of(kind);
        let supported: Vec<&str> = match &custom {
            Some(custom) => custom.version.selectable_fields().collect(),
            None => supported(kind).to_vec(),
        };
        selector
            .check(&supported)
            .map_err(|refused| match refused {
                // A kind that has no others.
                selector::Error::Field(field) if supported.is_empty() && custom.is_none() => {
                    error::bad_request(format!(
                        "{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                    ))
                }
                refused => error::bad_request(refused.to_string()),
            })?;
        // Only what the text mentions has to be read from an object.
        let paths = supported
            .iter()
            .filter(|path| text.contains(*path))
            .map(|path| (*path).to_owned())
            .collect();
        Ok(Self {
            selector,
            paths,
            custom,
        })
    }

    fn match_object(&self, object: &Object) -> bool {
        let mut read = BTreeMap::new();
        if !self.paths.is_empty() {
            let value = kinds::shown(self.custom.as_deref(), object);
            for path in &self.paths {
                let found = match &self.custom {
                    Some(custom) => custom.version.selectable_value(&value, path),
                    None => Some(field(&value, path)),
                };
                read.insert(path.as_str(), found.unwrap_or_default());
            }
        }
        self.selector.matches(|path| match path {
            "metadata.name" => object.key.name.clone(),
            "metadata.namespace" => object.key.namespace.clone(),
            path => read.get(path).cloned().unwrap_or_default(),
        })
    }
}

/// What upstream lets one select each kind by, beside its name and namespace.
fn supported(kind: KindRef) -> &'static [&'static str] {
    match (kind.group, kind.plural) {
        ("", "pods") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        ("", "events") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        ("events.k8s.io", "events") => &[
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingController",
            "type",
        ],
        ("", "secrets") => &["type"],
        ("", "namespaces") => &["status.phase"],
        ("", "nodes") => &["spec.unschedulable"],
        ("", "services") => &["spec.clusterIP", "spec.type"],
        ("apps", "replicasets") | ("", "replicationcontrollers") => &["status.replicas"],
        ("certificates.k8s.io", "certificatesigningrequests") => &["spec.signerName"],
        ("batch", "jobs") => &["status.successful"],
        _ => &[],
    }
}

/// The text of a field; absent is empty, absent booleans are false, as upstream's zero values.
fn field(value: &Value, path: &str) -> String {
    let mut found = look_up(value, path);
    if found.is_none() {
        // The two shapes of an event name the same thing differently.
        let other = match path.split_once('.') {
            Some(("regarding", rest)) => Some(format!("involvedObject.{rest}")),
            _ if path == "reportingController" => Some("reportingComponent".to_owned()),
            _ => None,
        };
        found = other.and_then(|other| look_up(value, &other));
    }
    match found {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(source)) if path == "source" => source
            .get("component")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        Some(Value::Bool(flag)) => flag.to_string(),
        Some(Value::Number(number)) => number.to_string(),
        _ if matches!(path, "spec.unschedulable" | "spec.hostNetwork") => "false".to_owned(),
        _ if path == "status.replicas" => "0".to_owned(),
        _ => String::new(),
    }
}

fn look_up<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .try_fold(value, |value, part| value.get(part))
}
