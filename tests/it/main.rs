//! End-to-end tests: the real binary and real clients.

mod durability;
mod kubectl;
