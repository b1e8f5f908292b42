//! The kernel's expressions that our rules are made of, one to one with what netlink carries. A rule is decoded into these and
//! compared, interpreted in tests, and never parsed for meaning.

use super::schema::{ChainId, SetId};
use super::table::Bytes;

/// A 4-byte register, counted from 0; an address of IPv6 fills four in a row.
pub type Register = u8;

/// One expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// Loads a fact about the packet.
    Meta(MetaKey, Register),
    /// Sets the packet's mark from a register.
    SetMark(Register),
    /// Loads bytes of a header.
    Payload {
        /// Which header.
        header: Header,
        /// First byte.
        offset: u8,
        /// Number of bytes.
        length: u8,
        /// Into which register.
        to: Register,
    },
    /// Loads a fact about the connection.
    Ct(CtKey, Register),
    /// Loads the type of the destination address (`RTN_…`, 32 bits, host order).
    FibDaddrType(Register),
    /// Goes on only if the register's first bytes compare so with the value.
    Compare {
        /// Which register.
        register: Register,
        /// Whether equal bytes go on, or different ones.
        equal: bool,
        /// The value.
        value: Bytes,
    },
    /// register := (register & mask) ^ xor, 32 bits, host order.
    Bitwise {
        /// Which register, read and written.
        register: Register,
        /// The mask.
        mask: u32,
        /// What is toggled afterwards.
        xor: u32,
    },
    /// Goes on only if the key that begins in the register is in the set (or is not).
    Member {
        /// The set.
        set: SetId,
        /// Where the key begins.
        register: Register,
        /// Go on if it is *not* there.
        inverted: bool,
    },
    /// Takes the verdict that the map has for the key; goes on with the next rule if it has none.
    VerdictMap {
        /// The map.
        map: SetId,
        /// Where the key begins.
        register: Register,
    },
    /// Loads what the map has for the key; goes on with the next rule if it has nothing.
    Map {
        /// The map.
        map: SetId,
        /// Where the key begins.
        from: Register,
        /// Where the value goes.
        to: Register,
    },
    /// Loads a random number below the modulus (32 bits, host order).
    Random {
        /// How many values there are.
        modulus: u32,
        /// Into which register.
        to: Register,
    },
    /// Ends the rule with a verdict.
    Verdict(Verdict),
    /// Replaces the destination by the address and the port in these registers.
    Dnat {
        /// Where the address begins.
        address: Register,
        /// The port's register.
        port: Register,
    },
    /// Replaces the source by the outgoing interface's address, from a random port.
    Masquerade,
    /// Tells the sender: port unreachable.
    Reject,
}

/// Facts about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaKey {
    /// The transport protocol's number, one byte.
    L4Proto,
    /// The mark, 32 bits in host order.
    Mark,
    /// The name of the interface that it came in through, 16 bytes; zeros for the node's own packets.
    IifName,
}

/// Facts about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CtKey {
    /// Its state for this packet, one bit each (32 bits, host order).
    State,
    /// Its status, one bit each (32 bits, host order).
    Status,
}

/// Headers of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// IPv4 or IPv6.
    Network,
    /// TCP, UDP, SCTP: what follows it.
    Transport,
}

/// Verdicts that stand in rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The packet vanishes.
    Drop,
    /// Go on in that chain, and come back after it.
    Jump(ChainId),
    /// Go on in that chain, and do not come back.
    Goto(ChainId),
}

/// `NF_CT_STATE_BIT(IP_CT_NEW)` as nft's `ct state new`.
pub const CT_STATE_NEW: u32 = 8;
/// `IPS_DST_NAT`.
pub const CT_STATUS_DNAT: u32 = 1 << 5;
/// `RTN_LOCAL`.
pub const ADDRESS_TYPE_LOCAL: u32 = 2;
