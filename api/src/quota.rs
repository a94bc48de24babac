//! ResourceQuotas: what an object uses, which quotas count it, and whether there is room. Pure.
//!
//! A [`Book`] has the quotas of one namespace as lines: a resource of a quota, how much of it there may be and how
//! much is taken. What an object takes is a [`Charge`]. Whoever keeps the book remembers each object's charge, so what
//! is given back is always exactly what was taken.
//!
//! Source: k8s.io/kubernetes `pkg/quota/v1`, k8s.io/apiserver `pkg/admission/plugin/resourcequota`. The texts are
//! upstream's.

mod scope;
mod usage;

pub use usage::tracks;

use crate::{KindRef, kind, quantity::Quantity};
use jiff::Timestamp;
use scope::Scope;
use serde_json::Value;
use std::collections::BTreeMap;
use usage::{missing, usage};

/// One resource of one quota.
#[derive(Debug)]
struct Line {
    quota: usize,
    resource: String,
    hard: Quantity,
    used: Quantity,
}

#[derive(Debug)]
struct Quota {
    name: String,
    scopes: Vec<Scope>,
}

/// What an object takes, by line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Charge {
    lines: Vec<(usize, Quantity)>,
    until: Option<Timestamp>,
}

impl Charge {
    /// When it has to be worked out anew: a pod that outstays its end takes less.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// Takes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    fn of_line(&self, line: usize) -> Quantity {
        let found = self.lines.iter().find(|(index, _)| *index == line);
        found.map_or_else(|| Quantity::from_count(0), |(_, amount)| *amount)
    }
}

/// The quotas of a namespace.
#[derive(Debug, Default)]
pub struct Book {
    quotas: Vec<Quota>,
    lines: Vec<Line>,
}

impl Book {
    /// Opens a book for these quotas, by name and object. Nothing is charged yet.
    #[must_use]
    pub fn new<'a>(quotas: impl IntoIterator<Item = (&'a str, &'a Value)>) -> Self {
        let mut book = Self::default();
        for (name, object) in quotas {
            let hard = object["spec"]["hard"].as_object();
            for (resource, value) in hard.into_iter().flatten() {
                let Ok(hard) = Quantity::read(value) else {
                    continue;
                };
                book.lines.push(Line {
                    quota: book.quotas.len(),
                    resource: resource.clone(),
                    hard,
                    used: Quantity::from_count(0),
                });
            }
            book.quotas.push(Quota {
                name: name.to_owned(),
                scopes: scope::of_quota(&object["spec"]),
            });
        }
        book
    }

    /// Some quota may count objects of this kind.
    #[must_use]
    pub fn counts(&self, of: KindRef) -> bool {
        self.lines.iter().any(|line| tracks(of, &line.resource))
    }

    /// What an object takes.
    #[must_use]
    pub fn charge(&self, of: KindRef, object: &Value, now: Timestamp) -> Charge {
        if !self.counts(of) {
            return Charge::default();
        }
        let (usage, until) = usage(of, object, now);
        let covers = self.covering(of, object);
        let taken = self.lines.iter().enumerate().filter_map(|(index, line)| {
            let amount = usage.get(&line.resource).filter(|_| covers[line.quota])?;
            (amount.milli_value() != 0).then_some((index, *amount))
        });
        Charge {
            lines: taken.collect(),
            until,
        }
    }

    /// By quota: whether its scopes let it count this object.
    fn covering(&self, of: KindRef, object: &Value) -> Vec<bool> {
        let is_covered = |quota: &Quota| quota.scopes.iter().all(|scope| scope.has(of, object));
        self.quotas.iter().map(is_covered).collect()
    }

    /// Whether there is room for an object that takes `after` where it took `before`.
    ///
    /// # Errors
    /// What it is refused with, to be put after `pods "x" is forbidden: `.
    pub fn check(
        &self,
        (of, object): (KindRef, &Value),
        before: &Charge,
        after: &Charge,
    ) -> Result<(), String> {
        if of == kind::POD {
            self.check_is_complete(object)?;
        }
        for (index, quota) in self.quotas.iter().enumerate() {
            let mut exceeded = BTreeMap::new();
            for (at, amount) in &after.lines {
                let line = &self.lines[*at];
                let more = amount.minus(before.of_line(*at));
                let total = line.used.plus(more);
                let too_much = total.milli_value() > line.hard.milli_value();
                if line.quota == index && more.milli_value() > 0 && too_much {
                    exceeded.insert(&line.resource, (more, line.used, line.hard));
                }
            }
            if exceeded.is_empty() {
                continue;
            }
            let list = |pick: fn(&(Quantity, Quantity, Quantity)) -> Quantity| {
                let entry = |(name, amounts)| format!("{name}={}", pick(amounts));
                let list: Vec<String> = exceeded.iter().map(entry).collect();
                list.join(",")
            };
            return Err(format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                quota.name,
                list(|amounts| amounts.0),
                list(|amounts| amounts.1),
                list(|amounts| amounts.2)
            ));
        }
        Ok(())
    }

    /// Where CPU or memory are counted, each container says how much of it it wants.
    fn check_is_complete(&self, pod: &Value) -> Result<(), String> {
        let covers = self.covering(kind::POD, pod);
        for (index, quota) in self.quotas.iter().enumerate() {
            let lines = self.lines.iter().filter(|line| line.quota == index);
            let names: Vec<&str> = lines.map(|line| line.resource.as_str()).collect();
            if !covers[index] {
                continue;
            }
            if let Some(missing) = missing(&names, pod) {
                let name = &quota.name;
                return Err(format!("failed quota: {name}: must specify {missing}"));
            }
        }
        Ok(())
    }

    /// An object takes `after` where it took `before`.
    pub fn post(&mut self, before: &Charge, after: &Charge) {
        for (index, amount) in &before.lines {
            self.lines[*index].used = self.lines[*index].used.minus(*amount);
        }
        for (index, amount) in &after.lines {
            self.lines[*index].used = self.lines[*index].used.plus(*amount);
        }
    }

    /// How much is taken of what a quota counts; `is_known` says of a resource whether there is such a kind.
    #[must_use]
    pub fn used(
        &self,
        quota: &str,
        is_known: impl Fn(&str) -> bool,
    ) -> Option<BTreeMap<String, Quantity>> {
        let index = self.quotas.iter().position(|one| one.name == quota)?;
        let lines = self.lines.iter().filter(|line| line.quota == index);
        let known = lines.filter(|line| is_known(&line.resource));
        Some(
            known
                .map(|line| (line.resource.clone(), line.used))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests;
