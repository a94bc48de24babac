//! What an agent says without being asked, and when: use, facts of the node, a new certificate. Pure.
//!
//! At rest almost nothing: a link that is paid by the byte carries no use that did not change.

use super::identity::Validity;
use coracle_link::{
    node::{ContainerUsage, NodeInfo, NodeUsage},
    pb,
    quic::Profile,
    status::PodStatus,
};
use prost::Message as _;
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// Between two reports of use while something happens, as upstream's metrics server reads.
pub(super) const USAGE_PERIOD: Duration = Duration::from_secs(15);
/// The same at rest.
const USAGE_QUIET_PERIOD: Duration = Duration::from_secs(60);
/// CPU below this share of the time, thousandths of a core, is rest.
const QUIET_CPU_MILLIS: u64 = 10;
/// Memory that changes by less than its sixteenth has not changed.
const QUIET_MEMORY_SHARE: u64 = 16;
/// The same on a link that is paid by the byte.
const USAGE_METERED_PERIOD: Duration = Duration::from_secs(600);
/// Containers in a report, so that it fits a frame with names of a usual length.
pub(super) const USAGE_CONTAINERS_MAX: usize = 6000;
/// Between two looks at the node.
const INFO_PERIOD: Duration = Duration::from_secs(30);
/// Between two requests for a certificate on one connection.
const RENEW_RETRY: Duration = Duration::from_secs(300);
/// Bytes of one batch of statuses; a single status may be larger.
const STATUS_BATCH_BYTES: usize = 128 << 10;

/// What is due at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Due {
    pub(super) usage: bool,
    pub(super) info: bool,
    pub(super) renew: bool,
}

/// The reports of one connection.
#[derive(Debug)]
pub(super) struct Reports {
    usage_at: Instant,
    usage_sent_at: Option<Instant>,
    usage: Option<NodeUsage>,
    usage_quiet: Duration,
    info_at: Instant,
    info: NodeInfo,
    renew_at: Instant,
}

impl Reports {
    /// `info` went into the hello.
    pub(super) fn new(info: NodeInfo, profile: Profile, now: Instant) -> Self {
        Self {
            usage_at: now,
            usage_sent_at: None,
            usage: None,
            usage_quiet: match profile {
                Profile::Default => USAGE_QUIET_PERIOD,
                Profile::Metered => USAGE_METERED_PERIOD,
            },
            info_at: now + INFO_PERIOD,
            info,
            renew_at: now,
        }
    }

    /// When to look again.
    pub(super) fn next(&self) -> Instant {
        self.usage_at.min(self.info_at)
    }

    /// What is due now; each is due again a period later.
    pub(super) fn due(&mut self, validity: Option<Validity>, now: Instant, now_ms: i64) -> Due {
        let passed = |at: &mut Instant, period: Duration| {
            let due = now >= *at;
            if due {
                *at = now + period;
            }
            due
        };
        let is_old = validity.is_some_and(|validity| validity.is_due(now_ms));
        Due {
            usage: passed(&mut self.usage_at, USAGE_PERIOD),
            info: passed(&mut self.info_at, INFO_PERIOD),
            renew: is_old && passed(&mut self.renew_at, RENEW_RETRY),
        }
    }

    /// Whether `usage` is worth its bytes; then it counts as sent.
    pub(super) fn take_usage(&mut self, usage: &NodeUsage, now: Instant) -> bool {
        let is_old = self
            .usage_sent_at
            .is_none_or(|sent| now.duration_since(sent) >= self.usage_quiet);
        let is_news = self
            .usage
            .as_ref()
            .is_none_or(|known| has_changed(known, usage));
        if is_old || is_news {
            self.usage_sent_at = Some(now);
            self.usage = Some(usage.clone());
        }
        is_old || is_news
    }

    /// Whether the node's facts changed; then they count as sent.
    pub(super) fn take_info(&mut self, info: &mut NodeInfo) -> bool {
        crate::node_status::keep_transitions(info, &self.info);
        let changed = *info != self.info;
        if changed {
            self.info.clone_from(info);
        }
        changed
    }
}

fn has_changed(old: &NodeUsage, new: &NodeUsage) -> bool {
    let elapsed_ms = u64::try_from(new.time_ms.saturating_sub(old.time_ms)).unwrap_or(0);
    // Thousandths of a core over milliseconds are microseconds.
    let rest = elapsed_ms
        .saturating_mul(QUIET_CPU_MILLIS)
        .saturating_mul(1000);
    let busy = |old: u64, new: u64| new.saturating_sub(old) > rest;
    let moved = |old: u64, new: u64| old.abs_diff(new) > old / QUIET_MEMORY_SHARE;
    if old.containers.len() != new.containers.len()
        || busy(old.cpu_nanos, new.cpu_nanos)
        || moved(old.memory_bytes, new.memory_bytes)
    {
        return true;
    }
    let key = |one: &ContainerUsage| (one.pod_uid.clone(), one.container.clone());
    let known: HashMap<_, _> = old.containers.iter().map(|one| (key(one), one)).collect();
    new.containers.iter().any(|one| {
        known.get(&key(one)).is_none_or(|known| {
            busy(known.cpu_nanos, one.cpu_nanos)
                || moved(known.memory_bytes, one.memory_bytes)
                || known.requests != one.requests
                || known.traps != one.traps
        })
    })
}

/// How many of these statuses go into one batch: at least one.
pub(super) fn batch(statuses: &[PodStatus]) -> (usize, Vec<pb::PodStatus>) {
    let (mut bytes, mut taken) = (0, Vec::new());
    for status in statuses {
        let wire = pb::PodStatus::from(status);
        let size = wire.encoded_len();
        if !taken.is_empty() && bytes + size > STATUS_BATCH_BYTES {
            break;
        }
        bytes += size;
        taken.push(wire);
    }
    (taken.len(), taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(secs: i64, cpu_millis: u64, memory: u64, requests: u64) -> NodeUsage {
        NodeUsage {
            cpu_nanos: 0,
            memory_bytes: 8 << 20,
            time_ms: secs * 1000,
            containers: vec![ContainerUsage {
                pod_uid: "uid".to_owned(),
                container: "a".to_owned(),
                cpu_nanos: cpu_millis * 1_000_000,
                memory_bytes: memory,
                requests,
                ..ContainerUsage::default()
            }],
        }
    }

    #[test]
    fn rest_is_not_reported() {
        let old = usage(0, 0, 1 << 20, 0);
        let table = [
            ("nothing", usage(15, 0, 1 << 20, 0), false),
            ("a little", usage(15, 100, (1 << 20) + 10, 0), false),
            ("cpu", usage(15, 200, 1 << 20, 0), true),
            ("memory", usage(15, 0, 2 << 20, 0), true),
            ("less memory", usage(15, 0, 0, 0), true),
            ("a request", usage(15, 0, 1 << 20, 1), true),
            (
                "gone",
                NodeUsage {
                    containers: Vec::new(),
                    ..old.clone()
                },
                true,
            ),
        ];
        for (name, new, expect) in table {
            assert_eq!(has_changed(&old, &new), expect, "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn reports_have_their_periods() {
        let start = Instant::now();
        let info = crate::testing::node_info();
        let mut reports = Reports::new(info.clone(), Profile::Default, start);
        let at = |secs| start + Duration::from_secs(secs);
        let validity = Some(Validity {
            from_ms: 0,
            until_ms: 300,
        });
        let first = reports.due(validity, start, 100);
        assert_eq!((first.usage, first.info, first.renew), (true, false, false));
        assert_eq!(reports.next(), at(15));
        assert!(!reports.due(validity, at(14), 199).usage);
        let later = reports.due(validity, at(30), 200);
        assert_eq!((later.usage, later.info, later.renew), (true, true, true));
        assert!(
            !reports.due(validity, at(45), 200).renew,
            "asked a moment ago"
        );
        assert!(reports.due(validity, at(330), 200).renew);

        assert!(reports.take_usage(&usage(0, 0, 1, 0), start));
        assert!(!reports.take_usage(&usage(15, 0, 1, 0), at(15)));
        assert!(
            reports.take_usage(&usage(60, 0, 1, 0), at(60)),
            "once a minute"
        );

        let mut same = info.clone();
        same.conditions[0].last_transition_ms = 99;
        assert!(!reports.take_info(&mut same));
        let mut other = info;
        other.hostname.push('x');
        assert!(reports.take_info(&mut other) && !reports.take_info(&mut other));
    }

    #[test]
    fn batches_are_small_and_never_empty() {
        let pod = crate::testing::pod(coracle_link::pod::RestartPolicy::Always, &[], &["a"]);
        let status = |bytes: usize| crate::testing::status(&pod, &"x".repeat(bytes));
        let sizes = |list: &[PodStatus]| batch(list).0;
        assert_eq!(sizes(&[status(10), status(10)]), 2);
        assert_eq!(sizes(&[status(200 << 10), status(10)]), 1);
        assert_eq!(sizes(&[status(100 << 10), status(100 << 10)]), 1);
        assert_eq!(sizes(&[]), 0);
    }
}
