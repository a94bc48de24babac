//! What a monitoring system asks of a controller: health, metrics.

use anyhow::Context as _;
use coracle_tests::Controller;
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn health_is_as_upstream() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    for (path, said) in [
        ("/healthz", "ok"),
        ("/livez", "ok"),
        ("/readyz", "ok"),
        ("/readyz/ping", "ok"),
        (
            "/readyz?verbose",
            "[+]ping ok\n[+]cache ok\n[+]shutdown ok\nreadyz check passed\n",
        ),
        (
            "/readyz?verbose&exclude=cache",
            "[+]ping ok\n[+]cache excluded: ok\n[+]shutdown ok\nreadyz check passed\n",
        ),
        (
            "/livez?verbose&exclude=etcd",
            "[+]ping ok\nwarn: some health checks cannot be excluded: no matches for \"etcd\"\nlivez check passed\n",
        ),
    ] {
        assert_eq!(controller.ok(&["get", "--raw", path], "")?, said, "{path}");
    }
    let said = controller.refused(&["get", "--raw", "/healthz/none"], "")?;
    assert!(said.contains("NotFound"), "{said}");
    Ok(())
}

/// The samples of each family: name with labels, value.
type Families = BTreeMap<String, Vec<(String, f64)>>;

/// Checks the text form as Prometheus reads it; the families with their samples.
fn parse(text: &str) -> anyhow::Result<Families> {
    anyhow::ensure!(text.ends_with('\n'), "the last line has no end");
    let (mut families, mut kinds) = (BTreeMap::<String, Vec<_>>::new(), BTreeMap::new());
    let (mut current, mut seen) = (String::new(), BTreeSet::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').context("no help")?;
            anyhow::ensure!(!help.is_empty() && !families.contains_key(name), "{line}");
            name.clone_into(&mut current);
            families.insert(current.clone(), Vec::new());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').context("no type")?;
            anyhow::ensure!(
                name == current && ["counter", "gauge", "histogram"].contains(&kind),
                "{line}"
            );
            kinds.insert(current.clone(), kind.to_owned());
        } else {
            let (sample, value) = line
                .rsplit_once(' ')
                .with_context(|| format!("{line:?} has no value"))?;
            let name = sample.split('{').next().unwrap_or_default();
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .filter(|base| *base == current);
            anyhow::ensure!(
                name == current || base.is_some(),
                "{line:?} stands under {current}"
            );
            anyhow::ensure!(
                name.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_:".contains(&b)),
                "{line}"
            );
            anyhow::ensure!(seen.insert(sample.to_owned()), "{sample} stands twice");
            if kinds.get(&current).is_some_and(|kind| kind == "counter") {
                anyhow::ensure!(value.parse::<f64>()? >= 0.0, "{line}");
            }
            families
                .entry(current.clone())
                .or_default()
                .push((sample.to_owned(), value.parse()?));
        }
    }
    Ok(families)
}

#[test]
fn metrics_are_what_prometheus_reads() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let controller = Controller::start(dir.path())?;
    controller.ok(&["create", "namespace", "team"], "")?;
    controller.ok(&["get", "pods", "-A"], "")?;
    let text = controller.ok(&["get", "--raw", "/metrics"], "")?;
    let families = parse(&text)?;
    let requests = &families["apiserver_request_total"];
    assert!(
        requests
            .iter()
            .any(|(sample, _)| sample.contains("resource=\"namespaces\"")
                && sample.contains("code=\"201\"")),
        "{requests:?}"
    );
    for (sample, count) in &families["apiserver_request_duration_seconds"] {
        let Some(labels) = sample.strip_prefix("apiserver_request_duration_seconds_count") else {
            continue;
        };
        let verb = labels.trim_matches(['{', '}']);
        let buckets: Vec<f64> = families["apiserver_request_duration_seconds"]
            .iter()
            .filter(|(sample, _)| sample.contains("_bucket") && sample.contains(verb))
            .map(|(_, value)| *value)
            .collect();
        assert!(
            buckets.is_sorted() && buckets.last() == Some(count),
            "{sample}: {buckets:?}"
        );
    }
    assert!(families.contains_key("coracle_nodes") && families.contains_key("coracle_pods"));
    Ok(())
}
