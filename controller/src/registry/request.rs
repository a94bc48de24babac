//! What is asked of the registry: who writes, which part, how.

use super::commit::Target;
use crate::{auth::UserInfo, object::Object};
use serde_json::Value;
use std::{collections::HashSet, sync::Arc};

/// More are not told: an answer has room for 4,096 letters of them.
const WARNINGS_MAX: usize = 4096;

/// What a client wants to hear of unknown fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValidation {
    /// Drop them and warn.
    Warn,
    /// Refuse.
    Strict,
    /// Drop them.
    Ignore,
}

/// Who writes, and how.
#[derive(Debug)]
pub struct Context {
    /// The user.
    pub user: UserInfo,
    /// Name of the program, for `managedFields`; none for a part of the system, which is not counted there.
    pub field_manager: Option<String>,
    /// Decide, but do not write.
    pub dry_run: bool,
    /// What is new by it stays in memory: it is worth less than the flash it would wear out.
    pub in_memory: bool,
    /// What to do with unknown fields.
    pub field_validation: FieldValidation,
    /// What is said of fields that stand twice in the body, which strict validation refuses with the unknown ones.
    pub duplicates: Vec<String>,
    /// What the client is told beside the answer.
    pub warnings: parking_lot::Mutex<Vec<String>>,
}

impl Context {
    /// A part of the controller itself.
    #[must_use]
    pub fn system(name: &str) -> Self {
        Self {
            user: UserInfo::new(format!("system:{name}"), ["system:masters".to_owned()]),
            field_manager: None,
            dry_run: false,
            in_memory: false,
            field_validation: FieldValidation::Ignore,
            duplicates: Vec::new(),
            warnings: parking_lot::Mutex::default(),
        }
    }

    /// Tells the client, once, what it should know of a write; a part of the system is told nothing.
    pub(super) fn warn(&self, said: impl FnOnce() -> Vec<String>) {
        if self.field_manager.is_none() {
            return;
        }
        let mut warnings = self.warnings.lock();
        let mut known: HashSet<String> = warnings.iter().cloned().collect();
        for new in said() {
            if warnings.len() < WARNINGS_MAX && known.insert(new.clone()) {
                warnings.push(new);
            }
        }
    }

    pub(super) fn target(&self, dry_run: bool) -> Target {
        match (self.dry_run || dry_run, self.in_memory) {
            (true, _) => Target::Nowhere,
            (false, true) => Target::Memory,
            (false, false) => Target::Disk,
        }
    }
}

/// Which part of an object a write is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subresource {
    /// All but the status.
    None,
    /// The status alone.
    Status,
    /// The number of replicas, as an `autoscaling/v1` Scale.
    Scale,
    /// A namespace's finalizers.
    Finalize,
    /// The conditions of a certificate request, by who may approve it.
    Approval,
}

/// How a patch says what to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchForm {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Merge that knows list keys.
    Strategic,
}

/// The patch algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    /// It changes what there is.
    Change(PatchForm),
    /// Server-side apply.
    Apply,
}

/// A patch.
#[derive(Debug, Clone)]
pub struct Patch {
    /// How to read it.
    pub kind: PatchKind,
    /// The patch.
    pub body: Value,
    /// Apply: take fields from other managers.
    pub force: bool,
}

/// What becomes of an object's dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They stay.
    Orphan,
    /// They go after it.
    Background,
    /// They go before it.
    Foreground,
}

/// How to delete.
#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    /// Seconds; 0 deletes at once.
    pub grace_period_seconds: Option<i64>,
    /// What becomes of dependents.
    pub propagation: Option<Propagation>,
    /// Only the object with this uid.
    pub uid: Option<String>,
    /// Only at this version.
    pub resource_version: Option<String>,
    /// Decide, but do not write.
    pub dry_run: bool,
}

/// What a deletion did.
#[derive(Debug)]
pub enum Deleted {
    /// The object is gone; this was its last state.
    Gone(Arc<Object>),
    /// The object waits for its grace period or its finalizers.
    Pending(Arc<Object>),
}
