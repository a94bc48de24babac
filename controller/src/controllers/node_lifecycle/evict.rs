//! When pods have to leave a tainted node. Pure; time comes in.
//!
//! Source: k8s.io/kubernetes `pkg/controller/tainteviction`.

use crate::{liveness::NodeLink, taint::tolerates};
use coracle_api::k8s_openapi::api::core::v1::{Taint, Toleration};
use std::time::Duration;
use tokio::time::Instant;

/// Nodes that are lost within this time of each other are lost together.
const TOGETHER: Duration = Duration::from_secs(60);
/// So many that are lost together are more likely our fault than theirs, if they are also more than
/// half: one of three is a dead box, and two of three leave one that can take their pods.
const TOGETHER_MIN: usize = 3;
/// After this long the nodes count as lost after all, and their pods are moved.
pub(super) const FREEZE_MAX: Duration = Duration::from_secs(1800);

/// What becomes of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may stay as long as the taints are as they are.
    Stay,
    /// It has to go at this time.
    At(Instant),
}

/// A pod on a node with these `NoExecute` taints, each with the time from which it counts.
pub(super) fn judge(taints: &[(Taint, Instant)], tolerations: &[Toleration]) -> Verdict {
    let mut first: Option<Instant> = None;
    for (taint, since) in taints {
        let cover = tolerations
            .iter()
            .find(|toleration| tolerates(toleration, taint));
        let until = match cover {
            None => *since,
            Some(cover) => match cover.toleration_seconds {
                None => continue,
                Some(seconds) => *since + Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
            },
        };
        first = Some(first.map_or(until, |first| first.min(until)));
    }
    first.map_or(Verdict::Stay, Verdict::At)
}

/// Whether so many nodes went dark together that we suspect ourselves. Nodes of which nothing is known
/// yet are left out. Ends when some return, or when their loss is [`FREEZE_MAX`] ago.
///
/// All being gone counts always, also when the only one is: there is no node that could take the pods.
pub(super) fn frozen(links: &[NodeLink], now: Instant) -> bool {
    let mut lost: Vec<Instant> = links
        .iter()
        .filter(|link| matches!(link, NodeLink::Lost { .. }))
        .map(|link| link.since())
        .collect();
    lost.sort_unstable();
    let recent = |since: Instant| now.saturating_duration_since(since) < FREEZE_MAX;
    let none_left = !links.iter().any(|link| link.is_connected());
    if none_left {
        return links.iter().any(|link| recent(link.since()));
    }
    // For each loss, how many came within the window before it.
    let mut first = 0;
    lost.iter().enumerate().any(|(at, last)| {
        while *last - lost[first] > TOGETHER {
            first += 1;
        }
        let burst = at - first + 1;
        // Of those that were there before.
        burst >= TOGETHER_MIN && burst * 2 > links.len() - first && recent(*last)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[track_caller]
    fn check(tolerations: Value, expected: Option<u64>) {
        let now = Instant::now();
        let taint = |key: &str| Taint {
            key: key.to_owned(),
            effect: "NoExecute".to_owned(),
            ..Taint::default()
        };
        let taints = [(taint("a"), now), (taint("b"), now + secs(10))];
        let tolerations: Vec<Toleration> = serde_json::from_value(tolerations).unwrap();
        let expected = expected.map_or(Verdict::Stay, |after| Verdict::At(now + secs(after)));
        assert_eq!(judge(&taints, &tolerations), expected);
    }

    #[test]
    fn who_has_to_go_when() {
        check(json!([]), Some(0));
        check(json!([{"key": "a", "operator": "Exists"}]), Some(10));
        check(json!([{"operator": "Exists"}]), None);
        check(
            json!([{"operator": "Exists", "tolerationSeconds": 300}]),
            Some(300),
        );
        let both = json!([{"key": "a", "operator": "Exists", "tolerationSeconds": 300},
            {"key": "b", "operator": "Exists", "tolerationSeconds": 5}]);
        check(both, Some(15));
        let one = json!([{"key": "a", "operator": "Exists", "tolerationSeconds": -5}, {"key": "b", "operator": "Exists"}]);
        check(one, Some(0));
        let wrong_effect = json!([{"key": "a", "operator": "Exists", "effect": "NoSchedule"}, {"key": "b", "operator": "Exists"}]);
        check(wrong_effect, Some(0));
    }

    #[track_caller]
    fn check_frozen(connected: usize, lost_ago: &[u64], left_ago: &[u64], expected: bool) {
        let start = Instant::now();
        let now = start + secs(10_000);
        let mut links = vec![NodeLink::Connected { since: start }; connected];
        links.extend(lost_ago.iter().map(|ago| NodeLink::Lost {
            since: now - secs(*ago),
        }));
        links.extend(left_ago.iter().map(|ago| NodeLink::Left {
            since: now - secs(*ago),
        }));
        assert_eq!(
            frozen(&links, now),
            expected,
            "{connected} {lost_ago:?} {left_ago:?}"
        );
    }

    #[test]
    fn many_at_once_are_our_fault() {
        check_frozen(2, &[1], &[], false);
        check_frozen(1, &[1, 1], &[], false);
        check_frozen(3, &[1, 1, 1], &[], false);
        check_frozen(2, &[1, 20, 40], &[], true);
        check_frozen(2, &[1, 100, 200], &[], false);
        check_frozen(2, &[1, 20, 40, 500, 600], &[], true);
        check_frozen(2, &[1800, 1800, 1800], &[], false);
        check_frozen(0, &[1], &[], true);
        check_frozen(0, &[500, 1], &[], true);
        check_frozen(0, &[1800], &[], false);
        check_frozen(0, &[], &[], false);
        check_frozen(1, &[1], &[1, 1, 1], false);
    }
}
