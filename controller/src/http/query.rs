//! Query parameters, decoded, and the options that the verbs read from them.
//!
//! Pure. A value that cannot be understood is a 400 that names the parameter.

use super::{error, route};
use coracle_api::{
    go::{parse_duration, parse_int, parse_uint},
    status::{Cause, StatusError},
};
use http::{HeaderMap, HeaderValue, header};
use serde_json::json;
use std::time::Duration;

/// The decoded parameters, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// The parameters of a query string; a bad escape is kept as it is.
    pub(crate) fn parse(query: &str) -> Self {
        let text = |raw: &str| {
            let spaced = raw.replace('+', " ");
            route::decode(&spaced).unwrap_or(spaced)
        };
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (text(name), text(value))
                })
                .collect(),
        )
    }

    /// The first value of a parameter; absent and empty are the same.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// All values of a parameter.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// How long the client waits for its answer, if it says so.
    ///
    /// Source: k8s.io/apiserver `pkg/endpoints/filters/request_deadline.go`.
    pub(crate) fn timeout(&self) -> Result<Option<Duration>, StatusError> {
        let Some(text) = self.get("timeout") else {
            return Ok(None);
        };
        let nanos = parse_duration(text).map_err(|why| {
            error::bad_request(format!(
                "invalid timeout specified in the request URL - {why}"
            ))
        })?;
        let nanos = u64::try_from(nanos).ok().filter(|nanos| *nanos > 0);
        Ok(nanos.map(Duration::from_nanos))
    }

    /// What a boolean parameter says, if it is there: its first value counts, and only `0` and `false` are false.
    ///
    /// Source: k8s.io/apimachinery `pkg/runtime/conversion.go`.
    pub(crate) fn truth(&self, name: &str) -> Option<bool> {
        let (_, first) = self.0.iter().find(|(key, _)| key == name)?;
        Some(first != "0" && !first.eq_ignore_ascii_case("false"))
    }

    /// Whether a boolean parameter is there and true.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.truth(name).unwrap_or(false)
    }

    /// Whether JSON is indented: as asked, which Go itself parses, or else for people's own clients.
    ///
    /// Source: k8s.io/apiserver `pkg/endpoints/handlers/negotiation`.
    pub(crate) fn is_pretty(&self, headers: &HeaderMap) -> bool {
        if let Some(asked) = self.get("pretty").filter(|asked| !asked.is_empty()) {
            return matches!(asked, "1" | "t" | "T" | "true" | "TRUE" | "True");
        }
        let agent = headers.get(header::USER_AGENT);
        let agent = agent.map_or(&[][..], HeaderValue::as_bytes);
        let clients = ["curl", "Wget", "Mozilla/5.0"];
        clients
            .iter()
            .any(|name| agent.starts_with(name.as_bytes()))
    }

    /// A whole number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, StatusError> {
        self.get(name)
            .map(|value| parse_int(value).map_err(error::bad_request))
            .transpose()
    }
}

/// How a resource version is to be matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    /// As the version says by itself.
    Unset,
    /// At least this new.
    NotOlderThan,
    /// Exactly this one.
    Exact,
    /// As nobody knows: refused.
    Unknown,
}

/// Options of LIST, WATCH and DELETECOLLECTION.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListOptions {
    pub(crate) label_selector: String,
    pub(crate) field_selector: String,
    pub(crate) limit: usize,
    pub(crate) continue_token: String,
    /// None for the newest, `Some(0)` for any.
    pub(crate) resource_version: Option<u64>,
    pub(crate) version_match: Match,
    pub(crate) bookmarks: bool,
    pub(crate) send_initial_events: Option<bool>,
    pub(crate) timeout_secs: Option<u64>,
}

impl ListOptions {
    /// Reads and checks them.
    pub(crate) fn parse(query: &Query, watch: bool) -> Result<Self, StatusError> {
        let text = |name: &str| query.get(name).unwrap_or_default().to_owned();
        let version_match = match query.get("resourceVersionMatch") {
            None => Match::Unset,
            Some("NotOlderThan") => Match::NotOlderThan,
            Some("Exact") => Match::Exact,
            Some(_) => Match::Unknown,
        };
        let initial = query.truth("sendInitialEvents");
        let mut options = Self {
            label_selector: text("labelSelector"),
            field_selector: text("fieldSelector"),
            limit: usize::try_from(query.number("limit")?.unwrap_or(0)).unwrap_or(0),
            continue_token: text("continue"),
            resource_version: None,
            version_match,
            bookmarks: query.flag("allowWatchBookmarks"),
            send_initial_events: initial,
            timeout_secs: query
                .number("timeoutSeconds")?
                .and_then(|seconds| u64::try_from(seconds).ok())
                .filter(|seconds| *seconds > 0),
        };
        let word = query.get("resourceVersionMatch").unwrap_or_default();
        let causes = if watch {
            options.wrong_for_watch(word)
        } else {
            options.wrong_for_list(word, query.get("resourceVersion"))
        };
        if !causes.is_empty() {
            return Err(StatusError::invalid_options("ListOptions", causes));
        }
        // Only now, as upstream: what the version says is looked at last.
        options.resource_version = resource_version(query)?;
        Ok(options)
    }

    /// Source: k8s.io/apimachinery `pkg/apis/meta/internalversion/validation`.
    fn wrong_for_watch(&self, word: &str) -> Vec<Cause> {
        let mut causes = Vec::new();
        let mut forbid = |why: &str| causes.push(Cause::forbidden("resourceVersionMatch", why));
        let is_newer = self.version_match == Match::NotOlderThan;
        if self.send_initial_events.is_some() && !is_newer {
            forbid("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
        }
        if self.version_match == Match::Unset {
            return causes;
        }
        if self.send_initial_events.is_none() {
            forbid(
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            );
        }
        if !is_newer {
            let path = "resourceVersionMatch";
            causes.push(Cause::unsupported(path, &json!(word), &["NotOlderThan"]));
        }
        if !self.continue_token.is_empty() {
            let why = "resourceVersionMatch is forbidden when continue is provided";
            causes.push(Cause::forbidden("resourceVersionMatch", why));
        }
        causes
    }

    fn wrong_for_list(&self, word: &str, version: Option<&str>) -> Vec<Cause> {
        let mut causes = Vec::new();
        let path = "resourceVersionMatch";
        if self.version_match != Match::Unset {
            let mut forbid = |why: &str| causes.push(Cause::forbidden(path, why));
            if version.is_none() {
                forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
            }
            if !self.continue_token.is_empty() {
                forbid("resourceVersionMatch is forbidden when continue is provided");
            }
            if self.version_match == Match::Exact && version == Some("0") {
                forbid("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
            }
        }
        if self.version_match == Match::Unknown {
            let known = ["Exact", "NotOlderThan", ""];
            causes.push(Cause::unsupported(path, &json!(word), &known));
        }
        if self.send_initial_events.is_some() {
            let why = "sendInitialEvents is forbidden for list";
            causes.push(Cause::forbidden("sendInitialEvents", why));
        }
        causes
    }
}

/// `resourceVersion`: none when unset.
pub(crate) fn resource_version(query: &Query) -> Result<Option<u64>, StatusError> {
    query
        .get("resourceVersion")
        .map(|value| {
            parse_uint(value).map_err(|why| {
                error::bad_request(format!("resourceVersion: Invalid value: {value:?}: {why}"))
            })
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query =
            Query::parse("labelSelector=a%3Db%2Cc+in+%28x%29&limit=5&dryRun=All&watch&bad=%zz");
        assert_eq!(query.get("labelSelector"), Some("a=b,c in (x)"));
        assert_eq!(query.number("limit").unwrap(), Some(5));
        assert!(query.flag("watch") && !query.flag("follow"));
        assert_eq!(query.get("bad"), Some("%zz"));
        assert!(Query::parse("limit=x").number("limit").is_err());
    }

    #[test]
    fn a_boolean_is_its_first_value() {
        for (query, said) in [
            ("", None),
            ("watch", Some(true)),
            ("watch=", Some(true)),
            ("watch=f", Some(true)),
            ("watch=no", Some(true)),
            ("watch=0", Some(false)),
            ("watch=FaLse", Some(false)),
            ("watch=false&watch=true", Some(false)),
            ("watch=1&watch=0", Some(true)),
            ("%77atch=%30", Some(false)),
            ("Watch=1", None),
        ] {
            let parsed = Query::parse(query);
            assert_eq!(parsed.truth("watch"), said, "{query}");
            assert_eq!(parsed.flag("watch"), said == Some(true), "{query}");
        }
        let is_pretty = |query: &str| Query::parse(query).is_pretty(&HeaderMap::new());
        assert!(is_pretty("pretty=t") && !is_pretty("pretty=yes") && !is_pretty("pretty"));
    }

    #[track_caller]
    fn check(query: &str, watch: bool, ok: bool) {
        let parsed = ListOptions::parse(&Query::parse(query), watch);
        assert_eq!(parsed.is_ok(), ok, "{query}: {parsed:?}");
    }

    #[test]
    fn list_and_watch_options_are_checked() {
        check("resourceVersion=5&resourceVersionMatch=Exact", false, true);
        check("resourceVersion=0&resourceVersionMatch=Exact", false, false);
        check("resourceVersionMatch=NotOlderThan", false, false);
        check(
            "resourceVersion=5&resourceVersionMatch=Sometimes",
            false,
            false,
        );
        check(
            "sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
            true,
            true,
        );
        check("sendInitialEvents=true", true, false);
        check("sendInitialEvents=true", false, false);
        check("resourceVersionMatch=NotOlderThan", true, false);
        check("resourceVersion=abc", false, false);
    }

    #[test]
    fn refusals_say_what_upstream_says() {
        for (query, watch, said) in [
            (
                "resourceVersion=abc&resourceVersionMatch=foo",
                false,
                "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Unsupported value: \"foo\": supported values: \"Exact\", \"NotOlderThan\", \"\"",
            ),
            (
                "resourceVersion=abc&resourceVersionMatch=Exact",
                false,
                "resourceVersion: Invalid value: \"abc\": strconv.ParseUint: parsing \"abc\": invalid syntax",
            ),
            (
                "limit=foo",
                false,
                "strconv.ParseInt: parsing \"foo\": invalid syntax",
            ),
            (
                "resourceVersionMatch=Sometimes&sendInitialEvents=true",
                false,
                "ListOptions.meta.k8s.io \"\" is invalid: [resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided, resourceVersionMatch: Unsupported value: \"Sometimes\": supported values: \"Exact\", \"NotOlderThan\", \"\", sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list]",
            ),
            (
                "resourceVersionMatch=Exact&resourceVersion=5",
                true,
                "ListOptions.meta.k8s.io \"\" is invalid: [resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided, resourceVersionMatch: Unsupported value: \"Exact\": supported values: \"NotOlderThan\"]",
            ),
        ] {
            let refused = ListOptions::parse(&Query::parse(query), watch).unwrap_err();
            assert_eq!(refused.message, said);
            assert_eq!(refused.details.is_some(), refused.code == 422);
        }
    }
}
