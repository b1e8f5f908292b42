//! nftables mode's kernel side: the table is read into an [`Observed`] and written as a [`Transaction`], over raw
//! netlink. It decides nothing: what is to be written comes from the dataplane crate. Everything here blocks (a small
//! commit for tens of microseconds), so async callers go through a thread.

mod decode;
mod encode;
mod error;
mod fake;
mod kernel;
mod message;
mod probe;
mod refusal;
mod socket;
mod watch;

use std::time::Duration;

use pointsman_crds::IpFamily;
use pointsman_dataplane::nftables::schema::TABLE;
use pointsman_dataplane::nftables::statement::family_name;
use pointsman_dataplane::nftables::table::Observed;
use pointsman_dataplane::nftables::transaction::Transaction;

pub use error::Error;
pub use fake::Fake;
pub use kernel::Kernel;
pub use probe::Features;
pub use watch::{Touch, Watch};

/// What the agent asks of the kernel's nf_tables. [`Kernel`] is the real one, `Fake` keeps tables in memory.
pub trait Nftables: Send + 'static {
    /// Takes the table if it is there and to be owned (see [`Ownership`]). Called at start, before `observe`: from then
    /// on nobody else can change it. At most one transaction, without rules and elements; none if the table is ours
    /// already, absent, or not to be owned.
    ///
    /// A table that another living process owns is [`Error::OwnedByAnother`].
    fn own(&mut self, family: IpFamily) -> Result<Ownership, Error>;

    /// Reads the whole table, of one moment; `None` if there is none. Writes nothing. A table that should be ours and
    /// cannot be taken has "table flags" in `foreign`: it must be made anew.
    fn observe(&mut self, family: IpFamily) -> Result<Option<Observed>, Error>;

    /// Writes a transaction whole or not at all. An empty one is not sent. With `recreate` the table is made with the
    /// owner's flags where those are wanted and the kernel has them, and is ours afterwards.
    fn commit(&mut self, family: IpFamily, transaction: &Transaction) -> Result<Committed, Error>;

    /// Deletes the table; false if there was none.
    fn delete(&mut self, family: IpFamily) -> Result<bool, Error>;

    /// Every table of IPv4 and IPv6 in this network namespace, of whomever: leftovers and other proxies are seen by it.
    fn tables(&mut self) -> Result<Vec<TableHead>, Error>;

    /// The ruleset's generation: it grows by one with every transaction that anybody commits in this network namespace.
    fn generation(&mut self) -> Result<u32, Error>;
}

/// Whose the table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// There is none yet; the commit that makes it will own it, if that is wanted and the kernel can.
    Absent,
    /// Ours: nobody else can change it while this process lives.
    Ours,
    /// Nobody's, as wanted (`tableOwner: false`) or because the kernel is older than 6.9.
    Shared,
    /// Nobody's, and it cannot be taken as it is: it was made without `owner` and `persist`. `observe` says so in `foreign`.
    MustBeMadeAnew,
}

/// What a commit cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// From the first byte sent to the kernel's last answer.
    pub duration: Duration,
    /// Bytes sent.
    pub bytes: usize,
}

/// A table from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableHead {
    /// Its family.
    pub family: IpFamily,
    /// Its name.
    pub name: String,
    /// `NFT_TABLE_F_…`.
    pub flags: u32,
    /// How many chains, sets and other objects are in it.
    pub objects: u32,
    /// The netlink port of the living process that owns it.
    pub owner: Option<u32>,
}

/// Our table's name with its family, as messages have it.
fn table_name(family: IpFamily) -> String {
    format!("{} {TABLE}", family_name(family))
}
