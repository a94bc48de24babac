//! Nodes and routes.

use super::{DecodeError, all, key_values, pairs, port, text};
use crate::{
    node::{ContainerUsage, NodeInfo, NodeUsage},
    pb,
    route::{Endpoint, ServicePort},
};

impl From<&NodeInfo> for pb::NodeInfo {
    fn from(info: &NodeInfo) -> Self {
        Self {
            architecture: info.architecture.clone(),
            target: info.target.clone(),
            compatibility_hash: info.compatibility_hash.clone(),
            os_image: info.os_image.clone(),
            kernel_version: info.kernel_version.clone(),
            agent_version: info.agent_version.clone(),
            runtime_version: info.runtime_version.clone(),
            machine_id: info.machine_id.clone(),
            boot_id: info.boot_id.clone(),
            capacity_cpu_millis: info.capacity_cpu_millis,
            capacity_memory_bytes: info.capacity_memory_bytes,
            capacity_storage_bytes: info.capacity_storage_bytes,
            allocatable_cpu_millis: info.allocatable_cpu_millis,
            allocatable_memory_bytes: info.allocatable_memory_bytes,
            pods_max: info.pods_max,
            address: info.address.clone(),
            hostname: info.hostname.clone(),
            labels: key_values(&info.labels),
            conditions: info.conditions.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::NodeInfo> for NodeInfo {
    type Error = DecodeError;

    fn try_from(wire: pb::NodeInfo) -> Result<Self, DecodeError> {
        Ok(Self {
            architecture: text(wire.architecture, "NodeInfo.architecture")?,
            target: text(wire.target, "NodeInfo.target")?,
            compatibility_hash: text(wire.compatibility_hash, "NodeInfo.compatibility_hash")?,
            os_image: wire.os_image,
            kernel_version: wire.kernel_version,
            agent_version: wire.agent_version,
            runtime_version: wire.runtime_version,
            machine_id: wire.machine_id,
            boot_id: wire.boot_id,
            capacity_cpu_millis: wire.capacity_cpu_millis,
            capacity_memory_bytes: wire.capacity_memory_bytes,
            capacity_storage_bytes: wire.capacity_storage_bytes,
            allocatable_cpu_millis: wire.allocatable_cpu_millis,
            allocatable_memory_bytes: wire.allocatable_memory_bytes,
            pods_max: wire.pods_max,
            address: wire.address,
            hostname: wire.hostname,
            labels: pairs(wire.labels),
            conditions: all(wire.conditions)?,
        })
    }
}

impl From<&NodeUsage> for pb::NodeUsage {
    fn from(usage: &NodeUsage) -> Self {
        let containers = usage.containers.iter().map(|one| pb::ContainerUsage {
            pod_uid: one.pod_uid.clone(),
            namespace: one.namespace.clone(),
            pod: one.pod.clone(),
            container: one.container.clone(),
            cpu_nanos: one.cpu_nanos,
            memory_bytes: one.memory_bytes,
            requests: one.requests,
            traps: one.traps,
        });
        Self {
            cpu_nanos: usage.cpu_nanos,
            memory_bytes: usage.memory_bytes,
            time_ms: usage.time_ms,
            containers: containers.collect(),
        }
    }
}

impl From<pb::NodeUsage> for NodeUsage {
    fn from(wire: pb::NodeUsage) -> Self {
        let containers = wire.containers.into_iter().map(|one| ContainerUsage {
            pod_uid: one.pod_uid,
            namespace: one.namespace,
            pod: one.pod,
            container: one.container,
            cpu_nanos: one.cpu_nanos,
            memory_bytes: one.memory_bytes,
            requests: one.requests,
            traps: one.traps,
        });
        Self {
            cpu_nanos: wire.cpu_nanos,
            memory_bytes: wire.memory_bytes,
            time_ms: wire.time_ms,
            containers: containers.collect(),
        }
    }
}

impl From<&ServicePort> for pb::ServicePort {
    fn from(service: &ServicePort) -> Self {
        let endpoints = service.endpoints.iter().map(|endpoint| pb::Endpoint {
            pod_uid: endpoint.pod_uid.clone(),
            node: endpoint.node.clone(),
            target_port: endpoint.target_port.into(),
        });
        Self {
            namespace: service.namespace.clone(),
            service: service.service.clone(),
            port_name: service.port_name.clone(),
            port: service.port.into(),
            node_port: service.node_port.into(),
            endpoints: endpoints.collect(),
        }
    }
}

impl TryFrom<pb::ServicePort> for ServicePort {
    type Error = DecodeError;

    fn try_from(wire: pb::ServicePort) -> Result<Self, DecodeError> {
        Ok(Self {
            namespace: text(wire.namespace, "ServicePort.namespace")?,
            service: text(wire.service, "ServicePort.service")?,
            port_name: wire.port_name,
            port: port(wire.port, "ServicePort.port")?,
            node_port: u16::try_from(wire.node_port)
                .map_err(|_range| DecodeError::Range("ServicePort.node_port"))?,
            endpoints: all(wire.endpoints)?,
        })
    }
}

impl TryFrom<pb::Endpoint> for Endpoint {
    type Error = DecodeError;

    fn try_from(wire: pb::Endpoint) -> Result<Self, DecodeError> {
        Ok(Self {
            pod_uid: text(wire.pod_uid, "Endpoint.pod_uid")?,
            node: text(wire.node, "Endpoint.node")?,
            target_port: port(wire.target_port, "Endpoint.target_port")?,
        })
    }
}
