//! What a decoder of gnostic's messages makes of the bytes: the few of its messages that clients read, by hand.

use super::*;
use crate::schema;
use prost::Message as _;
use serde_json::json;

#[derive(Clone, PartialEq, prost::Message)]
struct Document {
    #[prost(string, tag = "1")]
    swagger: String,
    #[prost(message, optional, tag = "2")]
    info: Option<NamedText>,
    #[prost(message, optional, tag = "8")]
    paths: Option<Paths>,
    #[prost(message, optional, tag = "9")]
    definitions: Option<Definitions>,
    #[prost(message, optional, tag = "10")]
    parameters: Option<ParameterDefinitions>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct NamedText {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Paths {
    #[prost(message, repeated, tag = "2")]
    path: Vec<NamedPathItem>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct NamedPathItem {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<PathItem>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PathItem {
    #[prost(message, optional, tag = "8")]
    patch: Option<Operation>,
    #[prost(message, repeated, tag = "9")]
    parameters: Vec<ParametersItem>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Operation {
    #[prost(string, repeated, tag = "1")]
    tags: Vec<String>,
    #[prost(string, tag = "5")]
    operation_id: String,
    #[prost(string, repeated, tag = "7")]
    consumes: Vec<String>,
    #[prost(message, repeated, tag = "8")]
    parameters: Vec<ParametersItem>,
    #[prost(message, optional, tag = "9")]
    responses: Option<Responses>,
    #[prost(message, repeated, tag = "13")]
    vendor_extension: Vec<NamedAny>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Responses {
    #[prost(message, repeated, tag = "1")]
    response_code: Vec<NamedResponseValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct NamedResponseValue {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<ResponseValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ResponseValue {
    #[prost(message, optional, tag = "1")]
    response: Option<Response>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Response {
    #[prost(string, tag = "1")]
    description: String,
    #[prost(message, optional, tag = "2")]
    schema: Option<ItemsItem>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ParametersItem {
    #[prost(message, optional, tag = "1")]
    parameter: Option<Parameter>,
    #[prost(message, optional, tag = "2")]
    json_reference: Option<NamedText>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ParameterDefinitions {
    #[prost(message, repeated, tag = "1")]
    additional_properties: Vec<NamedParameter>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct NamedParameter {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Parameter>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Parameter {
    #[prost(message, optional, tag = "1")]
    body: Option<Body>,
    #[prost(message, optional, tag = "2")]
    other: Option<NonBody>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Body {
    #[prost(string, tag = "2")]
    name: String,
    #[prost(bool, tag = "4")]
    required: bool,
    #[prost(message, optional, tag = "5")]
    schema: Option<Schema>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct NonBody {
    #[prost(message, optional, tag = "3")]
    query: Option<Simple>,
    #[prost(message, optional, tag = "4")]
    path: Option<Simple>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Simple {
    #[prost(bool, tag = "1")]
    required: bool,
    #[prost(string, tag = "2")]
    place: String,
    #[prost(string, tag = "4")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Definitions {
    #[prost(message, repeated, tag = "1")]
    additional_properties: Vec<NamedSchema>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct NamedSchema {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Schema>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Schema {
    #[prost(string, tag = "1")]
    reference: String,
    #[prost(string, tag = "2")]
    format: String,
    #[prost(string, tag = "4")]
    description: String,
    #[prost(double, tag = "7")]
    maximum: f64,
    #[prost(int64, tag = "14")]
    max_items: i64,
    #[prost(string, repeated, tag = "19")]
    required: Vec<String>,
    #[prost(message, repeated, tag = "20")]
    one_of_these: Vec<Any>,
    #[prost(message, optional, boxed, tag = "21")]
    additional: Option<Box<Additional>>,
    #[prost(message, optional, tag = "22")]
    kind: Option<Texts>,
    #[prost(message, optional, tag = "23")]
    items: Option<ItemsItem>,
    #[prost(message, optional, tag = "25")]
    properties: Option<Definitions>,
    #[prost(message, repeated, tag = "31")]
    vendor_extension: Vec<NamedAny>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Additional {
    #[prost(message, optional, boxed, tag = "1")]
    schema: Option<Box<Schema>>,
    #[prost(bool, tag = "2")]
    boolean: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Texts {
    #[prost(string, repeated, tag = "1")]
    value: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ItemsItem {
    #[prost(message, repeated, tag = "1")]
    schema: Vec<Schema>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct NamedAny {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(string, tag = "2")]
    yaml: String,
}

impl Schema {
    fn property(&self, name: &str) -> &Self {
        let all = &self.properties.as_ref().unwrap().additional_properties;
        let found = all.iter().find(|one| one.name == name);
        found.unwrap().value.as_ref().unwrap()
    }

    fn extension(&self, name: &str) -> Value {
        yaml(&self.vendor_extension, name)
    }
}

fn yaml(extensions: &[NamedAny], name: &str) -> Value {
    let found = extensions.iter().find(|one| one.name == name).unwrap();
    serde_json::from_str(&found.value.as_ref().unwrap().yaml).unwrap()
}

#[test]
fn a_decoder_reads_the_whole_document() {
    let mut swagger = Swagger::new("Kubernetes", "v1.35.0");
    schema::openapi_v2(Vec::new(), |section, name, value| {
        swagger.add(section, name, &value);
    });
    let document = Document::decode(swagger.take().as_slice()).unwrap();
    assert_eq!(document.swagger, "2.0");
    assert_eq!(document.info.unwrap().value, "v1.35.0");
    let definitions = document.definitions.unwrap().additional_properties;
    let pod = definitions
        .iter()
        .find(|one| one.name == "io.k8s.api.core.v1.Pod");
    let pod = pod.unwrap().value.as_ref().unwrap();
    assert_eq!(pod.kind.as_ref().unwrap().value, ["object"]);
    let gvk = pod.extension("x-kubernetes-group-version-kind");
    assert_eq!(gvk, json!([{"group": "", "kind": "Pod", "version": "v1"}]));
    let spec = pod.property("spec");
    assert_eq!(spec.reference, "#/definitions/io.k8s.api.core.v1.PodSpec");
    assert!(spec.description.starts_with("Specification"));
    let paths = document.paths.unwrap().path;
    let one = "/api/v1/namespaces/{namespace}/pods/{name}";
    let item = paths.iter().find(|path| path.name == one);
    let item = item.unwrap().value.as_ref().unwrap();
    let in_path = |item: &ParametersItem| {
        let other = item.parameter.as_ref()?.other.as_ref()?;
        other.path.clone()
    };
    let found = in_path(&item.parameters[0]).unwrap();
    assert_eq!((found.required, found.name.as_str()), (true, "name"));
    let patch = item.patch.as_ref().unwrap();
    assert_eq!(patch.operation_id, "patchCoreV1NamespacedPod");
    assert_eq!(patch.tags, ["core_v1"]);
    assert_eq!(patch.consumes.len(), 4);
    let gvk = yaml(&patch.vendor_extension, "x-kubernetes-group-version-kind");
    assert_eq!(gvk["kind"], "Pod");
    let body = patch.parameters[0].parameter.as_ref().unwrap();
    let body = body.body.as_ref().unwrap();
    assert_eq!((body.name.as_str(), body.required), ("body", true));
    assert!(body.schema.as_ref().unwrap().reference.ends_with("Patch"));
    let codes = &patch.responses.as_ref().unwrap().response_code;
    let ok = codes.iter().find(|code| code.name == "200").unwrap();
    let response = ok.value.as_ref().unwrap().response.as_ref().unwrap();
    let answer = &response.schema.as_ref().unwrap().schema[0].reference;
    assert_eq!(answer, "#/definitions/io.k8s.api.core.v1.Pod");
    // What kubectl does to see that a write may be a dry run.
    let named = |item: &ParametersItem| item.json_reference.clone().map(|one| one.name);
    let dry_run = "#/parameters/dryRun".to_owned();
    assert!(
        patch
            .parameters
            .iter()
            .filter_map(named)
            .any(|name| name == dry_run)
    );
    let parameters = document.parameters.unwrap().additional_properties;
    let dry_run = parameters.iter().find(|one| one.name == "dryRun").unwrap();
    let query = dry_run.value.clone().unwrap().other.unwrap().query.unwrap();
    assert_eq!(
        (query.place.as_str(), query.name.as_str()),
        ("query", "dryRun")
    );
}

#[test]
fn every_form_of_a_schema_is_written() {
    let mut swagger = Swagger::default();
    let schema = json!({
        "type": "object",
        "maximum": 2.5,
        "required": ["a", "b"],
        "properties": {
            "a": {"type": "array", "maxItems": 3, "items": {"type": "string", "enum": ["x", 1]}},
            "b": {"additionalProperties": {"format": "int-or-string"}},
            "c": {"additionalProperties": true, "unknown": 1},
        },
        "x-kubernetes-list-map-keys": ["name"],
    });
    swagger.add(Section::Definitions, "T", &schema);
    let document = Document::decode(swagger.take().as_slice()).unwrap();
    let definitions = document.definitions.unwrap().additional_properties;
    let found = definitions[0].value.as_ref().unwrap();
    assert_eq!((found.maximum, found.required.len()), (2.5, 2));
    let list = found.property("a");
    assert_eq!(list.max_items, 3);
    let items = &list.items.as_ref().unwrap().schema[0];
    let values: Vec<&str> = items
        .one_of_these
        .iter()
        .map(|any| any.yaml.as_str())
        .collect();
    assert_eq!(values, ["\"x\"\n", "1\n"]);
    let map = found.property("b").additional.as_ref().unwrap();
    assert_eq!(map.schema.as_ref().unwrap().format, "int-or-string");
    assert!(found.property("c").additional.as_ref().unwrap().boolean);
    assert_eq!(
        found.extension("x-kubernetes-list-map-keys"),
        json!(["name"])
    );
    assert!(swagger.take().is_empty());
}
