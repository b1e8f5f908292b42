//! What nft keeps beside sets and elements, and the kernel stores without reading it: the expressions that a set's
//! types come from (`typeof`), and comments. Without the former `nft list` prints a table that `nft -f` cannot load.
//! The numbers are those of nft 1.0.6 (`NFTNL_UDATA_…` in libnftnl, `expression.h` and `proto.h` in nft), and 32-bit
//! numbers are in host order.

use pointsman_crds::IpFamily;
use pointsman_dataplane::nftables::schema::{Field, Maps, SetId};

/// The type of an element's comment.
pub const COMMENT: u8 = 0;
/// A comment that fits: the kernel keeps 256 bytes for an element, two of them for type and length and one for the end
/// of the text.
const COMMENT_LIMIT: usize = 253;

/// `EXPR_…`: kinds of expressions.
const VERDICT: u32 = 1;
const PAYLOAD: u32 = 7;
const META: u32 = 9;
const CONCATENATION: u32 = 13;
const NUMGEN: u32 = 23;

/// A set's userdata.
pub fn declaration(set: SetId, family: IpFamily) -> Vec<u8> {
    let schema = set.schema();
    let mut out = Vec::new();
    number(&mut out, 0, byte_order(schema.key));
    if schema.maps != Maps::Nothing {
        number(&mut out, 1, 0);
    }
    entry(&mut out, 3, |out| expressions(out, schema.key, family));
    match schema.maps {
        Maps::Nothing => {}
        Maps::Verdict => entry(&mut out, 4, |out| expression(out, VERDICT, |_| ())),
        Maps::Endpoint => entry(&mut out, 4, |out| expressions(out, &[Field::Daddr, Field::Dport], family)),
    }
    if schema.maps != Maps::Nothing {
        number(&mut out, 6, 0);
    }
    out
}

/// An element's userdata: a text for people. What does not fit is cut off.
pub fn comment(text: &str) -> Vec<u8> {
    let text = text.split_at_checked(text.floor_char_boundary(COMMENT_LIMIT)).map_or(text, |(head, _)| head);
    let mut out = Vec::with_capacity(text.len() + 3);
    entry(&mut out, COMMENT, |out| {
        out.extend(text.as_bytes());
        out.push(0);
    });
    out
}

/// 0 for a concatenation, 1 for host order, 2 for network order.
fn byte_order(fields: &[Field]) -> u32 {
    match fields {
        [Field::Mark | Field::Slot] => 1,
        [_] => 2,
        _ => 0,
    }
}

fn expressions(out: &mut Vec<u8>, fields: &[Field], family: IpFamily) {
    if let [single] = fields {
        return field(out, *single, family);
    }
    expression(out, CONCATENATION, |out| {
        for (index, part) in (0..).zip(fields) {
            entry(out, index, |out| field(out, *part, family));
        }
    });
}

fn field(out: &mut Vec<u8>, field: Field, family: IpFamily) {
    // The header's number and the field's number within it.
    let payload = |out: &mut Vec<u8>, header, part| {
        expression(out, PAYLOAD, |out| {
            number(out, 0, header);
            number(out, 1, part);
        });
    };
    match (field, family) {
        (Field::Saddr, IpFamily::IPv4) => payload(out, 12, 11),
        (Field::Daddr, IpFamily::IPv4) => payload(out, 12, 12),
        (Field::Saddr, IpFamily::IPv6) => payload(out, 13, 8),
        (Field::Daddr, IpFamily::IPv6) => payload(out, 13, 9),
        (Field::Dport, _) => payload(out, 11, 2),
        (Field::L4Proto, _) => expression(out, META, |out| number(out, 0, 16)),
        (Field::Mark, _) => expression(out, META, |out| number(out, 0, 3)),
        (Field::Slot, _) => expression(out, NUMGEN, |out| {
            // Random, below 2 (any modulus does), plus 0.
            number(out, 0, 1);
            number(out, 1, 2);
            number(out, 2, 0);
        }),
    }
}

fn expression(out: &mut Vec<u8>, kind: u32, parts: impl FnOnce(&mut Vec<u8>)) {
    number(out, 0, kind);
    entry(out, 1, parts);
}

fn number(out: &mut Vec<u8>, kind: u8, value: u32) {
    entry(out, kind, |out| out.extend(value.to_ne_bytes()));
}

fn entry(out: &mut Vec<u8>, kind: u8, contents: impl FnOnce(&mut Vec<u8>)) {
    out.extend([kind, 0]);
    let start = out.len();
    contents(out);
    out[start - 1] = u8::try_from(out.len() - start).unwrap_or(u8::MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What nft 1.0.6 itself keeps for the text of these sets, on a little-endian machine.
    #[test]
    #[cfg(target_endian = "little")]
    fn sets_are_declared_as_nft_declares_them() {
        let (v4, v6) = (IpFamily::IPv4, IpFamily::IPv6);
        for (set, family, expected) in [
            (SetId::ClusterIps, v4, "0004020000000314000407000000010c00040c00000001040c000000"),
            (SetId::LocalSources, v4, "0004020000000314000407000000010c00040c00000001040b000000"),
            (SetId::Revision, v6, "000401000000030e0004090000000106000403000000"),
            (
                SetId::NodePorts,
                v4,
                "000400000000010400000000032e00040d0000000126000e00040900000001060004100000000114000407000000010c00040b00\
                 000001040200000004080004010000000100060400000000",
            ),
            (
                SetId::Endpoints,
                v6,
                "000400000000010400000000036000040d00000001580014000407000000010c00040d000000010409000000010e000409000000\
                 01060004100000000214000407000000010c00040b000000010402000000031a000417000000011200040100000001040200000002\
                 0400000000043400040d000000012c0014000407000000010c00040d0000000104090000000114000407000000010c00040b000000\
                 010402000000060400000000",
            ),
            (
                SetId::Hairpin,
                v4,
                "000400000000035a00040d00000001520014000407000000010c00040c00000001040b0000000114000407000000010c00040c00\
                 000001040c000000020e00040900000001060004100000000314000407000000010c00040b000000010402000000",
            ),
        ] {
            assert_eq!(hex(&declaration(set, family)), expected, "{set:?} of {family:?}");
        }
    }

    #[test]
    fn a_comment_ends_with_a_zero_and_never_overflows_its_length() {
        assert_eq!(comment("a/b"), b"\0\x04a/b\0");
        assert_eq!(comment(""), b"\0\x01\0");
        for (text, kept) in [("x".repeat(300), 253), ("é".repeat(200), 252)] {
            let bytes = comment(&text);
            assert_eq!((bytes.len(), usize::from(bytes[1])), (kept + 3, kept + 1));
            assert!(text.as_bytes().starts_with(&bytes[2..bytes.len() - 1]));
        }
    }
}
