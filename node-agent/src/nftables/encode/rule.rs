//! Expressions as netlink attributes, one to one.

use std::ffi::CStr;

use netlink_bindings::nftables::{
    BitwiseOps, CmpOps, CtKeys, FibFlags, LookupFlags, MetaKeys, NumgenTypes, PayloadBase, PushDataAttrs,
    PushExprAttrs, PushExprListAttrs, PushExprMasqAttrs, RejectTypes, VerdictCode,
};
use netlink_bindings::traits::Pusher;
use netlink_bindings::utils::{finalize_nested_header, push_header, push_nested_header};
use pointsman_crds::IpFamily;
use pointsman_dataplane::nftables::expr::{CtKey, Expr, Header, MetaKey, Register, Verdict};
use pointsman_dataplane::nftables::schema::SetId;

use super::super::message::family_number;

/// `NF_NAT_RANGE_PROTO_RANDOM_FULLY`.
pub const MASQUERADE_FULLY_RANDOM: u32 = 1 << 4;
/// The kernel's name of the masquerade expression.
pub const MASQUERADE: &CStr = c"masq";
/// `NFTA_EXPR_DATA`.
pub const EXPRESSION_DATA: u16 = 2;
/// `NFT_REJECT_ICMP_UNREACH`.
pub const REJECT_UNREACHABLE: u32 = RejectTypes::IcmpUnreach as u32;
/// `NFT_REG_VERDICT`.
pub const VERDICT_REGISTER: u32 = 0;
/// `NFT_NAT_DNAT`.
pub const DNAT: u32 = 1;

/// `NFT_FIB_RESULT_ADDRTYPE`. (The library counts the results of fib from 0, the kernel from 1.)
pub const FIB_ADDRESS_TYPE: u32 = 3;
/// `NFTA_LOOKUP_SREG` and `NFTA_LOOKUP_DREG`.
pub const LOOKUP_SREG: u16 = 2;
pub const LOOKUP_DREG: u16 = 3;

/// What comes of finding a key in a set or map.
#[derive(Clone, Copy, Debug)]
enum Lookup {
    /// The rule goes on.
    Member,
    /// The rule ends; it goes on if the key is not there.
    NoMember,
    /// The verdict that is found is taken.
    Verdict,
    /// What is found goes into a register.
    Load(Register),
}

/// "Port unreachable" in ICMP (RFC 792) and in ICMPv6 (RFC 4443).
pub fn port_unreachable(family: IpFamily) -> u8 {
    match family {
        IpFamily::IPv4 => 3,
        IpFamily::IPv6 => 4,
    }
}

/// A register as the kernel counts: those at whole 16 bytes have numbers of their own, from before there were smaller
/// ones, and dumps name them so.
fn register(register: Register) -> u32 {
    let register = u32::from(register);
    if register.is_multiple_of(4) { 1 + register / 4 } else { 8 + register }
}

/// Writes the expressions of a rule as elements of the list that is open.
pub fn write(bytes: &mut Vec<u8>, rule: &[Expr], family: IpFamily) {
    for expression in rule {
        write_expression(PushExprListAttrs::new(&mut *bytes).nested_elem(), expression, family);
    }
}

fn write_expression<P: Pusher>(element: PushExprAttrs<P>, expression: &Expr, family: IpFamily) {
    match expression {
        Expr::Meta(key, to) => {
            element.nested_data_meta().push_key(meta_key(*key)).push_dreg(register(*to));
        }
        Expr::SetMark(from) => {
            element.nested_data_meta().push_key(MetaKeys::Mark as u32).push_sreg(register(*from));
        }
        Expr::Payload { header, offset, length, to } => {
            let payload = element.nested_data_payload().push_dreg(register(*to)).push_base(base(*header));
            payload.push_offset(u32::from(*offset)).push_len(u32::from(*length));
        }
        Expr::Ct(key, to) => {
            element.nested_data_ct().push_key(ct_key(*key)).push_dreg(register(*to));
        }
        Expr::FibDaddrType(to) => {
            let fib = element.nested_data_fib().push_dreg(register(*to));
            fib.push_result(FIB_ADDRESS_TYPE).push_flags(FibFlags::Daddr as u32);
        }
        Expr::Compare { register: from, equal, value } => {
            let op = if *equal { CmpOps::Eq } else { CmpOps::Neq };
            let compare = element.nested_data_cmp().push_sreg(register(*from)).push_op(op as u32);
            compare.nested_data().push_value(value);
        }
        Expr::Bitwise { register, mask, xor } => write_bitwise(element, *register, *mask, *xor),
        Expr::Member { set, register, inverted: false } => {
            write_lookup(element, *set, *register, Lookup::Member)
        }
        Expr::Member { set, register, inverted: true } => {
            write_lookup(element, *set, *register, Lookup::NoMember)
        }
        Expr::VerdictMap { map, register } => write_lookup(element, *map, *register, Lookup::Verdict),
        Expr::Map { map, from, to } => write_lookup(element, *map, *from, Lookup::Load(*to)),
        Expr::Random { modulus, to } => {
            // This attribute alone the library writes in host order.
            let numgen = element.nested_data_numgen().push_dreg(register(*to).to_be());
            numgen.push_modulus(*modulus).push_type(NumgenTypes::Random as u32).push_offset(0);
        }
        Expr::Verdict(verdict) => {
            let immediate = element.nested_data_immediate().push_dreg(VERDICT_REGISTER);
            write_verdict(immediate.nested_data(), *verdict);
        }
        Expr::Dnat { address, port } => {
            let nat = element.nested_data_nat().push_type(DNAT).push_family(u32::from(family_number(family)));
            nat.push_reg_addr_min(register(*address)).push_reg_proto_min(register(*port));
        }
        Expr::Masquerade => write_masquerade(element),
        Expr::Reject => {
            let reject = element.nested_data_reject().push_type(REJECT_UNREACHABLE);
            reject.push_icmp_code(port_unreachable(family));
        }
    }
}

fn write_bitwise<P: Pusher>(element: PushExprAttrs<P>, both: Register, mask: u32, xor: u32) {
    let bitwise = element.nested_data_bitwise().push_sreg(register(both)).push_dreg(register(both));
    let bitwise = bitwise.push_len(4).push_op(BitwiseOps::MaskXor as u32);
    let bitwise = bitwise.nested_mask().push_value(&mask.to_ne_bytes()).end_nested();
    bitwise.nested_xor().push_value(&xor.to_ne_bytes());
}

/// The library has the attributes of this expression, but not their place in a rule.
fn write_masquerade<P: Pusher>(element: PushExprAttrs<P>) {
    let mut element = element.push_name(MASQUERADE);
    let bytes = element.as_vec_mut();
    let start = push_nested_header(bytes, EXPRESSION_DATA);
    PushExprMasqAttrs::new(&mut *bytes).push_flags(MASQUERADE_FULLY_RANDOM);
    finalize_nested_header(bytes, start);
}

/// The library's numbers of this expression's registers are not the kernel's, so they are written by number.
fn write_lookup<P: Pusher>(element: PushExprAttrs<P>, set: SetId, from: Register, then: Lookup) {
    let mut lookup = element.nested_data_lookup().push_set_bytes(set.schema().name.as_bytes());
    let bytes = lookup.as_vec_mut();
    write_number(bytes, LOOKUP_SREG, register(from));
    match then {
        Lookup::Member => {}
        Lookup::NoMember => drop(lookup.push_flags(LookupFlags::Invert as u32)),
        Lookup::Verdict => write_number(bytes, LOOKUP_DREG, VERDICT_REGISTER),
        Lookup::Load(to) => write_number(bytes, LOOKUP_DREG, register(to)),
    }
}

fn write_number(bytes: &mut Vec<u8>, kind: u16, number: u32) {
    push_header(bytes, kind, 4);
    bytes.extend(number.to_be_bytes());
}

fn write_verdict<P: Pusher>(data: PushDataAttrs<P>, verdict: Verdict) {
    let verdict_attributes = data.nested_verdict();
    match verdict {
        Verdict::Drop => verdict_attributes.push_code(VerdictCode::Drop as u32),
        Verdict::Jump(chain) => {
            verdict_attributes.push_code(VerdictCode::Jump as u32).push_chain_bytes(chain.name().as_bytes())
        }
        Verdict::Goto(chain) => {
            verdict_attributes.push_code(VerdictCode::Goto as u32).push_chain_bytes(chain.name().as_bytes())
        }
    };
}

fn meta_key(key: MetaKey) -> u32 {
    match key {
        MetaKey::L4Proto => MetaKeys::L4Proto as u32,
        MetaKey::Mark => MetaKeys::Mark as u32,
        MetaKey::IifName => MetaKeys::Iifname as u32,
    }
}

fn ct_key(key: CtKey) -> u32 {
    match key {
        CtKey::State => CtKeys::State as u32,
        CtKey::Status => CtKeys::Status as u32,
    }
}

fn base(header: Header) -> u32 {
    match header {
        Header::Network => PayloadBase::NetworkHeader as u32,
        Header::Transport => PayloadBase::TransportHeader as u32,
    }
}
