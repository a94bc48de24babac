//! The patch algorithms: pure functions from an object and a patch to an object.

pub mod json;
pub mod merge;
pub mod strategic;
