//! HTTP: `hello-http` behind its node port against `wasmtime serve` with the same component on the same box.
//!
//! wrk and the server share the machine's cores in every row, so only ratios of one run mean something.

use crate::{
    Bench,
    client::Endpoint,
    manifest::{self, DEPLOYMENTS, SERVICES},
    say,
    table::{Row, Times, duration},
};
use anyhow::{Context as _, ensure};
use coracle_tests::{
    cluster::{Cluster, example, get},
    wait,
};
use serde_json::json;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

const CONNECTIONS: [u32; 2] = [8, 64];
const SECONDS: u32 = 6;
const WARM_SECONDS: u32 = 2;
const READY_LIMIT: Duration = Duration::from_secs(30);
/// An instance serves so many requests in the rows with reuse.
const REUSE: u32 = 128;
const SERVE_PORT: u16 = 8099;

/// How instances are made.
#[derive(Clone, Copy)]
struct Mode {
    name: &'static str,
    node_port: u16,
    reuse: u32,
}

const MODES: [Mode; 2] = [
    Mode {
        name: "fresh",
        node_port: 31_010,
        reuse: 1,
    },
    Mode {
        name: "reuse-128",
        node_port: 31_011,
        reuse: REUSE,
    },
];

/// What wrk has seen.
#[derive(Debug, Clone, Copy)]
struct Load {
    per_second: f64,
    times: Times,
}

pub(crate) async fn measure(bench: &Bench, cluster: &Cluster) -> anyhow::Result<Vec<Row>> {
    let endpoint = Endpoint::read(&cluster.controller()?.kubeconfig(), &bench.tasks)?;
    let mut client = endpoint.connect().await?;
    let mut rows = Vec::new();
    for mode in MODES {
        let mut deployment = manifest::deployment(mode.name, mode.name, 1, manifest::hello());
        deployment["spec"]["template"]["metadata"]["annotations"] =
            json!({"coracle.dev/max-invocations": mode.reuse.to_string()});
        client.create(DEPLOYMENTS, &deployment).await?;
        let service = manifest::node_port(mode.name, mode.name, mode.node_port);
        client.create(SERVICES, &service).await?;
        let ours = SocketAddr::from((cluster.net.address(0), mode.node_port));
        wait_answer(ours)?;
        let peer = match wasmtime(bench)? {
            Some(wasmtime) => Some(Serve::start(cluster, &wasmtime, mode.reuse)?),
            None => None,
        };
        for connections in CONNECTIONS {
            rows.push(row(mode, connections, ours, peer.as_ref())?);
        }
        client.delete(&format!("{SERVICES}/{}", mode.name)).await?;
        client
            .delete(&format!("{DEPLOYMENTS}/{}", mode.name))
            .await?;
    }
    Ok(rows)
}

/// The peer, unless there is to be none.
fn wasmtime(bench: &Bench) -> anyhow::Result<Option<PathBuf>> {
    if bench.arguments.quick {
        return Ok(None);
    }
    let path = std::env::var_os("CORACLE_BENCH_WASMTIME");
    let path = path.context("CORACLE_BENCH_WASMTIME is not set; run: cargo xtask bench")?;
    Ok(Some(path.into()))
}

fn row(
    mode: Mode,
    connections: u32,
    ours: SocketAddr,
    peer: Option<&Serve>,
) -> anyhow::Result<Row> {
    let name = format!("HTTP hello, {}, c={connections}", mode.name);
    say(&name);
    load(ours, connections, WARM_SECONDS)?;
    let load_ours = load(ours, connections, SECONDS)?;
    let mut row = Row::new(format!("{name}: requests a second, p50 and p99"))
        .value(format!(
            "{:.0}/s, {}",
            load_ours.per_second,
            duration(load_ours.times.p50)
        ))
        .p99(duration(load_ours.times.p99));
    let mut ratio = None;
    if let Some(peer) = peer {
        load(peer.address, connections, WARM_SECONDS)?;
        let theirs = load(peer.address, connections, SECONDS)?;
        let text = format!(
            "wasmtime serve: {:.0}/s, {}, p99 {}",
            theirs.per_second,
            duration(theirs.times.p50),
            duration(theirs.times.p99)
        );
        let against = load_ours.per_second / theirs.per_second;
        ratio = Some(against);
        row = row.baseline(text, against);
    }
    let fast = load_ours.per_second >= 50_000.0;
    // Without the peer there is no word on a goal that is a ratio.
    Ok(match (mode.reuse, connections, ratio) {
        (1, 8, _) => row.goal("p99 <= 0.4 ms", load_ours.times.within(f64::INFINITY, 0.4)),
        (1, _, Some(ratio)) => row.goal(">= 4 x and >= 50,000/s", ratio >= 4.0 && fast),
        (1, _, None) => row.goal(">= 50,000/s", fast),
        (_, 64, Some(ratio)) => row.goal(">= 1.3 x", ratio >= 1.3),
        _ => row,
    })
}

fn wait_answer(address: SocketAddr) -> anyhow::Result<()> {
    wait::until(&format!("answer at {address}"), READY_LIMIT, || {
        Ok(get(address, "/").map_err(|error| format!("{error:#}")))
    })?;
    Ok(())
}

/// `wasmtime serve` in the box of the agent.
struct Serve {
    process: Child,
    address: SocketAddr,
}

impl Serve {
    fn start(cluster: &Cluster, wasmtime: &Path, reuse: u32) -> anyhow::Result<Self> {
        let address = SocketAddr::from((cluster.net.address(0), SERVE_PORT));
        let process = cluster
            .net
            .command(0, wasmtime)
            .args(["serve", "-S", "cli", "--addr", &address.to_string()])
            .args(["--max-instance-reuse-count", &reuse.to_string()])
            .arg(example("hello-http")?)
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start wasmtime serve")?;
        let serve = Self { process, address };
        wait_answer(address)?;
        Ok(serve)
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

fn load(address: SocketAddr, connections: u32, seconds: u32) -> anyhow::Result<Load> {
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s")])
        .args(["--latency", &format!("http://{address}/")])
        .output()
        .context("cannot start wrk; it is in the package wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk failed: {text}");
    parse(&text).with_context(|| format!("wrk at {address} said:\n{text}"))
}

fn parse(text: &str) -> anyhow::Result<Load> {
    for bad in ["Non-2xx", "Socket errors"] {
        ensure!(!text.contains(bad), "requests failed");
    }
    let after = |field: &str| {
        let rest = text
            .lines()
            .find_map(|line| line.trim().strip_prefix(field));
        rest.map(str::trim).with_context(|| format!("no {field}"))
    };
    Ok(Load {
        per_second: after("Requests/sec:")?.parse()?,
        times: Times {
            p50: time(after("50%")?)?,
            p99: time(after("99%")?)?,
        },
    })
}

/// wrk's `134.00us`, `1.48ms`, `1.02s`.
fn time(text: &str) -> anyhow::Result<Duration> {
    let units = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    let found = units
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)));
    let (number, seconds) = found.with_context(|| format!("no time: {text:?}"))?;
    Ok(Duration::from_secs_f64(number.parse::<f64>()? * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_wrk() {
        let text = "Running 5s test @ http://10.0.0.1:1/\n  1 threads and 8 connections\n  Latency Distribution\n     50%  134.00us\n     75%  170.00us\n     90%  200.00us\n     99%    1.25ms\n  273315 requests in 5.00s, 38.32MB read\nRequests/sec:  54663.50\nTransfer/sec:      7.66MB\n";
        let load = parse(text).unwrap();
        assert!((load.per_second - 54_663.5).abs() < 0.1);
        assert_eq!(load.times.p50, Duration::from_micros(134));
        assert_eq!(load.times.p99, Duration::from_micros(1250));
        let failed = format!("{text}  Non-2xx or 3xx responses: 7\n");
        assert!(parse(&failed).is_err());
        assert!(parse("").is_err());
    }
}
