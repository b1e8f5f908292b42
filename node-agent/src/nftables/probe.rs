//! Whether this kernel can do nftables mode. Everything is tried in scratch tables, in transactions that are always
//! rolled back: they cost no generation, and no packet meets them.

use netlink_bindings::consts::{NLM_F_APPEND, NLM_F_CREATE};
use netlink_bindings::nftables::{PushChainAttrs, PushRuleAttrs};
use netlink_bindings::traits::Pusher;
use pointsman_crds::IpFamily;
use pointsman_dataplane::nftables::expr::{CtKey, Expr, Header};
use pointsman_dataplane::nftables::schema::ChainId;
use rustix::io::Errno;

use super::encode::{self, OWNED};
use super::error::Error;
use super::message::{Answer, Batch, Kind};
use super::refusal;
use super::socket::Socket;

/// The oldest kernel that nftables mode is known to work on: what kube-proxy's needs too.
const OLDEST: (u32, u32) = (5, 13);
/// The table that is tried and never comes to be.
const SCRATCH: &str = "pointsman-probe";
/// A table that nobody makes: deleting it fails, and so rolls everything back.
const ABSENT: &str = "pointsman-probe-absent";

/// What this kernel can do beyond what nftables mode needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    /// `uname -r`.
    pub release: String,
    /// Tables can have an owner and outlive it (6.9).
    pub owner: bool,
}

/// Refuses a kernel that lacks something, in one sentence.
pub fn probe(socket: &mut Socket) -> Result<Features, Error> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    if version(&release).is_some_and(|version| version < OLDEST) {
        let (major, minor) = OLDEST;
        return Err(Error::Unsupported(format!(
            "it is Linux {release}, and {major}.{minor} is the oldest that can"
        )));
    }
    let mut missing = Vec::new();
    for answer in rolled_back(socket, write_needed)? {
        if let Some(need) =
            usize::try_from(answer.number).ok().and_then(|number| NEEDED.get(number.checked_sub(FIRST)?))
        {
            missing.push(*need);
        }
    }
    if !missing.is_empty() {
        return Err(Error::Unsupported(format!("Linux {release} here lacks {}", missing.join(", "))));
    }
    let owner =
        rolled_back(socket, |batch| encode::new_table(batch, IpFamily::IPv4, SCRATCH, OWNED))?.is_empty();
    Ok(Features { release, owner })
}

/// Major and minor number of `6.18.44-generic`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(['.', '-']).map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// What the messages of [`write_needed`] need, in their order.
const NEEDED: [&str; 10] = [
    "nf_tables tables of family ip",
    "filter chains",
    "chains of type nat (nft_chain_nat)",
    "chains of type nat after routing (nft_chain_nat)",
    "the connection tracking expression (nft_ct)",
    "the fib expression (nft_fib_ipv4)",
    "the numgen expression (nft_numgen)",
    "the reject expression (nft_reject_ipv4)",
    "the nat expression (nft_nat)",
    "the masquerade expression (nft_masq)",
];
/// The number of the first of them in its batch.
const FIRST: usize = 2;

fn write_needed(batch: &mut Batch) {
    encode::new_table(batch, IpFamily::IPv4, SCRATCH, 0);
    for chain in [ChainId::FilterInput, ChainId::NatPrerouting, ChainId::NatPostrouting] {
        batch.message(Kind::NewChain, NLM_F_CREATE, IpFamily::IPv4, |bytes| {
            let attributes = PushChainAttrs::new(bytes)
                .push_table_bytes(SCRATCH.as_bytes())
                .push_name_bytes(chain.name().as_bytes());
            encode::hook(attributes, chain);
        });
    }
    let address = Expr::Payload { header: Header::Network, offset: 16, length: 4, to: 0 };
    let port = Expr::Payload { header: Header::Transport, offset: 2, length: 2, to: 1 };
    let rules = [
        (ChainId::FilterInput, vec![Expr::Ct(CtKey::State, 0)]),
        (ChainId::FilterInput, vec![Expr::FibDaddrType(0)]),
        (ChainId::FilterInput, vec![Expr::Random { modulus: 2, to: 0 }]),
        (ChainId::FilterInput, vec![Expr::Reject]),
        (ChainId::NatPrerouting, vec![address, port, Expr::Dnat { address: 0, port: 1 }]),
        (ChainId::NatPostrouting, vec![Expr::Masquerade]),
    ];
    for (chain, rule) in rules {
        batch.message(Kind::NewRule, NLM_F_CREATE | NLM_F_APPEND, IpFamily::IPv4, |bytes| {
            let attributes = PushRuleAttrs::new(bytes)
                .push_table_bytes(SCRATCH.as_bytes())
                .push_chain_bytes(chain.name().as_bytes());
            encode::write_rule(attributes.nested_expressions().as_vec_mut(), &rule, IpFamily::IPv4);
        });
    }
}

/// Sends a batch that cannot succeed, and gives what was refused but for the end that was meant to be.
fn rolled_back(socket: &mut Socket, write: impl FnOnce(&mut Batch)) -> Result<Vec<Answer>, Error> {
    let mut batch = Batch::begin();
    write(&mut batch);
    encode::delete_table(&mut batch, IpFamily::IPv4, ABSENT);
    let last = batch.number();
    let batch = batch.end();
    let mut refused = socket.batch(&batch)?;
    let end = refused
        .iter()
        .position(|answer| answer.number == last && answer.errno == Errno::NOENT.raw_os_error());
    match (end, refused.first()) {
        (Some(end), _) => {
            refused.remove(end);
            Ok(refused)
        }
        // The batch as a whole was refused.
        (None, Some(first)) => Err(match refusal::batch(&batch, first) {
            Error::Privilege => Error::Privilege,
            _ => Error::Unsupported("it has no nf_tables".to_owned()),
        }),
        (None, None) => Err(Error::Malformed("a transaction that cannot succeed did".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (release, expected) in [
            ("6.18.44-fc-v595", Some((6, 18))),
            ("5.4.0-42-generic", Some((5, 4))),
            ("5.13-rc1", Some((5, 13))),
            ("6", None),
            ("next", None),
        ] {
            assert_eq!(version(release), expected, "{release}");
        }
        assert!(version("5.9.1") < Some(OLDEST) && version("5.13.0") >= Some(OLDEST));
    }
}
