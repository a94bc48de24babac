//! Pods, every reference resolved.

use super::{DecodeError, all, key_values, pairs, port, text};
use crate::{
    pb,
    pod::{
        Container, EnvVar, File, Mount, Pod, Port, Probe, ProbeAction, Protocol, PullPolicy,
        Resources, RestartPolicy, Sensitive, Volume, VolumeSource,
    },
};
use std::path::{Component, Path};

impl From<&Pod> for pb::Pod {
    fn from(pod: &Pod) -> Self {
        let restart_policy = match pod.restart_policy {
            RestartPolicy::Always => pb::RestartPolicy::Always,
            RestartPolicy::OnFailure => pb::RestartPolicy::OnFailure,
            RestartPolicy::Never => pb::RestartPolicy::Never,
        };
        Self {
            uid: pod.uid.clone(),
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            revision: pod.revision,
            labels: key_values(&pod.labels),
            annotations: key_values(&pod.annotations),
            restart_policy: restart_policy.into(),
            grace_period_secs: pod.grace_period_secs,
            deletion_grace_secs: pod.deletion_grace_secs,
            hostname: pod.hostname.clone(),
            active_deadline_secs: pod.active_deadline_secs,
            init_containers: pod.init_containers.iter().map(Into::into).collect(),
            containers: pod.containers.iter().map(Into::into).collect(),
            volumes: pod.volumes.iter().map(Into::into).collect(),
            service_account: pod.service_account.clone(),
        }
    }
}

impl TryFrom<pb::Pod> for Pod {
    type Error = DecodeError;

    fn try_from(wire: pb::Pod) -> Result<Self, DecodeError> {
        let restart_policy = match wire.restart_policy() {
            pb::RestartPolicy::Always => RestartPolicy::Always,
            pb::RestartPolicy::OnFailure => RestartPolicy::OnFailure,
            pb::RestartPolicy::Never => RestartPolicy::Never,
            pb::RestartPolicy::Unspecified => {
                return Err(DecodeError::Unknown("Pod.restart_policy"));
            }
        };
        if wire.containers.is_empty() {
            return Err(DecodeError::Missing("Pod.containers"));
        }
        Ok(Self {
            // Names a folder on the agent's disk.
            uid: folder(text(wire.uid, "Pod.uid")?, "Pod.uid")?,
            namespace: text(wire.namespace, "Pod.namespace")?,
            name: text(wire.name, "Pod.name")?,
            revision: wire.revision,
            labels: pairs(wire.labels),
            annotations: pairs(wire.annotations),
            restart_policy,
            grace_period_secs: wire.grace_period_secs,
            deletion_grace_secs: wire.deletion_grace_secs,
            hostname: wire.hostname,
            active_deadline_secs: wire.active_deadline_secs,
            init_containers: all(wire.init_containers)?,
            containers: all(wire.containers)?,
            volumes: all(wire.volumes)?,
            service_account: wire.service_account,
        })
    }
}

/// A text that is one path component.
fn folder(text: String, field: &'static str) -> Result<String, DecodeError> {
    let mut components = Path::new(&text).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(one)), None) if one.as_encoded_bytes() == text.as_bytes() => {
            Ok(text)
        }
        _ => Err(DecodeError::Path(field)),
    }
}

/// A relative path that stays where it is put.
fn relative(text: String, field: &'static str) -> Result<String, DecodeError> {
    let inside = |part| matches!(part, Component::Normal(_));
    if text.is_empty() || text.contains('\0') || !Path::new(&text).components().all(inside) {
        return Err(DecodeError::Path(field));
    }
    Ok(text)
}

impl From<&Container> for pb::Container {
    fn from(container: &Container) -> Self {
        let pull_policy = match container.pull_policy {
            PullPolicy::Always => pb::PullPolicy::Always,
            PullPolicy::IfNotPresent => pb::PullPolicy::IfNotPresent,
            PullPolicy::Never => pb::PullPolicy::Never,
        };
        let env = container.env.iter().map(|var| pb::EnvVar {
            name: var.name.clone(),
            value: var.value.0.clone(),
        });
        let mounts = container.mounts.iter().map(|mount| pb::Mount {
            volume: mount.volume.clone(),
            path: mount.path.clone(),
            sub_path: mount.sub_path.clone(),
            read_only: mount.read_only,
        });
        Self {
            name: container.name.clone(),
            image: container.image.clone(),
            pull_policy: pull_policy.into(),
            args: container.args.clone(),
            env: env.collect(),
            config_error: container.config_error.clone(),
            ports: container.ports.iter().map(Into::into).collect(),
            mounts: mounts.collect(),
            limits: Some(container.limits.into()),
            requests: Some(container.requests.into()),
            startup: container.startup.as_ref().map(Into::into),
            readiness: container.readiness.as_ref().map(Into::into),
            liveness: container.liveness.as_ref().map(Into::into),
            max_invocations: container.max_invocations,
            max_concurrency: container.max_concurrency,
            sidecar: container.sidecar,
        }
    }
}

impl TryFrom<pb::Container> for Container {
    type Error = DecodeError;

    fn try_from(wire: pb::Container) -> Result<Self, DecodeError> {
        let pull_policy = match wire.pull_policy() {
            pb::PullPolicy::Always => PullPolicy::Always,
            pb::PullPolicy::IfNotPresent => PullPolicy::IfNotPresent,
            pb::PullPolicy::Never => PullPolicy::Never,
            pb::PullPolicy::Unspecified => {
                return Err(DecodeError::Unknown("Container.pull_policy"));
            }
        };
        let env = wire.env.into_iter().map(|var| EnvVar {
            name: var.name,
            value: Sensitive(var.value),
        });
        let mounts = wire.mounts.into_iter().map(|mount| Mount {
            volume: mount.volume,
            path: mount.path,
            sub_path: mount.sub_path,
            read_only: mount.read_only,
        });
        Ok(Self {
            name: folder(text(wire.name, "Container.name")?, "Container.name")?,
            image: wire.image,
            pull_policy,
            args: wire.args,
            env: env.collect(),
            config_error: wire.config_error,
            ports: all(wire.ports)?,
            mounts: mounts.collect(),
            limits: wire.limits.unwrap_or_default().into(),
            requests: wire.requests.unwrap_or_default().into(),
            startup: wire.startup.map(TryInto::try_into).transpose()?,
            readiness: wire.readiness.map(TryInto::try_into).transpose()?,
            liveness: wire.liveness.map(TryInto::try_into).transpose()?,
            max_invocations: wire.max_invocations.max(1),
            max_concurrency: wire.max_concurrency.max(1),
            sidecar: wire.sidecar,
        })
    }
}

impl From<Resources> for pb::Resources {
    fn from(resources: Resources) -> Self {
        Self {
            cpu_millis: resources.cpu_millis,
            memory_bytes: resources.memory_bytes,
        }
    }
}

impl From<pb::Resources> for Resources {
    fn from(wire: pb::Resources) -> Self {
        Self {
            cpu_millis: wire.cpu_millis,
            memory_bytes: wire.memory_bytes,
        }
    }
}

impl From<&Port> for pb::Port {
    fn from(port: &Port) -> Self {
        let protocol = match port.protocol {
            Protocol::Tcp => pb::Protocol::Tcp,
            Protocol::Udp => pb::Protocol::Udp,
        };
        Self {
            name: port.name.clone(),
            container_port: port.container_port.into(),
            protocol: protocol.into(),
        }
    }
}

impl TryFrom<pb::Port> for Port {
    type Error = DecodeError;

    fn try_from(wire: pb::Port) -> Result<Self, DecodeError> {
        let protocol = match wire.protocol() {
            pb::Protocol::Tcp => Protocol::Tcp,
            pb::Protocol::Udp => Protocol::Udp,
            pb::Protocol::Unspecified => return Err(DecodeError::Unknown("Port.protocol")),
        };
        Ok(Self {
            name: wire.name,
            container_port: port(wire.container_port, "Port.container_port")?,
            protocol,
        })
    }
}

impl From<&Probe> for pb::Probe {
    fn from(probe: &Probe) -> Self {
        use pb::probe::Action;
        let action = match &probe.action {
            ProbeAction::HttpGet {
                port,
                path,
                headers,
            } => Action::HttpGet(pb::HttpGet {
                port: (*port).into(),
                path: path.clone(),
                headers: key_values(headers),
            }),
            ProbeAction::TcpSocket { port } => Action::TcpSocket(pb::TcpSocket {
                port: (*port).into(),
            }),
        };
        Self {
            action: Some(action),
            initial_delay_secs: probe.initial_delay_secs,
            period_secs: probe.period_secs,
            timeout_secs: probe.timeout_secs,
            success_threshold: probe.success_threshold,
            failure_threshold: probe.failure_threshold,
        }
    }
}

impl TryFrom<pb::Probe> for Probe {
    type Error = DecodeError;

    fn try_from(wire: pb::Probe) -> Result<Self, DecodeError> {
        use pb::probe::Action;
        let action = match wire.action {
            Some(Action::HttpGet(get)) => ProbeAction::HttpGet {
                port: port(get.port, "HttpGet.port")?,
                path: get.path,
                headers: pairs(get.headers),
            },
            Some(Action::TcpSocket(socket)) => ProbeAction::TcpSocket {
                port: port(socket.port, "TcpSocket.port")?,
            },
            None => return Err(DecodeError::Missing("Probe.action")),
        };
        Ok(Self {
            action,
            initial_delay_secs: wire.initial_delay_secs,
            period_secs: wire.period_secs.max(1),
            timeout_secs: wire.timeout_secs.max(1),
            success_threshold: wire.success_threshold.max(1),
            failure_threshold: wire.failure_threshold.max(1),
        })
    }
}

impl From<&Volume> for pb::Volume {
    fn from(volume: &Volume) -> Self {
        use pb::volume::Source;
        let source = match &volume.source {
            VolumeSource::EmptyDir { memory, size_limit } => Source::EmptyDir(pb::EmptyDir {
                memory: *memory,
                size_limit: *size_limit,
            }),
            VolumeSource::ConfigMap(list) => Source::ConfigMap(files(list)),
            VolumeSource::Secret(list) => Source::Secret(files(list)),
            VolumeSource::HostPath(path) => Source::HostPath(path.clone()),
        };
        Self {
            name: volume.name.clone(),
            source: Some(source),
        }
    }
}

fn files(list: &[File]) -> pb::Files {
    let files = list.iter().map(|file| pb::File {
        path: file.path.clone(),
        data: file.data.0.clone(),
        mode: file.mode,
    });
    pb::Files {
        files: files.collect(),
    }
}

impl TryFrom<pb::Volume> for Volume {
    type Error = DecodeError;

    fn try_from(wire: pb::Volume) -> Result<Self, DecodeError> {
        use pb::volume::Source;
        let source = match wire.source {
            Some(Source::EmptyDir(dir)) => VolumeSource::EmptyDir {
                memory: dir.memory,
                size_limit: dir.size_limit,
            },
            Some(Source::ConfigMap(files)) => VolumeSource::ConfigMap(all(files.files)?),
            Some(Source::Secret(files)) => VolumeSource::Secret(all(files.files)?),
            Some(Source::HostPath(path)) => VolumeSource::HostPath(path),
            None => return Err(DecodeError::Missing("Volume.source")),
        };
        Ok(Self {
            name: folder(text(wire.name, "Volume.name")?, "Volume.name")?,
            source,
        })
    }
}

impl TryFrom<pb::File> for File {
    type Error = DecodeError;

    fn try_from(wire: pb::File) -> Result<Self, DecodeError> {
        Ok(Self {
            path: relative(wire.path, "File.path")?,
            data: Sensitive(wire.data),
            mode: wire.mode & 0o777,
        })
    }
}
