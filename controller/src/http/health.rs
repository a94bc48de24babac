//! `/healthz`, `/livez`, `/readyz` and the checks below them, in upstream's form.

use super::{Body, State, query::Query, respond};
use http::{Response, StatusCode};

/// What is said of a path that is nothing.
pub(crate) const NO_PAGE: &str = "404 page not found\n";

/// A check: its name and whether it passes.
type Check = (&'static str, fn(&State) -> bool);

/// Checks of a live and of a ready server. They look at what is in memory; a check that waited for
/// the disk would make a slow disk look like a dead server.
const CHECKS: [Check; 3] = [
    ("ping", |_| true),
    ("cache", |state| state.registry.cache().revision().0 > 0),
    ("shutdown", |state| !state.tasks.stop().is_cancelled()),
];

/// The answer for a path of these; none for any other.
pub(crate) fn answer(state: &State, path: &str, query: &Query) -> Option<Response<Body>> {
    let (endpoint, one) = ["/healthz", "/livez", "/readyz"]
        .iter()
        .find_map(|endpoint| {
            let rest = path.strip_prefix(endpoint)?;
            match rest.strip_prefix('/') {
                Some(one) => Some((&endpoint[1..], one)),
                None => rest.is_empty().then_some((&endpoint[1..], "")),
            }
        })?;
    let mut excluded: Vec<&str> = query.all("exclude").collect();
    let checks: Vec<&Check> = CHECKS
        .iter()
        .filter(|(name, _)| {
            // A server that ends is alive, and no longer ready.
            let counts = *name == "ping" || endpoint == "readyz";
            if one.is_empty() { counts } else { *name == one }
        })
        .collect();
    if checks.is_empty() && !one.is_empty() {
        return Some(respond::text(StatusCode::NOT_FOUND, NO_PAGE));
    }
    let mut passed = true;
    let mut lines = String::new();
    for (name, check) in checks {
        let line = if one.is_empty() && excluded.contains(name) {
            excluded.retain(|excluded| excluded != name);
            format!("[+]{name} excluded: ok\n")
        } else if check(state) {
            format!("[+]{name} ok\n")
        } else {
            passed = false;
            format!("[-]{name} failed: reason withheld\n")
        };
        lines.push_str(&line);
    }
    if one.is_empty() && !excluded.is_empty() {
        let names: Vec<String> = excluded.iter().map(|name| format!("{name:?}")).collect();
        let names = names.join(", ");
        lines.push_str(&format!(
            "warn: some health checks cannot be excluded: no matches for {names}\n"
        ));
    }
    if !passed {
        lines.push_str(endpoint);
        lines.push_str(" check failed\n");
        return Some(respond::text(StatusCode::INTERNAL_SERVER_ERROR, lines));
    }
    if query.flag("verbose") {
        lines.push_str(endpoint);
        lines.push_str(" check passed\n");
        return Some(respond::text(StatusCode::OK, lines));
    }
    Some(respond::text(StatusCode::OK, "ok"))
}
