//! The statements that our rules are written in: each has nft's text for people and the kernel's expressions for the kernel,
//! and a test in the agent holds the two together by loading both.

use pointsman_crds::IpFamily;

use super::expr::{
    ADDRESS_TYPE_LOCAL, CT_STATE_NEW, CT_STATUS_DNAT, CtKey, Expr, Header, MetaKey, Register, Verdict,
};
use super::schema::{ChainId, Field, SetId, address_length, protocol_number};
use super::table::{Bytes, Rule};
use super::text::quotable;

/// `IFNAMSIZ`: the kernel compares whole names of 16 bytes.
const INTERFACE_NAME_LENGTH: usize = 16;

/// One statement of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// Only the first packet of a connection.
    NewConnection,
    /// Only connections whose destination was replaced.
    Translated,
    /// Only connections whose destination is what it was.
    Untranslated,
    /// Only if the key is in the set.
    In(SetId),
    /// Only if the key is not in the set.
    NotIn(SetId),
    /// Only if the destination is an address of this node.
    ToLocalAddress,
    /// Only if the packet did not come in through this interface.
    NotThrough(String),
    /// Only if it did not come in through an interface whose name begins so.
    NotThroughPrefix(String),
    /// Only if the mark has this bit.
    HasMark(u32),
    /// Sets this bit of the mark.
    SetMark(u32),
    /// Clears this bit of the mark.
    ClearMark(u32),
    /// Takes the verdict that this map has for the key.
    VerdictMap(SetId),
    /// Sends the packet to one of n endpoints of this map.
    Choose(SetId, u16),
    /// Ends the rule with a verdict.
    Verdict(Verdict),
    /// Replaces the source.
    Masquerade,
    /// Tells the sender: port unreachable.
    Reject,
}

/// The kernel's form of a rule.
pub fn rule(statements: &[Statement], family: IpFamily) -> Rule {
    statements.iter().flat_map(|statement| statement.expressions(family)).collect()
}

/// nft's text of a rule.
pub fn text(statements: &[Statement], family: IpFamily) -> String {
    statements.iter().map(|statement| statement.text(family)).collect::<Vec<_>>().join(" ")
}

impl Statement {
    /// The kernel's expressions, in nft's own order and registers, so that `nft list` prints them as [`Self::text`].
    fn expressions(&self, family: IpFamily) -> Vec<Expr> {
        let bit = |key, mask: u32, equal| {
            let none = Expr::Compare { register: 0, equal, value: word(0) };
            vec![Expr::Ct(key, 0), Expr::Bitwise { register: 0, mask, xor: 0 }, none]
        };
        match self {
            Self::NewConnection => bit(CtKey::State, CT_STATE_NEW, false),
            Self::Translated => bit(CtKey::Status, CT_STATUS_DNAT, false),
            Self::Untranslated => bit(CtKey::Status, CT_STATUS_DNAT, true),
            Self::In(set) => with_key(*set, family, Expr::Member { set: *set, register: 0, inverted: false }),
            Self::NotIn(set) => {
                with_key(*set, family, Expr::Member { set: *set, register: 0, inverted: true })
            }
            Self::ToLocalAddress => {
                let local = Expr::Compare { register: 0, equal: true, value: word(ADDRESS_TYPE_LOCAL) };
                vec![Expr::FibDaddrType(0), local]
            }
            Self::NotThrough(name) => not_through(padded(name)),
            Self::NotThroughPrefix(prefix) => not_through(Bytes::from_slice(prefix.as_bytes())),
            Self::HasMark(bit) => vec![
                Expr::Meta(MetaKey::Mark, 0),
                Expr::Bitwise { register: 0, mask: *bit, xor: 0 },
                Expr::Compare { register: 0, equal: true, value: word(*bit) },
            ],
            Self::SetMark(bit) => change_mark(!bit, *bit),
            Self::ClearMark(bit) => change_mark(!bit, 0),
            Self::VerdictMap(map) => with_key(*map, family, Expr::VerdictMap { map: *map, register: 0 }),
            Self::Choose(map, n) => choose(*map, *n, family),
            Self::Verdict(verdict) => vec![Expr::Verdict(*verdict)],
            Self::Masquerade => vec![Expr::Masquerade],
            Self::Reject => vec![Expr::Reject],
        }
    }

    fn text(&self, family: IpFamily) -> String {
        match self {
            Self::NewConnection => "ct state new".to_owned(),
            Self::Translated => "ct status dnat".to_owned(),
            Self::Untranslated => "ct status ! dnat".to_owned(),
            Self::In(set) => format!("{} @{}", key_text(*set, family, 2), set.schema().name),
            Self::NotIn(set) => format!("{} != @{}", key_text(*set, family, 2), set.schema().name),
            Self::ToLocalAddress => "fib daddr type local".to_owned(),
            Self::NotThrough(name) => format!("iifname != \"{}\"", interface_text(name)),
            Self::NotThroughPrefix(prefix) => format!("iifname != \"{}*\"", interface_text(prefix)),
            Self::HasMark(bit) => format!("meta mark & {bit:#010x} == {bit:#010x}"),
            Self::SetMark(bit) => format!("meta mark set meta mark | {bit:#010x}"),
            Self::ClearMark(bit) => format!("meta mark set meta mark & {:#010x}", !bit),
            Self::VerdictMap(map) => format!("{} vmap @{}", key_text(*map, family, 2), map.schema().name),
            Self::Choose(map, n) => {
                let key = key_text(*map, family, u32::from(*n));
                format!("dnat {} to {key} map @{}", family_name(family), map.schema().name)
            }
            Self::Verdict(Verdict::Drop) => "drop".to_owned(),
            Self::Verdict(Verdict::Jump(chain)) => format!("jump {}", chain.name()),
            Self::Verdict(Verdict::Goto(chain)) => format!("goto {}", chain.name()),
            Self::Masquerade => "masquerade fully-random".to_owned(),
            Self::Reject => "reject".to_owned(),
        }
    }
}

/// `ip` or `ip6`, as nft spells tables and headers.
pub fn family_name(family: IpFamily) -> &'static str {
    match family {
        IpFamily::IPv4 => "ip",
        IpFamily::IPv6 => "ip6",
    }
}

/// A set's key as nft spells it; `modulus` is what a slot is drawn from.
pub fn key_text(set: SetId, family: IpFamily, modulus: u32) -> String {
    let header = family_name(family);
    let field = |field: &Field| match field {
        Field::Daddr => format!("{header} daddr"),
        Field::Saddr => format!("{header} saddr"),
        Field::L4Proto => "meta l4proto".to_owned(),
        Field::Dport => "th dport".to_owned(),
        Field::Slot => format!("numgen random mod {modulus}"),
        Field::Mark => "meta mark".to_owned(),
    };
    set.schema().key.iter().map(field).collect::<Vec<_>>().join(" . ")
}

/// The rule of a chain that chooses among n endpoints.
pub fn chooser(chain: ChainId, mark: u32) -> Option<Vec<Statement>> {
    match chain {
        ChainId::Lb(n) => Some(vec![Statement::Choose(SetId::Endpoints, n)]),
        ChainId::MasqLb(n) => {
            Some(vec![Statement::SetMark(mark), Statement::Verdict(Verdict::Goto(ChainId::Lb(n)))])
        }
        ChainId::NodePortLb(n) => {
            Some(vec![Statement::SetMark(mark), Statement::Choose(SetId::NodePortEndpoints, n)])
        }
        _ => None,
    }
}

fn word(value: u32) -> Bytes {
    Bytes::from_slice(&value.to_ne_bytes())
}

/// A name between nft's quotes, where a star at the end would stand for anything.
fn interface_text(name: &str) -> String {
    quotable(name, INTERFACE_NAME_LENGTH - 1).replace('*', "?")
}

fn padded(name: &str) -> Bytes {
    let mut bytes = Bytes::from_slice(name.as_bytes());
    bytes.resize(INTERFACE_NAME_LENGTH, 0);
    bytes
}

fn not_through(value: Bytes) -> Vec<Expr> {
    vec![Expr::Meta(MetaKey::IifName, 0), Expr::Compare { register: 0, equal: false, value }]
}

fn change_mark(mask: u32, xor: u32) -> Vec<Expr> {
    vec![Expr::Meta(MetaKey::Mark, 0), Expr::Bitwise { register: 0, mask, xor }, Expr::SetMark(0)]
}

fn with_key(set: SetId, family: IpFamily, last: Expr) -> Vec<Expr> {
    let mut expressions = load_key(set, family, 2);
    expressions.push(last);
    expressions
}

fn choose(map: SetId, n: u16, family: IpFamily) -> Vec<Expr> {
    let mut expressions = load_key(map, family, u32::from(n));
    let port = words(address_length(family));
    expressions.push(Expr::Map { map, from: 0, to: 0 });
    expressions.push(Expr::Dnat { address: 0, port });
    expressions
}

/// Loads a set's key into the registers from 0 on. Offsets are those of RFC 791 and RFC 8200; all transports have their
/// destination port at byte 2.
fn load_key(set: SetId, family: IpFamily, modulus: u32) -> Vec<Expr> {
    let (saddr, daddr) = match family {
        IpFamily::IPv4 => (12, 16),
        IpFamily::IPv6 => (8, 24),
    };
    let length = if family == IpFamily::IPv4 { 4 } else { 16 };
    let mut to: Register = 0;
    let mut expressions = Vec::new();
    for field in set.schema().key {
        expressions.push(match field {
            Field::Daddr => Expr::Payload { header: Header::Network, offset: daddr, length, to },
            Field::Saddr => Expr::Payload { header: Header::Network, offset: saddr, length, to },
            Field::L4Proto => Expr::Meta(MetaKey::L4Proto, to),
            Field::Dport => Expr::Payload { header: Header::Transport, offset: 2, length: 2, to },
            Field::Slot => Expr::Random { modulus, to },
            Field::Mark => Expr::Meta(MetaKey::Mark, to),
        });
        to += words(field.length(family));
    }
    expressions
}

/// Registers that so many bytes take.
fn words(bytes: usize) -> Register {
    Register::try_from(bytes.div_ceil(4)).unwrap_or(Register::MAX)
}

/// A protocol as it stands in a key: one byte, padded.
pub fn protocol_field(protocol: pointsman_crds::Protocol) -> [u8; 4] {
    [protocol_number(protocol), 0, 0, 0]
}

/// A port as it stands in a key: two bytes in network order, padded.
pub fn port_field(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}
