//! The kernel's refusals in words: which message of a transaction, about what, and why. Nothing is sent from here.

use std::io;
use std::net::IpAddr;

use netlink_bindings::nftables::{ChainAttrs, RuleAttrs, SetAttrs, SetelemListAttrs, TableAttrs};
use netlink_bindings::utils::{chop_header, find_attr};
use pointsman_crds::IpFamily;
use pointsman_dataplane::nftables::schema::{Field, SetId};
use rustix::io::Errno;

use super::error::Error;
use super::message::{Answer, Kind, Message, family_of};
use super::{family_name, table_name};

/// Why a question was not answered.
pub fn question(verb: &str, answer: &Answer) -> Error {
    if answer.errno == Errno::PERM.raw_os_error() {
        return Error::Privilege;
    }
    refused(verb.to_owned(), answer)
}

/// Why a batch was refused: about the first message that was.
pub fn batch(batch: &[u8], answer: &Answer) -> Error {
    let message = Message::all(batch).find(|message| message.number == answer.number);
    let Some(message) = message.filter(Message::is_nf_tables) else {
        // Without the privilege no message is looked at: the batch is refused as a whole.
        return question("commit a transaction", answer);
    };
    if answer.errno == Errno::PERM.raw_os_error()
        && let Some(family) = family_of(message.family())
    {
        return Error::OwnedByAnother { table: table_name(family), port: None };
    }
    refused(describe(&message, answer.offset), answer)
}

fn refused(verb: String, answer: &Answer) -> Error {
    Error::Refused { verb, detail: answer.text.clone(), cause: io::Error::from_raw_os_error(answer.errno) }
}

/// What a message would have done, and to what.
fn describe(message: &Message<'_>, offset: Option<usize>) -> String {
    let Some((family, kind)) = family_of(message.family()).zip(message.kind()) else {
        return "commit a transaction".to_owned();
    };
    let attributes = message.attributes();
    let text = |name: Result<&std::ffi::CStr, _>| {
        name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let table = text(TableAttrs::new(attributes).get_name());
    let table = format!("table {} {table}", family_name(family));
    let set = || text(SetelemListAttrs::new(attributes).get_set());
    let element = || element(message, offset, family).unwrap_or_else(|| "elements".to_owned());
    match kind {
        Kind::NewTable => format!("make {table}"),
        Kind::DelTable => format!("delete {table}"),
        Kind::NewChain => format!("make chain {} in {table}", text(ChainAttrs::new(attributes).get_name())),
        Kind::DelChain => format!("delete chain {} in {table}", text(ChainAttrs::new(attributes).get_name())),
        Kind::NewRule => {
            format!("add a rule to chain {} in {table}", text(RuleAttrs::new(attributes).get_chain()))
        }
        Kind::DelRule => format!("flush chain {} in {table}", text(RuleAttrs::new(attributes).get_chain())),
        Kind::NewSet => format!("make set {} in {table}", text(SetAttrs::new(attributes).get_name())),
        Kind::NewElements => format!("add {} to {} in {table}", element(), set()),
        Kind::DelElements => format!("delete {} from {} in {table}", element(), set()),
        _ => format!("ask about {table}"),
    }
}

/// The element that the kernel points at, if it points at one.
fn element(message: &Message<'_>, offset: Option<usize>, family: IpFamily) -> Option<String> {
    /// `NFTA_SET_ELEM_KEY` and `NFTA_DATA_VALUE`.
    const KEY: u16 = 1;
    const VALUE: u16 = 1;
    let set = SetelemListAttrs::new(message.attributes()).get_set().ok()?.to_str().ok()?;
    let (_, element) = chop_header(message.whole().get(offset?..)?, &mut 0)?;
    let key = find_attr(find_attr(element, KEY)?, VALUE)?;
    Some(format!("element {}", key_text(SetId::named(set)?, key, family)?))
}

/// A key as nft prints it, protocols and slots as numbers.
fn key_text(set: SetId, mut key: &[u8], family: IpFamily) -> Option<String> {
    let mut parts = Vec::new();
    for field in set.schema().key {
        let (bytes, rest) = key.split_at_checked(field.length(family))?;
        key = rest;
        parts.push(match (field, <[u8; 16]>::try_from(bytes), <[u8; 4]>::try_from(bytes)) {
            (Field::Daddr | Field::Saddr, Ok(address), _) => IpAddr::from(address).to_string(),
            (Field::Daddr | Field::Saddr, _, Ok(address)) => IpAddr::from(address).to_string(),
            (Field::L4Proto, _, Ok([protocol, ..])) => protocol.to_string(),
            (Field::Dport, _, Ok([high, low, ..])) => u16::from_be_bytes([high, low]).to_string(),
            (Field::Slot | Field::Mark, _, Ok(word)) => u32::from_ne_bytes(word).to_string(),
            _ => return None,
        });
    }
    Some(parts.join(" . "))
}
