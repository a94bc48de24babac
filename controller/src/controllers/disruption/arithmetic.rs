//! The arithmetic of a budget. Pure.

use serde_json::Value;

/// What a budget asks for: one of the two, or neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Budget {
    Least(Amount),
    Most(Amount),
    Nothing,
}

/// A number, or hundredths of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Amount {
    Pods(i64),
    Percent(i64),
}

impl Amount {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => number.as_i64().map(Self::Pods),
            Value::String(text) => {
                let percent = text.strip_suffix('%')?.parse().ok()?;
                Some(Self::Percent(percent))
            }
            _ => None,
        }
    }

    /// In pods, rounded up.
    fn of_all(self, all: i64) -> i64 {
        match self {
            Self::Pods(pods) => pods,
            Self::Percent(percent) => {
                let hundredfold = all.saturating_mul(percent);
                hundredfold.saturating_add(99) / 100
            }
        }
    }
}

impl Budget {
    pub(super) fn of(spec: &Value) -> Self {
        let least = Amount::of(&spec["minAvailable"]).map(Self::Least);
        let most = Amount::of(&spec["maxUnavailable"]).map(Self::Most);
        most.or(least).unwrap_or(Self::Nothing)
    }
}

/// What is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// Pods that the budget selects.
    pub(super) pods: i64,
    /// Those of them that serve and shall stay.
    pub(super) healthy: i64,
    /// How many there shall be of what they are of, or why nobody knows.
    pub(super) scale: Result<i64, String>,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) allowed: i64,
    pub(super) healthy: i64,
    pub(super) desired: i64,
    pub(super) expected: i64,
}

/// Counts; the error is why that is not possible.
pub(super) fn plan(budget: &Budget, facts: &Facts) -> Result<Counts, String> {
    let (desired, expected) = match budget {
        Budget::Most(most) => {
            let expected = facts.scale.clone()?;
            ((expected - most.of_all(expected)).max(0), expected)
        }
        Budget::Least(Amount::Pods(least)) => (*least, facts.pods),
        Budget::Least(least) => {
            let expected = facts.scale.clone()?;
            (least.of_all(expected), expected)
        }
        Budget::Nothing => (0, 0),
    };
    let allowed = if expected > 0 {
        (facts.healthy - desired).max(0)
    } else {
        0
    };
    Ok(Counts {
        allowed,
        healthy: facts.healthy,
        desired,
        expected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Of ten pods that shall be ten: healthy ones, and what comes out as `allowed desired expected`.
    #[track_caller]
    fn check(spec: Value, healthy: i64, expected: &str) {
        let facts = Facts {
            pods: 10,
            healthy,
            scale: Ok(10),
        };
        let counts = plan(&Budget::of(&spec), &facts).unwrap();
        let shown = format!("{} {} {}", counts.allowed, counts.desired, counts.expected);
        assert_eq!(shown, expected, "{spec}");
    }

    #[test]
    fn budgets() {
        check(json!({"minAvailable": 8}), 10, "2 8 10");
        check(json!({"minAvailable": 8}), 8, "0 8 10");
        check(json!({"minAvailable": 8}), 5, "0 8 10");
        check(json!({"minAvailable": "75%"}), 10, "2 8 10");
        check(json!({"maxUnavailable": 1}), 10, "1 9 10");
        check(json!({"maxUnavailable": 0}), 10, "0 10 10");
        check(json!({"maxUnavailable": "25%"}), 10, "3 7 10");
        check(json!({"maxUnavailable": "100%"}), 4, "4 0 10");
        check(json!({"maxUnavailable": 20}), 4, "4 0 10");
        check(json!({}), 10, "0 0 0");
    }

    #[test]
    fn only_shares_need_to_know_the_scale() {
        let facts = Facts {
            pods: 3,
            healthy: 3,
            scale: Err("why".to_owned()),
        };
        let of = |spec: Value| plan(&Budget::of(&spec), &facts);
        assert_eq!(of(json!({"minAvailable": 2})).unwrap().allowed, 1);
        assert_eq!(of(json!({"minAvailable": "50%"})), Err("why".to_owned()));
        assert_eq!(of(json!({"maxUnavailable": 1})), Err("why".to_owned()));
    }
}
