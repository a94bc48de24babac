//! misbehave in each of its ways: the right end, a clear message, and only its own end.

use crate::harness::{Guest, SOON, exit_of, get, load, runtime};
use coracle_runtime::Exit;
use std::time::Duration;

#[tokio::test]
async fn each_way_ends_as_it_should() {
    let runtime = runtime();
    let module = load(&runtime, "misbehave");
    for (words, exit) in [
        ("exit 0", Exit::Code(0)),
        ("exit 7", Exit::Code(7)),
        ("exit 200", Exit::Code(200)),
        ("slow 10", Exit::Code(0)),
        ("dance", Exit::Code(2)),
        ("allocate", Exit::OutOfMemory),
    ] {
        let guest = Guest::new(&[])
            .env("MISBEHAVE", words)
            .limits(None, Some(32));
        assert_eq!(guest.run(&runtime, &module).await, exit, "{words}");
    }
    for (words, cause) in [
        ("trap", "unreachable"),
        ("recurse", "call stack exhausted"),
        ("hoard", "resource table has no free keys"),
    ] {
        let guest = Guest::new(&[])
            .env("MISBEHAVE", words)
            .limits(None, Some(32));
        let Exit::Trap { message } = guest.run(&runtime, &module).await else {
            panic!("{words} should trap")
        };
        assert!(message.contains(cause), "{words}: {message}");
        assert!(message.len() <= 4096, "{words}: {} bytes", message.len());
    }
}

#[tokio::test]
async fn memory_never_goes_over_the_limit() {
    let runtime = runtime();
    let module = load(&runtime, "misbehave");
    let guest = Guest::new(&["allocate"]).limits(None, Some(32));
    let sandbox = guest.start(&runtime, &module).await;
    assert_eq!(exit_of(&sandbox).await, Exit::OutOfMemory);
    // The instance may still be about to go.
    let given_back = async {
        while sandbox.usage().memory_bytes > 0 {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(SOON, given_back).await.is_ok());
}

#[tokio::test]
async fn open_files_are_capped() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "x").unwrap();
    let runtime = runtime();
    let module = load(&runtime, "misbehave");
    let guest = Guest::new(&["hoard"])
        .env("HOARD_FILE", "/data/file")
        .mount(dir.path(), "/data", true);
    assert_eq!(guest.run(&runtime, &module).await, Exit::Code(0));
    let text = guest.output.text();
    let held = text.lines().find_map(|line| line.strip_prefix("held "));
    let held: usize = held
        .and_then(|line| line.split(' ').next()?.parse().ok())
        .unwrap_or_else(|| panic!("{text}"));
    assert!((100..=1024).contains(&held), "{text}");
}

/// A flood waits for its budget: the log gets a burst, then a rate, and nothing is lost.
#[tokio::test]
async fn a_flooded_log_is_bounded() {
    let runtime = runtime();
    let module = load(&runtime, "misbehave");
    let guest = Guest::new(&["flood"]);
    let sandbox = guest.start(&runtime, &module).await;
    guest.output.wrote("flood flood").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    sandbox.kill();
    assert_eq!(exit_of(&sandbox).await, Exit::Killed);
    let mib = guest.output.bytes() as f64 / f64::from(1 << 20);
    assert!((1.0..12.0).contains(&mib), "{mib:.1} MiB in 3 s");
}

#[tokio::test]
async fn by_path_only_the_request_fails() {
    let runtime = runtime();
    let module = load(&runtime, "misbehave-http");
    let guest = Guest::new(&[]).limits(None, Some(32));
    let sandbox = guest.start(&runtime, &module).await;
    assert_eq!(get(&sandbox, "/").await, (200, "ok\n".to_owned()));
    for path in ["/trap", "/recurse", "/exit/7", "/hoard"] {
        assert_eq!(get(&sandbox, path).await.0, 500, "{path}");
        assert_eq!(get(&sandbox, "/").await.0, 200, "after {path}");
    }
    assert!(sandbox.probe().await);
    assert_eq!(get(&sandbox, "/dance").await.0, 404);
    assert_eq!(get(&sandbox, "/slow/50").await, (200, "done\n".to_owned()));
    assert!(guest.output.text().contains("request trapped: "));

    // A client that goes away takes its looping request along.
    let loops = tokio::time::timeout(Duration::from_millis(300), get(&sandbox, "/loop")).await;
    assert!(loops.is_err());
    let gone = async {
        while sandbox.usage().instances > 0 {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(SOON, gone).await.is_ok());

    assert_eq!(get(&sandbox, "/allocate").await.0, 500);
    assert_eq!(exit_of(&sandbox).await, Exit::OutOfMemory);
    assert!(!sandbox.probe().await);
}

#[tokio::test]
async fn five_traps_in_a_row_are_a_crash() {
    let runtime = runtime();
    let module = load(&runtime, "misbehave-http");
    let sandbox = Guest::new(&[]).start(&runtime, &module).await;
    for _ in 0..5 {
        assert_eq!(get(&sandbox, "/trap").await.0, 500);
    }
    let exit = exit_of(&sandbox).await;
    assert!(matches!(exit, Exit::Trap { .. }), "{exit:?}");
}

/// A client whose request was under way gets an answer, not a broken connection.
#[tokio::test]
async fn an_end_answers_what_is_under_way() {
    let runtime = runtime();
    let module = load(&runtime, "misbehave-http");
    let sandbox = Guest::new(&[]).start(&runtime, &module).await;
    let kill = async {
        while sandbox.usage().instances == 0 {
            tokio::task::yield_now().await;
        }
        sandbox.kill();
    };
    let (slow, ()) = tokio::join!(get(&sandbox, "/slow/60000"), kill);
    assert_eq!(slow.0, 500);
    assert_eq!(exit_of(&sandbox).await, Exit::Killed);
}
