//! One served version of a definition: everything that is done to its objects, in upstream's order.
//!
//! Source: k8s.io/apiextensions-apiserver `pkg/registry/customresource/strategy.go`. Names, labels and
//! what else all metadata has in common is not looked at here.

use super::{
    cause::{blocked, is_blocking},
    default::TooLarge,
    jsonpath::{JsonPath, print},
    scale::Scale,
    structural::{self, Structural},
    table::Columns,
    value::CAUSES_MAX,
};
use crate::status::Cause;
use serde_json::{Value, json};

/// A version of a definition, compiled.
#[derive(Debug)]
pub struct CustomVersion {
    api_version: String,
    kind: String,
    /// Its schema; one that knows nothing where the version has none.
    pub schema: Structural,
    /// What a Table shows.
    pub columns: Columns,
    /// Where `/scale` reads and writes, if it has it.
    pub scale: Option<Scale>,
    /// Has a `/status`.
    pub has_status: bool,
    /// The text of the warning that goes with each answer, if the version is deprecated.
    pub deprecation: Option<String>,
    selectable: Vec<(String, JsonPath)>,
}

/// A version that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The definition has no such version.
    #[error("the definition has no version {0:?}")]
    NoVersion(String),
    /// Its schema cannot be compiled.
    #[error("cannot compile the schema of version {version:?}")]
    Schema {
        /// Name of the version.
        version: String,
        /// Why.
        #[source]
        source: structural::Error,
    },
}

impl CustomVersion {
    /// Compiles a version of a stored definition.
    ///
    /// # Errors
    /// When there is no such version, or its schema is not one that validation lets pass.
    pub fn compile(crd: &Value, name: &str) -> Result<Self, Error> {
        let versions = crd["spec"]["versions"].as_array();
        let mut versions = versions.into_iter().flatten();
        let version = versions.find(|version| version["name"] == name);
        let version = version.ok_or_else(|| Error::NoVersion(name.to_owned()))?;
        let raw = &version["schema"]["openAPIV3Schema"];
        let schema = if raw.is_null() {
            Structural::default()
        } else {
            Structural::compile(raw).map_err(|source| Error::Schema {
                version: name.to_owned(),
                source,
            })?
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let kind = text(&crd["spec"]["names"]["kind"]);
        let api_version = format!("{}/{name}", text(&crd["spec"]["group"]));
        let fields = version["selectableFields"].as_array();
        let selectable = fields.into_iter().flatten().filter_map(|field| {
            let path = field["jsonPath"].as_str()?;
            let name = path.strip_prefix('.').unwrap_or(path);
            Some((name.to_owned(), JsonPath::parse(path)?))
        });
        let deprecation = (version["deprecated"] == json!(true)).then(|| {
            let own = version["deprecationWarning"].as_str();
            own.map_or_else(
                || format!("{api_version} {kind} is deprecated"),
                str::to_owned,
            )
        });
        Ok(Self {
            schema,
            columns: Columns::new(version),
            scale: Scale::new(version),
            has_status: !version["subresources"]["status"].is_null(),
            selectable: selectable.collect(),
            deprecation,
            api_version,
            kind,
        })
    }

    /// Fills in defaults and drops unknown fields. Returns the paths of these, for strict validation:
    /// `unknown field "spec.foo"`. To be done to what a client sends.
    ///
    /// # Errors
    /// When the defaults are too many; the object is then to be refused.
    pub fn decode(&self, object: &mut Value) -> Result<Vec<String>, TooLarge> {
        self.schema.fill_defaults(object)?;
        Ok(self.schema.prune(object))
    }

    /// Makes of a stored object what the schema makes of it now: what it does not know goes, and what embedded metadata
    /// cannot be; defaults are filled in. To be done to what is read of the store.
    ///
    /// Source: k8s.io/apiextensions-apiserver `pkg/apiserver/customresource_handler.go`, `crdConversionRESTOptionsGetter`.
    ///
    /// # Errors
    /// When the defaults are too many; the object then has those that there was room for.
    pub fn normalise(&self, object: &mut Value) -> Result<(), TooLarge> {
        self.schema.prune(object);
        self.schema.drop_malformed(object);
        self.schema.fill_defaults(object)
    }

    /// Makes of an object of another version one of this: nothing changes but the version, and what the schema does not
    /// know goes. No default is filled in, as upstream.
    pub fn convert(&self, object: &mut Value) {
        object["apiVersion"] = json!(self.api_version);
        self.schema.prune(object);
        self.schema.drop_nulls(object);
    }

    /// What is wrong with a new object.
    #[must_use]
    pub fn validate_create(&self, object: &Value) -> Vec<Cause> {
        let mut causes = self.type_meta(object);
        if !causes.is_empty() {
            return causes;
        }
        causes.extend(self.schema.validate_value(object, None));
        self.scale_causes(object, false, &mut causes);
        self.rest(object, None, causes)
    }

    /// What is wrong with `new` as the successor of `old`. What was wrong before and is not touched is
    /// let pass.
    #[must_use]
    pub fn validate_update(&self, new: &Value, old: &Value) -> Vec<Cause> {
        let mut causes = self.type_meta(new);
        if !causes.is_empty() {
            return causes;
        }
        causes.extend(self.schema.validate_value(new, Some(old)));
        self.scale_causes(new, false, &mut causes);
        self.rest(new, Some(old), causes)
    }

    /// What is wrong with an object whose status was written through `/status`.
    #[must_use]
    pub fn validate_status_update(&self, new: &Value, old: &Value) -> Vec<Cause> {
        let mut causes = self.type_meta(new);
        if !causes.is_empty() {
            return causes;
        }
        causes.extend(self.schema.validate_status(new, Some(old)));
        self.scale_causes(new, true, &mut causes);
        self.rest(new, Some(old), causes)
    }

    fn type_meta(&self, object: &Value) -> Vec<Cause> {
        let mut causes = Vec::new();
        for (name, wanted) in [("kind", &self.kind), ("apiVersion", &self.api_version)] {
            if object[name] != json!(wanted) {
                let value = json!(object[name].as_str().unwrap_or_default());
                causes.push(Cause::invalid(name, &value, &format!("must be {wanted}")));
            }
        }
        causes
    }

    fn scale_causes(&self, object: &Value, status_only: bool, causes: &mut Vec<Cause>) {
        if let Some(scale) = &self.scale {
            causes.extend(scale.validate(object, status_only));
        }
    }

    fn rest(&self, new: &Value, old: Option<&Value>, mut causes: Vec<Cause>) -> Vec<Cause> {
        causes.extend(self.schema.validate_embedded(new));
        causes.extend(self.schema.validate_lists(new, old));
        if self.schema.has_rules() {
            if is_blocking(&causes) {
                causes.push(blocked());
            } else {
                causes.extend(self.schema.validate_rules(new, old));
            }
        }
        causes.truncate(CAUSES_MAX);
        causes
    }

    /// Names of fields that a field selector may name, besides those of metadata.
    pub fn selectable_fields(&self) -> impl Iterator<Item = &str> {
        self.selectable.iter().map(|(name, _)| name.as_str())
    }

    /// What an object has in a field that a selector names; empty where it is absent, nothing where no
    /// selector may name it.
    #[must_use]
    pub fn selectable_value(&self, object: &Value, name: &str) -> Option<String> {
        let (_, path) = self.selectable.iter().find(|(known, _)| known == name)?;
        let found = path.find(object);
        let value = found.first().filter(|value| !value.is_null());
        Some(value.map(|value| print(value)).unwrap_or_default())
    }
}
