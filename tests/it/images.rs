//! `coracle push` against a running controller, and what it says when it cannot.

use coracle_tests::{Controller, coracle, coracle_refused};
use std::fs;

/// A preview 1 command that does nothing: a memory and `_start`.
const COMMAND: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x05\x03\x01\0\x01\
    \x07\x13\x02\x06memory\x02\0\x06_start\0\0\x0a\x04\x01\x02\0\x0b";

#[test]
fn push_and_its_refusals() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    let kubeconfig = dir.path().join("kubeconfig").to_string_lossy().into_owned();
    let file = |name: &str, bytes: &[u8]| -> anyhow::Result<String> {
        let path = dir.path().join(name);
        fs::write(&path, bytes)?;
        Ok(path.to_string_lossy().into_owned())
    };
    let good = file("good.wasm", COMMAND)?;
    let said = coracle(&["push", &good, "team/hello:v1", "--kubeconfig", &kubeconfig])?;
    assert!(said.starts_with("pushed team/hello:v1 (sha256:"), "{said}");
    let again = coracle(&["push", &good, "team/hello:v2", "--kubeconfig", &kubeconfig])?;
    assert_eq!(
        said.split(['(', ')']).nth(1),
        again.split(['(', ')']).nth(1),
        "the same module is the same artifact"
    );
    let tags = controller.ok(&["get", "--raw", "/v2/team/hello/tags/list"], "")?;
    assert_eq!(tags.trim(), r#"{"name":"team/hello","tags":["v1","v2"]}"#);
    let manifest = controller.ok(&["get", "--raw", "/v2/team/hello/manifests/v1"], "")?;
    for media in ["application/vnd.wasm.config.v0+json", "application/wasm"] {
        assert!(manifest.contains(media), "{manifest}");
    }

    let text = file("text.wasm", b"hello")?;
    let elf = file("elf.wasm", b"\x7fELF\x02\x01\x01\0")?;
    let short = file("short.wasm", &COMMAND[..20])?;
    let none = dir.path().join("none.wasm").to_string_lossy().into_owned();
    for (file, name, part) in [
        (&text, "bad:v1", "the file is not WebAssembly"),
        (&elf, "bad:v1", "an ELF binary"),
        (&short, "bad:v1", "truncated"),
        (&none, "bad:v1", "No such file"),
        (&good, "Bad:v1", "Bad:v1"),
        (
            &good,
            "ghcr.io/bad:v1",
            "pushes to the controller's registry, not to ghcr.io",
        ),
    ] {
        let said = coracle_refused(&["push", file, name, "--kubeconfig", &kubeconfig])?;
        assert!(
            said.starts_with("coracle: ") && said.contains(part),
            "{part:?} is not in {said}"
        );
        assert_eq!(said.lines().count(), 1, "one sentence: {said}");
    }
    let catalog = controller.ok(&["get", "--raw", "/v2/_catalog"], "")?;
    assert_eq!(catalog.trim(), r#"{"repositories":["team/hello"]}"#);
    controller.kill()?;
    let said = coracle_refused(&["push", &good, "late:v1", "--kubeconfig", &kubeconfig])?;
    assert!(
        said.contains("cannot reach the controller at 127.0.0.1:"),
        "{said}"
    );
    Ok(())
}
