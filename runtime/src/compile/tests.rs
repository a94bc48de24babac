//! What may be compiled, and what comes out.

use super::*;

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[test]
fn turns_away_what_is_not_wasm_by_name() {
    let module = wat("(module (func (export \"_start\")))");
    let cases: [(&[u8], &str); 7] = [
        (b"", "empty"),
        (b"\x7fELF\x02\x01\x01", "ELF"),
        (b"#!/bin/sh\n", "script"),
        (b"\0asm", "truncated"),
        (&module[..module.len() - 2], "truncated"),
        (b"hello", "not WebAssembly"),
        (b"(module)", "text"),
    ];
    for (bytes, expect) in cases {
        let error = inspect(bytes).unwrap_err().to_string();
        assert!(error.contains(expect), "{bytes:?}: {error}");
    }
}

#[test]
fn says_what_core_modules_and_components_are() {
    let command = inspect(&wat("(module (func (export \"_start\")))")).unwrap();
    assert_eq!(
        (command.kind, command.shape),
        (Kind::Core, crate::Shape::Command)
    );

    let library = inspect(&wat("(module)")).unwrap_err().to_string();
    assert!(library.contains("_start"), "{library}");

    let foreign = wat("(module (import \"env\" \"f\" (func)) (func (export \"_start\")))");
    let error = inspect(&foreign).unwrap_err();
    assert!(
        matches!(&error, Error::MissingImport { name } if name == "env.f"),
        "{error}"
    );

    let component = wat("(component (instance $i) (export \"wasi:cli/run@0.2.3\" (instance $i)))");
    let component = inspect(&component).unwrap();
    assert_eq!(component.world, "wasi:cli/command@0.2");
    assert_eq!(component.kind, Kind::Component);

    let nothing = inspect(&wat("(component)")).unwrap_err().to_string();
    assert!(nothing.contains("exports neither"), "{nothing}");
}

#[test]
fn compiles_for_every_target() {
    let module = wat("(module
        (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
        (memory (export \"memory\") 1)
        (func (export \"_start\") (call $exit (i32.const 200))))");
    for target in Compiler::new().unwrap().targets() {
        let mut compiled = Vec::new();
        run_child(target, module.as_slice(), &mut compiled).unwrap();
        assert_eq!(&compiled[..4], b"\x7fELF", "{target}");
    }
    assert!(compile(&module, "riscv64gc-unknown-linux-gnu").is_err());
}
