//! Plans without a cluster: manifests in, plans out. No network, no clock; equal manifests give equal bytes.

mod manifests;
mod plan;
mod settle;

pub use manifests::ManifestError;
pub use plan::{PlanError, print_plans};
pub use settle::Agreeing;
