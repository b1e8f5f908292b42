//! The kernel's rules as seen from outside, by `nft` and by the generation that the kernel counts; and what an intruder does to them. It
//! never asks our own programs.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};

use crate::command::{Outcome, run};
use crate::netns::Netns;

/// The families that the table `pointsman` stands in.
pub const FAMILIES: [&str; 2] = ["ip", "ip6"];

/// Runs one nft command in a namespace, and tells how it ended.
pub fn nft(netns: &Netns, command: &str) -> Result<Outcome> {
    run(netns.command("nft").args(command.split_whitespace()))
}

/// The table as `nft` lists it.
pub fn list(netns: &Netns, family: &str) -> Result<String> {
    nft(netns, &format!("list table {family} pointsman"))?.success()
}

/// All rules and elements of both tables, each with the chain, set or map that it stands in: their order says nothing in a hash table.
/// What says no more than who wrote the table, and when, is left out.
pub fn contents(netns: &Netns) -> Result<BTreeSet<String>> {
    let mut contents = BTreeSet::new();
    for family in FAMILIES {
        let listed = list(netns, family)?;
        let mut part = "";
        for line in listed.lines().map(str::trim) {
            match line.strip_suffix('{') {
                Some(head) if !line.starts_with("table") => part = head,
                _ if line.is_empty()
                    || line == "}"
                    || line.starts_with("table")
                    || line.starts_with("flags") => {}
                _ if part.starts_with("set revision") => {}
                _ => {
                    let elements = line.trim_start_matches("elements = {").trim_end_matches([' ', ',', '}']);
                    contents.insert(format!("{family} {part}{}", elements.trim()));
                }
            }
        }
    }
    Ok(contents)
}

/// The number of transactions that the kernel has committed in this namespace (nf_tables' NFT_MSG_GETGEN, uapi/linux/netfilter/nf_tables.h).
pub fn generation(netns: &Netns) -> Result<u32> {
    netns.enter(ask_for_generation)?
}

fn ask_for_generation() -> Result<u32> {
    const GET_GENERATION: u16 = (10 << 8) | 16;
    const REQUEST: u16 = 1;
    // struct nlmsghdr, then struct nfgenmsg: family, version and resource are all zero.
    let mut question = Vec::from(20_u32.to_ne_bytes());
    question.extend(GET_GENERATION.to_ne_bytes());
    question.extend(REQUEST.to_ne_bytes());
    question.extend([0; 12]);
    let mut socket = Socket::new(NETLINK_NETFILTER).context("open a netlink socket")?;
    socket.bind_auto().context("bind a netlink socket")?;
    socket.send_to(&question, &SocketAddr::new(0, 0), 0).context("ask for the ruleset's generation")?;
    let (answer, _) = socket.recv_from_full().context("read the ruleset's generation")?;
    // The first attribute, NFTA_GEN_ID: length, type and a number in network order.
    ensure!(answer.get(22..24) == Some(&1_u16.to_ne_bytes()), "no generation in {answer:?}");
    let id = answer.get(24..28).context("a generation that was cut off")?;
    Ok(u32::from_be_bytes(id.try_into()?))
}
