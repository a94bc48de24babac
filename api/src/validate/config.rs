//! ConfigMaps and Secrets: their size, and what the type of a Secret asks of its data.

use super::text;
use crate::{go::syntax_error, status::Cause};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// All values of one object, bytes; as upstream.
const DATA_BYTES_MAX: usize = 1024 * 1024;
/// Levels of JSON that Go's decoder reads.
const GO_DEPTH_MAX: usize = 10_000;
/// The type of Secrets that hold the token of a service account, and the annotation that names it. What else such
/// a Secret holds, a controller adds.
const SERVICE_ACCOUNT_TOKEN: &str = "kubernetes.io/service-account-token";
const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";

pub(super) fn config_map(object: &Value, causes: &mut Vec<Cause>) {
    let mut size = 0;
    for (key, value) in fields(object, "data") {
        size += value.as_str().unwrap_or_default().len();
        if object["binaryData"].get(key).is_some() {
            let detail = "duplicate of key present in binaryData";
            causes.push(Cause::invalid(format!("data[{key}]"), &json!(key), detail));
        }
    }
    size += fields(object, "binaryData")
        .map(|(_, value)| decoded_len(value))
        .sum::<usize>();
    if size > DATA_BYTES_MAX {
        // As upstream writes the path of an object as a whole.
        causes.push(Cause::too_long("[]", DATA_BYTES_MAX));
    }
}

pub(super) fn secret(object: &Value, causes: &mut Vec<Cause>) {
    let size: usize = fields(object, "data")
        .map(|(_, value)| decoded_len(value))
        .sum();
    if size > DATA_BYTES_MAX {
        causes.push(Cause::too_long("data", DATA_BYTES_MAX));
    }
    let has = |key: &str| {
        object["data"]
            .get(key)
            .is_some_and(|value| !value.is_null())
    };
    if text(object, "type") == SERVICE_ACCOUNT_TOKEN
        && text(&object["metadata"]["annotations"], ACCOUNT_NAME).is_empty()
    {
        let field = format!("metadata.annotations[{ACCOUNT_NAME}]");
        causes.push(Cause::required(field, ""));
    }
    let mut need = |key: &str| {
        if !has(key) {
            causes.push(Cause::required(format!("data[{key}]"), ""));
        }
    };
    match text(object, "type") {
        "kubernetes.io/dockerconfigjson" => {
            need(".dockerconfigjson");
            json_value(object, ".dockerconfigjson", causes);
        }
        "kubernetes.io/dockercfg" => {
            need(".dockercfg");
            json_value(object, ".dockercfg", causes);
        }
        "kubernetes.io/tls" => {
            need("tls.crt");
            need("tls.key");
        }
        "kubernetes.io/ssh-auth" => need("ssh-privatekey"),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            need("username");
            need("password");
        }
        _ => {}
    }
}

/// Of a Secret the type stays.
pub(super) fn unchanged_type(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    if new["type"] != old["type"] {
        causes.push(Cause::invalid("type", &new["type"], "field is immutable"));
    }
}

fn json_value(object: &Value, key: &str, causes: &mut Vec<Cause>) {
    let Some(encoded) = object["data"].get(key).and_then(Value::as_str) else {
        return;
    };
    let bytes = STANDARD.decode(encoded).unwrap_or_default();
    if let Some(detail) = no_map(&bytes) {
        causes.push(Cause::invalid(
            format!("data[{key}]"),
            &json!("<secret contents redacted>"),
            &detail,
        ));
    }
}

/// Why a text is no JSON object, in Go's words: of a Secret's value they tell one character at most.
fn no_map(text: &[u8]) -> Option<String> {
    if let Some(why) = syntax_error(text, GO_DEPTH_MAX) {
        return Some(why);
    }
    let found = match text.trim_ascii_start().first()? {
        b'{' | b'n' => return None,
        b'[' => "array",
        b'"' => "string",
        b't' | b'f' => "bool",
        _ => "number",
    };
    Some(format!(
        "json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
    ))
}

fn fields<'a>(object: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    object
        .get(name)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

fn decoded_len(value: &Value) -> usize {
    let text = value.as_str().unwrap_or_default().trim_end_matches('=');
    text.len() * 3 / 4
}

#[cfg(test)]
mod tests {
    use crate::{kind, validate};
    use serde_json::{Value, json};

    #[track_caller]
    fn check(kind: crate::KindRef, object: Value, expected: &[&str]) {
        let causes = validate::create(kind, &object);
        let fields: Vec<&str> = causes.iter().map(|cause| cause.field.as_str()).collect();
        assert_eq!(fields, expected, "{causes:?}");
    }

    #[test]
    fn what_is_no_json_is_said_in_the_words_of_go() {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let unmarshal = |what: &str| {
            format!("json: cannot unmarshal {what} into Go value of type map[string]interface {{}}")
        };
        for (text, said) in [
            ("", Some("unexpected end of JSON input".to_owned())),
            (
                "x",
                Some("invalid character 'x' looking for beginning of value".to_owned()),
            ),
            (
                "{\"auths\":}",
                Some("invalid character '}' looking for beginning of value".to_owned()),
            ),
            (" [1]", Some(unmarshal("array"))),
            ("\"x\"", Some(unmarshal("string"))),
            ("-1", Some(unmarshal("number"))),
            ("true", Some(unmarshal("bool"))),
            ("null", None),
            ("{\"auths\":{}}", None),
        ] {
            let object = json!({"metadata": {"name": "a"}, "type": "kubernetes.io/dockerconfigjson",
                "data": {".dockerconfigjson": STANDARD.encode(text)}});
            let causes = validate::create(kind::SECRET, &object);
            let found = causes.first().map(|cause| cause.message.as_str());
            let said =
                said.map(|why| format!("Invalid value: \"<secret contents redacted>\": {why}"));
            assert_eq!(found, said.as_deref(), "{text}");
        }
    }

    #[test]
    fn sizes_and_types() {
        let map = |data: Value| json!({"metadata": {"name": "a"}, "data": data});
        check(
            kind::CONFIG_MAP,
            map(json!({"a": "x".repeat(1024 * 1024)})),
            &[],
        );
        check(
            kind::CONFIG_MAP,
            map(json!({"a": "x".repeat(1024 * 1024), "b": "x"})),
            &["[]"],
        );
        let mut both = map(json!({"a": ""}));
        both["binaryData"] = json!({"a": ""});
        check(kind::CONFIG_MAP, both, &["data[a]"]);
        let secret = |kind: &str, data: Value| json!({"metadata": {"name": "a"}, "type": kind, "data": data});
        let docker = "kubernetes.io/dockerconfigjson";
        check(kind::SECRET, secret("Opaque", json!({})), &[]);
        check(
            kind::SECRET,
            secret(docker, json!({})),
            &["data[.dockerconfigjson]"],
        );
        check(
            kind::SECRET,
            secret(docker, json!({".dockerconfigjson": "e30="})),
            &[],
        );
        check(
            kind::SECRET,
            secret(docker, json!({".dockerconfigjson": "eA=="})),
            &["data[.dockerconfigjson]"],
        );
        check(
            kind::SECRET,
            secret("kubernetes.io/tls", json!({"tls.crt": ""})),
            &["data[tls.key]"],
        );
        check(
            kind::SECRET,
            secret("kubernetes.io/basic-auth", json!({"password": ""})),
            &[],
        );
        check(
            kind::SECRET,
            secret("Opaque", json!({"a": "x".repeat(1024 * 1024 * 4 / 3 + 8)})),
            &["data"],
        );
        let field = "metadata.annotations[kubernetes.io/service-account.name]";
        let mut token = secret("kubernetes.io/service-account-token", json!({}));
        check(kind::SECRET, token.clone(), &[field]);
        for (account, expected) in [("", &[field][..]), ("robot", &[])] {
            token["metadata"]["annotations"] =
                json!({"kubernetes.io/service-account.name": account});
            check(kind::SECRET, token.clone(), expected);
        }
    }
}
