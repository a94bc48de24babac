//! How far a Job is: what its controller, ours or another's, may say of it.
//!
//! Source: k8s.io/kubernetes `pkg/apis/batch/validation`, `ValidateJobUpdateStatus`, and the options
//! of `pkg/registry/batch/job/strategy.go`: most is only asked of what changes.

use crate::{
    go,
    status::Cause,
    validate::{batch, rules},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fmt::Display};

const TERMINAL: [&str; 3] = ["Failed", "Complete", "FailureTarget"];

/// A status, what it was, and what is wrong with it.
struct Step<'a> {
    new: &'a Value,
    old: &'a Value,
    causes: &'a mut Vec<Cause>,
}

pub(super) fn check(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let numbers = ["active", "succeeded", "failed", "ready", "terminating"];
    rules::not_negative(&new["status"], &numbers, "status", causes);
    uncounted(&new["status"]["uncountedTerminatedPods"], causes);
    let mut step = Step { new, old, causes };
    step.ends();
    step.finished();
    step.indexes();
    step.success();
    step.transitions();
}

fn uncounted(pods: &Value, causes: &mut Vec<Cause>) {
    let mut seen = BTreeSet::new();
    for list in ["succeeded", "failed"] {
        let path = format!("status.uncountedTerminatedPods.{list}");
        for (index, uid) in pods[list].as_array().into_iter().flatten().enumerate() {
            let path = format!("{path}[{index}]");
            if uid == "" {
                causes.push(Cause::invalid(path, uid, "must not be empty"));
            } else if !seen.insert(uid.as_str()) {
                causes.push(Cause::duplicate(path, uid));
            }
        }
    }
}

fn is_true(job: &Value, name: &str) -> bool {
    let conditions = job["status"]["conditions"].as_array();
    let mut found = conditions.into_iter().flatten();
    found.any(|one| one["type"] == name && one["status"] == "True")
}

fn is_finished(job: &Value) -> bool {
    is_true(job, "Complete") || is_true(job, "Failed")
}

impl Step<'_> {
    fn now(&self, field: &str) -> &Value {
        &self.new["status"][field]
    }

    fn number(&self, field: &str) -> i64 {
        self.now(field).as_i64().unwrap_or_default()
    }

    fn is(&self, condition: &str) -> bool {
        is_true(self.new, condition)
    }

    /// Whether one of these conditions is another than it was.
    fn turned(&self, conditions: &[&str]) -> bool {
        let turned = |name: &&str| is_true(self.new, name) != is_true(self.old, name);
        conditions.iter().any(turned)
    }

    fn ended(&self) -> bool {
        is_finished(self.new) != is_finished(self.old)
    }

    fn changed(&self, field: &str) -> bool {
        let (now, before) = (self.now(field), &self.old["status"][field]);
        let is_nothing = |value: &Value| rules::is_absent(value) || *value == 0 || *value == "";
        now != before && !(is_nothing(now) && is_nothing(before))
    }

    fn refuse(&mut self, wrong: bool, field: &str, detail: &str) {
        if wrong {
            let value = self.now(field).clone();
            let cause = Cause::invalid(format!("status.{field}"), &value, detail);
            self.causes.push(cause);
        }
    }

    fn refuse_conditions(&mut self, wrong: bool, detail: &str) {
        if wrong {
            let cause = Cause::invalid_unsaid("status.conditions", detail);
            self.causes.push(cause);
        }
    }

    fn require(&mut self, wrong: bool, field: &str, detail: &str) {
        if wrong {
            let cause = Cause::required(format!("status.{field}"), detail);
            self.causes.push(cause);
        }
    }

    /// How it ends, and when.
    fn ends(&mut self) {
        let complete = self.is("Complete");
        let failed = complete && self.is("Failed") && self.turned(&["Complete", "Failed"]);
        self.refuse_conditions(
            failed,
            "cannot set Complete=True and Failed=true conditions",
        );
        let turned = self.turned(&["Complete", "FailureTarget"]);
        let failing = complete && self.is("FailureTarget") && turned;
        self.refuse_conditions(
            failing,
            "cannot set Complete=True and FailureTarget=true conditions",
        );
        let told = self.changed("completionTime");
        let has_time = !self.now("completionTime").is_null();
        let asked = told || self.turned(&["Complete"]);
        let early = asked && has_time && !complete;
        self.refuse(
            early,
            "completionTime",
            "cannot set completionTime when there is no Complete=True condition",
        );
        let timeless = asked && !has_time && complete;
        self.require(
            timeless,
            "completionTime",
            "completionTime is required for Complete jobs",
        );
        let time = |field: &str| -> Option<Timestamp> { self.now(field).as_str()?.parse().ok() };
        let backwards = match (time("startTime"), time("completionTime")) {
            (Some(start), Some(end)) => end < start && (told || self.changed("startTime")),
            _ => false,
        };
        self.refuse(
            backwards,
            "completionTime",
            "completionTime cannot be set before startTime",
        );
        let turned = self.turned(&["Failed", "FailureTarget"]);
        let untold = turned && self.is("Failed") && !self.is("FailureTarget");
        self.refuse_conditions(
            untold,
            "cannot set Failed=True condition without the FailureTarget=true condition",
        );
        let turned = self.turned(&["Complete", "SuccessCriteriaMet"]);
        let unmet = turned && complete && !self.is("SuccessCriteriaMet");
        self.refuse_conditions(
            unmet,
            "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
        );
    }

    /// What is no more of one that has ended.
    fn finished(&mut self) {
        let (finished, ended) = (is_finished(self.new), self.ended());
        let active = finished && self.number("active") > 0 && (ended || self.changed("active"));
        self.refuse(active, "active", "active>0 is invalid for finished job");
        let started = !self.now("startTime").is_null();
        let unstarted = finished && !started && (ended || self.changed("startTime"));
        self.require(
            unstarted,
            "startTime",
            "startTime is required for finished job",
        );
        let field = "uncountedTerminatedPods";
        let pods = self.now(field).clone();
        let lists = [&pods["succeeded"], &pods["failed"]];
        let some = lists.iter().any(|list| !rules::is_absent(list));
        if finished && some && (ended || self.changed(field)) {
            // Upstream's internal form.
            let fields = [
                ("Succeeded", &pods["succeeded"]),
                ("Failed", &pods["failed"]),
            ];
            let shown = go::structure(&fields.map(|(name, list)| (name, list as &dyn Display)));
            let detail = "uncountedTerminatedPods needs to be empty for finished job";
            let cause = Cause::invalid_shown(format!("status.{field}"), &shown, detail);
            self.causes.push(cause);
        }
    }

    /// Which of its numbers are done.
    fn indexes(&mut self) {
        let (done, failed) = ("completedIndexes", "failedIndexes");
        let (done_new, failed_new) = (self.changed(done), self.changed(failed));
        let completions = self.new["spec"]["completions"].as_i64();
        let per_index = !self.new["spec"]["backoffLimitPerIndex"].is_null();
        let text = |field: &str| self.now(field).as_str().map(str::to_owned);
        let (done_list, failed_list) = (text(done).unwrap_or_default(), text(failed));
        for (field, list, asked) in [
            (done, Some(&done_list), done_new),
            (failed, failed_list.as_ref(), failed_new && per_index),
        ] {
            let (Some(list), Some(completions), true) = (list, completions, asked) else {
                continue;
            };
            if let Err(why) = batch::number_of_indexes(list, completions) {
                self.refuse(true, field, &format!("error parsing {field}: {why}"));
            }
        }
        let is_indexed = self.new["spec"]["completionMode"] == "Indexed";
        self.refuse(
            done_new && !done_list.is_empty() && !is_indexed,
            done,
            "cannot set non-empty completedIndexes when non-indexed completion mode",
        );
        self.refuse(
            failed_new && !per_index && failed_list.is_some(),
            failed,
            "cannot set non-null failedIndexes when backoffLimitPerIndex is null",
        );
        let both = failed_list.filter(|_list| done_new || failed_new);
        let common = both.zip(completions).and_then(|(failed, completions)| {
            batch::common_index(&done_list, &failed, completions)
        });
        if let Some(common) = common {
            let detail = format!("failedIndexes and completedIndexes overlap at index: {common}");
            self.refuse(true, failed, &detail);
        }
        let going = is_finished(self.new) && self.number("terminating") > 0;
        let asked = self.ended() || self.changed("terminating");
        self.refuse(
            going && asked,
            "terminating",
            "terminating>0 is invalid for finished job",
        );
        let ready = self.now("ready").as_i64();
        let more = ready.is_some_and(|ready| ready > self.number("active"));
        let asked = self.changed("ready") || self.changed("active");
        self.refuse(
            more && asked,
            "ready",
            "cannot set more ready pods than active",
        );
    }

    fn success(&mut self) {
        let met = self.is("SuccessCriteriaMet");
        for (other, detail) in [
            (
                "Failed",
                "cannot set SuccessCriteriaMet=True and Failed=true conditions",
            ),
            (
                "FailureTarget",
                "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions",
            ),
        ] {
            let both = met && self.is(other);
            self.refuse_conditions(both, detail);
        }
        let by_policy = !self.new["spec"]["successPolicy"].is_null();
        let unmet = by_policy && !met && self.is("Complete");
        self.refuse_conditions(
            unmet,
            "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True",
        );
    }

    /// What never goes back.
    fn transitions(&mut self) {
        for name in TERMINAL {
            let disabled = is_true(self.old, name) && !self.is(name);
            let detail = format!("cannot disable the terminal {name}=True condition");
            self.refuse_conditions(disabled, &detail);
        }
        let spec = &self.new["spec"];
        // An elastic Job may be made smaller.
        let is_elastic =
            spec["completionMode"] == "Indexed" && spec["completions"] == spec["parallelism"];
        let is_suspended = spec["suspend"] == true;
        for (field, asked) in [("failed", true), ("succeeded", !is_elastic)] {
            let before = self.old["status"][field].as_i64().unwrap_or_default();
            let fewer = asked && self.number(field) < before;
            if fewer {
                let detail = format!("cannot decrease the {field} counter");
                let value = json!(self.number(field));
                let cause = Cause::invalid(format!("status.{field}"), &value, &detail);
                self.causes.push(cause);
            }
        }
        let old = &self.old["status"];
        let (ended, started) = (
            !old["completionTime"].is_null(),
            !old["startTime"].is_null(),
        );
        let moved =
            ended && !self.now("completionTime").is_null() && self.changed("completionTime");
        self.refuse(moved, "completionTime", "completionTime cannot be mutated");
        let moved = started && !is_suspended && self.changed("startTime");
        self.require(
            moved,
            "startTime",
            "startTime cannot be removed for unsuspended job",
        );
        let (met, was_met) = (
            self.is("SuccessCriteriaMet"),
            is_true(self.old, "SuccessCriteriaMet"),
        );
        self.refuse_conditions(
            was_met && !met,
            "cannot disable the SuccessCriteriaMet=True condition",
        );
        self.refuse_conditions(
            is_true(self.old, "Complete") && !was_met && met,
            "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions",
        );
    }
}
