//! A table as a value: what was compiled, or what the kernel was read to hold. No I/O, no opinion.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use pointsman_crds::IpFamily;
use smallvec::SmallVec;

use super::expr::Expr;
use super::schema::{ChainId, SetId};

/// Bytes as registers hold them: each field padded with zeros to whole 4-byte words, addresses and ports in network order,
/// slots and marks in host order.
pub type Bytes = SmallVec<[u8; 28]>;

/// The key of an element.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The bytes.
    pub bytes: Bytes,
    /// In a set of ranges: this is the first value after a range rather than the first in it.
    pub interval_end: bool,
}

impl Key {
    /// Before every other key.
    pub fn first() -> Self {
        Self { bytes: Bytes::new(), interval_end: false }
    }

    /// A key that stands for itself, or begins a range.
    pub fn point(bytes: &[u8]) -> Self {
        Self { bytes: Bytes::from_slice(bytes), interval_end: false }
    }

    /// The key that ends a range.
    pub fn end(bytes: &[u8]) -> Self {
        Self { bytes: Bytes::from_slice(bytes), interval_end: true }
    }
}

/// An address in network order.
pub fn address_bytes(ip: IpAddr) -> Bytes {
    match ip {
        IpAddr::V4(ip) => Bytes::from_slice(&ip.octets()),
        IpAddr::V6(ip) => Bytes::from_slice(&ip.octets()),
    }
}

/// What a map holds for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// `goto` this chain.
    Goto(ChainId),
    /// An endpoint: address, port.
    Endpoint(Bytes),
    /// Something that we never write.
    Foreign,
}

/// What stands beside a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Value {
    /// For a map: what it maps to.
    pub data: Option<Data>,
    /// For people: the Service. At most 127 bytes.
    pub comment: Option<Arc<str>>,
}

/// A rule: its expressions in the order in which the kernel evaluates them.
pub type Rule = Vec<Expr>;

/// A table's contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The table's family.
    pub family: IpFamily,
    /// Every set that is there, with its elements.
    pub sets: BTreeMap<SetId, BTreeMap<Key, Value>>,
    /// Every chain that is there, with its rules.
    pub chains: BTreeMap<ChainId, Vec<Rule>>,
}

impl Table {
    /// A table with nothing in it.
    pub fn new(family: IpFamily) -> Self {
        Self { family, sets: BTreeMap::new(), chains: BTreeMap::new() }
    }
}

/// What the kernel was read to hold under our table's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// What we know.
    pub table: Table,
    /// Sets, chains and other objects that are none of ours, or ours with another type, hook or flags, by name: the table must
    /// be made anew.
    pub foreign: Vec<String>,
}
