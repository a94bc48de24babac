//! `pods/log`: which container, which part, in upstream's words when it cannot be had.

use super::super::{Body, Call, State, error, query::Query, route::RequestInfo};
use super::links::LogRequest;
use coracle_api::{Key, kind, status::StatusError};
use http::{HeaderValue, Response, header};
use jiff::Timestamp;
use serde_json::Value;

/// Answers `GET pods/NAME/log`.
pub(crate) async fn log(
    state: &State,
    info: &RequestInfo,
    call: &Call,
) -> Result<Response<Body>, StatusError> {
    let key = Key {
        namespace: info.namespace.clone(),
        name: info.name.clone(),
    };
    let pod = state
        .registry
        .cache()
        .get(kind::POD, &key)
        .ok_or_else(|| StatusError::not_found(kind::POD, &info.name))?;
    let value = pod.value();
    let mut request = options(&call.query, state.registry.clock().now())?;
    request.container = container(&value, &info.name, call.query.get("container"))?;
    let node = started(&value, &info.name, &request)?;
    request.namespace.clone_from(&info.namespace);
    request.pod.clone_from(&info.name);
    pod.uid().clone_into(&mut request.pod_uid);
    let lines = state.links.logs(&node, &request).await?;
    let mut response = Response::new(Body::stream(lines));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, private"),
    );
    Ok(response)
}

/// What part of the log is asked for.
fn options(query: &Query, now: Timestamp) -> Result<LogRequest, StatusError> {
    let refused = |field: &str, value: &str, why: &str| {
        error::status(
            422,
            "Invalid",
            format!("PodLogOptions \"\" is invalid: {field}: Invalid value: {value}: {why}"),
        )
    };
    let at_least = |name: &str, least: i64| match query.number(name)? {
        Some(number) if number < least => {
            let why = format!("must be greater than or equal to {least}");
            Err(refused(name, &number.to_string(), &why))
        }
        number => Ok(number.and_then(|number| u64::try_from(number).ok())),
    };
    let since_secs = at_least("sinceSeconds", 1)?;
    let since_time = query
        .get("sinceTime")
        .map(|text| {
            text.parse::<Timestamp>().map_err(|_not_a_time| {
                refused("sinceTime", &format!("{text:?}"), "not an RFC 3339 time")
            })
        })
        .transpose()?;
    if since_secs.is_some() && since_time.is_some() {
        return Err(refused(
            "sinceSeconds",
            "\"\"",
            "at most one of `sinceTime` or `sinceSeconds` may be specified",
        ));
    }
    let since_ms = since_secs
        .map(|seconds| {
            let millis = i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
            now.as_millisecond().saturating_sub(millis)
        })
        .or_else(|| since_time.map(Timestamp::as_millisecond));
    Ok(LogRequest {
        follow: query.flag("follow"),
        previous: query.flag("previous"),
        timestamps: query.flag("timestamps"),
        tail_lines: at_least("tailLines", 0)?,
        limit_bytes: at_least("limitBytes", 1)?,
        since_ms,
        ..LogRequest::default()
    })
}

fn names(pod: &Value, list: &str) -> Vec<String> {
    let containers = pod["spec"][list].as_array();
    let names = containers
        .into_iter()
        .flatten()
        .filter_map(|one| one["name"].as_str());
    names.map(str::to_owned).collect()
}

/// The container that is meant.
fn container(pod: &Value, pod_name: &str, asked: Option<&str>) -> Result<String, StatusError> {
    let (main, init) = (names(pod, "containers"), names(pod, "initContainers"));
    if let Some(asked) = asked {
        if main.iter().chain(&init).any(|name| name == asked) {
            return Ok(asked.to_owned());
        }
        return Err(error::bad_request(format!(
            "container {asked} is not valid for pod {pod_name}"
        )));
    }
    match main.as_slice() {
        [only] if init.is_empty() => Ok(only.clone()),
        [only, ..] if main.len() == 1 => Ok(only.clone()),
        _ => {
            let mut message = format!(
                "a container name must be specified for pod {pod_name}, choose one of: [{}]",
                main.join(" ")
            );
            if !init.is_empty() {
                message.push_str(&format!(
                    " or one of the init containers: [{}]",
                    init.join(" ")
                ));
            }
            Err(error::bad_request(message))
        }
    }
}

/// The node, when the container has written anything there.
fn started(pod: &Value, pod_name: &str, request: &LogRequest) -> Result<String, StatusError> {
    let container = &request.container;
    let waiting = |why: &str| {
        error::bad_request(format!(
            "container {container:?} in pod {pod_name:?} is waiting to start: {why}"
        ))
    };
    let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    if node.is_empty() {
        // Upstream answers an empty log; a sentence helps more, and clients print it.
        return Err(error::bad_request(format!(
            "pod {pod_name} does not have a host assigned"
        )));
    }
    let status = ["containerStatuses", "initContainerStatuses"]
        .iter()
        .filter_map(|list| pod["status"][*list].as_array())
        .flatten()
        .find(|status| status["name"] == container.as_str());
    let Some(status) = status else {
        return Err(waiting("ContainerCreating"));
    };
    let has_run_before = !status["lastState"]["terminated"].is_null();
    if request.previous && !has_run_before {
        return Err(error::bad_request(format!(
            "previous terminated container {container:?} in pod {pod_name:?} not found"
        )));
    }
    if let Some(waits) = status["state"]
        .get("waiting")
        .filter(|waits| !waits.is_null())
        && !has_run_before
    {
        let reason = waits["reason"].as_str().unwrap_or("ContainerCreating");
        return Err(match reason {
            "ErrImagePull" => waiting("image can't be pulled"),
            "ImagePullBackOff" => waiting("trying and failing to pull image"),
            "InvalidImageName" => waiting("InvalidImageName"),
            other => waiting(other),
        });
    }
    Ok(node.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(status: Value) -> Value {
        json!({"spec": {"nodeName": "n", "containers": [{"name": "a"}, {"name": "b"}]}, "status": status})
    }

    #[track_caller]
    fn check(pod: &Value, query: &str, expected: &str) {
        let query = Query::parse(query);
        let answer = options(&query, Timestamp::UNIX_EPOCH).and_then(|mut request| {
            request.container = container(pod, "p", query.get("container"))?;
            started(pod, "p", &request)
        });
        let text = answer.unwrap_or_else(|refused| refused.message);
        assert_eq!(text, expected);
    }

    #[test]
    fn refusals_are_worded_as_upstream_words_them() {
        let running = json!({"containerStatuses": [{"name": "a", "state": {"running": {}}}]});
        check(&pod(running.clone()), "container=a", "n");
        check(
            &pod(running.clone()),
            "",
            "a container name must be specified for pod p, choose one of: [a b]",
        );
        check(
            &pod(running.clone()),
            "container=x",
            "container x is not valid for pod p",
        );
        check(
            &pod(running.clone()),
            "container=b",
            "container \"b\" in pod \"p\" is waiting to start: ContainerCreating",
        );
        check(
            &pod(running.clone()),
            "container=a&previous=true",
            "previous terminated container \"a\" in pod \"p\" not found",
        );
        let pulling = json!({"containerStatuses": [{"name": "a", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]});
        check(
            &pod(pulling),
            "container=a",
            "container \"a\" in pod \"p\" is waiting to start: trying and failing to pull image",
        );
        check(
            &pod(running),
            "container=a&tailLines=-1",
            "PodLogOptions \"\" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0",
        );
    }

    #[test]
    fn times() {
        let now = Timestamp::from_second(1000).unwrap();
        let since = |text: &str| options(&Query::parse(text), now).map(|request| request.since_ms);
        assert_eq!(since("sinceSeconds=10").unwrap(), Some(990_000));
        assert_eq!(
            since("sinceTime=1970-01-01T00:00:05Z").unwrap(),
            Some(5_000)
        );
        assert_eq!(since("").unwrap(), None);
        assert!(since("sinceSeconds=1&sinceTime=1970-01-01T00:00:05Z").is_err());
        assert!(since("sinceTime=yesterday").is_err());
    }
}
