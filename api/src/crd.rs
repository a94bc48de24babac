//! Custom resources: definitions of kinds that users add, and the objects of these kinds.
//!
//! Everything here is pure. A [`Structural`] is a version's schema, compiled once; what it does to an
//! object is bounded, whatever the schema and the object say. Sources: k8s.io/apiextensions-apiserver
//! and k8s.io/kube-openapi `pkg/validation`.

mod cause;
mod cel;
mod default;
pub mod definition;
pub(crate) mod duration;
mod embedded;
mod fieldpath;
mod format;
mod jsonpath;
mod listtype;
mod names;
mod path;
mod pattern;
mod prune;
pub mod publish;
pub mod resource;
pub mod scale;
pub mod structural;
mod table;
mod url;
mod validate;
mod value;

#[cfg(test)]
mod tests;

pub use cel::{EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX, OBJECT_COST_MAX, RULE_COST_MAX};
pub use default::{DEFAULTED_VALUES_MAX, TooLarge};
pub use prune::DROPPED_PATHS_MAX;
pub use resource::CustomVersion;
pub use scale::Scale;
pub use structural::Structural;
pub use table::Columns;
pub use validate::{VERSIONS_MAX, validate_create, validate_status_update, validate_update};
pub use value::{CAUSES_MAX, STEPS_MAX};
