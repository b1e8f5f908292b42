//! The cluster controller: watches, indexes, plans, writes.
pub mod args;
pub mod index;
pub mod metrics;
pub mod next;
pub mod object;
pub mod offline;
pub mod settings;
pub mod write;
