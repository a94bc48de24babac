//! Tables of rollouts: `name=spec/available` for each set, `+` marks the current template.

use super::*;
use expect_test::{Expect, expect};
use std::fmt::Write as _;

fn wanted(replicas: i32, surge: i32, unavailable: i32) -> Wanted {
    Wanted {
        replicas,
        strategy: Strategy::Rolling { surge, unavailable },
        is_paused: false,
        is_deleting: false,
        history_limit: Some(2),
        actual: 0,
    }
}

/// `+new=2/1` or `old=3/3`; created in the order of the list, last scaled for `size`.
fn sets(text: &str, size: (i32, i32)) -> Vec<SetFacts> {
    let set = |(index, text): (usize, &str)| {
        let (name, numbers) = text.split_once('=').unwrap();
        let (replicas, available) = numbers.split_once('/').unwrap();
        let index = i64::try_from(index).unwrap();
        SetFacts {
            name: name.trim_start_matches('+').to_owned(),
            created: Some(Timestamp::from_second(index).unwrap()),
            is_new: name.starts_with('+'),
            is_deleting: false,
            is_observed: true,
            revision: index + 1,
            replicas: replicas.parse().unwrap(),
            actual: replicas.parse().unwrap(),
            ready: available.parse().unwrap(),
            available: available.parse().unwrap(),
            terminating: 0,
            failure: None,
            desired_then: Some(size.0),
            max_then: Some(size.1),
        }
    };
    text.split_whitespace().enumerate().map(set).collect()
}

fn show(actions: &[Action]) -> String {
    let mut text = String::new();
    for action in actions {
        match action {
            Action::CreateNew { replicas } => write!(text, "create {replicas}; "),
            Action::Scale { name, to } => write!(text, "{name} -> {to}; "),
            Action::Delete { name } => write!(text, "delete {name}; "),
        }
        .unwrap();
    }
    text.trim_end().to_owned()
}

#[track_caller]
fn check(wanted: &Wanted, text: &str, expected: Expect) {
    let size = (wanted.replicas, wanted.replicas_max());
    let actions = plan(wanted, &sets(text, size), false, false);
    expected.assert_eq(&show(&actions));
}

#[test]
fn a_rollout_goes_step_by_step() {
    let three = wanted(3, 1, 0);
    check(&three, "", expect!["create 3;"]);
    check(&three, "a=3/3", expect!["create 1;"]);
    check(&three, "a=3/3 +b=1/0", expect![""]);
    check(&three, "a=3/3 +b=1/1", expect!["a -> 2;"]);
    check(&three, "a=2/2 +b=1/1", expect!["b -> 2;"]);
    check(&three, "a=1/1 +b=3/2", expect![""]);
    check(&three, "a=1/1 +b=3/3", expect!["a -> 0;"]);
    check(&three, "a=0/0 +b=3/3", expect![""]);
}

#[test]
fn pods_that_are_not_deleted_yet_take_their_room() {
    let mut there = sets("a=2/2 +b=1/1", (3, 4));
    there[0].actual = 3;
    assert_eq!(plan(&wanted(3, 1, 0), &there, false, false), []);
    there[0].available = 3;
    assert_eq!(plan(&wanted(3, 1, 0), &there, false, false), []);
}

#[test]
fn unavailable_pods_may_go_first() {
    check(&wanted(4, 0, 1), "a=4/4", expect!["create 0;"]);
    check(&wanted(4, 0, 1), "a=4/4 +b=0/0", expect!["a -> 3;"]);
    check(&wanted(4, 0, 1), "a=3/3 +b=0/0", expect!["b -> 1;"]);
    check(&wanted(4, 1, 1), "a=4/2 +b=1/0", expect!["a -> 3;"]);
    check(&wanted(4, 1, 1), "a=2/0 b=2/2 +c=1/1", expect!["a -> 0;"]);
    check(&wanted(2, 1, 0), "a=0/0 +b=5/5", expect!["b -> 2;"]);
}

/// As a Deployment that was changed from `before` to `wanted.replicas`.
#[track_caller]
fn check_scale(wanted: &Wanted, text: &str, before: (i32, i32), expected: Expect) {
    let actions = plan(wanted, &sets(text, before), false, false);
    expected.assert_eq(&show(&actions));
}

#[test]
fn a_change_of_size_is_shared() {
    check_scale(&wanted(5, 1, 0), "+a=3/3", (3, 4), expect!["a -> 5;"]);
    check_scale(&wanted(0, 0, 1), "+a=3/3", (3, 4), expect!["a -> 0;"]);
    check_scale(&wanted(5, 1, 0), "+a=5/5", (3, 4), expect!["a -> 5;"]);
    check_scale(
        &wanted(20, 6, 0),
        "a=8/8 +b=5/5",
        (10, 13),
        expect!["a -> 16; b -> 10;"],
    );
    check_scale(
        &wanted(5, 2, 0),
        "a=8/8 +b=5/5",
        (10, 13),
        expect!["a -> 4; b -> 3;"],
    );
    check_scale(
        &wanted(0, 0, 1),
        "a=8/8 +b=5/5",
        (10, 13),
        expect!["a -> 0; b -> 0;"],
    );
    let recreated = Wanted {
        strategy: Strategy::Recreate,
        ..wanted(5, 0, 0)
    };
    check_scale(&recreated, "+a=3/3", (3, 3), expect!["a -> 5;"]);
}

#[test]
fn a_paused_rollout_only_scales() {
    let paused = Wanted {
        is_paused: true,
        ..wanted(3, 1, 0)
    };
    check(&paused, "a=3/3", expect![""]);
    check(&paused, "", expect![""]);
    check_scale(&paused, "a=2/2", (2, 3), expect!["a -> 3;"]);
    check(
        &paused,
        "a=0/0 b=0/0 c=0/0 d=3/3",
        expect!["delete a; delete b;"],
    );
}

#[test]
fn recreate_waits_for_the_last_old_pod() {
    let recreate = Wanted {
        strategy: Strategy::Recreate,
        ..wanted(3, 0, 0)
    };
    check(&recreate, "a=3/3", expect!["a -> 0;"]);
    check(&recreate, "a=0/0", expect!["create 3;"]);
    check(&recreate, "a=0/0 +b=0/0", expect!["b -> 3;"]);
    let waiting = plan(&recreate, &sets("a=0/0", (3, 3)), true, false);
    assert_eq!(waiting, []);
}

#[test]
fn history_is_kept_to_its_limit_when_the_rollout_is_over() {
    let sets = sets("a=0/0 b=0/0 c=0/0 +d=3/3", (3, 4));
    let three = wanted(3, 1, 0);
    assert_eq!(plan(&three, &sets, false, false), []);
    assert_eq!(show(&plan(&three, &sets, false, true)), "delete a;");
    let going = Wanted {
        is_deleting: true,
        ..three
    };
    assert_eq!(plan(&going, &sets, false, true), []);
}

#[test]
fn percentages_round_as_upstream() {
    let spec = |surge: &str, unavailable: &str| -> DeploymentSpec {
        serde_json::from_value(serde_json::json!({"selector": {}, "template": {},
            "strategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}}))
        .unwrap()
    };
    let rolling = |surge, unavailable| Strategy::Rolling { surge, unavailable };
    assert_eq!(strategy_of(&spec("25%", "25%"), 1), rolling(1, 0));
    assert_eq!(strategy_of(&spec("25%", "25%"), 5), rolling(2, 1));
    assert_eq!(strategy_of(&spec("0%", "10%"), 5), rolling(0, 1));
    assert_eq!(strategy_of(&spec("50%", "100%"), 3), rolling(2, 3));
}

/// Whatever pods become ready in whatever order, the limits hold at every step and it ends.
#[test]
fn limits_hold_on_every_path() {
    use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
    for seed in 0..300 {
        let mut rng = StdRng::seed_from_u64(seed);
        let replicas = rng.random_range(1..8);
        let surge = rng.random_range(0..3);
        let unavailable = if surge == 0 {
            1
        } else {
            rng.random_range(0..3)
        };
        let wanted = wanted(replicas, surge, unavailable);
        let mut world = sets(&format!("a={replicas}/{replicas}"), (replicas, 0));
        let mut steps = 0;
        loop {
            for action in plan(&wanted, &world, false, false) {
                match action {
                    Action::CreateNew { replicas: size } => {
                        let mut new = sets(&format!("+b={size}/0"), (replicas, 0));
                        new[0].created = Some(Timestamp::from_second(9).unwrap());
                        world.append(&mut new);
                    }
                    Action::Scale { name, to } => {
                        let set = world.iter_mut().find(|set| set.name == name).unwrap();
                        (set.replicas, set.actual) = (to, to);
                        set.available = set.available.min(to);
                    }
                    Action::Delete { .. } => {}
                }
            }
            let all: Vec<&SetFacts> = world.iter().collect();
            let (total, available) = (
                sum(&all, |set| set.replicas),
                sum(&all, |set| set.available),
            );
            assert!(total <= replicas + surge, "seed {seed}: {world:?}");
            assert!(
                available >= replicas - wanted.unavailable_max(),
                "seed {seed}: {world:?}"
            );
            if world.len() == 2 && world[0].replicas == 0 && world[1].available == replicas {
                break;
            }
            let unready = world.iter_mut().find(|set| set.available < set.replicas);
            if let Some(set) = unready.filter(|_| rng.random_bool(0.7)) {
                set.available += 1;
            }
            steps += 1;
            assert!(steps < 1000, "seed {seed} does not end: {world:?}");
        }
    }
}
