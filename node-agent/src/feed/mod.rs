//! Where plans come from: the API server, or a directory of files. A feed tells of whole plans or of nothing, and never of an
//! end: when its source is away, what was told last stays in force.

pub mod api;
pub mod assemble;
pub mod checkpoint;
pub mod directory;
pub mod document;
mod links;
pub mod record;

use std::future::Future;
use std::sync::Arc;

use crate::mailbox::Mailbox;

/// A source of plans.
pub trait Feed: Send + 'static {
    /// Tells the mailbox of every change, for ever.
    fn run(self, mailbox: Arc<Mailbox>) -> impl Future<Output = ()> + Send;
}
