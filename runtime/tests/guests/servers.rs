//! Servers: hello-http and counter over HTTP, tcp-echo over a socket.

use crate::harness::{Guest, SOON, get, load, request, runtime};
use coracle_runtime::{Config, Exit, Runtime};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

fn hello() -> Guest {
    Guest::new(&[])
        .env("POD_NAME", "hello-1")
        .env("NODE_NAME", "pi")
        .limits(None, Some(32))
}

#[tokio::test]
async fn hello_says_who_answers() {
    let runtime = runtime();
    let module = load(&runtime, "hello-http");
    let sandbox = hello().start(&runtime, &module).await;
    let answers = [
        ("GET", "/", 200, "Hello from hello-1 on pi\n"),
        ("GET", "/healthz", 200, "ok\n"),
        ("GET", "/else", 404, "nothing is at /else\n"),
        ("POST", "/", 405, "only GET is answered here\n"),
    ];
    for (method, path, status, body) in answers {
        let answer = request(&sandbox, method, path).await;
        assert_eq!(answer, (status, body.to_owned()), "{method} {path}");
    }
    let usage = sandbox.usage();
    assert_eq!((usage.requests, usage.traps, usage.instances), (4, 0, 0));
    assert!(usage.cpu_nanos > 0);
    assert!(usage.code_bytes >= 4096, "{}", usage.code_bytes);
    sandbox.stop();
    assert_eq!(sandbox.exited().await, Exit::Code(0));
}

/// A guest may make a trap of a stream that breaks; five would otherwise end the container.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_go_away_are_not_held_against_a_guest() {
    let runtime = runtime();
    let module = load(&runtime, "hello-http");
    let sandbox = hello().start(&runtime, &module).await;
    for round in 0..300_u64 {
        let (mut client, server) = tokio::io::duplex(64 << 10);
        let (serve, watched) = (sandbox.serve(Box::new(server)), sandbox.clone());
        let leave = async move {
            let head = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
            client.write_all(head.as_bytes()).await.unwrap();
            // One that leaves before it was read has asked for nothing.
            while watched.usage().requests <= round {
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(Duration::from_micros(10 * (round % 60))).await;
            drop(client);
        };
        tokio::join!(leave, serve);
    }
    let usage = sandbox.usage();
    assert_eq!((usage.requests, usage.traps), (300, 0));
    assert_eq!(get(&sandbox, "/healthz").await.0, 200);
}

/// What a 32-bit ARM board runs, in the form that this machine can run too.
#[tokio::test]
async fn hello_runs_in_the_interpreter() {
    let runtime = Runtime::for_target(&Config::default(), "pulley64").unwrap();
    let module = load(&runtime, "hello-http");
    let sandbox = hello().start(&runtime, &module).await;
    let (status, body) = get(&sandbox, "/").await;
    assert_eq!((status, body.as_str()), (200, "Hello from hello-1 on pi\n"));
}

#[tokio::test]
async fn counter_loses_nothing_under_concurrent_requests() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let module = load(&runtime, "counter");
    let start = async || {
        let guest = Guest::new(&[]).mount(dir.path(), "/data", false);
        guest.start(&runtime, &module).await
    };
    let (one, other) = (start().await, start().await);
    assert_eq!(get(&one, "/").await, (200, "0\n".to_owned()));

    let posts = (0..24).map(|n| request(if n % 2 == 0 { &one } else { &other }, "POST", "/"));
    let mut sums: Vec<u64> = futures_util::future::join_all(posts)
        .await
        .into_iter()
        .map(|(status, body)| {
            assert_eq!(status, 200, "{body}");
            body.trim().parse().unwrap()
        })
        .collect();
    sums.sort_unstable();
    let expect: Vec<u64> = (1..=24).collect();
    assert_eq!(sums, expect);

    drop((one, other));
    let later = start().await;
    assert_eq!(get(&later, "/").await, (200, "24\n".to_owned()));
    let (status, body) = request(&later, "POST", "/?by=18").await;
    assert_eq!((status, body.as_str()), (200, "42\n"));
    assert_eq!(request(&later, "POST", "/?by=x").await.0, 400);
    assert_eq!(request(&later, "DELETE", "/").await.0, 405);
}

#[tokio::test]
async fn counter_without_a_volume_says_so() {
    let runtime = runtime();
    let module = load(&runtime, "counter");
    let sandbox = Guest::new(&[]).start(&runtime, &module).await;
    let (status, body) = request(&sandbox, "POST", "/").await;
    assert_eq!(status, 500);
    assert!(body.starts_with("cannot count in /data: "), "{body}");
}

#[tokio::test]
async fn a_read_only_volume_is_read_only() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let module = load(&runtime, "counter");
    let guest = Guest::new(&[]).mount(dir.path(), "/data", true);
    let sandbox = guest.start(&runtime, &module).await;
    assert_eq!(request(&sandbox, "POST", "/").await.0, 500);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn tcp_echo_sends_back_what_it_gets() {
    let runtime = runtime();
    let module = load(&runtime, "tcp-echo");
    let guest = Guest::new(&[]);
    let sandbox = guest.start(&runtime, &module).await;
    guest.output.wrote("echoing on port 7").await;
    let (port, address) = guest.host.listening.borrow().unwrap();
    assert_eq!(port, 7);
    assert!(address.ip().is_loopback() && address.port() != 7);

    let echo = async |text: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut back = String::new();
        stream.read_to_string(&mut back).await.unwrap();
        assert_eq!(back, text);
    };
    let both = async { tokio::join!(echo("one"), echo("another")) };
    tokio::time::timeout(SOON, both).await.unwrap();

    sandbox.kill();
    assert_eq!(sandbox.exited().await, Exit::Killed);
    let mut listening = guest.host.listening.subscribe();
    let closed = listening.wait_for(Option::is_none);
    assert!(tokio::time::timeout(SOON, closed).await.is_ok());
}
