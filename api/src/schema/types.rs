//! What a value at some place of an object is, as far as merging is concerned.
//!
//! Reads JSON schemas with upstream's `x-kubernetes-*` extensions, so that built-in and custom kinds are the
//! same to whoever merges. Of a value without a schema the type is deduced: its maps merge, its lists do not.
//! Source: structured-merge-diff, `schema` and `typed`; Kubernetes documentation, "Merge strategy".

use serde_json::{Map, Value};

/// The type of a value. Cheap to copy; borrows the schema.
#[derive(Debug, Clone, Copy)]
pub struct Type<'a> {
    definitions: Option<&'a Map<String, Value>>,
    /// What the holder of the value says of it.
    place: Option<&'a Map<String, Value>>,
    /// What the value itself is: the place, or what it refers to.
    schema: Option<&'a Map<String, Value>>,
}

/// How a list merges under server-side apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListType<'a> {
    /// As a whole.
    Atomic,
    /// A set of scalars.
    Set,
    /// Objects told apart by these fields.
    Map(Vec<&'a str>),
}

/// How a list merges under a strategic merge patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListMerge<'a> {
    /// Replaced as a whole.
    Atomic,
    /// A set of scalars.
    Set,
    /// Elements are objects told apart by this field.
    ByKey(&'a str),
}

impl<'a> Type<'a> {
    /// Of a value nobody describes.
    pub const UNKNOWN: Self = Self {
        definitions: None,
        place: None,
        schema: None,
    };

    /// Of a value that `schema` describes; references are looked up in `definitions`.
    #[must_use]
    pub fn new(definitions: Option<&'a Map<String, Value>>, schema: &'a Value) -> Self {
        let place = schema.as_object();
        let mut found = place;
        // References never form a cycle of references alone.
        while let Some(target) = found
            .and_then(|schema| schema.get("$ref")?.as_str())
            .and_then(|target| target.rsplit('/').next())
        {
            found = definitions.and_then(|all| all.get(target)?.as_object());
        }
        Self {
            definitions,
            place,
            schema: found,
        }
    }

    /// Whether anything is known of it.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.schema.is_some()
    }

    /// A word of its schema; what the place says comes first.
    #[must_use]
    pub fn word(&self, name: &str) -> Option<&'a str> {
        let read = |schema: Option<&'a Map<String, Value>>| schema?.get(name)?.as_str();
        read(self.place).or_else(|| read(self.schema))
    }

    /// The schema itself.
    #[must_use]
    pub fn schema(&self) -> Option<&'a Map<String, Value>> {
        self.schema
    }

    fn properties(&self) -> Option<&'a Map<String, Value>> {
        self.schema?.get("properties")?.as_object()
    }

    /// Whether `name` is a field it declares, and not a key of a map.
    #[must_use]
    pub fn declares(&self, name: &str) -> bool {
        self.properties()
            .is_some_and(|fields| fields.contains_key(name))
    }

    /// Whether it takes fields that it does not declare.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let says = |name: &str| self.schema.and_then(|schema| schema.get(name));
        let more = says("additionalProperties");
        self.properties().is_none()
            || more.is_some_and(|more| *more != Value::Bool(false))
            || says("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true))
    }

    /// The type of a field, or of the values of a map.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        let declared = self.properties().and_then(|fields| fields.get(name));
        let more = || {
            let more = self.schema?.get("additionalProperties")?;
            more.is_object().then_some(more)
        };
        match declared.or_else(more) {
            Some(schema) => Self::new(self.definitions, schema),
            None => Self::UNKNOWN,
        }
    }

    /// The type of a list's elements.
    #[must_use]
    pub fn element(&self) -> Self {
        match self.schema.and_then(|schema| schema.get("items")) {
            Some(schema) => Self::new(self.definitions, schema),
            None => Self::UNKNOWN,
        }
    }

    /// Whether an object of this type is owned and replaced as a whole.
    #[must_use]
    pub fn is_atomic(&self) -> bool {
        self.word("x-kubernetes-map-type") == Some("atomic")
    }

    /// How a list of this type merges under server-side apply.
    #[must_use]
    pub fn list_type(&self) -> ListType<'a> {
        match self.word("x-kubernetes-list-type") {
            Some("set") => ListType::Set,
            Some("map") => {
                let keys = |schema: Option<&'a Map<String, Value>>| {
                    schema?.get("x-kubernetes-list-map-keys")?.as_array()
                };
                let keys = keys(self.place).or_else(|| keys(self.schema));
                let keys = keys.into_iter().flatten().filter_map(Value::as_str);
                ListType::Map(keys.collect())
            }
            _ => ListType::Atomic,
        }
    }

    /// How a list of this type merges under a strategic merge patch.
    #[must_use]
    pub fn list_merge(&self) -> ListMerge<'a> {
        let strategy = self.word("x-kubernetes-patch-strategy").unwrap_or_default();
        if !strategy.split(',').any(|word| word == "merge") {
            return ListMerge::Atomic;
        }
        match self.word("x-kubernetes-patch-merge-key") {
            Some(key) => ListMerge::ByKey(key),
            None => ListMerge::Set,
        }
    }

    /// What a field counts as where it is missing.
    #[must_use]
    pub fn default_of(&self, field: &str) -> Option<&'a Value> {
        self.properties()?.get(field)?.get("default")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{kind, schema};

    fn at(of: crate::KindRef, path: &str) -> Type<'static> {
        path.split('.')
            .fold(schema::type_of(of), |ty, name| match name {
                "[]" => ty.element(),
                name => ty.field(name),
            })
    }

    #[test]
    fn built_in_kinds_know_how_they_merge() {
        let ports = at(kind::POD, "spec.containers.[].ports");
        assert_eq!(
            ports.list_type(),
            ListType::Map(vec!["containerPort", "protocol"])
        );
        assert_eq!(ports.list_merge(), ListMerge::ByKey("containerPort"));
        assert_eq!(
            ports.element().default_of("protocol"),
            Some(&Value::from("TCP"))
        );
        assert!(at(kind::POD, "spec.nodeSelector").is_atomic());
        assert!(at(kind::SERVICE, "spec.selector").is_atomic());
        assert!(!at(kind::POD, "metadata.labels").is_atomic());
        let owners = at(kind::POD, "metadata.ownerReferences");
        assert_eq!(owners.list_type(), ListType::Map(vec!["uid"]));
        assert!(owners.element().is_atomic());
        let finalizers = at(kind::DEPLOYMENT, "metadata.finalizers");
        assert_eq!(finalizers.list_type(), ListType::Set);
        assert_eq!(finalizers.list_merge(), ListMerge::Set);
        assert_eq!(
            at(kind::POD, "spec.containers.[].args").list_type(),
            ListType::Atomic
        );
        let conditions = at(kind::CUSTOM_RESOURCE_DEFINITION, "status.conditions");
        assert_eq!(conditions.list_type(), ListType::Map(vec!["type"]));
        // References to objects are atomic, but for this one.
        let claim = at(kind::PERSISTENT_VOLUME, "spec.claimRef");
        assert!(claim.is_known() && !claim.is_atomic());
        let volumes = at(kind::DEPLOYMENT, "spec.template.spec.volumes");
        assert_eq!(volumes.list_merge(), ListMerge::ByKey("name"));
        assert!(!at(kind::POD, "nonsense.more").is_known());
    }
}
