//! `pods/proxy` and `services/proxy`: HTTP to a pod's port over the link.
//!
//! Names are `NAME`, `NAME:PORT` or `http:NAME:PORT`; a guest's port speaks plain HTTP only.
//! The client's credentials never reach the guest.

use super::super::{Body, Call, State, error, route::RequestInfo};
use coracle_api::{Key, kind, status::StatusError};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use rand::seq::IteratorRandom as _;
use serde_json::Value;
use std::time::Duration;

/// How long a guest may take to its first byte.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Headers of one hop only, and those that are ours to keep.
const DROPPED: [HeaderName; 9] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::AUTHORIZATION,
    header::COOKIE,
];

/// `[scheme:]name[:port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target<'a> {
    name: &'a str,
    port: &'a str,
}

impl<'a> Target<'a> {
    fn parse(text: &'a str) -> Result<Self, StatusError> {
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            [name] if !name.is_empty() => Ok(Self { name, port: "" }),
            [name, port] if !name.is_empty() => Ok(Self { name, port }),
            ["" | "http", name, port] if !name.is_empty() => Ok(Self { name, port }),
            ["https", _, _] => Err(error::bad_request(
                "a guest's port speaks plain HTTP: use http:NAME:PORT".to_owned(),
            )),
            _ => Err(error::bad_request(format!(
                "invalid proxy request {text:?}"
            ))),
        }
    }
}

/// `pods/NAME/proxy/...`.
pub(crate) async fn pod_proxy(
    state: &State,
    info: &RequestInfo,
    call: Call,
) -> Result<Response<Body>, StatusError> {
    let target = Target::parse(&info.name)?;
    let key = Key {
        namespace: info.namespace.clone(),
        name: target.name.to_owned(),
    };
    let pod = state
        .registry
        .cache()
        .get(kind::POD, &key)
        .ok_or_else(|| StatusError::not_found(kind::POD, target.name))?;
    let value = pod.value();
    let port = pod_port(&value, target.port).ok_or_else(|| {
        error::bad_request(format!("pod {} has no port {:?}", target.name, target.port))
    })?;
    let node = value["spec"]["nodeName"].as_str().unwrap_or_default();
    if node.is_empty() {
        return Err(error::bad_request(format!(
            "pod {} does not have a host assigned",
            target.name
        )));
    }
    let destination = Destination {
        node,
        pod_uid: pod.uid(),
        port,
    };
    forward(state, &destination, info, call).await
}

/// A port of a pod by number or name; none given means the first, or 8080.
fn pod_port(pod: &Value, asked: &str) -> Option<u16> {
    if let Ok(number) = asked.parse::<u16>() {
        return (number > 0).then_some(number);
    }
    let containers = pod["spec"]["containers"].as_array();
    let mut ports = containers
        .into_iter()
        .flatten()
        .filter_map(|one| one["ports"].as_array())
        .flatten();
    let number = |port: &Value| {
        port["containerPort"]
            .as_u64()
            .and_then(|n| u16::try_from(n).ok())
    };
    if asked.is_empty() {
        return Some(ports.next().and_then(number).unwrap_or(8080));
    }
    ports.find(|port| port["name"] == asked).and_then(number)
}

/// `services/NAME/proxy/...`: one of the ready endpoints, by chance.
pub(crate) async fn service_proxy(
    state: &State,
    info: &RequestInfo,
    call: Call,
) -> Result<Response<Body>, StatusError> {
    let target = Target::parse(&info.name)?;
    let key = Key {
        namespace: info.namespace.clone(),
        name: target.name.to_owned(),
    };
    let cache = state.registry.cache();
    let service = cache
        .get(kind::SERVICE, &key)
        .ok_or_else(|| StatusError::not_found(kind::SERVICE, target.name))?;
    let port_name = service_port(&service.value(), target.port).ok_or_else(|| {
        error::unavailable(format!(
            "no service port {:?} found for service {:?}",
            target.port, target.name
        ))
    })?;
    let slices = cache.list(kind::ENDPOINT_SLICE, Some(&info.namespace));
    let values: Vec<Value> = slices
        .iter()
        .filter(|slice| {
            let labels = slice.meta.labels.as_ref();
            let owner = labels.and_then(|labels| labels.get("kubernetes.io/service-name"));
            owner.is_some_and(|owner| owner == target.name)
        })
        .map(|slice| slice.value())
        .collect();
    let (pod, port) = values
        .iter()
        .flat_map(|slice| endpoints(slice, &port_name))
        .choose(&mut rand::rng())
        .ok_or_else(|| {
            error::unavailable(format!(
                "no endpoints available for service {:?}",
                target.name
            ))
        })?;
    let key = Key {
        namespace: info.namespace.clone(),
        name: pod.to_owned(),
    };
    let pod = cache.get(kind::POD, &key).ok_or_else(|| {
        error::unavailable(format!(
            "no endpoints available for service {:?}",
            target.name
        ))
    })?;
    let value = pod.value();
    let node = value["spec"]["nodeName"].as_str().unwrap_or_default();
    let destination = Destination {
        node,
        pod_uid: pod.uid(),
        port,
    };
    forward(state, &destination, info, call).await
}

/// The name of a service's port by name or number; none given means the only one.
fn service_port(service: &Value, asked: &str) -> Option<String> {
    let ports = service["spec"]["ports"].as_array()?;
    let name = |port: &Value| port["name"].as_str().unwrap_or_default().to_owned();
    if asked.is_empty() {
        return match ports.as_slice() {
            [only] => Some(name(only)),
            // As upstream: an unnamed port is what "no port" names.
            _ => ports.iter().map(name).find(String::is_empty),
        };
    }
    let matches = |port: &&Value| {
        port["name"] == asked
            || port["port"]
                .as_u64()
                .is_some_and(|n| n.to_string() == asked)
    };
    ports.iter().find(matches).map(name)
}

/// Ready endpoints of a slice: the pod's name and the port.
fn endpoints<'a>(slice: &'a Value, port_name: &str) -> Vec<(&'a str, u16)> {
    let ports = slice["ports"].as_array();
    let port = ports
        .into_iter()
        .flatten()
        .find(|port| port["name"].as_str().unwrap_or_default() == port_name)
        .and_then(|port| port["port"].as_u64())
        .and_then(|port| u16::try_from(port).ok());
    let Some(port) = port else { return Vec::new() };
    let endpoints = slice["endpoints"].as_array();
    endpoints
        .into_iter()
        .flatten()
        .filter(|one| one["conditions"]["ready"].as_bool().unwrap_or(true))
        .filter(|one| one["targetRef"]["kind"] == "Pod")
        .filter_map(|one| one["targetRef"]["name"].as_str())
        .map(|pod| (pod, port))
        .collect()
}

struct Destination<'a> {
    node: &'a str,
    pod_uid: &'a str,
    port: u16,
}

/// Sends the request on and the answer back.
async fn forward(
    state: &State,
    destination: &Destination<'_>,
    info: &RequestInfo,
    call: Call,
) -> Result<Response<Body>, StatusError> {
    if info.rest.is_empty() && matches!(call.parts.method, http::Method::GET | http::Method::HEAD) {
        // Relative links of the page behind need the slash.
        let path = format!("{}/", call.parts.uri.path());
        let url = match call.parts.uri.query() {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
        super::super::respond::set(&mut response, header::LOCATION, &url);
        return Ok(response);
    }
    let failed = |cause: &dyn std::fmt::Display| {
        error::unavailable(format!("error trying to reach service: {cause}"))
    };
    let stream = state
        .links
        .connect(destination.node, destination.pod_uid, destination.port)
        .await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|refused| failed(&refused))?;
    let stop = state.tasks.stop().clone();
    state.tasks.spawn(
        "proxied connection",
        coracle_daemon::OnExit::Ignore,
        async move {
            tokio::select! {
                () = stop.cancelled() => {}
                ended = connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "proxied connection ended");
                    }
                }
            }
        },
    );
    let request = outgoing(info, call, destination.port)?;
    let answered = tokio::time::timeout(ANSWER_MAX, sender.send_request(request)).await;
    let response = match answered {
        Ok(Ok(response)) => response,
        Ok(Err(refused)) => return Err(failed(&refused)),
        Err(_elapsed) => return Err(error::timed_out()),
    };
    let mut response = response.map(Body::wrap);
    strip(response.headers_mut(), &DROPPED[..7]);
    Ok(response)
}

fn outgoing(
    info: &RequestInfo,
    call: Call,
    port: u16,
) -> Result<Request<hyper::body::Incoming>, StatusError> {
    let Call {
        parts, mut body, ..
    } = call;
    let body = body
        .take()
        .ok_or_else(|| error::bad_request("the body was read already"))?;
    let path = if info.rest.is_empty() {
        "/"
    } else {
        &info.rest
    };
    let url = match parts.uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let uri: Uri = url
        .parse()
        .map_err(|_bad| error::bad_request("invalid proxy path"))?;
    let host = parts
        .headers
        .get(header::HOST)
        .cloned()
        .or_else(|| HeaderValue::from_str(&format!("localhost:{port}")).ok());
    let mut request = Request::new(body);
    *request.method_mut() = parts.method;
    *request.uri_mut() = uri;
    *request.headers_mut() = parts.headers;
    strip(request.headers_mut(), &DROPPED);
    if let Some(host) = host {
        request.headers_mut().insert(header::HOST, host);
    }
    Ok(request)
}

fn strip(headers: &mut HeaderMap, names: &[HeaderName]) {
    let listed: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in listed.iter().chain(names) {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove("impersonate-user");
    headers.remove("impersonate-group");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names() {
        let parse = |text| {
            Target::parse(text).map(|target| (target.name.to_owned(), target.port.to_owned()))
        };
        let pair = |name: &str, port: &str| Some((name.to_owned(), port.to_owned()));
        assert_eq!(parse("web").ok(), pair("web", ""));
        assert_eq!(parse("web:80").ok(), pair("web", "80"));
        assert_eq!(parse("http:web:http").ok(), pair("web", "http"));
        assert_eq!(parse("http:web:").ok(), pair("web", ""));
        for bad in ["", ":", "https:web:443", "a:b:c:d", "::"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ports() {
        let pod = json!({"spec": {"containers": [{}, {"ports": [{"name": "web", "containerPort": 81}]}]}});
        assert_eq!(pod_port(&pod, ""), Some(81));
        assert_eq!(pod_port(&pod, "web"), Some(81));
        assert_eq!(pod_port(&pod, "9"), Some(9));
        assert_eq!(pod_port(&pod, "0"), None);
        assert_eq!(pod_port(&pod, "other"), None);
        assert_eq!(pod_port(&json!({}), ""), Some(8080));
        let service =
            json!({"spec": {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}]}});
        assert_eq!(service_port(&service, "81").as_deref(), Some("b"));
        assert_eq!(service_port(&service, "a").as_deref(), Some("a"));
        assert_eq!(service_port(&service, ""), None);
    }

    #[test]
    fn only_ready_pods_are_endpoints() {
        let slice = json!({
            "ports": [{"name": "", "port": 8080}],
            "endpoints": [
                {"conditions": {"ready": false}, "targetRef": {"kind": "Pod", "name": "a"}},
                {"conditions": {"ready": true}, "targetRef": {"kind": "Pod", "name": "b"}},
            ],
        });
        assert_eq!(endpoints(&slice, ""), [("b", 8080)]);
        assert!(endpoints(&slice, "x").is_empty());
    }
}
