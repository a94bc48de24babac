//! Priorities: the two classes of the system, and the range that is left for users.
//!
//! Source: k8s.io/kubernetes `pkg/apis/scheduling`.

/// The greatest value of a class that a user makes.
pub const USER_MAX: i64 = 1_000_000_000;
/// Names that only the system's classes have.
pub const SYSTEM_PREFIX: &str = "system-";

/// A class that every cluster has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemClass {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: i64,
    /// For a person.
    pub description: &'static str,
}

/// The classes that every cluster has.
pub const SYSTEM_CLASSES: [SystemClass; 2] = [
    SystemClass {
        name: "system-node-critical",
        value: 2_000_001_000,
        description: "Used for system critical pods that must not be moved from their current node.",
    },
    SystemClass {
        name: "system-cluster-critical",
        value: 2_000_000_000,
        description: "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    },
];

/// Whether a class with a name of the system is one of its classes.
///
/// # Errors
/// What differs.
pub fn check_system_class(name: &str, value: i64, is_default: bool) -> Result<(), String> {
    let Some(class) = SYSTEM_CLASSES.iter().find(|class| class.name == name) else {
        return Err(format!("{name} is not a known system priority class"));
    };
    if value != class.value {
        return Err(format!(
            "value of {name} PriorityClass must be {}",
            class.value
        ));
    }
    if is_default {
        return Err(format!(
            "globalDefault of {name} PriorityClass must be false"
        ));
    }
    Ok(())
}
