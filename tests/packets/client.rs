//! Asks by any of the three protocols from any namespace, and tells how it ended.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use pointsman_crds::Protocol;
use pointsman_tests::netns::Netns;
use pointsman_tests::traffic::{self, Answer, Reply, Transport};

use crate::sctp;

/// One question from a fresh port; waits at most `limit`.
pub fn ask(netns: &Netns, protocol: Protocol, target: SocketAddr, limit: Duration) -> Result<Reply> {
    match protocol {
        Protocol::Tcp => traffic::ask(netns, Transport::Tcp, target, limit),
        Protocol::Udp => traffic::ask(netns, Transport::Udp, target, limit),
        Protocol::Sctp => {
            let asked = netns.enter(|| sctp::ask(target, limit))?;
            match asked {
                Ok(said) => {
                    let (name, seen_as) = said.rsplit_once(' ').context("a cookie of ours")?;
                    Ok(Reply::Answered(Answer { name: name.to_owned(), seen_as: seen_as.parse()? }))
                }
                Err(error) => traffic::classify(error).with_context(|| format!("ask {target} by SCTP")),
            }
        }
    }
}
