//! The agent as a whole, in this process, against a controller that is played over the real link on loopback.

mod controller;
mod guests;
mod harness;

mod http;
mod joining;
mod lifecycle;
mod recovery;
