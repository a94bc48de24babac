//! The wire between controller and agent, and the types the agent works with.
//!
//! The inner types (`pod`, `status`, `route`, `node`) carry no serde and no protobuf; `convert`
//! turns wire types into them and checks every field.

#![warn(missing_docs)]

pub mod node;
pub mod pod;
pub mod route;
pub mod status;
