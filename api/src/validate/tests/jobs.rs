//! Jobs, and the Jobs of CronJobs.

use super::*;

/// A Job as the registry completes it.
fn job(spec: Value, restart: &str) -> Value {
    let mut job = pods(spec, restart);
    job["metadata"] = json!({"name": "a", "uid": "u"});
    let labels = json!({"controller-uid": "u", "batch.kubernetes.io/controller-uid": "u", "job-name": "a", "batch.kubernetes.io/job-name": "a"});
    job["spec"]["template"]["metadata"]["labels"] = labels;
    job["spec"]["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}});
    job
}

#[test]
fn jobs() {
    check(kind::JOB, job(json!({}), "Never"), &[]);
    check(
        kind::JOB,
        job(json!({"backoffLimit": -1}), "Always"),
        &[
            "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0",
            "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
        ],
    );
    check(
        kind::JOB,
        job(
            json!({"completionMode": "Indexed", "parallelism": 2}),
            "Never",
        ),
        &["spec.completions: Required value: when completion mode is Indexed"],
    );
    check(
        kind::JOB,
        job(json!({"backoffLimitPerIndex": 1}), "Never"),
        &["spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"],
    );
    let restarts = "Required value: valid values: \"OnFailure\", \"Never\"";
    check(
        kind::CRON_JOB,
        json!({"spec": {"schedule": "@daily"}}),
        &[
            "spec.jobTemplate.spec.template.spec.containers: Required value",
            &format!("spec.jobTemplate.spec.template.spec.restartPolicy: {restarts}"),
        ],
    );
    let mut chosen = job(json!({}), "Never");
    chosen["spec"]["selector"] = json!({"matchLabels": {"mine": "x"}});
    let said = create(kind::JOB, &chosen);
    assert!(
        said.iter()
            .any(|cause| cause.message.ends_with("`selector` not auto-generated")),
        "{said:?}"
    );
    let fixed = job(json!({}), "Never");
    check_change(
        kind::JOB,
        fixed.clone(),
        |job| job["spec"]["parallelism"] = json!(5),
        &[],
    );
    check_change(
        kind::JOB,
        fixed.clone(),
        |job| job["spec"]["completions"] = json!(5),
        &["spec.completions"],
    );
    let other =
        |job: &mut Value| job["spec"]["template"]["spec"]["nodeSelector"] = json!({"a": "b"});
    check_change(kind::JOB, fixed, other, &["spec.template"]);
    check_change(
        kind::JOB,
        job(json!({"suspend": true}), "Never"),
        other,
        &[],
    );
}

fn indexed(mut spec: Value) -> Value {
    spec["completionMode"] = json!("Indexed");
    if spec["completions"].is_null() {
        spec["completions"] = json!(5);
    }
    spec
}

/// Specs of Jobs that never restart a pod, and what is said of each, without `spec.`; CronJobs say the same of theirs.
#[track_caller]
fn check_specs(rows: Vec<(Value, &[&str])>) {
    for (spec, said) in rows {
        let in_job: Vec<String> = said.iter().map(|said| format!("spec.{said}")).collect();
        let in_job: Vec<&str> = in_job.iter().map(String::as_str).collect();
        check(kind::JOB, job(spec.clone(), "Never"), &in_job);
        let template = pods(spec, "Never");
        let cron = json!({"spec": {"schedule": "@daily", "jobTemplate": template}});
        let in_cron: Vec<String> = said
            .iter()
            .map(|said| format!("spec.jobTemplate.spec.{said}"))
            .collect();
        let in_cron: Vec<&str> = in_cron.iter().map(String::as_str).collect();
        check(kind::CRON_JOB, cron, &in_cron);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of what is refused")]
fn numbers_and_indexes() {
    check_specs(vec![
        (
            indexed(json!({"parallelism": 3, "backoffLimitPerIndex": 1, "maxFailedIndexes": 2})),
            &[],
        ),
        (json!({"managedBy": "example.com/mine"}), &[]),
        (
            json!({"parallelism": -1}),
            &["parallelism: Invalid value: -1: must be greater than or equal to 0"],
        ),
        (
            json!({"completions": -1}),
            &["completions: Invalid value: -1: must be greater than or equal to 0"],
        ),
        (
            json!({"activeDeadlineSeconds": -1}),
            &["activeDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0"],
        ),
        (
            json!({"ttlSecondsAfterFinished": -1}),
            &["ttlSecondsAfterFinished: Invalid value: -1: must be greater than or equal to 0"],
        ),
        (
            json!({"managedBy": "mine"}),
            &[
                "managedBy: Invalid value: \"mine\": must be a domain-prefixed path (such as \"acme.io/foo\")",
            ],
        ),
        (
            json!({"managedBy": format!("example.com/{}", "a".repeat(60))}),
            &["managedBy: Too long: may not be more than 63 bytes"],
        ),
        (
            json!({"completionMode": "Counted"}),
            &[
                "completionMode: Unsupported value: \"Counted\": supported values: \"NonIndexed\", \"Indexed\"",
            ],
        ),
        (
            json!({"maxFailedIndexes": 1}),
            &[
                "backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
                "maxFailedIndexes: Invalid value: 1: requires indexed completion mode",
            ],
        ),
        (
            indexed(json!({"parallelism": 100_001})),
            &[
                "parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed",
            ],
        ),
        (
            indexed(json!({"backoffLimitPerIndex": 1, "maxFailedIndexes": 6})),
            &["maxFailedIndexes: Invalid value: 6: must be less than or equal to completions"],
        ),
        (
            indexed(
                json!({"completions": 100_001, "backoffLimitPerIndex": 1, "parallelism": 10_001}),
            ),
            &[
                "maxFailedIndexes: Required value: must be specified when completions is above 100000",
                "parallelism: Invalid value: 10001: must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index",
            ],
        ),
        (
            json!({"podReplacementPolicy": "Never"}),
            &[
                "podReplacementPolicy: Unsupported value: \"Never\": supported values: \"Failed\", \"TerminatingOrFailed\"",
            ],
        ),
    ]);
    let long = "a".repeat(62);
    let mut named = job(indexed(json!({})), "Never");
    named["metadata"]["name"] = json!(long);
    for key in ["job-name", "batch.kubernetes.io/job-name"] {
        named["spec"]["template"]["metadata"]["labels"][key] = json!(long);
    }
    let said = format!(
        "metadata.name: Invalid value: \"{long}\": will not able to create pod with invalid DNS label: {long}-4"
    );
    check(kind::JOB, named, &[&said]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of what is refused")]
fn what_follows_from_failures() {
    let rule = |rule: Value| json!({"podFailurePolicy": {"rules": [rule]}});
    let codes = |codes: Value| rule(json!({"action": "FailJob", "onExitCodes": codes}));
    let values = |values: Value| codes(json!({"operator": "In", "values": values}));
    let good = || json!({"operator": "In", "values": [1, 3]});
    let numbers: Vec<i32> = (1..=256).collect();
    check_specs(vec![
        (values(json!([1, 3])), &[]),
        (
            rule(json!({"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]})),
            &[],
        ),
        (
            rule(json!({"onExitCodes": good()})),
            &[
                "podFailurePolicy.rules[0].action: Required value: valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]",
            ],
        ),
        (
            rule(json!({"action": "Cry", "onExitCodes": good()})),
            &[
                "podFailurePolicy.rules[0].action: Unsupported value: \"Cry\": supported values: \"Count\", \"FailIndex\", \"FailJob\", \"Ignore\"",
            ],
        ),
        (
            rule(json!({"action": "FailIndex", "onExitCodes": good()})),
            &[
                "podFailurePolicy.rules[0].action: Invalid value: \"FailIndex\": requires the backoffLimitPerIndex to be set",
            ],
        ),
        (
            rule(json!({"action": "Count"})),
            &[
                "podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required",
            ],
        ),
        (
            rule(
                json!({"action": "Count", "onExitCodes": good(), "onPodConditions": [{"type": "A"}]}),
            ),
            &[
                "podFailurePolicy.rules[0]: Invalid value: specifying both OnExitCodes and OnPodConditions is not supported",
            ],
        ),
        (
            rule(json!({"action": "Count", "onPodConditions": [{"type": "A", "status": "Maybe"}]})),
            &[
                "podFailurePolicy.rules[0].onPodConditions[0].status: Unsupported value: \"Maybe\": supported values: \"False\", \"True\", \"Unknown\"",
            ],
        ),
        (
            codes(json!({"operator": "Is", "values": [1]})),
            &[
                "podFailurePolicy.rules[0].onExitCodes.operator: Unsupported value: \"Is\": supported values: \"In\", \"NotIn\"",
            ],
        ),
        (
            codes(json!({"operator": "In", "values": [1], "containerName": "x"})),
            &[
                "podFailurePolicy.rules[0].onExitCodes.containerName: Invalid value: \"x\": must be one of the container or initContainer names in the pod template",
            ],
        ),
        (
            values(json!([])),
            &[
                "podFailurePolicy.rules[0].onExitCodes.values: Invalid value: []: at least one value is required",
            ],
        ),
        (
            values(json!([0])),
            &[
                "podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator",
            ],
        ),
        (
            values(json!([1, 1])),
            &["podFailurePolicy.rules[0].onExitCodes.values[1]: Duplicate value: 1"],
        ),
        (
            values(json!([3, 1])),
            &[
                "podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [3,1]: must be ordered",
            ],
        ),
        (
            values(json!(numbers)),
            &[
                "podFailurePolicy.rules[0].onExitCodes.values: Too many: 256: must have at most 255 items",
            ],
        ),
        (
            json!({"podFailurePolicy": {"rules": vec![json!({"action": "Count", "onExitCodes": good()}); 21]}}),
            &["podFailurePolicy.rules: Too many: 21: must have at most 20 items"],
        ),
        (
            json!({"podReplacementPolicy": "TerminatingOrFailed", "podFailurePolicy": {"rules": []}}),
            &[
                "podReplacementPolicy: Unsupported value: \"TerminatingOrFailed\": supported values: \"Failed\"",
            ],
        ),
    ]);
    check(
        kind::JOB,
        job(values(json!([1])), "OnFailure"),
        &[
            "spec.template.spec.restartPolicy: Invalid value: \"OnFailure\": only \"Never\" is supported when podFailurePolicy is specified",
        ],
    );
}

#[test]
fn what_is_enough() {
    let rule = |rule: Value| indexed(json!({"successPolicy": {"rules": [rule]}}));
    let indexes = |list: &str| rule(json!({"succeededIndexes": list}));
    check_specs(vec![
        (
            rule(json!({"succeededIndexes": "0,2-4", "succeededCount": 4})),
            &[],
        ),
        (
            json!({"successPolicy": {}}),
            &["successPolicy: Invalid value: {}: requires indexed completion mode"],
        ),
        (
            indexed(json!({"successPolicy": {"rules": []}})),
            &[
                "successPolicy.rules: Required value: at least one rules must be specified when the successPolicy is specified",
            ],
        ),
        (
            rule(json!({})),
            &[
                "successPolicy.rules[0]: Required value: at least one of succeededCount or succeededIndexes must be specified",
            ],
        ),
        (
            indexes("5"),
            &[
                "successPolicy.rules[0].succeededIndexes: Invalid value: \"5\": error parsing succeededIndexes: too large index: \"5\"",
            ],
        ),
        (
            indexes("2,1"),
            &[
                "successPolicy.rules[0].succeededIndexes: Invalid value: \"2,1\": error parsing succeededIndexes: non-increasing order, previous: 2, current: 1",
            ],
        ),
        (
            indexes("3-2"),
            &[
                "successPolicy.rules[0].succeededIndexes: Invalid value: \"3-2\": error parsing succeededIndexes: non-increasing order, previous: 3, current: 2",
            ],
        ),
        (
            indexes("1-2-3"),
            &[
                "successPolicy.rules[0].succeededIndexes: Invalid value: \"1-2-3\": error parsing succeededIndexes: the fragment \"1-2-3\" violates the requirement that an index interval can have at most two parts separated by '-'",
            ],
        ),
        (
            indexes("a"),
            &[
                "successPolicy.rules[0].succeededIndexes: Invalid value: \"a\": error parsing succeededIndexes: cannot convert string to integer for index: \"a\"",
            ],
        ),
        (
            rule(json!({"succeededCount": 6})),
            &[
                "successPolicy.rules[0].succeededCount: Invalid value: 6: must be less than or equal to 5 (the number of specified completions)",
            ],
        ),
        (
            rule(json!({"succeededCount": 3, "succeededIndexes": "0,1"})),
            &[
                "successPolicy.rules[0].succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of indexes in the specified succeededIndexes field)",
            ],
        ),
    ]);
}

#[test]
fn what_of_a_job_stays() {
    let old = || {
        job(
            indexed(json!({"backoffLimitPerIndex": 1, "managedBy": "a.io/b"})),
            "Never",
        )
    };
    for (edit, fields) in [
        (
            (|job| job["spec"]["backoffLimitPerIndex"] = json!(2)) as fn(&mut Value),
            "spec.backoffLimitPerIndex",
        ),
        (
            |job| job["spec"]["managedBy"] = json!("a.io/c"),
            "spec.managedBy",
        ),
        (
            |job| job["spec"]["successPolicy"] = json!({"rules": [{"succeededCount": 1}]}),
            "spec.successPolicy",
        ),
        (
            |job| {
                job["spec"]["podFailurePolicy"] = json!({"rules": []});
                job["spec"]["podReplacementPolicy"] = json!("Failed");
            },
            "spec.podFailurePolicy",
        ),
        (
            |job| job["spec"]["completions"] = json!(6),
            "spec.completions",
        ),
    ] {
        check_change(kind::JOB, old(), edit, &[fields]);
    }
    let both = |job: &mut Value| {
        job["spec"]["completions"] = json!(6);
        job["spec"]["parallelism"] = json!(6);
    };
    check_change(kind::JOB, old(), both, &[]);
}
