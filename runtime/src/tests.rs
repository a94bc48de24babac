//! The whole way on tiny guests: compiled by one engine, run by the other.

use crate::{
    Config, Error, Exit, Host, HttpOptions, Limits, Module, Output, Runtime, Sandbox, SandboxSpec,
    StdStream, compile,
};
use parking_lot::Mutex;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[derive(Default)]
struct Captured(Mutex<String>);

impl Output for Captured {
    fn write(&self, _stream: StdStream, bytes: &[u8]) {
        self.0.lock().push_str(&String::from_utf8_lossy(bytes));
    }
}

struct NoHost;

impl Host for NoHost {
    fn tcp_listen(&self, _guest_port: u16, _local: SocketAddr) {}
    fn tcp_closed(&self, _guest_port: u16) {}
}

fn runtime() -> Runtime {
    Runtime::new(Config {
        pool_instances: 8,
        cpu_threads: 2,
    })
    .unwrap()
}

fn load(runtime: &Runtime, wasm: &[u8]) -> Result<Module, Error> {
    let target = runtime.compatibility().target;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, &compile::compile(wasm, &target)?).unwrap();
    runtime.load(file.path())
}

fn spec(limits: Limits, http: HttpOptions) -> SandboxSpec {
    SandboxSpec {
        id: "test".to_owned(),
        args: vec!["guest".to_owned()],
        env: Vec::new(),
        mounts: Vec::new(),
        limits,
        output: Arc::new(Captured::default()),
        http,
    }
}

async fn start(runtime: &Runtime, wat: &str, limits: Limits, http: HttpOptions) -> Sandbox {
    let module = load(runtime, &wat::parse_str(wat).unwrap()).unwrap();
    runtime
        .start(&module, spec(limits, http), Arc::new(NoHost))
        .await
        .unwrap()
}

async fn exit_of(sandbox: &Sandbox) -> Exit {
    tokio::time::timeout(Duration::from_secs(20), sandbox.exited())
        .await
        .unwrap()
}

fn command(body: &str) -> String {
    format!(
        "(module
            (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
            (memory (export \"memory\") 1)
            (func $start (export \"_start\") {body}))"
    )
}

async fn run(body: &str, limits: Limits) -> Exit {
    let runtime = runtime();
    let sandbox = start(&runtime, &command(body), limits, HttpOptions::default()).await;
    exit_of(&sandbox).await
}

#[tokio::test]
async fn exit_codes_are_kept() {
    for code in [0, 1, 7, 200, 255] {
        let exit = run(
            &format!("(call $exit (i32.const {code}))"),
            Limits::default(),
        )
        .await;
        assert_eq!(exit, Exit::Code(code));
    }
    assert_eq!(run("", Limits::default()).await, Exit::Code(0));
}

#[tokio::test]
async fn a_trap_says_where() {
    let Exit::Trap { message } = run("unreachable", Limits::default()).await else {
        panic!("no trap")
    };
    assert!(
        message.contains("unreachable") && message.contains("start"),
        "{message}"
    );
    assert!(message.len() <= 4096);
}

#[tokio::test]
async fn over_the_memory_limit_is_out_of_memory() {
    let limits = Limits {
        memory_bytes: Some(16 << 20),
        ..Limits::default()
    };
    let grow = |pages: u32| format!("(drop (memory.grow (i32.const {pages})))");
    assert_eq!(run(&grow(16), limits).await, Exit::Code(0));
    assert_eq!(run(&grow(512), limits).await, Exit::OutOfMemory);
    // A module's own maximum is the guest's affair: grow fails, nothing is killed.
    assert_eq!(run(&grow(65_535), Limits::default()).await, Exit::Code(0));
}

#[tokio::test]
async fn a_looping_guest_can_be_killed_and_starves_nobody() {
    let runtime = Runtime::new(Config {
        pool_instances: 0,
        cpu_threads: 1,
    })
    .unwrap();
    let options = HttpOptions::default();
    let looping = command("(loop $l (br $l))");
    let busy = start(&runtime, &looping, Limits::default(), options).await;
    let quick = start(
        &runtime,
        &command("(call $exit (i32.const 3))"),
        Limits::default(),
        options,
    )
    .await;
    assert_eq!(exit_of(&quick).await, Exit::Code(3));
    busy.kill();
    assert_eq!(exit_of(&busy).await, Exit::Killed);
    let used = busy.usage().cpu_nanos;
    assert!(used > 0);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(busy.usage().cpu_nanos - used < 50_000_000, "still running");
}

#[tokio::test]
async fn the_cpu_limit_is_a_rate() {
    let runtime = runtime();
    let limits = Limits {
        cpu_millis: Some(200),
        ..Limits::default()
    };
    let looping = command("(loop $l (br $l))");
    let sandbox = start(&runtime, &looping, limits, HttpOptions::default()).await;
    let begin = tokio::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let millis = sandbox.usage().cpu_nanos as f64 / begin.elapsed().as_nanos() as f64 * 1000.0;
    assert!((150.0..250.0).contains(&millis), "{millis:.0} m of 200 m");
}

#[tokio::test]
async fn a_missing_import_is_named() {
    let wat = "(component
        (import \"acme:db/query@1.2.0\" (instance (export \"run\" (func))))
        (instance $run)
        (export \"wasi:cli/run@0.2.0\" (instance $run)))";
    let error = load(&runtime(), &wat::parse_str(wat).unwrap()).unwrap_err();
    assert!(
        matches!(&error, Error::MissingImport { name } if name == "acme:db/query@1.2.0"),
        "{error:?}"
    );
}

#[tokio::test]
async fn pulley_runs_the_same() {
    let runtime = Runtime::for_target(&Config::default(), "pulley64").unwrap();
    let wat = command("(call $exit (i32.const 7))");
    let sandbox = start(&runtime, &wat, Limits::default(), HttpOptions::default()).await;
    assert_eq!(exit_of(&sandbox).await, Exit::Code(7));
}

fn handler(code: &str) -> String {
    include_str!("tests/proxy.wat").replace("HANDLE", code)
}

/// One request over its own connection; the status and the head.
async fn get(sandbox: &Sandbox) -> (u16, String) {
    let (mut client, server) = tokio::io::duplex(64 << 10);
    let serve = sandbox.serve(Box::new(server));
    let exchange = async {
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        text
    };
    let (text, ()) = tokio::join!(exchange, serve);
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0);
    (status, text)
}

#[tokio::test]
async fn each_request_gets_a_fresh_instance_unless_reuse_is_asked_for() {
    let runtime = runtime();
    let wat = handler("");
    let fresh = start(&runtime, &wat, Limits::default(), HttpOptions::default()).await;
    for _ in 0..3 {
        assert_eq!(get(&fresh).await.0, 201);
    }
    assert_eq!(fresh.usage().instances, 0);

    let reuse = HttpOptions {
        max_invocations: 2,
        max_concurrency: 1,
    };
    let reused = start(&runtime, &wat, Limits::default(), reuse).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(get(&reused).await.0);
    }
    assert_eq!(statuses, [201, 202, 201, 202]);

    fresh.stop();
    assert_eq!(exit_of(&fresh).await, Exit::Code(0));
}

#[tokio::test]
async fn a_trap_ends_the_request_and_five_end_the_container() {
    let runtime = runtime();
    let after_call = handler("(drop (call $fields)) unreachable");
    let sandbox = start(
        &runtime,
        &after_call,
        Limits::default(),
        HttpOptions::default(),
    )
    .await;
    for _ in 0..4 {
        assert_eq!(get(&sandbox).await.0, 500);
    }
    assert_eq!(sandbox.usage().traps, 4);
    get(&sandbox).await;
    assert!(matches!(exit_of(&sandbox).await, Exit::Trap { .. }));

    let at_once = start(
        &runtime,
        &handler("unreachable"),
        Limits::default(),
        HttpOptions::default(),
    )
    .await;
    get(&at_once).await;
    assert!(matches!(exit_of(&at_once).await, Exit::Trap { .. }));
}

#[tokio::test]
async fn http_memory_is_shared_by_requests_and_one_too_large_is_a_crash() {
    let runtime = runtime();
    let grow = handler("(drop (memory.grow (i32.const 1024)))");
    let limits = Limits {
        memory_bytes: Some(8 << 20),
        ..Limits::default()
    };
    let sandbox = start(&runtime, &grow, limits, HttpOptions::default()).await;
    assert_eq!(get(&sandbox).await.0, 500);
    assert_eq!(exit_of(&sandbox).await, Exit::OutOfMemory);

    // Larger than a slot of the pool, within the limit: tried again on the other engine.
    let roomy = Limits {
        memory_bytes: Some(256 << 20),
        ..Limits::default()
    };
    let sandbox = start(
        &runtime,
        &handler("(drop (memory.grow (i32.const 1536)))"),
        roomy,
        HttpOptions::default(),
    )
    .await;
    assert_eq!(get(&sandbox).await.0, 201);

    // Two hold a memory together that only one may have: the second is told to come back.
    let hold = handler("(drop (memory.grow (i32.const 64))) (loop $l (br $l))");
    let sandbox = start(&runtime, &hold, limits, HttpOptions::default()).await;
    let (first, second) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(3), get(&sandbox)),
        tokio::time::timeout(Duration::from_secs(3), get(&sandbox)),
    );
    let answered: Vec<(u16, String)> = [first, second].into_iter().flatten().collect();
    let [(status, head)] = &answered[..] else {
        panic!("{answered:?}")
    };
    assert_eq!(*status, 503);
    assert!(head.to_lowercase().contains("retry-after"), "{head}");
}
