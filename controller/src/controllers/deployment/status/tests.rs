//! What conditions say as a rollout goes on.

use super::{super::rollout::Strategy, *};

fn wanted(replicas: i32) -> Wanted {
    Wanted {
        replicas,
        strategy: Strategy::Rolling {
            surge: 1,
            unavailable: 0,
        },
        is_paused: false,
        is_deleting: false,
        history_limit: None,
        actual: 0,
    }
}

fn set(name: &str, is_new: bool, replicas: i32, available: i32) -> SetFacts {
    SetFacts {
        name: name.to_owned(),
        created: None,
        is_new,
        is_deleting: false,
        is_observed: true,
        revision: 1,
        replicas,
        actual: replicas,
        ready: available,
        available,
        terminating: 0,
        desired_then: None,
        max_then: None,
        failure: None,
    }
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + secs).unwrap()
}

fn facts<'a>(
    old: &'a Value,
    wanted: &'a Wanted,
    sets: &'a [SetFacts],
    news: &'a News,
    secs: i64,
) -> Facts<'a> {
    Facts {
        name: "web",
        generation: 2,
        old,
        wanted,
        sets,
        news,
        deadline_secs: Some(600),
        is_rollout: true,
        now: at(secs),
    }
}

#[track_caller]
fn check(status: &Value, name: &str, expected: [&str; 3]) {
    let all = status["conditions"].as_array().unwrap();
    let found = all.iter().find(|condition| condition["type"] == name);
    let found = found.unwrap_or_else(|| panic!("no {name}: {status}"));
    let text = |field: &str| found[field].as_str().unwrap().to_owned();
    assert_eq!([text("status"), text("reason"), text("message")], expected);
}

#[test]
fn from_created_to_available() {
    let (two, nothing) = (wanted(2), News::Nothing);
    let created = News::Created {
        name: "web-a".to_owned(),
    };
    let sets = [set("web-a", true, 2, 0)];
    let (first, again) = render(&facts(&json!({}), &two, &sets[..0], &created, 0));
    check(
        &first,
        "Progressing",
        [
            "True",
            "NewReplicaSetCreated",
            "Created new replica set \"web-a\"",
        ],
    );
    check(
        &first,
        "Available",
        [
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        ],
    );
    assert_eq!(again, Some(Duration::from_secs(601)));
    let (second, _) = render(&facts(&first, &two, &sets, &nothing, 5));
    check(
        &second,
        "Progressing",
        [
            "True",
            "ReplicaSetUpdated",
            "ReplicaSet \"web-a\" is progressing.",
        ],
    );
    assert_eq!(second["unavailableReplicas"], 2);
    let sets = [set("web-a", true, 2, 2)];
    let (third, again) = render(&facts(&second, &two, &sets, &nothing, 9));
    check(
        &third,
        "Progressing",
        [
            "True",
            "NewReplicaSetAvailable",
            "ReplicaSet \"web-a\" has successfully progressed.",
        ],
    );
    check(
        &third,
        "Available",
        [
            "True",
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.",
        ],
    );
    assert_eq!(again, None);
    assert!(is_complete(&third, 2, 2) && !is_complete(&third, 3, 2));
    let (fourth, _) = render(&facts(&third, &two, &sets, &nothing, 999));
    assert_eq!(third, fourth, "time alone changes nothing");
}

#[test]
fn a_rollout_that_stands_still_times_out() {
    let (two, nothing) = (wanted(2), News::Nothing);
    let sets = [set("web-a", true, 2, 0)];
    let (first, _) = render(&facts(&json!({}), &two, &sets, &nothing, 0));
    let (early, again) = render(&facts(&first, &two, &sets, &nothing, 600));
    assert_eq!((&early, again), (&first, Some(Duration::from_secs(1))));
    let (late, again) = render(&facts(&first, &two, &sets, &nothing, 601));
    check(
        &late,
        "Progressing",
        [
            "False",
            "ProgressDeadlineExceeded",
            "ReplicaSet \"web-a\" has timed out progressing.",
        ],
    );
    assert_eq!(again, None);
    let unlimited = Facts {
        deadline_secs: None,
        ..facts(&late, &two, &sets, &nothing, 700)
    };
    let (status, _) = render(&unlimited);
    assert_eq!(status["conditions"].as_array().unwrap().len(), 1);
}

#[test]
fn pause_and_resume_are_told() {
    let nothing = News::Nothing;
    let paused = Wanted {
        is_paused: true,
        ..wanted(2)
    };
    let sets = [set("web-a", true, 2, 2)];
    let empty = json!({});
    let still = Facts {
        is_rollout: false,
        ..facts(&empty, &paused, &sets, &nothing, 0)
    };
    let (status, _) = render(&still);
    check(
        &status,
        "Progressing",
        ["Unknown", "DeploymentPaused", "Deployment is paused"],
    );
    let going = wanted(2);
    let resumed = Facts {
        is_rollout: false,
        ..facts(&status, &going, &sets, &nothing, 1)
    };
    let (status, _) = render(&resumed);
    check(
        &status,
        "Progressing",
        ["Unknown", "DeploymentResumed", "Deployment is resumed"],
    );
}

#[test]
fn failures_of_replica_sets_are_shown() {
    let (two, nothing) = (wanted(2), News::Nothing);
    let failing = SetFacts {
        failure: Some(json!({"status": "True", "reason": "FailedCreate", "message": "quota"})),
        ..set("web-a", true, 2, 0)
    };
    let (status, _) = render(&facts(&json!({}), &two, &[failing], &nothing, 0));
    check(&status, "ReplicaFailure", ["True", "FailedCreate", "quota"]);
    let sets = [set("web-a", true, 2, 0)];
    let (status, _) = render(&facts(&status, &two, &sets, &nothing, 1));
    assert!(status["conditions"].as_array().unwrap().len() == 2);
    let refused = News::NotCreated {
        name: "web-b".to_owned(),
        why: "no".to_owned(),
    };
    let (status, _) = render(&facts(&json!({}), &two, &[], &refused, 1));
    check(
        &status,
        "Progressing",
        [
            "False",
            "ReplicaSetCreateError",
            "Failed to create new replica set \"web-b\": no",
        ],
    );
}
