//! Makes one container run: image, volumes, log, sandbox. Anything that is missing is a reason and a sentence.

use crate::{Shared, events, logs};
use coracle_link::pod::{Container, Pod, Protocol, Sensitive};
use coracle_runtime::{HttpOptions, Limits, Mount, Output, Sandbox, SandboxSpec, Shape, StdStream};
use std::{fmt, sync::Arc};

/// The port of an HTTP container that declares none.
const HTTP_PORT_DEFAULT: u16 = 8080;
/// A container without a CPU request, as upstream's smallest share.
const CPU_SHARES_MIN: u32 = 2;

/// What is to be started.
pub(super) struct Request {
    pub(super) pod: Arc<Pod>,
    pub(super) spec: Container,
    /// Names the log.
    pub(super) run: u32,
}

/// A running container.
pub(super) struct Launched {
    pub(super) sandbox: Sandbox,
    pub(super) log: Arc<logs::Writer>,
    pub(super) image_id: String,
    /// What the agent serves for an HTTP component.
    pub(super) ports: Vec<u16>,
}

impl fmt::Debug for Launched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launched")
            .field("image_id", &self.image_id)
            .finish_non_exhaustive()
    }
}

/// Why a container does not run.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// Sends a guest's output to its log.
struct ToLog(Arc<logs::Writer>);

impl Output for ToLog {
    fn write(&self, stream: StdStream, bytes: &[u8]) {
        let stream = match stream {
            StdStream::Stdout => logs::Stream::Stdout,
            StdStream::Stderr => logs::Stream::Stderr,
        };
        self.0.write(stream, bytes);
    }
}

/// Makes the container and starts it. Dropping the future abandons the attempt.
pub(super) async fn launch(shared: &Arc<Shared>, request: Request) -> Result<Launched, Failure> {
    let Request { pod, spec, run } = request;
    if let Some(message) = &spec.config_error {
        let reason = "CreateContainerConfigError";
        return Err(Failure {
            reason,
            message: message.clone(),
        });
    }
    let image = shared.images.get(&pod, &spec).await;
    let image = image.map_err(|error| Failure {
        reason: error.reason,
        message: error.message,
    })?;
    let turn = shared.starts.acquire().await;
    let _turn = turn.map_err(|closed| Failure {
        reason: "CreateContainerError",
        message: closed.to_string(),
    })?;
    let (mounts, log) = prepare(shared, &pod, &spec, run).await?;
    let log = Arc::new(log);
    let host = shared.network.host(&pod, &spec.name);
    let sandbox_spec = sandbox_spec(&pod, &spec, mounts, &log);
    let started = shared
        .runtime
        .start(&image.module, sandbox_spec, host)
        .await;
    let sandbox = started.map_err(|error| Failure {
        reason: "CreateContainerError",
        message: events::chain(&error),
    })?;
    // A command opens its ports itself, through its host.
    let ports = if sandbox.shape() == Shape::Http {
        http_ports(&spec)
    } else {
        Vec::new()
    };
    Ok(Launched {
        sandbox,
        log,
        image_id: image.image_id,
        ports,
    })
}

async fn prepare(
    shared: &Arc<Shared>,
    pod: &Arc<Pod>,
    spec: &Container,
    run: u32,
) -> Result<(Vec<Mount>, logs::Writer), Failure> {
    let (volumes, logs) = (shared.volumes.clone(), shared.logs.clone());
    let (pod, spec) = (Arc::clone(pod), spec.clone());
    let config = |message| Failure {
        reason: "CreateContainerConfigError",
        message,
    };
    let blocking = move || {
        volumes
            .sync(&pod)
            .map_err(|error| config(events::chain(&error)))?;
        let mounts = volumes
            .mounts(&pod, &spec)
            .map_err(|error| config(events::chain(&error)))?;
        let log = logs
            .open(&pod.uid, &spec.name, run)
            .map_err(|error| Failure {
                reason: "CreateContainerError",
                message: format!("cannot open the log: {error}"),
            })?;
        Ok((mounts, log))
    };
    let done = tokio::task::spawn_blocking(blocking).await;
    let (mounts, log) = done.unwrap_or_else(|error| {
        Err(Failure {
            reason: "CreateContainerError",
            message: error.to_string(),
        })
    })?;
    let mounts = mounts.into_iter().map(|mounted| Mount {
        host: mounted.host,
        guest: mounted.guest,
        read_only: mounted.read_only,
    });
    Ok((mounts.collect(), log))
}

fn sandbox_spec(
    pod: &Pod,
    spec: &Container,
    mounts: Vec<Mount>,
    log: &Arc<logs::Writer>,
) -> SandboxSpec {
    let text = |value: &Sensitive| String::from_utf8_lossy(&value.0).into_owned();
    let has = |name: &str| spec.env.iter().any(|variable| variable.name == name);
    let mut env = Vec::with_capacity(spec.env.len() + 1);
    if !has("HOSTNAME") {
        env.push(("HOSTNAME".to_owned(), pod.hostname.clone()));
    }
    env.extend(
        spec.env
            .iter()
            .map(|variable| (variable.name.clone(), text(&variable.value))),
    );
    let mut args = vec![spec.name.clone()];
    args.extend(spec.args.iter().cloned());
    let millis = |millis: u64| u32::try_from(millis).unwrap_or(u32::MAX);
    SandboxSpec {
        id: format!("{}/{}/{}", pod.namespace, pod.name, spec.name),
        args,
        env,
        mounts,
        limits: Limits {
            memory_bytes: spec.limits.memory_bytes,
            cpu_millis: spec.limits.cpu_millis.map(millis),
            cpu_shares_millis: spec.requests.cpu_millis.map_or(CPU_SHARES_MIN, millis),
        },
        output: Arc::new(ToLog(Arc::clone(log))),
        http: HttpOptions {
            max_invocations: spec.max_invocations,
            max_concurrency: spec.max_concurrency,
        },
    }
}

fn http_ports(spec: &Container) -> Vec<u16> {
    let tcp = spec
        .ports
        .iter()
        .filter(|port| port.protocol == Protocol::Tcp);
    let ports: Vec<u16> = tcp.map(|port| port.container_port).collect();
    if ports.is_empty() {
        vec![HTTP_PORT_DEFAULT]
    } else {
        ports
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use coracle_link::pod::Port;

    #[test]
    fn an_http_container_opens_what_it_declares() {
        let mut spec = testing::container("a");
        assert_eq!(http_ports(&spec), [8080]);
        let port = |container_port, protocol| Port {
            name: String::new(),
            container_port,
            protocol,
        };
        spec.ports = vec![
            port(80, Protocol::Tcp),
            port(53, Protocol::Udp),
            port(81, Protocol::Tcp),
        ];
        assert_eq!(http_ports(&spec), [80, 81]);
    }
}
