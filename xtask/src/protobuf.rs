//! `cargo xtask protobuf`: writes the table of protobuf fields that the API crate reads.
//!
//! Kubernetes names the number, the wire type and the JSON name of a field in one place: the tags of
//! the Go types in `k8s.io/api`, `k8s.io/apimachinery` and `k8s.io/apiextensions-apiserver`. This reads those
//! tags, and nothing else, from three directories that hold these modules; it is run when the Kubernetes
//! version changes.

use crate::run::root;
use anyhow::{Context as _, bail};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// Groups of `k8s.io/api` that are read, by folder.
pub(crate) const GROUPS: [&str; 18] = [
    "admissionregistration/v1",
    "apps/v1",
    "authentication/v1",
    "authorization/v1",
    "autoscaling/v1",
    "autoscaling/v2",
    "batch/v1",
    "certificates/v1",
    "coordination/v1",
    "core/v1",
    "discovery/v1",
    "events/v1",
    "networking/v1",
    "node/v1",
    "policy/v1",
    "rbac/v1",
    "scheduling/v1",
    "storage/v1",
];
/// Types whose protobuf form is written by hand upstream, and here in `api/src/protobuf.rs`.
const SPECIAL: [&str; 11] = [
    "resource.Quantity",
    "intstr.IntOrString",
    "meta.v1.Time",
    "meta.v1.MicroTime",
    "meta.v1.FieldsV1",
    "runtime.RawExtension",
    "meta.v1.Duration",
    "apiextensions.v1.JSON",
    "apiextensions.v1.JSONSchemaPropsOrArray",
    "apiextensions.v1.JSONSchemaPropsOrBool",
    "apiextensions.v1.JSONSchemaPropsOrStringArray",
];

#[derive(Debug, Default)]
struct Package {
    /// Struct name to its fields.
    messages: BTreeMap<String, Vec<Field>>,
    /// `type A B`.
    aliases: BTreeMap<String, String>,
    /// `type A struct{}`: messages, too.
    empty: BTreeSet<String>,
}

#[derive(Debug)]
struct Field {
    number: u32,
    /// Name in JSON; empty for a message whose fields stand in its parent's JSON.
    json: String,
    /// The Go type, with imports resolved to package names of ours.
    go: String,
    omit_empty: bool,
    /// Left out also where it is a struct that says nothing.
    omit_zero: bool,
    /// Its elements are values of the field itself, also where a list has a name of its own.
    repeated: bool,
}

/// Writes the table from the modules `api`, `apimachinery` and `apiextensions-apiserver`.
pub(crate) fn run(api: &Path, apimachinery: &Path, apiextensions: &Path) -> anyhow::Result<()> {
    let mut packages: BTreeMap<String, Package> = BTreeMap::new();
    for group in GROUPS {
        packages.insert(group.replace('/', "."), read(&api.join(group))?);
    }
    packages.insert(
        "meta.v1".to_owned(),
        read(&apimachinery.join("pkg/apis/meta/v1"))?,
    );
    // No kind of it is stored, so nobody asks how its fields merge.
    packages.insert(
        "apidiscovery.v2".to_owned(),
        read(&api.join("apidiscovery/v2"))?,
    );
    packages.insert("types".to_owned(), read(&apimachinery.join("pkg/types"))?);
    packages.insert(
        "apiextensions.v1".to_owned(),
        read(&apiextensions.join("pkg/apis/apiextensions/v1"))?,
    );
    let mut text = String::from(
        "# Protobuf fields of Kubernetes' kinds: number, JSON name, type. Written by `cargo xtask protobuf`.\n\
         # `!` is always written, `?` keeps a zero value, `[]` repeats, `{}` is a map by text; no name: the message's fields stand\n\
         # in its parent.\n",
    );
    for (package, content) in packages.iter().filter(|(name, _)| *name != "types") {
        for (name, fields) in &content.messages {
            let is_bare = fields.is_empty() && !content.empty.contains(name);
            if is_bare || SPECIAL.contains(&format!("{package}.{name}").as_str()) {
                continue;
            }
            writeln!(text, "{package}.{name}")?;
            for field in fields {
                let listed = content
                    .aliases
                    .get(&field.go)
                    .filter(|go| field.repeated && go.starts_with("[]"));
                let code = code(&packages, package, listed.unwrap_or(&field.go))
                    .with_context(|| format!("{package}.{name}.{}", field.json))?;
                let kept = if field.go.starts_with('*') || !field.omit_empty {
                    "?"
                } else {
                    ""
                };
                let written = if is_always_written(&packages, field, &code) {
                    "!"
                } else {
                    ""
                };
                let (number, name) = (field.number, &field.json);
                writeln!(text, " {number} {name}:{written}{kept}{code}")?;
            }
        }
        for (name, go) in &content.aliases {
            // A named list is a message of its own on the wire.
            if go.starts_with("[]") && go != "[]byte" {
                writeln!(
                    text,
                    "{package}.{name}\n 1 *:{}",
                    code(&packages, package, go)?
                )?;
            }
        }
    }
    fs::write(root().join("api/src/protobuf/messages.txt"), text)?;
    Ok(())
}

/// Whether Go writes the field whatever is in it: no pointer, and nothing to leave out. A struct is never empty for
/// `omitempty`.
fn is_always_written(packages: &BTreeMap<String, Package>, field: &Field, code: &str) -> bool {
    if field.json.is_empty() || field.go.starts_with('*') || field.omit_zero {
        return false;
    }
    let is_struct = SPECIAL.contains(&code)
        || code.rsplit_once('.').is_some_and(|(package, name)| {
            let found = packages.get(package);
            found.is_some_and(|found| found.messages.contains_key(name))
        });
    !field.omit_empty || is_struct
}

fn read(dir: &Path) -> anyhow::Result<Package> {
    let mut package = Package::default();
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .with_context(|| format!("cannot read {}", dir.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            name.ends_with(".go") && !name.ends_with("_test.go") && !name.contains("generated")
        })
        .collect();
    files.sort();
    for file in files {
        read_file(&fs::read_to_string(&file)?, &mut package);
    }
    Ok(package)
}

fn read_file(text: &str, package: &mut Package) {
    let mut imports = BTreeMap::new();
    let mut open: Option<(String, Vec<Field>)> = None;
    for line in text.lines() {
        if let Some((alias, path)) = import(line) {
            imports.insert(alias, path);
        }
        if let Some((name, mut fields)) = open.take() {
            if line == "}" {
                fields.sort_by_key(|field| field.number);
                package.messages.insert(name, fields);
            } else {
                fields.extend(field(line, &imports));
                open = Some((name, fields));
            }
        } else if let Some(rest) = line.strip_prefix("type ") {
            match rest.split_once(' ') {
                Some((name, "struct {")) => open = Some((name.to_owned(), Vec::new())),
                Some((name, "struct{}")) => {
                    package.messages.insert(name.to_owned(), Vec::new());
                    package.empty.insert(name.to_owned());
                }
                Some((name, go)) if !go.starts_with("struct") && !go.starts_with("interface") => {
                    package.aliases.insert(
                        name.to_owned(),
                        resolve(go.trim_start_matches("= "), &imports),
                    );
                }
                _ => {}
            }
        }
    }
}

/// `alias "k8s.io/api/core/v1"`: the alias, and the package as the table names it.
fn import(line: &str) -> Option<(String, String)> {
    let (alias, path) = line.trim().split_once('"')?;
    let path = path.strip_suffix('"')?;
    let package = if let Some(group) = path.strip_prefix("k8s.io/api/") {
        group.replace('/', ".")
    } else if path == "k8s.io/apimachinery/pkg/apis/meta/v1" {
        "meta.v1".to_owned()
    } else {
        path.strip_prefix("k8s.io/apimachinery/pkg/")?
            .rsplit('/')
            .next()?
            .to_owned()
    };
    let alias = alias.trim();
    let last = path.rsplit('/').next()?;
    Some((
        if alias.is_empty() { last } else { alias }.to_owned(),
        package,
    ))
}

fn field(line: &str, imports: &BTreeMap<String, String>) -> Option<Field> {
    let (before, tags) = line.trim().split_once('`')?;
    if before.starts_with("//") {
        return None;
    }
    let tag = |name: &str| {
        let (_, rest) = tags.split_once(&format!("{name}:\""))?;
        rest.split_once('"').map(|(value, _)| value)
    };
    let mut wire = tag("protobuf")?.split(',').skip(1);
    let number = wire.next()?.parse().ok()?;
    let json = tag("json")?;
    let go = before.split_whitespace().last()?;
    Some(Field {
        number,
        json: json.split(',').next()?.to_owned(),
        go: resolve(go, imports),
        omit_empty: json.contains("omitempty"),
        omit_zero: json.contains("omitzero"),
        repeated: wire.next() == Some("rep"),
    })
}

/// Replaces the import alias in a type.
fn resolve(go: &str, imports: &BTreeMap<String, String>) -> String {
    let start = go.rfind(['*', ']']).map_or(0, |at| at + 1);
    let (prefix, name) = go.split_at(start);
    match name.split_once('.') {
        Some((alias, rest)) => match imports.get(alias) {
            Some(package) => format!("{prefix}{package}.{rest}"),
            None => go.to_owned(),
        },
        None => go.to_owned(),
    }
}

/// The table's word for a Go type seen from `package`.
fn code(packages: &BTreeMap<String, Package>, package: &str, go: &str) -> anyhow::Result<String> {
    let go = go.trim_start_matches('*');
    if go == "[]byte" {
        return Ok("bytes".to_owned());
    }
    if let Some(element) = go.strip_prefix("[]") {
        return Ok(format!("[]{}", code(packages, package, element)?));
    }
    if let Some((_, value)) = go
        .strip_prefix("map[")
        .and_then(|rest| rest.split_once(']'))
    {
        return Ok(format!("{{}}{}", code(packages, package, value)?));
    }
    let basic = match go {
        "string" | "bool" => Some(go),
        "int32" | "int64" | "uint32" => Some("int"),
        "float64" => Some("double"),
        _ => None,
    };
    if let Some(basic) = basic {
        return Ok(basic.to_owned());
    }
    let (package, name) = go.rsplit_once('.').unwrap_or((package, go));
    let full = format!("{package}.{name}");
    if SPECIAL.contains(&full.as_str()) {
        return Ok(full);
    }
    let found = packages
        .get(package)
        .with_context(|| format!("no package {package}"))?;
    match found.aliases.get(name) {
        Some(slice) if slice.starts_with("[]") && slice != "[]byte" => Ok(full),
        Some(other) => code(packages, package, other),
        None if found.messages.contains_key(name) => Ok(full),
        None => bail!("no type {full}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_tags() {
        let mut package = Package::default();
        let text = "import (\n\tmetav1 \"k8s.io/apimachinery/pkg/apis/meta/v1\"\n)\ntype A struct {\n\tmetav1.TypeMeta `json:\",inline\"`\n\
            \t// Replicas `json:\"no\" protobuf:\"varint,9,opt\"`\n\
            \tReplicas *int32 `json:\"replicas,omitempty\" protobuf:\"varint,2,opt,name=replicas\"`\n\
            \tmetav1.ObjectMeta `json:\"metadata\" protobuf:\"bytes,1,opt,name=metadata\"`\n}\ntype B map[string]A\n";
        read_file(text, &mut package);
        let fields: Vec<String> = package.messages["A"]
            .iter()
            .map(|f| format!("{} {} {} {}", f.number, f.json, f.go, f.omit_empty))
            .collect();
        assert_eq!(
            fields,
            [
                "1 metadata meta.v1.ObjectMeta false",
                "2 replicas *int32 true"
            ]
        );
        let packages = BTreeMap::from([("x.v1".to_owned(), package)]);
        assert_eq!(code(&packages, "x.v1", "[]B").unwrap(), "[]{}x.v1.A");
        assert!(code(&packages, "x.v1", "C").is_err());
        let mut package = Package::default();
        let text = "type A struct {\n\tRules Rules `json:\"rules,omitempty\" protobuf:\"bytes,4,rep,name=rules\"`\n}\ntype B struct{}\n";
        read_file(text, &mut package);
        assert!(package.messages["A"][0].repeated && package.messages["B"].is_empty());
        assert!(package.empty.contains("B"));
    }

    #[test]
    fn what_go_always_writes() {
        let mut package = Package::default();
        let text = "type A struct {\n\
            \tText string `json:\"text\" protobuf:\"bytes,1,opt,name=text\"`\n\
            \tShort string `json:\"short,omitempty\" protobuf:\"bytes,2,opt,name=short\"`\n\
            \tPointer *string `json:\"pointer\" protobuf:\"bytes,3,opt,name=pointer\"`\n\
            \tList []A `json:\"list\" protobuf:\"bytes,4,rep,name=list\"`\n\
            \tStruct B `json:\"struct,omitempty\" protobuf:\"bytes,5,opt,name=struct\"`\n\
            \tNone B `json:\"none,omitempty,omitzero\" protobuf:\"bytes,6,opt,name=none\"`\n\
            \tMap map[string]B `json:\"map,omitempty\" protobuf:\"bytes,7,rep,name=map\"`\n\
            }\ntype B struct{}\n";
        read_file(text, &mut package);
        let packages = BTreeMap::from([("x.v1".to_owned(), package)]);
        let fields = packages["x.v1"].messages["A"].iter();
        let is_written = |field: &&Field| {
            let code = code(&packages, "x.v1", &field.go).unwrap();
            is_always_written(&packages, field, &code)
        };
        let written = fields.filter(is_written).map(|field| field.json.as_str());
        assert_eq!(written.collect::<Vec<_>>(), ["text", "list", "struct"]);
    }
}
