//! `cargo xtask merging`: writes the table of how fields merge that the API crate reads.
//!
//! Kubernetes says it in markers (`+listType=map`) and tags (`patchMergeKey:"name"`) beside the Go types.
//! This reads those, and nothing else, from the modules `k8s.io/api`, `k8s.io/apimachinery` and
//! `k8s.io/apiextensions-apiserver`; it is run when the Kubernetes version changes. What is said nowhere is left out: such a list is atomic, such a
//! map merges.

use crate::{protobuf::GROUPS, run::root};
use anyhow::Context as _;
use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

/// Type name, then field name or empty for the type itself, to the words of the table.
type Rules = BTreeMap<String, BTreeMap<String, String>>;

/// Writes the table.
pub(crate) fn run(api: &Path, apimachinery: &Path, apiextensions: &Path) -> anyhow::Result<()> {
    let mut rules = Rules::new();
    for group in GROUPS {
        let file = api.join(group).join("types.go");
        read(&file, &group.replace('/', "."), &mut rules)?;
    }
    let meta = apimachinery.join("pkg/apis/meta/v1/types.go");
    read(&meta, "meta.v1", &mut rules)?;
    for file in ["types.go", "types_jsonschema.go"] {
        let file = apiextensions.join("pkg/apis/apiextensions/v1").join(file);
        read(&file, "apiextensions.v1", &mut rules)?;
    }
    let mut text = String::from(
        "# How fields of Kubernetes' kinds merge. Written by `cargo xtask merging`. A line of its own names a type;\n\
         # `map:a,b` is a list of objects told apart by these fields, `set` one of scalars, `atomic` a map replaced as a whole,\n\
         # `granular` one that is not, though its type is;\n\
         # `patch:` is the strategy of a strategic merge patch and its key; `default:` is what a missing key counts as.\n",
    );
    for (name, fields) in &rules {
        let own = fields.get("").map_or("", String::as_str);
        writeln!(text, "{}", format!("{name}{own}").trim_end())?;
        for (field, words) in fields.iter().filter(|(field, _)| !field.is_empty()) {
            writeln!(text, " {field}{words}")?;
        }
    }
    fs::write(root().join("api/src/schema/merging.txt"), text)?;
    Ok(())
}

fn read(file: &Path, package: &str, rules: &mut Rules) -> anyhow::Result<()> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    read_file(&text, package, rules);
    Ok(())
}

fn read_file(text: &str, package: &str, rules: &mut Rules) {
    let mut open: Option<String> = None;
    let mut markers: Vec<&str> = Vec::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(comment) = trimmed.strip_prefix("//") {
            markers.extend(comment.trim().strip_prefix('+'));
            continue;
        }
        let mut note = |of: &str, field: &str, words: String| {
            if !words.is_empty() {
                let of = rules.entry(format!("{package}.{of}")).or_default();
                of.insert(field.to_owned(), words);
            }
        };
        if line == "}" {
            open = None;
        } else if let Some(name) = &open {
            if let Some(field) = tag(trimmed, "json") {
                let field = field.split(',').next().unwrap_or_default();
                note(name, field, words(&markers, trimmed));
            }
        } else if let Some(rest) = line.strip_prefix("type ") {
            let name = rest.split(' ').next().unwrap_or_default().to_owned();
            note(&name, "", words(&markers, ""));
            open = rest.ends_with("struct {").then_some(name);
        }
        // A blank line parts a marker from what follows, but for a type's own.
        if open.is_some() || !trimmed.is_empty() {
            markers.clear();
        }
    }
}

fn words(markers: &[&str], line: &str) -> String {
    let marked = |name: &'static str| {
        markers
            .iter()
            .filter_map(move |marker| marker.strip_prefix(name)?.strip_prefix('='))
    };
    let mut words = String::new();
    match marked("listType").next() {
        Some("map") => {
            let keys: Vec<&str> = marked("listMapKey").collect();
            words.push_str(&format!(" map:{}", keys.join(",")));
        }
        Some("set") => words.push_str(" set"),
        _ => {}
    }
    let mut of_map = marked("mapType").chain(marked("structType"));
    if let Some(how @ ("atomic" | "granular")) = of_map.next() {
        words.push_str(&format!(" {how}"));
    }
    if let Some(strategy) = tag(line, "patchStrategy") {
        words.push_str(&format!(" patch:{strategy}"));
        if let Some(key) = tag(line, "patchMergeKey") {
            words.push_str(&format!(":{key}"));
        }
    }
    // Only a scalar that may be a list's key; the others are no business of merging.
    if let Some(default) = marked("default").find(|text| text.starts_with('"')) {
        words.push_str(&format!(" default:{}", default.trim_matches('"')));
    }
    words
}

/// The value of `name:"..."` in a line's tags.
fn tag<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, tags) = line.split_once('`')?;
    let (_, rest) = tags.split_once(&format!("{name}:\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_markers_and_tags() {
        let text = "// A is one.\n// +structType=atomic\ntype A struct {\n\t// +listType=map\n\t// +listMapKey=port\n\t// +listMapKey=protocol\n\
            \tPorts []B `json:\"ports,omitempty\" patchStrategy:\"merge\" patchMergeKey:\"port\"`\n\
            \t// +structType=granular\n\tRef *B `json:\"ref\"`\n\t// +default=\"TCP\"\n\tProtocol string `json:\"protocol\"`\n\t// +listType=atomic\n\tArgs []string `json:\"args\"`\n}\n";
        let mut rules = Rules::new();
        read_file(text, "x.v1", &mut rules);
        let rules = &rules["x.v1.A"];
        assert_eq!(rules[""], " atomic");
        assert_eq!(rules["ports"], " map:port,protocol patch:merge:port");
        assert_eq!(rules["ref"], " granular");
        assert_eq!(rules["protocol"], " default:TCP");
        assert!(!rules.contains_key("args"));
    }
}
