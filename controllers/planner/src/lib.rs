//! From Services, Pods, Nodes and EndpointSlices to the EndpointSlices and plans that shall exist.
//!
//! This crate is pure and total: no I/O, no clock, no async, no randomness, and no input that makes it fail. Bad input gives
//! a plan plus what was refused. Equal input gives equal bytes: nothing here depends on the order of a hash.

pub mod model;
pub mod plan;
pub mod slice;

#[cfg(test)]
mod testing;
