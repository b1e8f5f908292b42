//! Model → plans: one Service into its `ServiceProxyPlan` and shards, one Node into its `NodeProxyPlan`, and what was refused.

mod addresses;
mod conflicts;
mod endpoints;
mod node;
mod refuse;
mod service;
mod shards;
mod summary;

pub use addresses::Policy;
pub use conflicts::{Claim, Claims, Frontend, Part, Verdict};
pub use node::{ClusterSize, NodePlanInput, plan_node};
pub use refuse::refused;
pub use service::{ServicePlan, ServicePlanInput, claims, held_by, plan_service};

/// How many ports a plan holds, as the schema has it.
const PORTS: usize = 100;

#[cfg(test)]
mod tests;
