//! A fingerprint of a table's meaning: a sum of the hashes of its parts, so that a change costs what it changes. Which slot an
//! endpoint sits in, spare chains and comments do not count.

use std::hash::Hasher;

use pointsman_crds::IpFamily;
use siphasher::sip::SipHasher13;

use super::compile::FrontendKey;
use super::schema::{ChainId, SetId};
use super::table::{Bytes, Key, Table};
use super::text;
use crate::node::NodeFacts;

fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher13::new();
    for part in parts {
        hasher.write_usize(part.len());
        hasher.write(part);
    }
    hasher.finish()
}

/// What stands in every table of this node: sets, hooks and rules, which other node facts or another version make otherwise.
pub fn constants(node: &NodeFacts, family: IpFamily) -> u64 {
    let mut table = Table::new(family);
    table.sets.extend(SetId::ALL.map(|set| (set, Default::default())));
    let choosers = [ChainId::Lb(1), ChainId::MasqLb(1), ChainId::NodePortLb(1)];
    table.chains.extend(ChainId::CONSTANT.into_iter().chain(choosers).map(|chain| (chain, Vec::new())));
    hash(&[b"constants", text::render(node, &table).as_bytes()])
}

/// A member of a plain set.
pub fn member(set: SetId, key: &Key) -> u64 {
    hash(&[b"member", set.schema().name.as_bytes(), &key.bytes, &[u8::from(key.interval_end)]])
}

/// A frontend and the chain that it goes to.
pub fn verdict(frontend: &FrontendKey, chain: ChainId) -> u64 {
    hash(&[
        b"verdict",
        frontend.pair.verdicts().schema().name.as_bytes(),
        &frontend.bytes,
        chain.name().as_bytes(),
    ])
}

/// A frontend and one of its endpoints.
pub fn endpoint(frontend: &FrontendKey, endpoint: &Bytes) -> u64 {
    hash(&[b"endpoint", frontend.pair.endpoints().schema().name.as_bytes(), &frontend.bytes, endpoint])
}
