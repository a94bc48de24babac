//! Our own checks of the structure: what no compiler looks at.
//!
//! Pure checks over the text of a file, so that each has a table test; the only I/O is `run`.

use crate::run::root;
use anyhow::{Context as _, bail};
use std::{collections::BTreeSet, path::Path, process::Command};

/// Production lines a file may have.
const FILE_LINES_MAX: usize = 700;
/// Words that mark something left open. Split so that this file does not hold them.
const OPEN_WORDS: [&str; 5] = [
    concat!("to", "do!("),
    concat!("unimpl", "emented!("),
    concat!("FIX", "ME"),
    concat!("TO", "DO"),
    concat!("XX", "X"),
];
/// Inside the controller, who may not import whom: (folder or file, forbidden module).
const FORBIDDEN_IMPORTS: [(&str, &[&str]); 7] = [
    (
        "controller/src/store",
        &[
            "http",
            "registry",
            "cache",
            "admission",
            "controllers",
            "scheduler",
            "link_server",
        ],
    ),
    (
        "controller/src/cache",
        &[
            "http",
            "registry",
            "admission",
            "controllers",
            "scheduler",
            "link_server",
        ],
    ),
    (
        "controller/src/registry",
        &["http", "controllers", "scheduler", "link_server"],
    ),
    (
        "controller/src/controllers",
        &["http", "store", "scheduler", "link_server"],
    ),
    (
        "controller/src/scheduler",
        &["http", "store", "controllers", "link_server"],
    ),
    (
        "controller/src/link_server",
        &["http", "store", "controllers", "scheduler"],
    ),
    (
        "controller/src/images",
        &[
            "http",
            "store",
            "cache",
            "registry",
            "controllers",
            "scheduler",
            "link_server",
        ],
    ),
];

/// Checks every file that git knows; prints all findings and fails if there is one.
pub(crate) fn run() -> anyhow::Result<()> {
    let files = tracked_files()?;
    let mut findings = Vec::new();
    for file in &files {
        let Ok(text) = std::fs::read_to_string(root().join(file)) else {
            continue;
        };
        check_file(file, &text, &mut findings);
        if file == "ARCHITECTURE.md" {
            check_links(&text, &files, &mut findings);
        }
    }
    if findings.is_empty() {
        return Ok(());
    }
    bail!("tidy found:\n  {}", findings.join("\n  "));
}

fn tracked_files() -> anyhow::Result<BTreeSet<String>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .context("cannot run git ls-files")?;
    anyhow::ensure!(
        output.status.success(),
        "git ls-files failed; tidy needs a checkout"
    );
    let names = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    Ok(names
        .lines()
        .filter(|name| root().join(name).exists())
        .map(str::to_owned)
        .collect())
}

fn check_file(file: &str, text: &str, findings: &mut Vec<String>) {
    let mut find = |what: String| findings.push(format!("{file}: {what}"));
    // Generated files end so.
    let is_ours = !file.ends_with(".pb.rs");
    if is_ours && Path::new(file).extension().is_some_and(|e| e == "rs") {
        if file.ends_with("/mod.rs") {
            find("mod.rs; use foo.rs beside foo/".to_owned());
        }
        if !text.starts_with("//!") {
            find("does not start with a //! comment that says what it is for".to_owned());
        }
        let lines = production_lines(text);
        if lines > FILE_LINES_MAX && !is_test(file) {
            find(format!(
                "{lines} production lines, more than {FILE_LINES_MAX}: split the room"
            ));
        }
        for word in OPEN_WORDS.iter().filter(|word| text.contains(**word)) {
            find(format!("holds {word}"));
        }
        for module in forbidden_imports(file, text) {
            find(format!(
                "imports crate::{module}, against the direction of the house"
            ));
        }
    }
    // Workspaces of their own.
    let is_apart = file.starts_with("wasm-examples/") || file.starts_with("fuzz/");
    if file.ends_with("Cargo.toml") && file != "Cargo.toml" && !is_apart {
        for line in versions(text) {
            find(format!(
                "a dependency version belongs into the root Cargo.toml: {line}"
            ));
        }
    }
}

fn is_test(file: &str) -> bool {
    file.contains("/tests/") || file.ends_with("/tests.rs") || file.starts_with("tests/")
}

fn production_lines(text: &str) -> usize {
    text.lines()
        .take_while(|line| *line != "#[cfg(test)]")
        .count()
}

fn forbidden_imports<'a>(file: &str, text: &str) -> Vec<&'a str> {
    let production: Vec<&str> = text
        .lines()
        .take_while(|line| *line != "#[cfg(test)]")
        .collect();
    let in_room = |room: &str| {
        file.strip_prefix(room)
            .is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
    };
    FORBIDDEN_IMPORTS
        .iter()
        .filter(|(room, _)| in_room(room) && !is_test(file))
        .flat_map(|(_, modules)| modules.iter())
        .filter(|module| production.iter().any(|line| names_module(line, module)))
        .copied()
        .collect()
}

/// `crate::http::x` or `crate::{http, …}` on one line, outside comments.
fn names_module(line: &str, module: &str) -> bool {
    if line.trim_start().starts_with("//") {
        return false;
    }
    let Some((_, rest)) = line.split_once("crate::") else {
        return false;
    };
    let word = |text: &str| {
        text.trim()
            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .next()
            == Some(module)
    };
    match rest.strip_prefix('{') {
        Some(list) => list.split(',').any(word),
        None => word(rest),
    }
}

/// Lines of a member's manifest that carry a version of a dependency.
fn versions(text: &str) -> Vec<&str> {
    let mut in_dependencies = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            in_dependencies = line.contains("dependencies");
        } else if in_dependencies && (line.contains("version =") || line.contains("= \"")) {
            found.push(line);
        }
    }
    found
}

/// Every `path/like/this.rs` in backquotes must exist.
fn check_links(text: &str, files: &BTreeSet<String>, findings: &mut Vec<String>) {
    for name in text.split('`').skip(1).step_by(2) {
        let is_path = name.contains('/') && !name.contains([' ', '<', '*', '{', ':']);
        let known = files.iter().any(|file| {
            file == name || file.starts_with(&format!("{}/", name.trim_end_matches('/')))
        });
        if is_path && !name.starts_with(['/', '-']) && !known {
            findings.push(format!(
                "ARCHITECTURE.md: names {name}, which does not exist"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &str, text: &str, expected: &[&str]) {
        let mut findings = Vec::new();
        check_file(file, text, &mut findings);
        let hits = expected
            .iter()
            .all(|part| findings.iter().any(|finding| finding.contains(part)));
        assert!(hits && findings.len() == expected.len(), "{findings:?}");
    }

    #[test]
    fn finds_what_breaks_the_house() {
        check("a/src/x.rs", "//! Fine.\n", &[]);
        check("a/src/x.rs", "fn x() {}\n", &["//! comment"]);
        check("a/src/mod.rs", "//! x\n", &["mod.rs"]);
        check(
            "a/src/x.rs",
            &format!("//! x\n{}", "let a = 1;\n".repeat(701)),
            &["production lines"],
        );
        check(
            "controller/src/store.rs",
            "//! x\nuse crate::http::Server;\n",
            &["imports crate::http"],
        );
        check(
            "controller/src/cache.rs",
            "//! x\nuse crate::{object, registry};\n",
            &["imports crate::registry"],
        );
        check(
            "controller/src/http.rs",
            "//! x\nuse crate::registry::Registry;\n",
            &[],
        );
        check(
            "a/Cargo.toml",
            "[dependencies]\nserde = \"1\"\n",
            &["root Cargo.toml"],
        );
        check(
            "a/Cargo.toml",
            "[dependencies]\nserde.workspace = true\n",
            &[],
        );
    }

    #[test]
    fn finds_a_file_that_architecture_names_and_nobody_wrote() {
        let files = BTreeSet::from(["api/src/kind.rs".to_owned()]);
        let mut findings = Vec::new();
        check_links(
            "see `api/src/kind.rs`, `api/src` and `api/src/gone.rs`",
            &files,
            &mut findings,
        );
        assert_eq!(
            findings,
            ["ARCHITECTURE.md: names api/src/gone.rs, which does not exist"]
        );
    }
}
