//! nftables mode: one table a family, `pointsman`, whose rules are constant and whose maps hold all that varies.
//! `docs/ruleset.md` draws it. Pure: values in, values out; the netlink socket is in the agent.

pub mod adopt;
pub mod base;
pub mod compile;
mod digest;
pub mod expr;
pub mod image;
pub mod interpret;
pub mod schema;
pub mod slots;
pub mod stamp;
pub mod statement;
pub mod table;
pub mod text;
pub mod transaction;
