//! One small valid object of each kind.

use anyhow::Context as _;
use serde_json::Value;

const TEXT: &str = include_str!("objects.yaml");

/// The object of a kind, by `apps/v1/Deployment`, for a namespace.
pub(super) fn of(kind: &str, namespace: &str) -> anyhow::Result<Value> {
    for document in TEXT.split("\n---\n") {
        let value: Value = serde_yaml_ng::from_str(&document.replace("NAMESPACE", namespace))?;
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        if format!("{}/{}", text("apiVersion"), text("kind")) == kind {
            return Ok(value);
        }
    }
    None.with_context(|| format!("objects.yaml has no {kind}"))
}
