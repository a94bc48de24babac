//! Guest programs of a few instructions, and pods that run them.

use coracle_link::pod::{Container, Pod, PullPolicy, Resources, RestartPolicy};

/// A command (wasi preview 1) with this body; `$print` writes the text at 1024, `$sleep` waits for an hour.
fn command(body: &str, text: &str) -> Vec<u8> {
    let length = text.len();
    let escaped = text.replace('\n', "\\n");
    let source = format!(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_write"
            (func $fd_write (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (import "wasi_snapshot_preview1" "poll_oneoff"
            (func $poll (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 1024) "{escaped}")
          (func $print
            (i32.store (i32.const 512) (i32.const 1024))
            (i32.store (i32.const 516) (i32.const {length}))
            (drop (call $fd_write (i32.const 1) (i32.const 512) (i32.const 1) (i32.const 520))))
          (func $sleep
            (i32.store (i32.const 16) (i32.const 1))
            (i64.store (i32.const 24) (i64.const 3600000000000))
            (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128))))
          (func (export "_start") {body}))"#
    );
    wat::parse_str(source).unwrap()
}

/// Prints a line and ends with `code`.
pub(crate) fn exits(code: i32) -> Vec<u8> {
    command(
        &format!("(call $print) (call $exit (i32.const {code}))"),
        &format!("ends with {code}\n"),
    )
}

/// Prints a line and waits for an hour.
pub(crate) fn sleeps() -> Vec<u8> {
    command("(call $print) (call $sleep)", "sleeps\n")
}

/// Ends by a trap.
pub(crate) fn traps() -> Vec<u8> {
    command("unreachable", "")
}

pub(crate) fn container(name: &str, image: &str) -> Container {
    Container {
        name: name.to_owned(),
        image: image.to_owned(),
        pull_policy: PullPolicy::IfNotPresent,
        args: Vec::new(),
        env: Vec::new(),
        config_error: None,
        ports: Vec::new(),
        mounts: Vec::new(),
        limits: Resources::default(),
        requests: Resources::default(),
        startup: None,
        readiness: None,
        liveness: None,
        max_invocations: 1,
        max_concurrency: 1,
        sidecar: false,
    }
}

/// A pod `NAME` with uid `uid-NAME` and one container `main`.
pub(crate) fn pod(name: &str, image: &str, policy: RestartPolicy) -> Pod {
    Pod {
        uid: format!("uid-{name}"),
        namespace: "default".to_owned(),
        name: name.to_owned(),
        revision: 1,
        labels: Vec::new(),
        annotations: Vec::new(),
        restart_policy: policy,
        grace_period_secs: 30,
        deletion_grace_secs: None,
        hostname: name.to_owned(),
        active_deadline_secs: None,
        init_containers: Vec::new(),
        containers: vec![container("main", image)],
        volumes: Vec::new(),
        service_account: "default".to_owned(),
    }
}
