//! What a node's plan means for packets, and which kernel objects carry it.
//!
//! Pure: no I/O, clock, process, async or randomness; cannot fail on user input (what cannot be programmed is refused with a
//! reason, the rest is programmed); equal input gives equal bytes. The unit of work is one Service; a node's state is the
//! fold over its Services.
//!
//! ```text
//! ServicePlan × NodeFacts ── dispatch ──▶ frontend → verdict ── nftables::compile ──▶ elements ── Image::apply ──▶ Batch
//! ```

pub mod dispatch;
pub mod nftables;
pub mod node;
pub mod packet;
pub mod plan;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use node::NodeFacts;
pub use packet::{Outcome, Packet};
pub use plan::{ServiceKey, ServicePlan};
