//! Names of new slices: the same input gives the same name, so that a late second leader collides instead of duplicating.

use std::collections::BTreeSet;
use std::hash::Hasher;

use pointsman_crds::{IpFamily, Protocol};
use siphasher::sip::SipHasher13;

use super::SliceInput;
use crate::model::SlicePort;

/// Letters and digits that make no words and are not taken for one another.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LENGTH: usize = 5;

/// The names that are free for one Service.
pub struct Names<'a> {
    input: &'a SliceInput<'a>,
    suffixes: BTreeSet<String>,
}

impl<'a> Names<'a> {
    /// All but those of the slices that are there, whoever writes them: shards are named by the last part alone.
    pub fn new(input: &'a SliceInput<'a>) -> Self {
        Self { input, suffixes: input.existing.iter().map(|slice| slice.suffix().to_owned()).collect() }
    }

    /// The first free name for a slice of `family` with `ports`.
    pub fn next(&mut self, family: IpFamily, ports: &[SlicePort]) -> String {
        let mut ordinal: u32 = 0;
        loop {
            let suffix = suffix(&self.input.service.uid, family, ports, ordinal);
            let name = format!("{}-{suffix}", self.input.service.key.name);
            if !self.input.taken.contains(&name) && self.suffixes.insert(suffix) {
                return name;
            }
            ordinal = ordinal.wrapping_add(1);
        }
    }
}

fn suffix(uid: &str, family: IpFamily, ports: &[SlicePort], ordinal: u32) -> String {
    let family: &[u8] = match family {
        IpFamily::IPv4 => b"4",
        IpFamily::IPv6 => b"6",
    };
    let port = |port: &SlicePort| {
        let protocol = match port.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        let number = port.port.map_or(0, u16::from).to_string();
        [port.name.clone(), protocol.to_owned(), number, port.app_protocol.clone().unwrap_or_default()]
    };
    let ports: Vec<String> = ports.iter().flat_map(port).collect();
    let ordinal = ordinal.to_string();
    let ports = ports.iter().map(String::as_bytes);
    short_hash([uid.as_bytes(), family].into_iter().chain(ports).chain([ordinal.as_bytes()]))
}

/// Five letters and digits that follow from `parts`.
pub fn short_hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    // Every part ends in a byte that no part contains, so that no two inputs read the same.
    let mut hasher = SipHasher13::new();
    for part in parts {
        hasher.write(part);
        hasher.write(&[0xff]);
    }
    let mut rest = hasher.finish();
    let base = ALPHABET.len() as u64;
    (0..SUFFIX_LENGTH)
        .map(|_| {
            let digit = usize::try_from(rest % base).unwrap_or_default();
            rest /= base;
            char::from(ALPHABET[digit])
        })
        .collect()
}
