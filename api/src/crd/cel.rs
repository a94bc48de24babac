//! Validation rules: `x-kubernetes-validations`, in the Common Expression Language.
//!
//! An evaluator of our own, because a rule must never run away: every step is paid from a budget
//! before it is made ([`RULE_COST_MAX`] a rule, [`OBJECT_COST_MAX`] an object), which no crate offers.
//! The object is never copied into it. Source: the language's specification, and k8s.io/apiserver
//! `pkg/cel`.

mod ast;
mod check;
pub(super) mod cost;
mod escape;
mod eval;
mod functions;
mod lexer;
mod macros;
mod parser;
pub(super) mod rules;
mod table;
mod types;
mod val;

#[cfg(test)]
mod tests;

use super::pattern::Pattern;
use std::collections::HashMap;

/// Longest rule.
pub const EXPRESSION_BYTES_MAX: usize = 100_000;
/// Levels of a rule's tree, and of brackets in its text.
pub const EXPRESSION_DEPTH_MAX: usize = 100;
/// What one run of one rule may cost, as upstream.
pub const RULE_COST_MAX: u64 = 1_000_000;
/// What all rules of one object may cost together, as upstream.
pub const OBJECT_COST_MAX: u64 = 10_000_000;

/// Patterns that stand in a rule's text.
type Patterns = HashMap<String, Pattern>;

/// What is wrong with an expression, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SyntaxError {
    at: usize,
    message: String,
}

impl SyntaxError {
    /// As upstream prints it: place, sentence, the line and a mark below it.
    fn print(&self, text: &str) -> String {
        let at = self.at.min(text.len());
        let before = text.get(..at).unwrap_or_default();
        let row = before.matches('\n').count();
        let line = text.lines().nth(row).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(start..).unwrap_or_default().chars().count();
        let dots = ".".repeat(column);
        format!(
            "ERROR: <input>:{}:{}: {}\n | {line}\n | {dots}^",
            row + 1,
            column + 1,
            self.message
        )
    }
}

/// Why a rule has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Failure {
    /// The budget is spent. Nothing makes up for it.
    Budget,
    /// No function takes these values.
    Overload,
    /// A sentence.
    Other(String),
}

impl Failure {
    fn other(message: impl Into<String>) -> Self {
        Self::Other(message.into())
    }
}

/// What is left of a budget.
#[derive(Debug)]
struct Meter {
    left: u64,
}

impl Meter {
    /// The price of compiling a pattern that the rule made.
    const PATTERN: u64 = 10_000;

    fn charge(&mut self, price: u64) -> Result<(), Failure> {
        match self.left.checked_sub(price) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Failure::Budget)
            }
        }
    }

    /// The price of reading or writing bytes: a tenth each.
    fn bytes(&mut self, bytes: usize) -> Result<(), Failure> {
        self.charge(u64::try_from(bytes / 10 + 1).unwrap_or(u64::MAX))
    }

    /// The price of making a list's elements.
    fn items(&mut self, items: usize) -> Result<(), Failure> {
        self.charge(u64::try_from(items).unwrap_or(u64::MAX))
    }
}
