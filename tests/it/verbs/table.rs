//! The recorded table, and what it says of a resource.

use anyhow::{Context as _, ensure};
use std::collections::BTreeMap;

/// Recorded from upstream; never from this server.
const TEXT: &str = include_str!("upstream.txt");

/// All resources and shapes.
pub(super) struct Table {
    pub(super) rows: Vec<Row>,
    /// By shape: the top-level fields, and whether each is required.
    shapes: BTreeMap<String, BTreeMap<String, bool>>,
}

/// A resource or a subresource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// `apps/v1`, or `v1`.
    pub(super) version: String,
    /// `deployments`, or `deployments/scale`.
    pub(super) name: String,
    /// `apps/v1/Deployment`.
    pub(super) kind: String,
    pub(super) namespaced: bool,
    pub(super) singular: String,
    pub(super) short: Vec<String>,
    pub(super) categories: Vec<String>,
    pub(super) verbs: BTreeMap<String, Verb>,
}

/// What a verb answers when all is well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Verb {
    pub(super) codes: Vec<u16>,
    pub(super) shape: String,
}

impl Table {
    pub(super) fn read() -> anyhow::Result<Self> {
        let (mut rows, mut shapes) = (Vec::new(), BTreeMap::new());
        for line in TEXT.lines().filter(|line| !line.starts_with('#')) {
            match line.strip_prefix("shape ") {
                Some(line) => {
                    let mut words = line.split(' ');
                    let name = words.next().unwrap_or_default().to_owned();
                    let field =
                        |word: &str| (word.trim_end_matches('!').to_owned(), word.ends_with('!'));
                    shapes.insert(name, words.map(field).collect());
                }
                None => rows.push(Row::read(line).with_context(|| format!("in {line:?}"))?),
            }
        }
        ensure!(
            rows.len() > 100 && shapes.len() > 50,
            "the table is cut short"
        );
        Ok(Self { rows, shapes })
    }

    /// The subresources of a resource.
    pub(super) fn subresources(&self, of: &Row) -> impl Iterator<Item = &Row> {
        let prefix = format!("{}/", of.name);
        self.rows
            .iter()
            .filter(move |row| row.version == of.version && row.name.starts_with(&prefix))
    }

    /// What is wrong with the top level of an answer that should have this shape.
    pub(super) fn misshapen(&self, value: &serde_json::Value, shape: &str) -> Option<String> {
        let (version, kind) = shape.rsplit_once('/').unwrap_or(("", shape));
        let Some(object) = value.as_object() else {
            return Some("it is no object".to_owned());
        };
        if value["apiVersion"] != version || value["kind"] != kind {
            let (found, kind) = (&value["apiVersion"], &value["kind"]);
            return Some(format!("it is a {kind} of {found}, not {shape}"));
        }
        let Some(fields) = self.shapes.get(shape) else {
            return Some(format!("the table knows no {shape}"));
        };
        if let Some(unknown) = object.keys().find(|field| !fields.contains_key(*field)) {
            return Some(format!("{shape} has no field {unknown}"));
        }
        let missing = fields
            .iter()
            .find(|(field, required)| **required && !object.contains_key(*field));
        missing.map(|(field, _)| format!("{shape} lacks its {field}"))
    }

    /// For a kind that upstream does not know: what one of its definition would publish.
    pub(super) fn add_shape(&mut self, shape: &str, fields: &[(&str, bool)]) {
        let fields = fields
            .iter()
            .map(|(name, required)| ((*name).to_owned(), *required));
        self.shapes.insert(shape.to_owned(), fields.collect());
    }
}

impl Row {
    fn read(line: &str) -> anyhow::Result<Self> {
        let (head, verbs) = line.split_once(" :").context("no verbs")?;
        let mut words = head.split(' ');
        let mut word = || words.next().map(str::to_owned).context("too short");
        let mut row = Self {
            version: word()?,
            name: word()?,
            kind: word()?,
            namespaced: word()? == "namespaced",
            ..Self::default()
        };
        for word in words {
            let (name, value) = word.split_once('=').context("no value")?;
            let list = || value.split(',').map(str::to_owned).collect();
            match name {
                "singular" => value.clone_into(&mut row.singular),
                "short" => row.short = list(),
                "categories" => row.categories = list(),
                _ => anyhow::bail!("{name} is unknown"),
            }
        }
        for word in verbs.split_whitespace() {
            let mut parts = word.splitn(3, '=');
            let mut part = || parts.next().context("a verb is cut short");
            let (verb, codes, shape) = (part()?, part()?, part()?);
            let codes = codes.split(',').map(str::parse).collect::<Result<_, _>>()?;
            let shape = shape.to_owned();
            row.verbs.insert(verb.to_owned(), Verb { codes, shape });
        }
        Ok(row)
    }

    /// Empty for the core group.
    pub(super) fn group(&self) -> &str {
        self.version.rsplit_once('/').map_or("", |(group, _)| group)
    }

    pub(super) fn is_subresource(&self) -> bool {
        self.name.contains('/')
    }

    /// What its collection is called in messages and in `details.kind`.
    pub(super) fn plural(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    /// The path of its collection.
    pub(super) fn collection(&self, namespace: &str) -> String {
        let root = if self.group().is_empty() {
            "api"
        } else {
            "apis"
        };
        let version = &self.version;
        let plural = self.plural();
        if self.namespaced && !namespace.is_empty() {
            format!("/{root}/{version}/namespaces/{namespace}/{plural}")
        } else {
            format!("/{root}/{version}/{plural}")
        }
    }
}
