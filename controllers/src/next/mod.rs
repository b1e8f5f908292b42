//! Index → the writes that are missing for one Service or one Node, now. Synchronous and without a client; called again after
//! every acknowledgement until nothing is missing.

mod node;
mod service;

pub use node::{NodeWork, Pulse, heartbeats_to_tell, node_work};
pub use service::{Obstacles, PlanWrite, ServiceWork, SliceWrites, service_work};
