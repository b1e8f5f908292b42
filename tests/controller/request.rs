//! Requests to the API server as values: those of the API suite. It adds nothing.

#[path = "../api/request.rs"]
#[expect(dead_code, reason = "the API suite speaks of more than this one")]
mod api;

pub use api::{Answer, Request, create, delete, get, merge};
