//! What `kubectl get` prints of custom resources.
//!
//! Source: k8s.io/apiextensions-apiserver `pkg/registry/customresource/tableconvertor`.

use super::jsonpath::{JsonPath, print};
use crate::table::{ABOUT_AGE, ABOUT_NAME, human_duration};
use jiff::Timestamp;
use serde_json::{Value, json};

/// The columns of one version. The name is always the first.
#[derive(Debug)]
pub struct Columns {
    definitions: Vec<Value>,
    cells: Vec<(String, JsonPath)>,
}

impl Columns {
    /// The columns of a version, as its definition has it.
    pub(super) fn new(version: &Value) -> Self {
        let default = [json!({
            "name": "Age", "type": "date", "description": ABOUT_AGE, "jsonPath": ".metadata.creationTimestamp",
        })];
        let named = version
            .get("additionalPrinterColumns")
            .and_then(Value::as_array);
        let named = named.filter(|columns| !columns.is_empty());
        let mut columns = Self {
            definitions: vec![json!({
                "name": "Name", "type": "string", "format": "name", "description": ABOUT_NAME, "priority": 0,
            })],
            cells: Vec::new(),
        };
        for column in named.map_or(&default[..], Vec::as_slice) {
            let text = |name: &str| column.get(name).and_then(Value::as_str).unwrap_or_default();
            // Upstream leaves out what follows a path that it cannot read.
            let Some(path) = JsonPath::parse(text("jsonPath")) else {
                break;
            };
            let description = match text("description") {
                "" => format!(
                    "Custom resource definition column (in JSONPath format): {}",
                    text("jsonPath")
                ),
                description => description.to_owned(),
            };
            columns.definitions.push(json!({
                "name": text("name"),
                "type": text("type"),
                "format": text("format"),
                "description": description,
                "priority": column.get("priority").and_then(Value::as_i64).unwrap_or(0),
            }));
            columns.cells.push((text("type").to_owned(), path));
        }
        columns
    }

    /// `columnDefinitions` of a Table.
    #[must_use]
    pub fn definitions(&self) -> &[Value] {
        &self.definitions
    }

    /// The `cells` of one object; ages are against `now`.
    #[must_use]
    pub fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let mut cells = vec![object["metadata"]["name"].clone()];
        for (kind, path) in &self.cells {
            let found = path.find(object);
            let value = found.first().copied().unwrap_or(&Value::Null);
            cells.push(cell(kind, value, now));
        }
        cells
    }
}

fn cell(kind: &str, value: &Value, now: Timestamp) -> Value {
    match (kind, value) {
        (_, Value::Null) => Value::Null,
        ("string", value) => json!(print(value)),
        ("integer", Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => json!(whole),
            (None, float) => {
                let whole = float.unwrap_or_default().trunc();
                serde_json::from_str(&format!("{whole:.0}")).unwrap_or_default()
            }
        },
        ("number", Value::Number(number)) => json!(number.as_f64()),
        ("boolean", Value::Bool(value)) => json!(value),
        ("date", Value::String(text)) => match text.parse::<Timestamp>() {
            Ok(time) => json!(human_duration(now.as_second() - time.as_second())),
            Err(_) if text.is_empty() => json!("<unknown>"),
            Err(_) => json!("<invalid>"),
        },
        _ => Value::Null,
    }
}
