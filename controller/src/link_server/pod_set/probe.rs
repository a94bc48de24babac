//! Probes with upstream's defaults and named ports resolved.

use coracle_api::k8s_openapi::{
    api::core::v1::{Container, Probe as ApiProbe},
    apimachinery::pkg::util::intstr::IntOrString,
};
use coracle_link::pod::{Probe, ProbeAction};

/// The probe, or none where there is none.
///
/// # Errors
/// A sentence when it asks for what no wasm guest can answer.
pub(super) fn resolve(
    container: &Container,
    probe: Option<&ApiProbe>,
    what: &str,
) -> Result<Option<Probe>, String> {
    let Some(probe) = probe else { return Ok(None) };
    let Some(action) = action(container, probe)
        .map_err(|why| format!("the {what} probe of container {:?} {why}", container.name))?
    else {
        return Ok(None);
    };
    let number = |number: Option<i32>, default: u32| {
        let number = number.and_then(|number| u32::try_from(number).ok());
        number.filter(|number| *number > 0).unwrap_or(default)
    };
    Ok(Some(Probe {
        action,
        initial_delay_secs: number(probe.initial_delay_seconds, 0),
        period_secs: number(probe.period_seconds, 10),
        timeout_secs: number(probe.timeout_seconds, 1),
        success_threshold: number(probe.success_threshold, 1),
        failure_threshold: number(probe.failure_threshold, 3),
    }))
}

fn action(container: &Container, probe: &ApiProbe) -> Result<Option<ProbeAction>, String> {
    if probe.exec.is_some() {
        return Err(
            "runs a command: a wasm guest has no other programs; use httpGet or tcpSocket"
                .to_owned(),
        );
    }
    if probe.grpc.is_some() {
        return Err("is a gRPC probe, which is not available; use httpGet or tcpSocket".to_owned());
    }
    let foreign = |host: &Option<String>| {
        let host = host.as_deref().unwrap_or_default();
        if matches!(host, "" | "localhost" | "127.0.0.1") {
            return Ok(());
        }
        Err(format!(
            "asks the host {host:?}: a probe only ever asks its own pod"
        ))
    };
    if let Some(get) = &probe.http_get {
        foreign(&get.host)?;
        if get.scheme.as_deref() == Some("HTTPS") {
            return Err("uses HTTPS: a guest's port speaks plain HTTP".to_owned());
        }
        let headers = get.http_headers.iter().flatten();
        return Ok(Some(ProbeAction::HttpGet {
            port: port(container, &get.port)?,
            path: get.path.clone().unwrap_or_else(|| "/".to_owned()),
            headers: headers
                .map(|header| (header.name.clone(), header.value.clone()))
                .collect(),
        }));
    }
    if let Some(socket) = &probe.tcp_socket {
        foreign(&socket.host)?;
        return Ok(Some(ProbeAction::TcpSocket {
            port: port(container, &socket.port)?,
        }));
    }
    Ok(None)
}

fn port(container: &Container, asked: &IntOrString) -> Result<u16, String> {
    let number = match asked {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => container
            .ports
            .iter()
            .flatten()
            .find(|port| port.name.as_ref() == Some(name))
            .map(|port| port.container_port)
            .or_else(|| name.parse().ok()),
    };
    number
        .and_then(|number| u16::try_from(number).ok())
        .filter(|number| *number > 0)
        .ok_or_else(|| match asked {
            IntOrString::Int(number) => format!("asks port {number}, which is none"),
            IntOrString::String(name) => format!(
                "asks a port that the container does not have: couldn't find port: {name:?}"
            ),
        })
}
