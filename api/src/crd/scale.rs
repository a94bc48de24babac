//! The `/scale` of custom resources: replicas and selector, where a version says they are.
//!
//! Source: k8s.io/apiextensions-apiserver `pkg/registry/customresource`.

use super::{cause::invalid, jsonpath::print, path::Path};
use crate::{
    go::{DEPTH_MAX, go_type},
    status::Cause,
};
use serde_json::{Map, Value, json};

/// Where an object's replicas and selector are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    spec: String,
    status: String,
    selector: Option<String>,
}

/// Why an object has no scale.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A field that is no number or text; upstream answers 500.
    #[error("{path} accessor error: {value} is of the type {actual}, expected {wanted}")]
    WrongType {
        /// Where.
        path: String,
        /// What stands there.
        value: String,
        /// Its type, as upstream calls it.
        actual: &'static str,
        /// What should.
        wanted: &'static str,
    },
    /// There is no place for replicas in the spec.
    #[error("the spec replicas field {0:?} does not exist")]
    NoReplicas(String),
}

impl Scale {
    /// What a version says, if it has the subresource.
    pub(super) fn new(version: &Value) -> Option<Self> {
        let scale = version.get("subresources")?.get("scale")?;
        let path = |name: &str| scale.get(name)?.as_str().map(str::to_owned);
        Some(Self {
            spec: path("specReplicasPath")?,
            status: path("statusReplicasPath")?,
            selector: path("labelSelectorPath").filter(|path| !path.is_empty()),
        })
    }

    /// The names of the fields that lead to the replicas of an object.
    pub fn path(&self) -> impl Iterator<Item = &str> {
        names(&self.spec)
    }

    /// The same as its definition writes it.
    #[must_use]
    pub fn replicas_path(&self) -> &str {
        &self.spec
    }

    /// The `autoscaling/v1` Scale of an object; its spec is empty where there are no replicas.
    ///
    /// # Errors
    /// When the fields are not what they should be.
    pub fn read(&self, object: &Value) -> Result<Value, Error> {
        let spec = match integer(object, &self.spec)? {
            Some(replicas) => json!({"replicas": replicas}),
            None => json!({}),
        };
        let status = integer(object, &self.status)?.unwrap_or(0);
        let mut scale = json!({
            "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": about(object),
            "spec": spec, "status": {"replicas": status},
        });
        if let Some(path) = &self.selector
            && let Some(selector) = text(object, path)?.filter(|text| !text.is_empty())
        {
            scale["status"]["selector"] = json!(selector);
        }
        Ok(scale)
    }

    /// Writes the replicas of a Scale into the spec of its object.
    ///
    /// # Errors
    /// When something else than objects is on the way there.
    pub fn write(&self, object: &mut Value, replicas: i32) -> Result<(), Error> {
        let names: Vec<&str> = names(&self.spec).collect();
        // A path of many thousand names would make what nobody can walk over, or read again.
        let Some((last, parents)) = names.split_last().filter(|_| names.len() <= DEPTH_MAX) else {
            return Err(Error::NoReplicas(self.spec.clone()));
        };
        let mut place = object;
        for name in parents {
            place = fields(place, &self.spec)?
                .entry((*name).to_owned())
                .or_insert_with(|| json!({}));
        }
        fields(place, &self.spec)?.insert((*last).to_owned(), json!(replicas));
        Ok(())
    }

    /// What is wrong with the replicas and selector of an object; of a write to `/status`, only those
    /// of the status.
    pub(super) fn validate(&self, object: &Value, status_only: bool) -> Vec<Cause> {
        let mut causes = Vec::new();
        if !status_only {
            replicas(object, &self.spec, &mut causes);
        }
        replicas(object, &self.status, &mut causes);
        if let Some(path) = &self.selector
            && let Err(error) = text(object, path)
        {
            causes.push(invalid(Path::at(path), &json!(""), &error.to_string()));
        }
        causes
    }
}

fn replicas(object: &Value, path: &str, causes: &mut Vec<Cause>) {
    let at = Path::at(path);
    match integer(object, path) {
        Err(error) => causes.push(invalid(at, &json!(0), &error.to_string())),
        Ok(Some(value)) if value < 0 => {
            causes.push(invalid(
                at,
                &json!(value),
                "should be a non-negative integer",
            ));
        }
        Ok(Some(value)) if value > i64::from(i32::MAX) => {
            let detail = format!("should be less than or equal to {}", i32::MAX);
            causes.push(invalid(at, &json!(value), &detail));
        }
        Ok(_) => {}
    }
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('.').unwrap_or(path).split('.')
}

fn fields<'a>(value: &'a mut Value, path: &str) -> Result<&'a mut Map<String, Value>, Error> {
    if value.is_object() {
        return value
            .as_object_mut()
            .ok_or_else(|| Error::NoReplicas(path.to_owned()));
    }
    Err(wrong(path, value, "map[string]interface {}"))
}

/// The metadata of a Scale: what tells of which object it is, and of which version.
#[must_use]
pub fn about(object: &Value) -> Value {
    let names = [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ];
    let told = |name: &str| {
        let value = object["metadata"].get(name)?;
        (!value.is_null()).then(|| (name.to_owned(), value.clone()))
    };
    Value::Object(names.into_iter().filter_map(told).collect())
}

fn wrong(path: &str, value: &Value, wanted: &'static str) -> Error {
    Error::WrongType {
        path: path.to_owned(),
        value: print(value),
        actual: go_type(value),
        wanted,
    }
}

fn at<'a>(object: &'a Value, path: &str) -> Result<Option<&'a Value>, Error> {
    let mut place = object;
    for name in names(path) {
        if !place.is_object() {
            return Err(wrong(path, place, "map[string]interface {}"));
        }
        match place.get(name) {
            Some(value) => place = value,
            None => return Ok(None),
        }
    }
    Ok(Some(place))
}

fn integer(object: &Value, path: &str) -> Result<Option<i64>, Error> {
    match at(object, path)? {
        None => Ok(None),
        Some(value) => value
            .as_i64()
            .map(Some)
            .ok_or_else(|| wrong(path, value, "int64")),
    }
}

fn text<'a>(object: &'a Value, path: &str) -> Result<Option<&'a str>, Error> {
    match at(object, path)? {
        None => Ok(None),
        Some(value) => value
            .as_str()
            .map(Some)
            .ok_or_else(|| wrong(path, value, "string")),
    }
}
