//! The chapters, one a file, in the order in which they are told. Each acts on the stage, shows, and claims.

pub mod cluster;
pub mod failover;
pub mod farewell;
pub mod intruder;
pub mod outage;
pub mod repair;
pub mod scale;
pub mod services;
