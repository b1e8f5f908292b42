//! Sets and their elements, from netlink attributes.

use std::collections::BTreeMap;
use std::str;
use std::sync::Arc;

use netlink_bindings::nftables::{
    IterableSetAttrs, IterableSetelemAttrs, IterableSetelemListAttrs, SetAttrs, SetElemFlags, SetFlags,
    SetelemAttrs, SetelemListAttrs, VerdictCode,
};
use pointsman_crds::IpFamily;
use pointsman_dataplane::nftables::schema::{ChainId, Maps, SetId, TABLE};
use pointsman_dataplane::nftables::table::{Bytes, Data, Key, Observed, Value};

use super::super::encode::{COMMENT, Shape, VERDICT};
use super::super::message::Message;

/// Notes a set of our table: known and empty, or foreign. False if the table does not count it.
pub fn declaration(message: &Message<'_>, family: IpFamily, observed: &mut Observed) -> bool {
    let attributes: IterableSetAttrs<'_> = SetAttrs::new(message.attributes());
    if !attributes.get_table().is_ok_and(|table| table.to_bytes() == TABLE.as_bytes()) {
        return false;
    }
    let flags = attributes.get_flags().unwrap_or_default();
    // An anonymous set lives and dies with a foreign rule, which is told apart by its expressions.
    if flags & SetFlags::Anonymous as u32 != 0 {
        return false;
    }
    let name = attributes.get_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match SetId::named(&name) {
        Some(set) if shape(&attributes, flags) == Some(Shape::of(set, family)) => {
            observed.table.sets.insert(set, BTreeMap::new());
        }
        _ => observed.foreign.push(format!("set {name}")),
    }
    true
}

/// The shape of a set, if it has nothing that ours have not.
fn shape(attributes: &IterableSetAttrs<'_>, flags: u32) -> Option<Shape> {
    let sized = attributes.get_desc().is_ok_and(|desc| desc.get_size().is_ok());
    let expressions = attributes.get_expr().next().is_some() || attributes.get_expressions().is_ok();
    if sized || expressions || attributes.get_timeout().is_ok() {
        return None;
    }
    let data_type = attributes.get_data_type().ok();
    let verdict = data_type == Some(VERDICT);
    Some(Shape {
        flags,
        key_type: attributes.get_key_type().ok()?,
        key_length: attributes.get_key_len().ok()?,
        data_type,
        data_length: attributes.get_data_len().ok().filter(|_| !verdict),
    })
}

/// The elements of one set, as they come.
#[derive(Debug)]
pub struct Elements {
    set: SetId,
    key_length: usize,
    found: BTreeMap<Key, Value>,
    /// Neighbours often belong to one Service: they share its comment.
    comment: Option<Arc<str>>,
}

impl Elements {
    /// Nothing yet.
    pub fn new(set: SetId, family: IpFamily) -> Self {
        Self { set, key_length: set.key_length(family), found: BTreeMap::new(), comment: None }
    }

    /// Reads one message of a dump.
    pub fn read(&mut self, message: &Message<'_>) {
        let list: IterableSetelemListAttrs<'_> = SetelemListAttrs::new(message.attributes());
        let Ok(elements) = list.get_elements() else { return };
        for netlink_bindings::nftables::SetelemListElemAttrs::Elem(element) in elements.flatten() {
            self.element(element);
        }
    }

    /// All that was read.
    pub fn into_map(self) -> BTreeMap<Key, Value> {
        self.found
    }

    fn element(&mut self, attributes: IterableSetelemAttrs<'_>) {
        let mut key = Key { bytes: Bytes::new(), interval_end: false };
        let mut value = Value::default();
        let mut foreign = false;
        for attribute in attributes.flatten() {
            match attribute {
                SetelemAttrs::Key(data) => {
                    key.bytes = Bytes::from_slice(data.get_value().unwrap_or_default());
                }
                SetelemAttrs::Data(data) => {
                    let goto = || Some(Data::Goto(goto(&data.get_verdict().ok()?)?));
                    value.data = match self.set.schema().maps {
                        Maps::Endpoint => {
                            data.get_value().ok().map(|bytes| Data::Endpoint(Bytes::from_slice(bytes)))
                        }
                        Maps::Verdict => goto(),
                        Maps::Nothing => None,
                    };
                    foreign |= value.data.is_none();
                }
                SetelemAttrs::Flags(flags) => {
                    let flags = flags.try_into().map_or(0, u32::from_be_bytes);
                    key.interval_end = flags & SetElemFlags::IntervalEnd as u32 != 0;
                    foreign |= flags & !(SetElemFlags::IntervalEnd as u32) != 0;
                }
                SetelemAttrs::Userdata(userdata) => value.comment = self.comment(userdata),
                _ => foreign = true,
            }
        }
        // nft puts an end before the first range; it says nothing, and we do not write it.
        let needless = key.interval_end && key.bytes.iter().all(|byte| *byte == 0);
        if foreign {
            value.data = Some(Data::Foreign);
        }
        if !needless && (foreign || key.bytes.len() == self.key_length) {
            self.found.insert(key, value);
        }
    }

    fn comment(&mut self, userdata: &[u8]) -> Option<Arc<str>> {
        let (kind, rest) = userdata.split_first()?;
        let (length, rest) = rest.split_first()?;
        let text = rest.get(..usize::from(*length))?.strip_suffix(&[0])?;
        let text = str::from_utf8(text).ok().filter(|_| *kind == COMMENT)?;
        if self.comment.as_deref() != Some(text) {
            self.comment = Some(Arc::from(text));
        }
        self.comment.clone()
    }
}

/// The chain that a verdict goes to, if it is one of ours.
fn goto(verdict: &netlink_bindings::nftables::IterableVerdictAttrs<'_>) -> Option<ChainId> {
    let goes = verdict.get_code().ok()? == VerdictCode::Goto as u32;
    ChainId::named(verdict.get_chain().ok().filter(|_| goes)?.to_str().ok()?)
}
