//! What fields a kind has: strict decoding and how lists merge.
//!
//! Shapes come from `k8s-openapi`'s types (through schemars); what those do not say, how fields merge, is
//! added from a table. Shapes never hold descriptions: they stay small.

mod corrections;
mod go;
mod identity;
mod merging;
mod nulls;
mod openapi;
mod operations;
mod swagger;
mod types;
mod unstored;

pub use identity::{
    Mismatch, TypeName, custom_kind_mismatch, custom_version_mismatch, go_package, is_type,
    mismatch, name_of,
};
pub use openapi::{documented, metadata_names, openapi_v3, openapi_v3_custom};
pub use swagger::{Section, openapi_v2};
pub use types::{ListMerge, ListType, Type};
pub use unstored::{BINDING, COMPONENT_STATUS};

use crate::{
    KindRef,
    go::{Layout, canonical_base64, found, read_time, settle_numbers, type_of as go_type_of},
    kind,
    quantity::Quantity,
};
use go::Place;
use k8s_openapi::{
    api::{
        apps::v1 as apps,
        authentication::v1 as authentication,
        authorization::v1 as authorization,
        autoscaling::{v1 as autoscaling_v1, v2 as autoscaling_v2},
        batch::v1 as batch,
        certificates::v1 as certificates,
        coordination::v1 as coordination,
        core::v1 as core,
        discovery::v1 as discovery,
        events::v1 as events,
        networking::v1 as networking,
        node::v1 as node,
        policy::v1 as policy,
        rbac::v1 as rbac,
        scheduling::v1 as scheduling,
        storage::v1 as storage,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions,
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    schemars::{SchemaGenerator, generate::SchemaSettings},
};
use serde_json::{Map, Value};
use std::sync::OnceLock;

/// What a Scale says it is.
pub const SCALE: TypeName<'static> = ("autoscaling", "v1", "Scale");

/// How references to the type of quantities end.
const QUANTITY: &str = ".api.resource.Quantity";

fn add<T: k8s_openapi::schemars::JsonSchema>(generator: &mut SchemaGenerator) -> String {
    let _reference = generator.subschema_for::<T>();
    T::schema_name().into_owned()
}

/// Registers all types of one kind; returns the name of the kind's schema.
pub(crate) fn register(of: KindRef, generator: &mut SchemaGenerator) -> String {
    let g = generator;
    match (of.group, of.kind) {
        ("", "Namespace") => add::<core::Namespace>(g),
        ("", "Node") => add::<core::Node>(g),
        ("", "Pod") => add::<core::Pod>(g),
        ("", "Service") => add::<core::Service>(g),
        ("", "ConfigMap") => add::<core::ConfigMap>(g),
        ("", "Secret") => add::<core::Secret>(g),
        ("", "ServiceAccount") => add::<core::ServiceAccount>(g),
        ("", "Endpoints") => add::<core::Endpoints>(g),
        ("", "PersistentVolume") => add::<core::PersistentVolume>(g),
        ("", "PersistentVolumeClaim") => add::<core::PersistentVolumeClaim>(g),
        ("", "PodTemplate") => add::<core::PodTemplate>(g),
        ("", "ReplicationController") => add::<core::ReplicationController>(g),
        ("", "LimitRange") => add::<core::LimitRange>(g),
        ("", "ResourceQuota") => add::<core::ResourceQuota>(g),
        ("", "Event") => add::<core::Event>(g),
        ("events.k8s.io", _) => add::<events::Event>(g),
        ("apps", "Deployment") => add::<apps::Deployment>(g),
        ("apps", "ReplicaSet") => add::<apps::ReplicaSet>(g),
        ("apps", "DaemonSet") => add::<apps::DaemonSet>(g),
        ("apps", "StatefulSet") => add::<apps::StatefulSet>(g),
        ("apps", "ControllerRevision") => add::<apps::ControllerRevision>(g),
        ("batch", "Job") => add::<batch::Job>(g),
        ("batch", "CronJob") => add::<batch::CronJob>(g),
        ("autoscaling", _) if of.version == "v1" => {
            add::<autoscaling_v1::HorizontalPodAutoscaler>(g)
        }
        ("autoscaling", _) => add::<autoscaling_v2::HorizontalPodAutoscaler>(g),
        ("policy", "PodDisruptionBudget") => add::<policy::PodDisruptionBudget>(g),
        ("networking.k8s.io", "Ingress") => add::<networking::Ingress>(g),
        ("networking.k8s.io", "IngressClass") => add::<networking::IngressClass>(g),
        ("networking.k8s.io", "NetworkPolicy") => add::<networking::NetworkPolicy>(g),
        ("networking.k8s.io", "IPAddress") => add::<networking::IPAddress>(g),
        ("networking.k8s.io", "ServiceCIDR") => add::<networking::ServiceCIDR>(g),
        ("storage.k8s.io", "StorageClass") => add::<storage::StorageClass>(g),
        ("storage.k8s.io", "VolumeAttachment") => add::<storage::VolumeAttachment>(g),
        ("storage.k8s.io", "CSIDriver") => add::<storage::CSIDriver>(g),
        ("storage.k8s.io", "CSINode") => add::<storage::CSINode>(g),
        ("storage.k8s.io", "CSIStorageCapacity") => add::<storage::CSIStorageCapacity>(g),
        ("storage.k8s.io", "VolumeAttributesClass") => add::<storage::VolumeAttributesClass>(g),
        ("scheduling.k8s.io", "PriorityClass") => add::<scheduling::PriorityClass>(g),
        ("node.k8s.io", "RuntimeClass") => add::<node::RuntimeClass>(g),
        ("discovery.k8s.io", _) => add::<discovery::EndpointSlice>(g),
        ("coordination.k8s.io", "Lease") => add::<coordination::Lease>(g),
        (kind::RBAC, "Role") => add::<rbac::Role>(g),
        (kind::RBAC, "ClusterRole") => add::<rbac::ClusterRole>(g),
        (kind::RBAC, "RoleBinding") => add::<rbac::RoleBinding>(g),
        (kind::RBAC, "ClusterRoleBinding") => add::<rbac::ClusterRoleBinding>(g),
        ("certificates.k8s.io", _) => add::<certificates::CertificateSigningRequest>(g),
        ("apiextensions.k8s.io", _) => add::<apiextensions::CustomResourceDefinition>(g),
        ("", "Binding") => add::<core::Binding>(g),
        ("", "ComponentStatus") => add::<core::ComponentStatus>(g),
        (_, "SelfSubjectReview") => add::<authentication::SelfSubjectReview>(g),
        (_, "TokenReview") => add::<authentication::TokenReview>(g),
        (_, "LocalSubjectAccessReview") => add::<authorization::LocalSubjectAccessReview>(g),
        (_, "SelfSubjectAccessReview") => add::<authorization::SelfSubjectAccessReview>(g),
        (_, "SelfSubjectRulesReview") => add::<authorization::SelfSubjectRulesReview>(g),
        (_, "SubjectAccessReview") => add::<authorization::SubjectAccessReview>(g),
        _ => String::new(),
    }
}

/// A generator whose references look like `#/components/schemas/NAME`.
pub(crate) fn generator() -> SchemaGenerator {
    let mut settings = SchemaSettings::openapi3();
    settings.transforms.clear();
    settings.into_generator()
}

struct Shapes {
    definitions: Map<String, Value>,
    roots: Vec<(KindRef, String)>,
    scale: String,
}

impl Shapes {
    /// The schema of a built-in kind.
    fn of(&self, of: KindRef) -> Option<&Value> {
        let (_, root) = self.roots.iter().find(|(kind, _)| *kind == of)?;
        self.definitions.get(root)
    }
}

fn shapes() -> &'static Shapes {
    static SHAPES: OnceLock<Shapes> = OnceLock::new();
    SHAPES.get_or_init(|| {
        let mut generator = generator();
        let roots = kind::KINDS
            .iter()
            .map(|kind| (kind, register(kind, &mut generator)))
            .collect();
        let scale = add::<autoscaling_v1::Scale>(&mut generator);
        let mut definitions = generator.take_definitions(false);
        definitions.values_mut().for_each(strip);
        open_up(&mut definitions);
        merging::annotate(&mut definitions);
        Shapes {
            definitions,
            roots,
            scale,
        }
    })
}

/// Types of definitions that are written in more than one form, which `k8s-openapi` calls objects.
fn open_up(definitions: &mut Map<String, Value>) {
    const ROOT: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON";
    let props = format!("{ROOT}SchemaProps");
    let fields = definitions
        .get(&props)
        .map(|schema| schema["properties"].clone());
    let Some(fields) = fields else {
        return;
    };
    let element = serde_json::json!({"$ref": format!("#/components/schemas/{props}")});
    let either = serde_json::json!({"properties": fields, "items": element});
    for name in ["SchemaPropsOrArray", "SchemaPropsOrBool"] {
        definitions.insert(format!("{ROOT}{name}"), either.clone());
    }
    // Any value at all; and the old form of dependencies, which no definition may use.
    for name in ["", "SchemaPropsOrStringArray"] {
        definitions.insert(format!("{ROOT}{name}"), serde_json::json!({}));
    }
}

/// Leaves what strict decoding needs.
fn strip(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("description").is_some_and(Value::is_string) {
                map.remove("description");
            }
            map.values_mut().for_each(strip);
        }
        Value::Array(list) => list.iter_mut().for_each(strip),
        _ => {}
    }
}

/// The type of a built-in kind's objects.
#[must_use]
pub fn type_of(of: KindRef) -> Type<'static> {
    let shapes = shapes();
    match shapes.of(of) {
        Some(schema) => Type::new(Some(&shapes.definitions), schema),
        None => Type::UNKNOWN,
    }
}

/// The type of a Scale, which is no kind: it is what objects of several kinds show at `/scale`.
#[must_use]
pub fn scale_type() -> Type<'static> {
    let shapes = shapes();
    match shapes.definitions.get(&shapes.scale) {
        Some(schema) => Type::new(Some(&shapes.definitions), schema),
        None => Type::UNKNOWN,
    }
}

/// The type of a custom kind's objects, of a schema that may refer to built-in ones by [`reference`].
#[must_use]
pub fn type_of_custom(schema: &Value) -> Type<'_> {
    Type::new(Some(&shapes().definitions), schema)
}

/// A reference to the schema of all objects' metadata.
#[must_use]
pub fn metadata_reference() -> Value {
    let name = <ObjectMeta as k8s_openapi::schemars::JsonSchema>::schema_name();
    serde_json::json!({"$ref": format!("#/components/schemas/{name}")})
}

fn metadata_schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(metadata_reference)
}

/// Checks the metadata of a custom kind's object, removes unknown fields from it, and reads its nulls as upstream does.
#[must_use]
pub fn check_metadata(of: KindRef, object: &mut Value) -> Findings {
    let schema = metadata_schema();
    let mut findings = Findings::default();
    if let Some(meta) = object.get_mut("metadata") {
        fill_nulls_of_metadata(meta);
        Walk {
            shapes: shapes(),
            findings: &mut findings,
        }
        .value(
            meta,
            schema,
            "metadata",
            &Place::root(of.kind).field(schema, "metadata"),
        );
    }
    findings
}

/// Puts what Go's decoder makes of them for the nulls in an object's lists and maps; of a custom kind's object, in its
/// metadata. [`check`] and [`check_metadata`] do so too: this is for what an older version of this program has stored.
pub fn fill_nulls(of: KindRef, object: &mut Value) {
    // Before the shapes are made, which a start need not wait for.
    if !nulls::are_in(object) {
        return;
    }
    let shapes = shapes();
    if let Some(schema) = shapes.of(of) {
        nulls::fill(&shapes.definitions, schema, object);
    } else if let Some(meta) = object.get_mut("metadata") {
        fill_nulls_of_metadata(meta);
    }
}

/// The same in metadata that stand anywhere.
pub(crate) fn fill_nulls_of_metadata(meta: &mut Value) {
    nulls::fill(&shapes().definitions, metadata_schema(), meta);
}

fn resolve<'a>(definitions: &'a Map<String, Value>, mut schema: &'a Value) -> &'a Value {
    // References never form a cycle of references alone.
    while let Some(target) = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|r| r.rsplit('/').next())
    {
        match definitions.get(target) {
            Some(found) => schema = found,
            None => return &Value::Null,
        }
    }
    schema
}

/// What is wrong with the shape of an object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// `unknown field "spec.foo"`, in the words of upstream's strict decoding.
    pub unknown: Vec<String>,
    /// Why it is no object of its kind: the first value of a wrong type, in the words of Go's decoder.
    pub mistyped: Option<String>,
}

/// Checks an object's shape, removes unknown fields from it, and writes nulls, numbers, bytes, quantities and times as
/// upstream does.
#[must_use]
pub fn check(of: KindRef, object: &mut Value) -> Findings {
    check_as(of.kind, shapes().of(of), object)
}

/// As [`check`], of a Scale.
#[must_use]
pub fn check_scale(scale: &mut Value) -> Findings {
    let shapes = shapes();
    check_as(SCALE.2, shapes.definitions.get(&shapes.scale), scale)
}

fn check_as(kind: &str, schema: Option<&'static Value>, object: &mut Value) -> Findings {
    let shapes = shapes();
    let mut findings = Findings::default();
    if let Some(schema) = schema {
        nulls::fill(&shapes.definitions, schema, object);
        Walk {
            shapes,
            findings: &mut findings,
        }
        .value(object, schema, "", &Place::root(kind));
    }
    findings
}

struct Walk<'a> {
    shapes: &'static Shapes,
    findings: &'a mut Findings,
}

/// Whether a schema refers to this type of upstream's.
fn refers_to(schema: &Value, name: &str) -> bool {
    let reference = schema.get("$ref").and_then(Value::as_str);
    reference.is_some_and(|reference| reference.ends_with(name))
}

impl Walk<'_> {
    fn value(
        &mut self,
        value: &mut Value,
        reference: &'static Value,
        path: &str,
        place: &Place<'_>,
    ) {
        let schema = resolve(&self.shapes.definitions, reference);
        if value.is_null() {
            return;
        }
        if refers_to(reference, QUANTITY) {
            self.quantity(value);
            return;
        }
        if schema.get("x-kubernetes-int-or-string").is_some() {
            self.number_or_text(value);
            return;
        }
        let fits = match schema.get("type").and_then(Value::as_str) {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("number") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            _ => true,
        };
        if !fits {
            self.mistyped(value, reference, place);
            return;
        }
        if schema.as_object().is_some_and(Map::is_empty) {
            // Any JSON at all.
            settle_numbers(value);
            return;
        }
        match value {
            Value::String(text) => self.text(text, reference, schema),
            Value::Number(_) if schema.get("type").is_some_and(|of| of == "number") => {
                settle_numbers(value);
            }
            Value::Number(number) => {
                let is_small = number
                    .as_i64()
                    .is_some_and(|number| i32::try_from(number).is_ok());
                if schema.get("format").is_some_and(|format| format == "int32") && !is_small {
                    let found = format!("number {number}");
                    self.mistyped_as(&found, "int32", place);
                }
            }
            Value::Object(map) => self.object(map, (reference, schema), path, place),
            Value::Array(list) => {
                let Some(items) = schema.get("items") else {
                    return;
                };
                for (index, element) in list.iter_mut().enumerate() {
                    self.value(element, items, &format!("{path}[{index}]"), place);
                }
            }
            _ => {}
        }
    }

    fn object(
        &mut self,
        map: &mut Map<String, Value>,
        (reference, schema): (&'static Value, &'static Value),
        path: &str,
        place: &Place<'_>,
    ) {
        let join = |name: &str| {
            if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            }
        };
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            let unknown: Vec<String> = map
                .keys()
                .filter(|name| !properties.contains_key(*name))
                .cloned()
                .collect();
            for name in unknown {
                map.remove(&name);
                self.findings
                    .unknown
                    .push(format!("unknown field {:?}", join(&name)));
            }
            for (name, value) in map.iter_mut() {
                if let Some(schema) = properties.get(name) {
                    self.value(value, schema, &join(name), &place.field(reference, name));
                }
            }
        } else if let Some(schema) = schema
            .get("additionalProperties")
            .filter(|schema| schema.is_object())
        {
            for (name, value) in map.iter_mut() {
                self.value(value, schema, &join(name), place);
            }
        }
    }

    /// Texts that stand for something else: bytes and times.
    fn text(&mut self, text: &mut String, reference: &Value, schema: &Value) {
        match schema.get("format").and_then(Value::as_str) {
            Some("byte") => match canonical_base64(text) {
                Ok(None) => {}
                Ok(Some(written)) => *text = written,
                Err(why) => self.unreadable(why),
            },
            Some("date-time") => {
                let layout = if refers_to(reference, ".MicroTime") {
                    Layout::Micros
                } else {
                    Layout::Seconds
                };
                match read_time(text, layout) {
                    Ok(written) => *text = written,
                    Err(why) => self.unreadable(why),
                }
            }
            _ => {}
        }
    }

    fn quantity(&mut self, value: &mut Value) {
        match Quantity::written(value) {
            Ok(written) => *value = written.into(),
            Err(why) => self.unreadable(why.to_string()),
        }
    }

    fn number_or_text(&mut self, value: &Value) {
        let is_number = value
            .as_i64()
            .is_some_and(|number| i32::try_from(number).is_ok());
        if value.is_string() || is_number {
            return;
        }
        let found = found(value);
        self.unreadable(format!(
            "json: cannot unmarshal {found} into Go value of type int32"
        ));
    }

    fn unreadable(&mut self, why: String) {
        self.findings.mistyped.get_or_insert(why);
    }

    fn mistyped(&mut self, value: &Value, reference: &Value, place: &Place<'_>) {
        let wanted = go::type_name(reference);
        let found = if wanted.starts_with("int") {
            found(value)
        } else {
            go_type_of(value).to_owned()
        };
        self.mistyped_as(&found, &wanted, place);
    }

    fn mistyped_as(&mut self, found: &str, wanted: &str, place: &Place<'_>) {
        let field = place.name();
        self.unreadable(format!(
            "json: cannot unmarshal {found} into Go struct field {field} of type {wanted}"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn finds_and_prunes_unknown_fields() {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"any": "x"}},
            "spec": {"foo": 1, "containers": [{"name": "c", "imagee": "x", "resources": {"limits": {"cpu": "1"}}}]}});
        let findings = check(kind::POD, &mut pod);
        assert_eq!(
            findings.unknown,
            [
                "unknown field \"spec.foo\"",
                "unknown field \"spec.containers[0].imagee\""
            ]
        );
        assert_eq!(findings.mistyped, None);
        assert_eq!(
            pod["spec"]["containers"][0],
            json!({"name": "c", "resources": {"limits": {"cpu": "1"}}})
        );
    }

    #[test]
    fn says_what_has_the_wrong_type() {
        for (kind, mut object, said) in [
            (
                kind::DEPLOYMENT,
                json!({"spec": {"replicas": "three"}}),
                "string into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                kind::DEPLOYMENT,
                json!({"spec": {"replicas": 1.5}}),
                "number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                kind::CONFIG_MAP,
                json!({"data": {"a": 1}}),
                "number into Go struct field ConfigMap.data of type string",
            ),
            (
                kind::CONFIG_MAP,
                json!({"metadata": {"labels": "x"}}),
                "string into Go struct field ObjectMeta.metadata.labels of type map[string]string",
            ),
            (
                kind::POD,
                json!({"spec": {"containers": ["c"]}}),
                "string into Go struct field PodSpec.spec.containers of type v1.Container",
            ),
            (
                kind::POD,
                json!({"spec": {"containers": [{"name": 1}]}}),
                "number into Go struct field Container.spec.containers.name of type string",
            ),
        ] {
            let found = check(kind, &mut object).mistyped.unwrap();
            assert!(found.ends_with(said), "{found}");
        }
        let mut service = json!({"spec": {"ports": [{"port": 80, "targetPort": "http"}]}});
        assert_eq!(check(kind::SERVICE, &mut service), Findings::default());
    }

    #[test]
    fn texts_and_numbers_are_looked_into() {
        for (kind, mut object, said) in [
            (
                kind::SECRET,
                json!({"data": {"a": "not base64!"}}),
                "illegal base64 data at input byte 3",
            ),
            (
                kind::CONFIG_MAP,
                json!({"binaryData": {"a": "aGVs\nbG8"}}),
                "illegal base64 data at input byte 5",
            ),
            (
                kind::LEASE,
                json!({"spec": {"renewTime": "yesterday"}}),
                "parsing time \"yesterday\"",
            ),
            (
                kind::POD,
                json!({"spec": {"containers": [{"resources": {"limits": {"cpu": "1.2.3"}}}]}}),
                "quantities must match the regular expression",
            ),
            (
                kind::POD,
                json!({"spec": {"overhead": {"cpu": true}}}),
                "quantities must match the regular expression",
            ),
            (
                kind::SERVICE,
                json!({"spec": {"ports": [{"targetPort": false}]}}),
                "json: cannot unmarshal bool into Go value of type int32",
            ),
            (
                kind::DEPLOYMENT,
                json!({"spec": {"replicas": 99_999_999_999_u64}}),
                "cannot unmarshal number 99999999999 into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
        ] {
            let found = check(kind, &mut object).mistyped.unwrap_or_default();
            assert!(found.contains(said), "{found}");
        }
        let mut lease = json!({"spec": {"renewTime": "2026-01-02T03:04:05.678901+00:00", "leaseDurationSeconds": 15}});
        assert_eq!(check(kind::LEASE, &mut lease), Findings::default());
        assert_eq!(lease["spec"]["renewTime"], "2026-01-02T03:04:05.678901Z");
        let mut pod =
            json!({"spec": {"volumes": [{"name": "v", "emptyDir": {"sizeLimit": 1_048_576}}]}});
        assert_eq!(check(kind::POD, &mut pod), Findings::default());
        assert_eq!(
            pod["spec"]["volumes"][0]["emptyDir"]["sizeLimit"],
            "1048576"
        );
    }

    #[test]
    fn every_kind_has_a_shape() {
        for kind in kind::KINDS {
            let mut object = json!({"metadata": {"name": "a"}, "nonsense": 1});
            assert_eq!(
                check(kind, &mut object).unknown,
                ["unknown field \"nonsense\""],
                "{}",
                kind.kind
            );
        }
    }
}
