//! What must be true after a controller was killed.

use coracle_tests::{Controller, coracle_refused};

#[test]
fn acknowledged_writes_survive_kills() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let map = |n: usize| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m{n}}}\n");
    for n in 0..3 {
        let controller = Controller::start(dir.path())?;
        controller.ok(&["apply", "-f", "-"], &map(n))?;
        controller.kill()?;
    }
    let controller = Controller::start(dir.path())?;
    let names = controller.ok(&["get", "configmaps", "-o", "name"], "")?;
    assert_eq!(names, "configmap/m0\nconfigmap/m1\nconfigmap/m2\n");
    Ok(())
}

#[test]
fn a_data_directory_has_one_controller() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let _controller = Controller::start(dir.path())?;
    let path = dir.path().to_string_lossy();
    let said = coracle_refused(&[
        "controller",
        "--listen",
        "127.0.0.1:0",
        "--page-listen",
        "127.0.0.1:0",
        "--data-dir",
        &path,
    ])?;
    assert!(said.starts_with("coracle: data directory"), "{said}");
    assert!(said.contains("in use by another coracle process"), "{said}");
    Ok(())
}
