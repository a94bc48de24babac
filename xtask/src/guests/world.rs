//! What a guest asks for and offers: its world, as far as two toolchains must agree on it.

use anyhow::Context as _;
use std::collections::BTreeSet;
use wit_component::DecodedWasm;

/// Interfaces that a toolchain's std brings along as it likes; every guest is granted them.
const STD: [&str; 5] = [
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:io/",
    "wasi:random/",
];

/// Interfaces without the patch level of their versions; of a core module, imported modules.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct World {
    imports: BTreeSet<String>,
    exports: BTreeSet<String>,
}

pub(super) fn of(wasm: &[u8]) -> anyhow::Result<World> {
    if wasmparser::Parser::is_core_wasm(wasm) {
        return core_module(wasm);
    }
    let DecodedWasm::Component(resolve, world) = wit_component::decode(wasm)? else {
        anyhow::bail!("the file is a WIT package and not a component");
    };
    let world = &resolve.worlds[world];
    let names = |keys: Vec<&wit_parser::WorldKey>| {
        keys.into_iter()
            .map(|key| without_patch(&resolve.name_world_key(key)))
            .collect()
    };
    Ok(World {
        imports: names(world.imports.keys().collect()),
        exports: names(world.exports.keys().collect()),
    })
}

fn core_module(wasm: &[u8]) -> anyhow::Result<World> {
    let mut imports = BTreeSet::new();
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        if let wasmparser::Payload::ImportSection(section) = payload.context("a damaged module")? {
            for import in section.into_imports() {
                imports.insert(import?.module.to_owned());
            }
        }
    }
    Ok(World {
        imports,
        exports: BTreeSet::new(),
    })
}

/// `wasi:http/types@0.2.12` is `wasi:http/types@0.2` to us: hosts serve every patch level.
fn without_patch(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((minor, _patch)) if name.contains('@') => minor.to_owned(),
        _ => name.to_owned(),
    }
}

impl World {
    /// The same exports, and the same imports but for those that std chooses.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        let asked = |world: &Self| -> BTreeSet<String> {
            let imports = world.imports.iter();
            imports
                .filter(|name| !STD.iter().any(|std| name.starts_with(std)))
                .cloned()
                .collect()
        };
        self.exports == other.exports && asked(self) == asked(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(imports: &[&str], exports: &[&str]) -> World {
        let names = |names: &[&str]| names.iter().map(|name| without_patch(name)).collect();
        World {
            imports: names(imports),
            exports: names(exports),
        }
    }

    #[test]
    fn worlds_agree_on_all_but_what_std_brings() {
        let run = &["wasi:cli/run@0.2.6"];
        let plain = world(&["wasi:io/streams@0.2.6"], run);
        assert!(plain.agrees(&world(&["wasi:cli/stdin@0.2.12"], &["wasi:cli/run@0.2.12"])));
        assert!(!plain.agrees(&world(&["wasi:sockets/tcp@0.2.6"], run)));
        assert!(!plain.agrees(&world(&[], &["wasi:http/incoming-handler@0.2.6"])));
        assert!(!plain.agrees(&world(&[], &["wasi:cli/run@0.3.0"])));
    }
}
