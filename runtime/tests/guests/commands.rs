//! Commands: report, as a component and as a preview 1 module, and sensor.

use crate::harness::{Guest, exit_of, load, runtime, wasm};
use coracle_runtime::{ConnectError, Exit, Shape, compile};
use std::fs;

#[test]
fn every_guest_is_what_its_page_says() {
    let cases = [
        ("hello-http", Shape::Http, compile::Kind::Component),
        ("counter", Shape::Http, compile::Kind::Component),
        ("misbehave-http", Shape::Http, compile::Kind::Component),
        ("tcp-echo", Shape::Command, compile::Kind::Component),
        ("sensor", Shape::Command, compile::Kind::Component),
        ("report", Shape::Command, compile::Kind::Component),
        ("report-preview1", Shape::Command, compile::Kind::Core),
        ("misbehave", Shape::Command, compile::Kind::Component),
    ];
    for (name, shape, kind) in cases {
        let found = compile::inspect(&wasm(name)).unwrap();
        assert_eq!((found.shape, found.kind), (shape, kind), "{name}");
    }
}

/// The device targets are compiled here and run under emulation elsewhere.
#[test]
fn a_guest_compiles_for_every_target() {
    let guest = wasm("misbehave");
    for target in compile::Compiler::new().unwrap().targets() {
        compile::compile(&guest, target).unwrap_or_else(|error| panic!("{target}: {error}"));
    }
}

#[tokio::test]
async fn report_reads_files_env_and_args() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.txt"), "1\n2.5\nnone\n").unwrap();
    fs::write(dir.path().join("b.txt"), "4\n").unwrap();
    let runtime = runtime();
    for name in ["report", "report-preview1"] {
        let module = load(&runtime, name);
        let guest = Guest::new(&["/data"])
            .env("REPORT_SITE", "pier")
            .env("SECRET", "hidden")
            .mount(dir.path(), "/data", true);
        assert_eq!(guest.run(&runtime, &module).await, Exit::Code(0), "{name}");
        let expect = "REPORT_SITE=pier\n\
                      /data/a.txt: 3 lines, 2 numbers, sum 3.50\n\
                      /data/b.txt: 1 lines, 1 numbers, sum 4.00\n\
                      total: 4 lines, 3 numbers, sum 7.50\n";
        assert_eq!(guest.output.text(), expect, "{name}");

        // Only what is mounted is there.
        let guest = Guest::new(&["/etc/passwd"]);
        assert_eq!(guest.run(&runtime, &module).await, Exit::Code(1), "{name}");
        let text = guest.output.text();
        assert!(text.contains("cannot read /etc/passwd"), "{name}: {text}");
    }
}

#[tokio::test]
async fn exit_codes_are_kept_on_both_ways() {
    let runtime = runtime();
    for name in ["report", "report-preview1"] {
        let module = load(&runtime, name);
        for code in [0, 1, 7, 200, 255] {
            let guest = Guest::new(&["--exit", &code.to_string()]);
            let exit = guest.run(&runtime, &module).await;
            assert_eq!(exit, Exit::Code(code), "{name}");
        }
        let guest = Guest::new(&["--exit", "many"]);
        assert_eq!(guest.run(&runtime, &module).await, Exit::Code(2), "{name}");
    }
}

#[tokio::test]
async fn sensor_posts_and_goes_on_when_the_target_is_away() {
    let runtime = runtime();
    let module = load(&runtime, "sensor");
    let sensor = || {
        Guest::new(&[])
            .env("TARGET_URL", "http://counter/in")
            .env("PERIOD_SECONDS", "1")
            .env("COUNT", "3")
    };
    let guest = sensor();
    guest.host.refusals.lock().push_back(ConnectError::Refused);
    assert_eq!(guest.run(&runtime, &module).await, Exit::Code(0));

    let received = guest.host.received.lock().clone();
    assert_eq!(received.len(), 2, "{received:?}");
    for (sequence, (authority, request)) in (2..).zip(&received) {
        assert_eq!(authority, "counter:80");
        assert!(request.starts_with("POST /in HTTP/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("{{\"sequence\":{sequence},\"samples\":10,")));
    }
    let text = guest.output.text();
    assert!(text.contains("cannot post {\"sequence\":1,"), "{text}");
    assert_eq!(text.matches("posted {").count(), 2, "{text}");

    // The same seed gives the same readings.
    let again = sensor();
    assert_eq!(again.run(&runtime, &module).await, Exit::Code(0));
    let second = |text: &str| {
        let start = text.find("{\"sequence\":2").unwrap();
        text[start..].lines().next().unwrap().to_owned()
    };
    assert_eq!(second(&again.output.text()), second(&text));
}

#[tokio::test]
async fn sensor_says_what_it_needs() {
    let runtime = runtime();
    let module = load(&runtime, "sensor");
    let guest = Guest::new(&[]);
    let sandbox = guest.start(&runtime, &module).await;
    assert_eq!(exit_of(&sandbox).await, Exit::Code(1));
    assert!(guest.output.text().contains("TARGET_URL is not set"));
}
