//! Tables of what upstream does, and random schemas and values.

mod definitions;
mod random;
pub(super) mod values;
