//! The three kinds of Pointsman (`pointsman.dev/v1alpha1`): their fields, schema, conditions, names and labels.
//!
//! This crate describes; it does no I/O, holds no clock and decides nothing. Everything else of ours depends on it, it
//! depends on nothing of ours.

pub mod conditions;
pub mod crd;
pub mod names;
mod node_proxy_plan;
mod proxy_profile;
mod schema;
mod service_proxy_plan;
mod settings;

pub use kube::core::Duration;
pub use node_proxy_plan::{
    AgentStatus, DriftStatus, NodeIdentity, NodeProxyPlan, NodeProxyPlanSpec, NodeProxyPlanStatus,
    NodeRefused, NodeRefusedList, ProfileReference, ProgrammedStatus,
};
pub use proxy_profile::{NodeCounts, ProxyProfile, ProxyProfileSpec, ProxyProfileStatus, Rollout};
pub use service_proxy_plan::{
    Affinity, EndpointGroup, PlanEndpoint, PlanPort, Protocol, ServiceProxyPlan, ServiceProxyPlanSpec,
    ServiceProxyPlanStatus, ServiceRefused, ServiceRefusedList, Summary, Target, TrafficPolicy,
};
pub use settings::{
    ConntrackSettings, DEFAULT_STATUS_PERIOD, DetectLocal, DetectLocalMode, DriftPolicy, IpFamily,
    IpvsSettings, Masquerade, Mode, NftablesSettings, NodePortAddresses, NodePortAddressesType,
    ProxySettings, SyncSettings,
};
