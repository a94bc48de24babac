//! Wraps a `wasi_snapshot_preview1` core module into a component.
//!
//! The stock adapter turns every exit code but 0 into 1, because it calls `wasi:cli/exit.exit`.
//! So `proc_exit` never reaches it here: its import is renamed to `wasi:cli/exit`'s
//! `exit-with-code`, which has the same core signature, and the code survives (modulo 256, as on
//! any Unix).

use crate::Error;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
};
use wasmparser::{BinaryReader, Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const EXIT_INTERFACE: &str = "wasi:cli/exit@0.2.12";
const EXIT_FUNCTION: &str = "exit-with-code";

/// The part of `wasi:cli` that the renamed import needs; same shape as the adapter's own.
const EXIT_WIT: &str = "
package coracle:preview1;

world exit {
    import wasi:cli/exit@0.2.12;
}

package wasi:cli@0.2.12 {
    interface exit {
        exit: func(status: result);
        exit-with-code: func(status-code: u8);
    }
}
";

/// Makes a component that exports `wasi:cli/run` out of a preview 1 command.
pub(super) fn wrap(module: &[u8]) -> Result<Vec<u8>, Error> {
    let module = match rename_exit(module)? {
        Some(mut renamed) => {
            let mut resolve = Resolve::default();
            let package = resolve.push_str("exit.wit", EXIT_WIT).map_err(failed)?;
            let world = resolve
                .select_world(&[package], Some("exit"))
                .map_err(failed)?;
            embed_component_metadata(&mut renamed, &resolve, world, StringEncoding::UTF8)
                .map_err(failed)?;
            renamed
        }
        None => module.to_vec(),
    };
    ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|encoder| {
            encoder.adapter(
                WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME,
                WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
            )
        })
        .and_then(|mut encoder| encoder.encode())
        .map_err(failed)
}

fn failed(error: impl ToString + std::fmt::Display) -> Error {
    Error::Compile(format!("cannot wrap the preview 1 module: {error:#}").into())
}

/// The module with `proc_exit` renamed, or `None` if it does not import it.
fn rename_exit(module: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    for payload in Parser::new(0).parse_all(module) {
        let Payload::ImportSection(section) = payload.map_err(failed)? else {
            continue;
        };
        let range = section.range();
        let Some(renamed) = rename_in_section(&module[range.clone()], range.start)? else {
            return Ok(None);
        };
        // The section's header, id and size, stands before its range; the size is rewritten.
        let Some(header) = header_start(module, range.start, range.len()) else {
            return Err(failed("the import section has an unusual header"));
        };
        let mut out = Vec::with_capacity(module.len() + renamed.len());
        out.extend_from_slice(&module[..header]);
        out.push(IMPORT_SECTION);
        write_u32(&mut out, renamed.len())?;
        out.extend_from_slice(&renamed);
        out.extend_from_slice(&module[range.end..]);
        return Ok(Some(out));
    }
    Ok(None)
}

const IMPORT_SECTION: u8 = 2;

/// Where the header of the section with these contents begins: id byte, then the size as LEB128
/// of one to five bytes (linkers pad it).
fn header_start(module: &[u8], contents: usize, len: usize) -> Option<usize> {
    (1..=5).find_map(|leb_len| {
        let start = contents.checked_sub(leb_len + 1)?;
        let mut reader = BinaryReader::new(&module[start + 1..contents], 0);
        let size = reader.read_var_u32().ok()?;
        (module[start] == IMPORT_SECTION && reader.eof() && size as usize == len).then_some(start)
    })
}

fn rename_in_section(section: &[u8], offset: usize) -> Result<Option<Vec<u8>>, Error> {
    let mut reader = BinaryReader::new(section, offset);
    let count = reader.read_var_u32().map_err(failed)?;
    let mut out = Vec::with_capacity(section.len() + 32);
    write_u32(&mut out, count as usize)?;
    let mut found = false;
    for _ in 0..count {
        let (module, name) = (
            reader.read_string().map_err(failed)?,
            reader.read_string().map_err(failed)?,
        );
        let before = reader.current_position();
        reader.read::<wasmparser::TypeRef>().map_err(failed)?;
        let exit = module == WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME && name == "proc_exit";
        found |= exit;
        let (module, name) = if exit {
            (EXIT_INTERFACE, EXIT_FUNCTION)
        } else {
            (module, name)
        };
        for text in [module, name] {
            write_u32(&mut out, text.len())?;
            out.extend_from_slice(text.as_bytes());
        }
        out.extend_from_slice(&section[before..reader.current_position()]);
    }
    Ok(found.then_some(out))
}

fn write_u32(out: &mut Vec<u8>, value: usize) -> Result<(), Error> {
    let mut value = u32::try_from(value).map_err(failed)?;
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(byte);
            return Ok(());
        }
        out.push(byte | 0x80);
    }
}
