//! Says what a file is from its bytes alone. Never compiles, never trusts a length.

use crate::{Error, Shape, shape};
use wasmparser::{Encoding, Parser, Payload};

/// What a wasm file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// A core module or a component.
    pub kind: Kind,
    /// A command or a server.
    pub shape: Shape,
    /// The interfaces it imports, with their versions; of a core module, the modules.
    pub imports: Vec<String>,
    /// The interfaces it exports; of a core module, the items.
    pub exports: Vec<String>,
    /// A short name of the world, as `wasi:http/proxy@0.2` or `wasi_snapshot_preview1`.
    pub world: String,
}

/// The two kinds of binaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A `wasi_snapshot_preview1` core module.
    Core,
    /// A component.
    Component,
}

/// Says what a wasm file is, or why it cannot run here.
pub fn inspect(wasm: &[u8]) -> Result<Inspection, Error> {
    check_magic(wasm)?;
    let outline = outline(wasm)?;
    match outline.encoding {
        Encoding::Module => core_module(outline),
        Encoding::Component => component(outline),
    }
}

/// Turns away what is plainly something else, with a sentence that says what.
fn check_magic(wasm: &[u8]) -> Result<(), Error> {
    let what = match wasm {
        [] => "the file is empty",
        [b'\0', b'a', b's', b'm', _, _, _, _, ..] => return Ok(()),
        [b'\0', b'a', b's', b'm', ..] => "the WebAssembly file is truncated",
        [0x7f, b'E', b'L', b'F', ..] => {
            "the file is an ELF binary, a program for Linux and not WebAssembly"
        }
        [b'M', b'Z', ..] => "the file is a program for Windows and not WebAssembly",
        [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] => {
            "the file is a program for macOS and not WebAssembly"
        }
        [b'#', b'!', ..] => "the file is a script and not WebAssembly",
        [0x1f, 0x8b, ..] => "the file is gzip-compressed and not WebAssembly",
        [b'(', ..] => "the file is WebAssembly text; build the binary form",
        _ => "the file is not WebAssembly",
    };
    Err(Error::NotRunnable(what.to_owned()))
}

struct Outline {
    encoding: Encoding,
    imports: Vec<String>,
    exports: Vec<String>,
}

/// Walks all sections of the outermost level; this finds a truncated file too.
fn outline(wasm: &[u8]) -> Result<Outline, Error> {
    let mut outline = Outline {
        encoding: Encoding::Module,
        imports: Vec::new(),
        exports: Vec::new(),
    };
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(|e| damaged(&e))? {
            Payload::Version { encoding, .. } => {
                if depth == 0 {
                    outline.encoding = encoding;
                }
                depth += 1;
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ImportSection(section) if depth == 1 => {
                for import in section.into_imports() {
                    let import = import.map_err(|e| damaged(&e))?;
                    outline
                        .imports
                        .push(format!("{}.{}", import.module, import.name));
                }
            }
            Payload::ExportSection(section) if depth == 1 => {
                for export in section {
                    outline
                        .exports
                        .push(export.map_err(|e| damaged(&e))?.name.to_owned());
                }
            }
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    outline
                        .imports
                        .push(import.map_err(|e| damaged(&e))?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    outline
                        .exports
                        .push(export.map_err(|e| damaged(&e))?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(outline)
}

fn damaged(error: &wasmparser::BinaryReaderError) -> Error {
    let message = error.message();
    if message.contains("unexpected end") {
        Error::NotRunnable("the WebAssembly file is truncated".to_owned())
    } else {
        Error::NotRunnable(format!("the WebAssembly file is damaged: {message}"))
    }
}

fn core_module(outline: Outline) -> Result<Inspection, Error> {
    let refuse = |text: String| Err(Error::NotRunnable(text));
    if !outline.exports.iter().any(|name| name == "_start") {
        return refuse(
            "the core module exports no _start; only WASI preview 1 commands and components run"
                .to_owned(),
        );
    }
    for import in &outline.imports {
        let module = import.split('.').next().unwrap_or_default();
        match module {
            "wasi_snapshot_preview1" => {}
            "wasi_unstable" => {
                return refuse(
                    "the core module is built for the old wasi_unstable; build it for \
                     wasm32-wasip1 or wasm32-wasip2"
                        .to_owned(),
                );
            }
            _ => {
                return Err(Error::MissingImport {
                    name: import.clone(),
                });
            }
        }
    }
    Ok(Inspection {
        kind: Kind::Core,
        shape: Shape::Command,
        imports: outline.imports,
        exports: outline.exports,
        world: "wasi_snapshot_preview1".to_owned(),
    })
}

fn component(outline: Outline) -> Result<Inspection, Error> {
    let Some(shape) = shape::of_exports(outline.exports.iter().map(String::as_str)) else {
        let exports = if outline.exports.is_empty() {
            "nothing".to_owned()
        } else {
            outline.exports.join(", ")
        };
        return Err(Error::NotRunnable(format!(
            "the component exports neither wasi:cli/run nor a wasi:http handler, but {exports}"
        )));
    };
    let world = world(shape, &outline.exports);
    Ok(Inspection {
        kind: Kind::Component,
        shape,
        imports: outline.imports,
        exports: outline.exports,
        world,
    })
}

fn world(shape: Shape, exports: &[String]) -> String {
    let minor = exports
        .iter()
        .filter(|name| shape::of_exports([name.as_str()]) == Some(shape))
        .find_map(|name| name.split_once('@').map(|(_, version)| version))
        .and_then(|version| version.rsplit_once('.').map(|(minor, _patch)| minor))
        .unwrap_or("0.2");
    match (shape, minor) {
        (Shape::Command, minor) => format!("wasi:cli/command@{minor}"),
        (Shape::Http, "0.2") => "wasi:http/proxy@0.2".to_owned(),
        (Shape::Http, minor) => format!("wasi:http/service@{minor}"),
    }
}
