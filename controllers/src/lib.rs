//! The cluster controller: watches, indexes, plans, writes.
//!
//! The flow is one way: `watch` → `index` → `next` (which asks the planner) → `write`, and back only as acknowledgements. The
//! `driver` turns the wheel. Only `write` writes to the API server, and only `index` reads its objects.

pub mod args;
mod connect;
mod driver;
mod election;
mod health;
pub mod index;
mod lease;
mod mandate;
mod metrics;
pub mod next;
pub mod object;
pub mod offline;
mod queue;
mod reason;
mod run;
mod schema;
pub mod settings;
pub mod status;
mod telemetry;
mod watch;
mod write;

pub use run::{RunError, run};
