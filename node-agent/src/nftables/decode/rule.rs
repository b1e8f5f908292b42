//! Expressions from netlink attributes: the inverse of `encode::rule`. Anything that could not have come from there is
//! `None`.

use netlink_bindings::nftables::{
    BitwiseOps, CmpOps, CtKeys, ExprListAttrs, ExprMasqAttrs, ExprOps, FibFlags, IterableExprBitwiseAttrs,
    IterableExprCmpAttrs, IterableExprFibAttrs, IterableExprListAttrs, IterableExprLookupAttrs,
    IterableExprMasqAttrs, IterableExprMetaAttrs, IterableExprNatAttrs, IterableExprPayloadAttrs,
    IterableExprRejectAttrs, IterableNumgenAttrs, IterableVerdictAttrs, LookupFlags, MetaKeys, NumgenTypes,
    PayloadBase, VerdictCode,
};
use netlink_bindings::utils::find_attr;
use pointsman_crds::IpFamily;
use pointsman_dataplane::nftables::expr::{CtKey, Expr, Header, MetaKey, Register, Verdict};
use pointsman_dataplane::nftables::schema::{ChainId, SetId};
use pointsman_dataplane::nftables::table::{Bytes, Rule};

use super::super::encode::{
    DNAT, EXPRESSION_DATA, FIB_ADDRESS_TYPE, LOOKUP_DREG, LOOKUP_SREG, MASQUERADE, MASQUERADE_FULLY_RANDOM,
    REJECT_UNREACHABLE, VERDICT_REGISTER, port_unreachable,
};
use super::super::message::family_number;

/// `NF_NAT_RANGE_MAP_IPS | NF_NAT_RANGE_PROTO_SPECIFIED`: the kernel sets them by what it was given.
const ADDRESS_AND_PORT: u32 = 3;

/// A rule's expressions, if all are known.
pub fn read(list: &IterableExprListAttrs<'_>, family: IpFamily) -> Option<Rule> {
    list.map(|element| {
        let ExprListAttrs::Elem(element) = element.ok()?;
        if element.get_name().ok()? == MASQUERADE {
            return read_masquerade(&ExprMasqAttrs::new(find_attr(element.get_buf(), EXPRESSION_DATA)?));
        }
        expression(&element.get_data().ok()?, family)
    })
    .collect()
}

fn expression(data: &ExprOps<'_>, family: IpFamily) -> Option<Expr> {
    match data {
        ExprOps::Meta(meta) => read_meta(meta),
        ExprOps::Payload(payload) => read_payload(payload),
        ExprOps::Ct(ct) => {
            let key = match ct.get_key().ok()? {
                key if key == CtKeys::State as u32 => CtKey::State,
                key if key == CtKeys::Status as u32 => CtKey::Status,
                _ => return None,
            };
            let plain = ct.get_direction().is_err() && ct.get_sreg().is_err();
            Some(Expr::Ct(key, register(ct.get_dreg().ok()?)?)).filter(|_| plain)
        }
        ExprOps::Fib(fib) => read_fib(fib),
        ExprOps::Cmp(compare) => read_compare(compare),
        ExprOps::Bitwise(bitwise) => read_bitwise(bitwise),
        ExprOps::Lookup(lookup) => read_lookup(lookup),
        ExprOps::Numgen(numgen) => read_random(numgen),
        ExprOps::Immediate(immediate) => {
            let ours = immediate.get_dreg().ok()? == VERDICT_REGISTER;
            Some(Expr::Verdict(verdict(&immediate.get_data().ok()?.get_verdict().ok()?)?)).filter(|_| ours)
        }
        ExprOps::Nat(nat) => read_nat(nat, family),
        ExprOps::Reject(reject) => read_reject(reject, family),
        _ => None,
    }
}

/// The inverse of the kernel's numbers of registers.
fn register(number: u32) -> Option<Register> {
    let register = match number {
        1..=4 => (number - 1) * 4,
        8..=23 => number - 8,
        _ => return None,
    };
    Register::try_from(register).ok()
}

fn read_meta(meta: &IterableExprMetaAttrs<'_>) -> Option<Expr> {
    let key = meta.get_key().ok()?;
    if let Ok(from) = meta.get_sreg() {
        return Some(Expr::SetMark(register(from)?)).filter(|_| key == MetaKeys::Mark as u32);
    }
    let key = match key {
        key if key == MetaKeys::L4Proto as u32 => MetaKey::L4Proto,
        key if key == MetaKeys::Mark as u32 => MetaKey::Mark,
        key if key == MetaKeys::Iifname as u32 => MetaKey::IifName,
        _ => return None,
    };
    Some(Expr::Meta(key, register(meta.get_dreg().ok()?)?))
}

fn read_payload(payload: &IterableExprPayloadAttrs<'_>) -> Option<Expr> {
    let header = match payload.get_base().ok()? {
        base if base == PayloadBase::NetworkHeader as u32 => Header::Network,
        base if base == PayloadBase::TransportHeader as u32 => Header::Transport,
        _ => return None,
    };
    let offset = u8::try_from(payload.get_offset().ok()?).ok()?;
    let length = u8::try_from(payload.get_len().ok()?).ok()?;
    // No destination register: it writes into the packet.
    Some(Expr::Payload { header, offset, length, to: register(payload.get_dreg().ok()?)? })
}

fn read_fib(fib: &IterableExprFibAttrs<'_>) -> Option<Expr> {
    let ours = fib.get_result().ok()? == FIB_ADDRESS_TYPE && fib.get_flags().ok()? == FibFlags::Daddr as u32;
    Some(Expr::FibDaddrType(register(fib.get_dreg().ok()?)?)).filter(|_| ours)
}

fn read_compare(compare: &IterableExprCmpAttrs<'_>) -> Option<Expr> {
    let equal = match compare.get_op().ok()? {
        op if op == CmpOps::Eq as u32 => true,
        op if op == CmpOps::Neq as u32 => false,
        _ => return None,
    };
    let value = Bytes::from_slice(compare.get_data().ok()?.get_value().ok()?);
    Some(Expr::Compare { register: register(compare.get_sreg().ok()?)?, equal, value })
}

fn read_bitwise(bitwise: &IterableExprBitwiseAttrs<'_>) -> Option<Expr> {
    let from = bitwise.get_sreg().ok()?;
    // Kernels before 5.6 do not name the operation: they have only this one.
    let plain =
        bitwise.get_op().unwrap_or_default() == BitwiseOps::MaskXor as u32 && bitwise.get_len() == Ok(4);
    if !plain || bitwise.get_dreg().ok()? != from {
        return None;
    }
    let mask = u32::from_ne_bytes(bitwise.get_mask().ok()?.get_value().ok()?.try_into().ok()?);
    let xor = u32::from_ne_bytes(bitwise.get_xor().ok()?.get_value().ok()?.try_into().ok()?);
    Some(Expr::Bitwise { register: register(from)?, mask, xor })
}

fn read_lookup(lookup: &IterableExprLookupAttrs<'_>) -> Option<Expr> {
    let set = SetId::named(lookup.get_set().ok()?.to_str().ok()?)?;
    // The library's numbers of this expression's registers are not the kernel's.
    let number = |kind| find_attr(lookup.get_buf(), kind)?.try_into().ok().map(u32::from_be_bytes);
    let from = register(number(LOOKUP_SREG)?)?;
    match (number(LOOKUP_DREG), lookup.get_flags().unwrap_or_default()) {
        (None, 0) => Some(Expr::Member { set, register: from, inverted: false }),
        (None, flags) if flags == LookupFlags::Invert as u32 => {
            Some(Expr::Member { set, register: from, inverted: true })
        }
        (Some(VERDICT_REGISTER), 0) => Some(Expr::VerdictMap { map: set, register: from }),
        (Some(to), 0) => Some(Expr::Map { map: set, from, to: register(to)? }),
        _ => None,
    }
}

fn read_random(numgen: &IterableNumgenAttrs<'_>) -> Option<Expr> {
    let ours =
        numgen.get_type().ok()? == NumgenTypes::Random as u32 && numgen.get_offset().unwrap_or_default() == 0;
    // This attribute alone the library reads in host order.
    let to = register(u32::from_be(numgen.get_dreg().ok()?))?;
    Some(Expr::Random { modulus: numgen.get_modulus().ok()?, to }).filter(|_| ours)
}

fn verdict(verdict: &IterableVerdictAttrs<'_>) -> Option<Verdict> {
    let chain = || ChainId::named(verdict.get_chain().ok()?.to_str().ok()?);
    match verdict.get_code().ok()? {
        code if code == VerdictCode::Drop as u32 => Some(Verdict::Drop),
        code if code == VerdictCode::Jump as u32 => Some(Verdict::Jump(chain()?)),
        code if code == VerdictCode::Goto as u32 => Some(Verdict::Goto(chain()?)),
        _ => None,
    }
}

fn read_nat(nat: &IterableExprNatAttrs<'_>, family: IpFamily) -> Option<Expr> {
    let (address, port) = (nat.get_reg_addr_min().ok()?, nat.get_reg_proto_min().ok()?);
    let ours = nat.get_type() == Ok(DNAT)
        && nat.get_family() == Ok(u32::from(family_number(family)))
        && nat.get_reg_addr_max().unwrap_or(address) == address
        && nat.get_reg_proto_max().unwrap_or(port) == port
        && nat.get_flags().unwrap_or_default() & !ADDRESS_AND_PORT == 0;
    Some(Expr::Dnat { address: register(address)?, port: register(port)? }).filter(|_| ours)
}

fn read_masquerade(masq: &IterableExprMasqAttrs<'_>) -> Option<Expr> {
    let ours = masq.get_flags() == Ok(MASQUERADE_FULLY_RANDOM) && masq.get_reg_proto_min().is_err();
    Some(Expr::Masquerade).filter(|_| ours)
}

fn read_reject(reject: &IterableExprRejectAttrs<'_>, family: IpFamily) -> Option<Expr> {
    let ours =
        reject.get_type() == Ok(REJECT_UNREACHABLE) && reject.get_icmp_code() == Ok(port_unreachable(family));
    Some(Expr::Reject).filter(|_| ours)
}
