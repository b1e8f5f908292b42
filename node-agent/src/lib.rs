//! The node agent of Pointsman: turns this node's plan into kernel state, proves that the kernel holds it, and says so in the plan's
//! status.
//!
//! ```text
//! feed ──Update──▶ mailbox ──▶ reconcile ──(dispatch, image: pointsman-dataplane)──▶ nftables ──▶ kernel
//!                                  │ Report
//!                                  ├──▶ report   (status of the NodeProxyPlan)
//!                                  ├──▶ health   (/healthz …)
//!                                  └──▶ metrics
//! ```
//!
//! Only `nftables` touches the kernel, only `feed` and `report` know a cluster, and no layer calls back up.

pub mod args;
mod chain;
pub mod cleanup;
pub mod connect;
pub mod explain;
pub mod feed;
pub mod health;
pub mod hold;
pub mod mailbox;
pub mod metrics;
pub mod nftables;
pub mod plan;
pub mod reconcile;
pub mod refusals;
pub mod render;
pub mod report;
pub mod save;
pub mod schedule;
pub mod serve;
pub mod tables;
pub mod telemetry;

pub use chain::chain;
