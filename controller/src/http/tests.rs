//! The endpoint over real connections: one server a test, port 0, a plain client.

mod apply;
mod bytes;
mod client;
mod collections;
mod components;
mod custom;
mod encrypted;
mod events;
mod evolving;
mod fairness;
mod kinds;
mod nulls;
mod page;
mod parts;
mod protobuf;
mod reads;
mod rights;
mod scale;
mod security;
mod versions;
mod watches;
mod writes;
