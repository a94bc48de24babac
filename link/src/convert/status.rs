//! What an agent observes.

use super::{DecodeError, all, text};
use crate::{
    pb,
    status::{Condition, ContainerState, ContainerStatus, Event, Phase, PodStatus, Terminated},
};

impl From<&Condition> for pb::Condition {
    fn from(condition: &Condition) -> Self {
        Self {
            kind: condition.kind.clone(),
            status: condition.status,
            reason: condition.reason.clone(),
            message: condition.message.clone(),
            last_transition_ms: condition.last_transition_ms,
        }
    }
}

impl TryFrom<pb::Condition> for Condition {
    type Error = DecodeError;

    fn try_from(wire: pb::Condition) -> Result<Self, DecodeError> {
        Ok(Self {
            kind: text(wire.kind, "Condition.kind")?,
            status: wire.status,
            reason: wire.reason,
            message: wire.message,
            last_transition_ms: wire.last_transition_ms,
        })
    }
}

impl From<&PodStatus> for pb::PodStatus {
    fn from(status: &PodStatus) -> Self {
        let phase = match status.phase {
            Phase::Pending => pb::Phase::Pending,
            Phase::Running => pb::Phase::Running,
            Phase::Succeeded => pb::Phase::Succeeded,
            Phase::Failed => pb::Phase::Failed,
        };
        Self {
            uid: status.uid.clone(),
            namespace: status.namespace.clone(),
            name: status.name.clone(),
            observed_revision: status.observed_revision,
            phase: phase.into(),
            reason: status.reason.clone(),
            message: status.message.clone(),
            pod_ip: status.pod_ip.clone(),
            start_time_ms: status.start_time_ms,
            conditions: status.conditions.iter().map(Into::into).collect(),
            init_containers: status.init_containers.iter().map(Into::into).collect(),
            containers: status.containers.iter().map(Into::into).collect(),
            released: status.released,
        }
    }
}

impl TryFrom<pb::PodStatus> for PodStatus {
    type Error = DecodeError;

    fn try_from(wire: pb::PodStatus) -> Result<Self, DecodeError> {
        let phase = match wire.phase() {
            pb::Phase::Pending => Phase::Pending,
            pb::Phase::Running => Phase::Running,
            pb::Phase::Succeeded => Phase::Succeeded,
            pb::Phase::Failed => Phase::Failed,
            pb::Phase::Unspecified => return Err(DecodeError::Unknown("PodStatus.phase")),
        };
        Ok(Self {
            uid: text(wire.uid, "PodStatus.uid")?,
            namespace: text(wire.namespace, "PodStatus.namespace")?,
            name: text(wire.name, "PodStatus.name")?,
            observed_revision: wire.observed_revision,
            phase,
            reason: wire.reason,
            message: wire.message,
            pod_ip: wire.pod_ip,
            start_time_ms: wire.start_time_ms,
            conditions: all(wire.conditions)?,
            init_containers: all(wire.init_containers)?,
            containers: all(wire.containers)?,
            released: wire.released,
        })
    }
}

impl From<&ContainerStatus> for pb::ContainerStatus {
    fn from(status: &ContainerStatus) -> Self {
        use pb::container_status::State;
        let state = match &status.state {
            ContainerState::Waiting { reason, message } => State::Waiting(pb::Waiting {
                reason: reason.clone(),
                message: message.clone(),
            }),
            ContainerState::Running { started_at_ms } => State::Running(pb::Running {
                started_at_ms: *started_at_ms,
            }),
            ContainerState::Terminated(terminated) => State::Terminated(terminated.into()),
        };
        Self {
            name: status.name.clone(),
            image: status.image.clone(),
            image_id: status.image_id.clone(),
            container_id: status.container_id.clone(),
            ready: status.ready,
            started: status.started,
            restart_count: status.restart_count,
            state: Some(state),
            last_state: status.last_state.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<pb::ContainerStatus> for ContainerStatus {
    type Error = DecodeError;

    fn try_from(wire: pb::ContainerStatus) -> Result<Self, DecodeError> {
        use pb::container_status::State;
        let state = match wire.state {
            Some(State::Waiting(pb::Waiting { reason, message })) => {
                ContainerState::Waiting { reason, message }
            }
            Some(State::Running(pb::Running { started_at_ms })) => {
                ContainerState::Running { started_at_ms }
            }
            Some(State::Terminated(terminated)) => ContainerState::Terminated(terminated.into()),
            None => return Err(DecodeError::Missing("ContainerStatus.state")),
        };
        Ok(Self {
            name: text(wire.name, "ContainerStatus.name")?,
            image: wire.image,
            image_id: wire.image_id,
            container_id: wire.container_id,
            ready: wire.ready,
            started: wire.started,
            restart_count: wire.restart_count,
            state,
            last_state: wire.last_state.map(Into::into),
        })
    }
}

impl From<&Terminated> for pb::Terminated {
    fn from(terminated: &Terminated) -> Self {
        Self {
            exit_code: terminated.exit_code,
            reason: terminated.reason.clone(),
            message: terminated.message.clone(),
            started_at_ms: terminated.started_at_ms,
            finished_at_ms: terminated.finished_at_ms,
            container_id: terminated.container_id.clone(),
        }
    }
}

impl From<pb::Terminated> for Terminated {
    fn from(wire: pb::Terminated) -> Self {
        Self {
            exit_code: wire.exit_code,
            reason: wire.reason,
            message: wire.message,
            started_at_ms: wire.started_at_ms,
            finished_at_ms: wire.finished_at_ms,
            container_id: wire.container_id,
        }
    }
}

impl From<&Event> for pb::Event {
    fn from(event: &Event) -> Self {
        Self {
            pod_uid: event.pod_uid.clone(),
            namespace: event.namespace.clone(),
            name: event.name.clone(),
            field_path: event.field_path.clone(),
            warning: event.warning,
            reason: event.reason.clone(),
            message: event.message.clone(),
            time_ms: event.time_ms,
        }
    }
}

impl TryFrom<pb::Event> for Event {
    type Error = DecodeError;

    fn try_from(wire: pb::Event) -> Result<Self, DecodeError> {
        Ok(Self {
            pod_uid: wire.pod_uid,
            namespace: wire.namespace,
            name: wire.name,
            field_path: wire.field_path,
            warning: wire.warning,
            reason: text(wire.reason, "Event.reason")?,
            message: wire.message,
            time_ms: wire.time_ms,
        })
    }
}
