//! A table as nft's text, for people and for `nft -f`. It reads values and prints them; it compiles nothing and decides nothing.
//!
//! Loaded by `nft -f`, the text lists as what the agent writes over netlink, but for the order of elements in a hash set.

use std::collections::BTreeMap;
use std::net::IpAddr;

use pointsman_crds::{IpFamily, Protocol};

use super::base;
use super::schema::{ChainId, Field, Maps, SetId, TABLE, protocol_number};
use super::statement::{self, Statement, family_name, key_text};
use super::table::{Bytes, Data, Key, Table, Value};
use crate::node::NodeFacts;

/// Longest comment of an element, in bytes (`NFTNL_UDATA_COMMENT_MAXLEN` without its zero).
pub(super) const COMMENT_LENGTH: usize = 127;

/// The table `table` of the node `node` as nft's text: sets in the order of [`SetId::ALL`], elements by key, constant chains, then those that
/// choose an endpoint. An element that does not have its set's shape is left out: we never make one.
pub fn render(node: &NodeFacts, table: &Table) -> String {
    let constant = ChainId::CONSTANT.into_iter().filter(|chain| table.chains.contains_key(chain));
    let choosers = table.chains.keys().copied().filter(|chain| !ChainId::CONSTANT.contains(chain));
    let sets = table.sets.iter().map(|(set, elements)| set_block(*set, elements, table.family));
    let chains = constant.chain(choosers).map(|chain| chain_block(node, chain, table.family));
    let blocks: Vec<String> = sets.chain(chains).collect();
    format!("table {} {TABLE} {{\n{}}}\n", family_name(table.family), blocks.join("\n"))
}

/// The statements of a chain's rules under these facts: what its expressions are made from.
pub fn statements(node: &NodeFacts, chain: ChainId, family: IpFamily) -> Vec<Vec<Statement>> {
    let chooser = statement::chooser(chain, node.masquerade_mark);
    base::rules(node, chain, family).into_iter().chain(chooser).collect()
}

/// `text` as it may stand between nft's quotes, which know no escape: printable ASCII without quote and backslash, at most `limit` bytes.
pub(super) fn quotable(text: &str, limit: usize) -> String {
    let safe = |c: char| if c == ' ' || c.is_ascii_graphic() && c != '"' && c != '\\' { c } else { '?' };
    text.chars().map(safe).take(limit).collect()
}

fn set_block(set: SetId, elements: &BTreeMap<Key, Value>, family: IpFamily) -> String {
    let schema = set.schema();
    let (keyword, data) = match schema.maps {
        Maps::Nothing => ("set", String::new()),
        Maps::Verdict => ("map", " : verdict".to_owned()),
        Maps::Endpoint => ("map", format!(" : {} daddr . th dport", family_name(family))),
    };
    let mut text = format!("\t{keyword} {} {{\n\t\ttypeof {}{data}\n", schema.name, key_text(set, family, 2));
    if schema.interval {
        text.push_str("\t\tflags interval\n");
    }
    let elements = if schema.interval { range_texts(elements) } else { element_texts(set, elements, family) };
    if !elements.is_empty() {
        text.push_str(&format!("\t\telements = {{ {} }}\n", elements.join(",\n\t\t\t     ")));
    }
    text + "\t}\n"
}

fn chain_block(node: &NodeFacts, chain: ChainId, family: IpFamily) -> String {
    let mut text = format!("\tchain {} {{\n", chain.name());
    if let Some(hook) = chain.hook() {
        let (kind, name, priority) = (hook.kind, hook.name, hook.priority_name);
        text.push_str(&format!("\t\ttype {kind} hook {name} priority {priority}; policy accept;\n"));
    }
    for rule in statements(node, chain, family) {
        text.push_str(&format!("\t\t{}\n", statement::text(&rule, family)));
    }
    text + "\t}\n"
}

fn element_texts(set: SetId, elements: &BTreeMap<Key, Value>, family: IpFamily) -> Vec<String> {
    let element = |(key, value): (&Key, &Value)| {
        let key = key_value(set, &key.bytes, family)?;
        Some(format!("{key}{}{}", comment_text(value), data_text(set.schema().maps, value, family)?))
    };
    elements.iter().filter_map(element).collect()
}

fn comment_text(value: &Value) -> String {
    let quoted = |comment: &str| format!(" comment \"{}\"", quotable(comment, COMMENT_LENGTH));
    value.comment.as_deref().map(quoted).unwrap_or_default()
}

fn data_text(maps: Maps, value: &Value, family: IpFamily) -> Option<String> {
    match (maps, &value.data) {
        (Maps::Nothing, None) => Some(String::new()),
        (Maps::Verdict, Some(Data::Goto(chain))) => Some(format!(" : goto {}", chain.name())),
        (Maps::Endpoint, Some(Data::Endpoint(bytes))) => {
            Some(format!(" : {}", fields_text(&[Field::Daddr, Field::Dport], bytes, family)?))
        }
        _ => None,
    }
}

fn key_value(set: SetId, bytes: &Bytes, family: IpFamily) -> Option<String> {
    fields_text(set.schema().key, bytes, family)
}

/// The fields in `bytes`, each in whole words, joined as nft joins a concatenation.
fn fields_text(fields: &[Field], bytes: &[u8], family: IpFamily) -> Option<String> {
    let mut texts = Vec::new();
    let mut rest = bytes;
    for field in fields {
        let (head, tail) = rest.split_at_checked(field.length(family))?;
        texts.push(field_text(*field, head)?);
        rest = tail;
    }
    rest.is_empty().then(|| texts.join(" . "))
}

fn field_text(field: Field, bytes: &[u8]) -> Option<String> {
    let word = <[u8; 4]>::try_from(bytes);
    match field {
        Field::Daddr | Field::Saddr => address(bytes).map(|ip| ip.to_string()),
        Field::L4Proto => {
            let number = *bytes.first()?;
            let known = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into_iter();
            let name =
                known.map(|protocol| (protocol_number(protocol), protocol)).find(|(n, _)| *n == number);
            Some(name.map_or(number.to_string(), |(_, protocol)| protocol.to_string().to_lowercase()))
        }
        Field::Dport => word.ok().map(|[high, low, ..]| u16::from_be_bytes([high, low]).to_string()),
        Field::Slot => word.ok().map(|word| u32::from_ne_bytes(word).to_string()),
        Field::Mark => word.ok().map(|word| format!("{:#010x}", u32::from_ne_bytes(word))),
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    }
}

/// The ranges whose beginnings and ends are in the set; one without an end goes up to the highest address.
fn range_texts(elements: &BTreeMap<Key, Value>) -> Vec<String> {
    let mut texts = Vec::new();
    let mut open: Option<(&Bytes, &Value)> = None;
    for (key, value) in elements {
        match (key.interval_end, open.take()) {
            (false, before) => {
                texts.extend(before.and_then(|(first, value)| range_text(first, None, value)));
                open = Some((&key.bytes, value));
            }
            (true, Some((first, value))) => texts.extend(range_text(first, Some(&key.bytes), value)),
            (true, None) => {}
        }
    }
    texts.extend(open.and_then(|(first, value)| range_text(first, None, value)));
    texts
}

/// The range from `first` up to, and without, `end`: one address, a prefix, or two addresses, as nft would list it.
fn range_text(first: &[u8], end: Option<&Bytes>, value: &Value) -> Option<String> {
    let width = u32::try_from(first.len() * 8).ok().filter(|width| matches!(width, 32 | 128))?;
    let highest = u128::MAX >> (128 - width);
    let (low, high) = (number(first), end.map_or(highest, |end| number(end).saturating_sub(1)));
    let (first, last) = (from_number(low, width), from_number(high, width));
    let varying = low ^ high;
    let is_prefix = varying & varying.wrapping_add(1) == 0 && low & varying == 0;
    let range = match (is_prefix, varying.count_ones()) {
        (true, 0) => first.to_string(),
        (true, bits) => format!("{first}/{}", width - bits),
        (false, _) => format!("{first}-{last}"),
    };
    Some(range + &comment_text(value))
}

fn number(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

fn from_number(number: u128, width: u32) -> IpAddr {
    let [.., a, b, c, d] = number.to_be_bytes();
    if width == 32 { IpAddr::from([a, b, c, d]) } else { IpAddr::from(number.to_be_bytes()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_quotes_cannot_leave_them() {
        for (given, printed) in [
            ("shop/web", "shop/web"),
            ("a\"; flush ruleset; #", "a?; flush ruleset; #"),
            ("back\\slash", "back?slash"),
            ("line\nfeed\r\u{0}\u{7f}\u{1b}[0m", "line?feed????[0m"),
            ("žluťoučký", "?lu?ou?k?"),
            ("", ""),
        ] {
            assert_eq!(quotable(given, COMMENT_LENGTH), printed);
        }
        assert_eq!(quotable(&"é".repeat(300), COMMENT_LENGTH).len(), COMMENT_LENGTH);
    }

    #[test]
    fn ranges_are_spelled_as_nft_lists_them() {
        let text = |keys: &[(&str, bool)]| {
            let key = |(ip, end): &(&str, bool)| {
                let bytes = super::super::table::address_bytes(ip.parse().unwrap());
                (Key { bytes, interval_end: *end }, Value::default())
            };
            range_texts(&keys.iter().map(key).collect()).join(", ")
        };
        assert_eq!(text(&[("10.244.0.0", false), ("10.245.0.0", true)]), "10.244.0.0/16");
        assert_eq!(text(&[("1.1.1.1", false), ("1.1.1.2", true)]), "1.1.1.1");
        assert_eq!(text(&[("10.0.0.1", false), ("10.0.0.8", true)]), "10.0.0.1-10.0.0.7");
        assert_eq!(text(&[("10.0.0.4", false), ("10.0.0.12", true)]), "10.0.0.4-10.0.0.11");
        assert_eq!(text(&[("0.0.0.0", false)]), "0.0.0.0/0");
        assert_eq!(
            text(&[("0.0.0.0", false), ("127.0.0.0", true), ("128.0.0.0", false)]),
            "0.0.0.0-126.255.255.255, 128.0.0.0/1"
        );
        assert_eq!(text(&[("fd00::", false), ("fd00:0:0:1::", true)]), "fd00::/64");
        assert_eq!(text(&[("::", false)]), "::/0");
        assert_eq!(text(&[("::2", false)]), "::2-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
        // nft itself puts such an end before the first range; it is no range.
        assert_eq!(text(&[("0.0.0.0", true), ("9.9.9.9", false), ("9.9.9.10", true)]), "9.9.9.9");
    }
}
