//! The kinds that are served: the table of built-in ones, and the custom ones that definitions add.
//!
//! A row of a custom kind is made once for what it says and never goes away: whoever holds one may keep it. So
//! rows are bounded over a controller's life ([`ROWS_MAX`]), not over its clients' wishes.

mod normal;

pub(crate) use normal::{SchemaId, is_of, shown};

use coracle_api::{
    Key, Kind, KindRef,
    crd::{CustomVersion, definition, resource},
    kind::{self, ALL_VERBS, SCALE, STATUS, Subresource},
    schema::{self, Type},
};
use parking_lot::{Mutex, RwLock};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Different rows since the start; one takes some 300 bytes.
const ROWS_MAX: usize = 16 * 1024;

/// What a version of a custom kind is called, and what it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// API group.
    pub group: String,
    /// Version.
    pub version: String,
    /// `CronTab`.
    pub kind: String,
    /// `CronTabList`.
    pub list_kind: String,
    /// `crontabs`.
    pub plural: String,
    /// `crontab`.
    pub singular: String,
    /// `ct`.
    pub short_names: Vec<String>,
    /// `all`.
    pub categories: Vec<String>,
    /// Lives in a namespace.
    pub namespaced: bool,
    /// Has `/status`.
    pub status: bool,
    /// Has `/scale`.
    pub scale: bool,
}

/// There were too many different custom kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "more than {ROWS_MAX} different versions of custom kinds since the start; restart the controller to take more"
)]
pub struct TooMany;

static ROWS: Mutex<Vec<KindRef>> = Mutex::new(Vec::new());

/// The row of a version; always the same one for the same names. `stored` is the row that its objects are
/// stored as, where that is another version's.
///
/// # Errors
/// When there were too many.
pub fn row(names: &Names, stored: Option<KindRef>) -> Result<KindRef, TooMany> {
    let mut rows = ROWS.lock();
    if let Some(known) = rows.iter().find(|row| is(row, names, stored)) {
        return Ok(known);
    }
    if rows.len() >= ROWS_MAX {
        return Err(TooMany);
    }
    let row: KindRef = Box::leak(Box::new(make(names, stored)));
    rows.push(row);
    Ok(row)
}

fn is(row: &Kind, names: &Names, stored: Option<KindRef>) -> bool {
    row.group == names.group
        && row.version == names.version
        && row.kind == names.kind
        && row.list_kind == names.list_kind
        && row.plural == names.plural
        && row.singular == names.singular
        && row.short_names == names.short_names
        && row.categories == names.categories
        && row.namespaced == names.namespaced
        && row.subresources == subresources(names)
        && row.stored_row == stored
}

fn subresources(names: &Names) -> &'static [Subresource] {
    match (names.status, names.scale) {
        (false, false) => &[],
        (true, false) => &[STATUS],
        (false, true) => &[SCALE],
        (true, true) => &[STATUS, SCALE],
    }
}

fn make(names: &Names, stored_row: Option<KindRef>) -> Kind {
    let text = |text: &String| -> &'static str { Box::leak(text.clone().into_boxed_str()) };
    let list = |list: &Vec<String>| -> &'static [&'static str] {
        Box::leak(list.iter().map(text).collect())
    };
    Kind {
        group: text(&names.group),
        version: text(&names.version),
        kind: text(&names.kind),
        plural: text(&names.plural),
        singular: text(&names.singular),
        short_names: list(&names.short_names),
        categories: list(&names.categories),
        namespaced: names.namespaced,
        verbs: ALL_VERBS,
        subresources: subresources(names),
        generation: true,
        stored_as: ("", ""),
        deprecation: "",
        list_kind: text(&names.list_kind),
        stored_row,
    }
}

/// A version of a custom kind that is served or stored.
#[derive(Debug)]
pub struct Custom {
    /// Its row.
    pub kind: KindRef,
    /// Whether clients may ask for it.
    pub served: bool,
    /// What its definition says of its objects.
    pub version: CustomVersion,
    /// The name of its definition.
    definition: String,
    /// How its fields merge.
    merging: Value,
    /// What its objects are decided under.
    schema: SchemaId,
}

/// Why a definition is not served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be compiled.
    #[error("cannot serve {definition}")]
    Version {
        /// Its name.
        definition: String,
        /// Why.
        #[source]
        source: resource::Error,
    },
    /// There were too many.
    #[error(transparent)]
    TooMany(#[from] TooMany),
}

impl Custom {
    /// How its objects' fields merge.
    #[must_use]
    pub fn merging(&self) -> Type<'_> {
        schema::type_of_custom(&self.merging)
    }

    /// Its definition.
    #[must_use]
    pub fn definition(&self) -> Key {
        Key::cluster(self.definition.clone())
    }
}

/// All versions that an established definition adds; none of one that is not established.
///
/// # Errors
/// When a version cannot be served.
pub fn versions(crd: &Value) -> Result<Vec<Custom>, Error> {
    if !definition::is_condition_true(crd, "Established") {
        return Ok(Vec::new());
    }
    let name = text(&crd["metadata"]["name"]);
    let stored = definition::storage_version(crd).unwrap_or_default();
    let stored_row = row(&names(crd, stored), None)?;
    let listed = crd["spec"]["versions"].as_array();
    let make = |version: &Value| {
        let of = text(&version["name"]);
        let kind = match of == stored {
            true => stored_row,
            false => row(&names(crd, &of), Some(stored_row))?,
        };
        let compiled = CustomVersion::compile(crd, &of).map_err(|source| Error::Version {
            definition: name.clone(),
            source,
        })?;
        Ok(Custom {
            kind,
            served: version["served"] == true,
            version: compiled,
            definition: name.clone(),
            merging: merging(&version["schema"]["openAPIV3Schema"]),
            schema: SchemaId::of(&version["schema"]),
        })
    };
    listed.into_iter().flatten().map(make).collect()
}

/// The schema with what every object has.
fn merging(schema: &Value) -> Value {
    let mut schema = match schema {
        Value::Object(_) => schema.clone(),
        _ => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
    };
    if !schema["properties"].is_object() {
        // Nothing is declared: everything is let pass, and deduced.
        schema["x-kubernetes-preserve-unknown-fields"] = json!(true);
    }
    schema["x-kubernetes-embedded-resource"] = json!(true);
    complete_embedded(&mut schema);
    schema
}

/// Declares type and metadata wherever an object stands. A schema's depth is bounded before it is stored.
fn complete_embedded(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    for name in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(name) {
            complete_embedded(inner);
        }
    }
    let properties = fields.get_mut("properties").and_then(Value::as_object_mut);
    for (_, property) in properties.into_iter().flatten() {
        complete_embedded(property);
    }
    if fields.get("x-kubernetes-embedded-resource") == Some(&json!(true)) {
        for name in ["apiVersion", "kind"] {
            schema["properties"][name] = json!({"type": "string"});
        }
        schema["properties"]["metadata"] = schema::metadata_reference();
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn names(crd: &Value, version: &str) -> Names {
    let (spec, accepted) = (&crd["spec"], &crd["status"]["acceptedNames"]);
    let list = |name: &str| {
        let list = accepted[name].as_array();
        list.into_iter().flatten().map(text).collect()
    };
    let listed = spec["versions"].as_array().into_iter().flatten();
    let mut found = listed.filter(|listed| listed["name"] == version);
    let subresources = found
        .next()
        .map_or(&Value::Null, |found| &found["subresources"]);
    Names {
        group: text(&spec["group"]),
        version: version.to_owned(),
        kind: text(&accepted["kind"]),
        list_kind: text(&accepted["listKind"]),
        plural: text(&accepted["plural"]),
        singular: text(&accepted["singular"]),
        short_names: list("shortNames"),
        categories: list("categories"),
        namespaced: spec["scope"] == "Namespaced",
        status: !subresources["status"].is_null(),
        scale: !subresources["scale"].is_null(),
    }
}

/// Which kinds there are now. A clone is another handle to the same.
#[derive(Debug, Clone, Default)]
pub struct Kinds(Arc<RwLock<State>>);

#[derive(Debug, Default)]
struct State {
    /// By the name of their definition.
    custom: BTreeMap<String, Vec<Arc<Custom>>>,
    /// The same by their rows.
    by_row: HashMap<KindRef, Arc<Custom>>,
    /// The same by group, version and plural: rows of the same may have been others.
    by_version: HashMap<Name, Arc<Custom>>,
    /// Those that are served, by group, version and plural.
    by_plural: HashMap<Name, KindRef>,
    /// Those that are served, by group, version and kind.
    by_kind: HashMap<Name, KindRef>,
    /// Counts changes.
    generation: u64,
}

type Name = [&'static str; 3];

impl State {
    fn index(&mut self) {
        self.by_row.clear();
        self.by_version.clear();
        self.by_plural.clear();
        self.by_kind.clear();
        for custom in self.custom.values().flatten() {
            let kind = custom.kind;
            let name = |last| [kind.group, kind.version, last];
            self.by_row.insert(kind, Arc::clone(custom));
            self.by_version
                .insert(name(kind.plural), Arc::clone(custom));
            if custom.served {
                self.by_plural.insert(name(kind.plural), kind);
                self.by_kind.insert(name(kind.kind), kind);
            }
        }
    }
}

impl Kinds {
    /// By the parts of a URL, if it is served.
    #[must_use]
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<KindRef> {
        let name = [group, version, plural];
        let custom = || self.0.read().by_plural.get(&name).copied();
        kind::find(group, version, plural).or_else(custom)
    }

    /// By `apiVersion` and `kind`, if it is served.
    #[must_use]
    pub fn by_kind(&self, group: &str, version: &str, name: &str) -> Option<KindRef> {
        let words = [group, version, name];
        let custom = || self.0.read().by_kind.get(&words).copied();
        kind::by_kind(group, version, name).or_else(custom)
    }

    /// Each kind that has a table of its own.
    #[must_use]
    pub fn stored(&self) -> Vec<KindRef> {
        let custom = self.custom_kinds();
        let custom = custom.iter().map(|custom| custom.kind);
        kind::KINDS
            .iter()
            .chain(custom)
            .filter(|kind| kind.storage() == *kind)
            .collect()
    }

    /// Every version of every custom kind.
    #[must_use]
    pub fn custom_kinds(&self) -> Vec<Arc<Custom>> {
        self.0.read().custom.values().flatten().cloned().collect()
    }

    /// What makes a kind custom; none for a built-in one, and for one that is no longer there.
    #[must_use]
    pub fn custom(&self, kind: KindRef) -> Option<Arc<Custom>> {
        self.0.read().by_row.get(&kind).cloned()
    }

    /// A version of a custom kind by its name, served or not.
    #[must_use]
    pub fn version(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Custom>> {
        let name = [group, version, plural];
        self.0.read().by_version.get(&name).cloned()
    }

    /// As [`Kinds::custom`], without a look at a built-in kind.
    #[must_use]
    pub fn custom_of(&self, kind: KindRef) -> Option<Arc<Custom>> {
        match kind.is_custom() {
            true => self.custom(kind),
            false => None,
        }
    }

    /// What clients of a kind that is on its way out are told.
    #[must_use]
    pub fn deprecation(&self, kind: KindRef) -> Option<String> {
        match self.custom_of(kind) {
            Some(custom) => custom.version.deprecation.clone(),
            None => (!kind.deprecation.is_empty()).then(|| kind.deprecation.to_owned()),
        }
    }

    /// The row by which objects of a definition are stored.
    #[must_use]
    pub fn of_definition(&self, definition: &str) -> Option<KindRef> {
        let state = self.0.read();
        let first = state.custom.get(definition)?.first()?;
        Some(first.kind.storage())
    }

    /// The row by which objects of `plural.group` are stored.
    #[must_use]
    pub fn by_group_resource(&self, group_resource: &str) -> Option<KindRef> {
        // A definition has the name of what it defines.
        self.of_definition(group_resource).or_else(|| {
            let (plural, group) = group_resource
                .split_once('.')
                .unwrap_or((group_resource, ""));
            let mut built_in = kind::KINDS.iter();
            built_in.find(|kind| {
                (kind.group, kind.plural) == (group, plural) && kind.storage() == *kind
            })
        })
    }

    /// Counts changes: what was made of the kinds is as old as the number it was made at.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.read().generation
    }

    /// Replaces the versions that a definition adds; none takes them all away.
    pub(crate) fn set(&self, definition: &str, versions: Vec<Custom>) {
        let mut state = self.0.write();
        if versions.is_empty() {
            state.custom.remove(definition);
        } else {
            let versions = versions.into_iter().map(Arc::new).collect();
            state.custom.insert(definition.to_owned(), versions);
        }
        state.index();
        state.generation += 1;
    }
}
