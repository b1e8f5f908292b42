//! The words of tests: plans, nodes and packets that read as English, and a kernel that is a value. No product code may use it.
//!
//! A test that names an address wrongly panics here; nothing else may.
#![allow(clippy::expect_used, clippy::panic)]

mod bed;
mod packets;
mod plans;
mod tables;

pub use bed::Bed;
pub use packets::{LOCAL_ADDRESSES, PacketBuilder, from, is_local, text};
pub use plans::{EndpointBuilder, NodeBuilder, ServiceBuilder, endpoint, node, service};
pub use tables::{Canonical, apply, canonical};

use std::net::IpAddr;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| panic!("{text} is no address"))
}
