//! What a Deployment does to its ReplicaSets next. Pure.
//!
//! Source: k8s.io/kubernetes `pkg/controller/deployment/{sync,rolling,recreate}.go` and
//! `util/deployment_util.go`. Never takes more pods away than `maxUnavailable` allows, never adds more
//! than `maxSurge`.

use coracle_api::k8s_openapi::{
    api::apps::v1::DeploymentSpec, apimachinery::pkg::util::intstr::IntOrString,
};
use jiff::Timestamp;
use serde_json::Value;
use std::cmp::Reverse;

/// What the Deployment asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) replicas: i32,
    pub(super) strategy: Strategy,
    pub(super) is_paused: bool,
    pub(super) is_deleting: bool,
    /// Old ReplicaSets to keep; none: all.
    pub(super) history_limit: Option<usize>,
    /// `status.replicas`, for sets that do not say how large the Deployment was.
    pub(super) actual: i32,
}

/// How pods of an old template are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strategy {
    Recreate,
    /// Resolved to numbers of pods; never both zero.
    Rolling {
        surge: i32,
        unavailable: i32,
    },
}

/// A ReplicaSet of the Deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SetFacts {
    pub(super) name: String,
    pub(super) created: Option<Timestamp>,
    /// Its template is the Deployment's.
    pub(super) is_new: bool,
    pub(super) is_deleting: bool,
    pub(super) is_observed: bool,
    pub(super) revision: i64,
    /// `spec.replicas`.
    pub(super) replicas: i32,
    /// `status.replicas`.
    pub(super) actual: i32,
    pub(super) ready: i32,
    pub(super) available: i32,
    pub(super) terminating: i32,
    /// The Deployment's size when it was last scaled, from its annotations.
    pub(super) desired_then: Option<i32>,
    pub(super) max_then: Option<i32>,
    /// Its condition `ReplicaFailure`.
    pub(super) failure: Option<Value>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Make the ReplicaSet of the current template.
    CreateNew { replicas: i32 },
    /// Scale a ReplicaSet; to its own size where only its annotations are out of date.
    Scale { name: String, to: i32 },
    /// Delete a ReplicaSet that history no longer needs.
    Delete { name: String },
}

impl Wanted {
    pub(super) fn of(spec: &DeploymentSpec, is_deleting: bool, actual: i32) -> Self {
        let replicas = spec.replicas.unwrap_or(1).max(0);
        Self {
            replicas,
            strategy: strategy_of(spec, replicas),
            is_paused: spec.paused.unwrap_or(false),
            is_deleting,
            history_limit: spec
                .revision_history_limit
                .filter(|limit| *limit != i32::MAX)
                .map(|limit| usize::try_from(limit).unwrap_or(0)),
            actual,
        }
    }

    fn surge(&self) -> i32 {
        match self.strategy {
            Strategy::Recreate => 0,
            Strategy::Rolling { surge, .. } => surge,
        }
    }

    /// Pods there may be during a rollout.
    pub(super) fn replicas_max(&self) -> i32 {
        self.replicas.saturating_add(self.surge())
    }

    /// Pods that may be unavailable.
    pub(super) fn unavailable_max(&self) -> i32 {
        match self.strategy {
            Strategy::Recreate => 0,
            Strategy::Rolling { unavailable, .. } => unavailable.min(self.replicas),
        }
    }
}

fn strategy_of(spec: &DeploymentSpec, replicas: i32) -> Strategy {
    let strategy = spec.strategy.as_ref();
    if strategy.is_some_and(|strategy| strategy.type_.as_deref() == Some("Recreate")) {
        return Strategy::Recreate;
    }
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    let value = |value: Option<&IntOrString>, round_up| match value {
        Some(value) => scaled(value, replicas, round_up),
        None => scaled(&IntOrString::String("25%".to_owned()), replicas, round_up),
    };
    let surge = value(rolling.and_then(|r| r.max_surge.as_ref()), true);
    let unavailable = value(rolling.and_then(|r| r.max_unavailable.as_ref()), false);
    // Percentages can both round to nothing; then one pod may go, or nothing would ever move.
    let unavailable = if surge == 0 && unavailable == 0 {
        1
    } else {
        unavailable
    };
    Strategy::Rolling { surge, unavailable }
}

/// A number, or a percentage of `total`.
fn scaled(value: &IntOrString, total: i32, round_up: bool) -> i32 {
    match value {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let hundredths = percent.saturating_mul(i64::from(total));
            let whole = if round_up {
                hundredths.saturating_add(99).div_euclid(100)
            } else {
                hundredths.div_euclid(100)
            };
            i32::try_from(whole).unwrap_or(i32::MAX)
        }
    }
}

/// Decides on the next steps. `old_pods_run`: pods of old templates are there, also ones that end.
/// `is_complete`: the last written status says that the rollout is over.
pub(super) fn plan(
    wanted: &Wanted,
    sets: &[SetFacts],
    old_pods_run: bool,
    is_complete: bool,
) -> Vec<Action> {
    if wanted.is_deleting {
        return Vec::new();
    }
    let sets = by_creation(sets);
    if wanted.is_paused || is_scaling(wanted, &sets) {
        let mut actions = scale(wanted, &sets);
        if wanted.is_paused {
            actions.extend(clean_up(wanted, &sets));
        }
        return actions;
    }
    let moves = match wanted.strategy {
        Strategy::Recreate => recreate(wanted, &sets, old_pods_run),
        Strategy::Rolling { .. } => roll(wanted, &sets),
    };
    if moves.is_empty() && is_complete {
        return clean_up(wanted, &sets);
    }
    moves
}

/// Oldest first.
fn by_creation(sets: &[SetFacts]) -> Vec<&SetFacts> {
    let mut sorted: Vec<&SetFacts> = sets.iter().collect();
    sorted.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
    sorted
}

fn scale_to(set: &SetFacts, to: i32) -> Option<Action> {
    (set.replicas != to).then(|| Action::Scale {
        name: set.name.clone(),
        to,
    })
}

fn sum<'a>(sets: impl IntoIterator<Item = &'a &'a SetFacts>, number: fn(&SetFacts) -> i32) -> i32 {
    sets.into_iter()
        .fold(0i32, |total, set| total.saturating_add(number(set)))
}

/// The Deployment's size was changed since its sets were last scaled.
pub(super) fn is_scaling(wanted: &Wanted, sets: &[&SetFacts]) -> bool {
    sets.iter()
        .filter(|set| set.replicas > 0)
        .filter_map(|set| set.desired_then)
        .any(|desired| desired != wanted.replicas)
}

/// Follows the Deployment's size without going on with a rollout.
fn scale(wanted: &Wanted, sets: &[&SetFacts]) -> Vec<Action> {
    let new = sets.iter().find(|set| set.is_new);
    let active: Vec<&SetFacts> = sets
        .iter()
        .copied()
        .filter(|set| set.replicas > 0)
        .collect();
    let only = match active.as_slice() {
        [] => new.or(sets.last()).copied(),
        [only] => Some(*only),
        _ => None,
    };
    if let Some(only) = only {
        let is_stale = only.replicas > 0 && only.desired_then != Some(wanted.replicas);
        // At its size already: its annotations must say so, or this would look like scaling for ever.
        let note = is_stale.then(|| Action::Scale {
            name: only.name.clone(),
            to: wanted.replicas,
        });
        return scale_to(only, wanted.replicas)
            .or(note)
            .into_iter()
            .collect();
    }
    let is_saturated = new.is_some_and(|new| {
        new.replicas == wanted.replicas
            && new.desired_then == Some(wanted.replicas)
            && new.available == wanted.replicas
    });
    if is_saturated {
        let old = active.iter().filter(|set| !set.is_new);
        return old.filter_map(|set| scale_to(set, 0)).collect();
    }
    match wanted.strategy {
        Strategy::Rolling { .. } => proportional(wanted, active),
        Strategy::Recreate => Vec::new(),
    }
}

/// In the middle of a rollout every set takes its share of a change of size; what rounding leaves
/// goes to the largest.
fn proportional(wanted: &Wanted, mut active: Vec<&SetFacts>) -> Vec<Action> {
    let allowed = if wanted.replicas > 0 {
        wanted.replicas_max()
    } else {
        0
    };
    let to_add = allowed - sum(&active, |set| set.replicas);
    // Newer ones grow first, older ones shrink first.
    if to_add > 0 {
        active.sort_by_key(|set| Reverse((set.replicas, set.created)));
    } else if to_add < 0 {
        active.sort_by_key(|set| (Reverse(set.replicas), set.created));
    }
    let mut added = 0;
    let mut sizes = Vec::with_capacity(active.len());
    for set in &active {
        let left = to_add - added;
        let share = if left == 0 {
            0
        } else if to_add > 0 {
            fraction(wanted, set).min(left)
        } else {
            fraction(wanted, set).max(left)
        };
        added += share;
        sizes.push(set.replicas + share);
    }
    if let Some(largest) = sizes.first_mut() {
        *largest = (*largest + to_add - added).max(0);
    }
    // Also those that keep their size: their annotations must follow the Deployment's.
    let scale = |(set, to): (&&SetFacts, i32)| Action::Scale {
        name: set.name.clone(),
        to,
    };
    active.iter().zip(sizes).map(scale).collect()
}

/// By how much a set would change to keep its share.
fn fraction(wanted: &Wanted, set: &SetFacts) -> i32 {
    if wanted.replicas == 0 {
        return -set.replicas;
    }
    let before = match set.max_then.filter(|max| *max != 0) {
        Some(max) => max,
        None => wanted.actual,
    };
    if before <= 0 {
        return 0;
    }
    let (size, max, before) = (
        i64::from(set.replicas),
        i64::from(wanted.replicas_max()),
        i64::from(before),
    );
    let rounded = (2 * size * max + before).div_euclid(2 * before);
    i32::try_from(rounded - size).unwrap_or(0)
}

/// Replaces step by step: first the new set grows as far as it may, then the old ones shrink.
fn roll(wanted: &Wanted, sets: &[&SetFacts]) -> Vec<Action> {
    // Pods that a set no longer wants count until they are deleted: the limit holds at every moment.
    let total = sum(sets, |set| set.replicas.max(set.actual));
    let Some(new) = sets.iter().find(|set| set.is_new) else {
        let replicas = grown(wanted, 0, total);
        return vec![Action::CreateNew { replicas }];
    };
    if new.replicas > wanted.replicas {
        return scale_to(new, wanted.replicas).into_iter().collect();
    }
    if let Some(grow) = scale_to(new, grown(wanted, new.replicas, total)) {
        return vec![grow];
    }
    shrink_old(wanted, sets, new)
}

/// The new set's size when it takes the room that is left.
fn grown(wanted: &Wanted, new: i32, total: i32) -> i32 {
    let room = (wanted.replicas_max() - total).max(0);
    new + room.min(wanted.replicas - new).max(0)
}

fn shrink_old(wanted: &Wanted, sets: &[&SetFacts], new: &SetFacts) -> Vec<Action> {
    let mut old: Vec<(&SetFacts, i32)> = sets
        .iter()
        .filter(|set| !set.is_new && set.replicas > 0)
        .map(|set| (*set, set.replicas))
        .collect();
    let available_min = wanted.replicas - wanted.unavailable_max();
    let total = sum(sets, |set| set.replicas);
    let new_unavailable = new.replicas - new.available;
    let mut spare = total - available_min - new_unavailable;
    if spare <= 0 {
        return Vec::new();
    }
    // What does not serve anyway goes first: it costs no availability.
    for (set, size) in &mut old {
        let useless = (*size - set.available).max(0).min(spare);
        *size -= useless;
        spare -= useless;
    }
    // A set that was scaled down a moment ago may still tell of pods it no longer wants.
    let mut surplus = sum(sets, |set| set.available.min(set.replicas)) - available_min;
    for (_, size) in &mut old {
        let gone = (*size).min(surplus.max(0));
        *size -= gone;
        surplus -= gone;
    }
    old.into_iter()
        .filter_map(|(set, size)| scale_to(set, size))
        .collect()
}

/// Ends all old pods before the first new one starts.
fn recreate(wanted: &Wanted, sets: &[&SetFacts], old_pods_run: bool) -> Vec<Action> {
    let old: Vec<&&SetFacts> = sets.iter().filter(|set| !set.is_new).collect();
    let down: Vec<Action> = old.iter().filter_map(|set| scale_to(set, 0)).collect();
    if !down.is_empty() {
        return down;
    }
    if old_pods_run || old.iter().any(|set| set.actual > 0) {
        return Vec::new();
    }
    match sets.iter().find(|set| set.is_new) {
        Some(new) => scale_to(new, wanted.replicas).into_iter().collect(),
        None => vec![Action::CreateNew {
            replicas: wanted.replicas,
        }],
    }
}

/// The oldest sets beyond the history that is kept; never one that has or wants pods.
fn clean_up(wanted: &Wanted, sets: &[&SetFacts]) -> Vec<Action> {
    let Some(limit) = wanted.history_limit else {
        return Vec::new();
    };
    let mut old: Vec<&&SetFacts> = sets
        .iter()
        .filter(|set| !set.is_new && !set.is_deleting)
        .collect();
    old.sort_by_key(|set| (set.revision, set.created));
    let surplus = old.len().saturating_sub(limit);
    let is_empty = |set: &&&&SetFacts| set.replicas == 0 && set.actual == 0 && set.is_observed;
    old.iter()
        .take(surplus)
        .filter(is_empty)
        .map(|set| Action::Delete {
            name: set.name.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests;
