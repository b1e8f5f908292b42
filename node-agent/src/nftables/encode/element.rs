//! Elements of sets and maps as netlink attributes, in messages that stay below what one attribute can hold.

use netlink_bindings::consts::NLM_F_CREATE;
use netlink_bindings::nftables::{PushSetelemListAttrs, PushSetelemListElemAttrs, SetElemFlags, VerdictCode};
use netlink_bindings::traits::Pusher;
use pointsman_crds::IpFamily;
use pointsman_dataplane::nftables::schema::{SetId, TABLE};
use pointsman_dataplane::nftables::table::{Data, Key, Value};

use super::super::message::{Batch, Kind};
use super::userdata;

/// A message is closed once it is so long: an attribute's length has 16 bits, and one more element takes at most 0.5 KiB.
const MESSAGE: usize = 48 * 1024;

/// Adds messages that write or delete these elements; none if there are none.
pub fn write<'a>(
    batch: &mut Batch,
    kind: Kind,
    family: IpFamily,
    set: SetId,
    elements: impl Iterator<Item = (&'a Key, Option<&'a Value>)>,
) {
    let flags = if kind == Kind::NewElements { NLM_F_CREATE } else { 0 };
    let mut elements = elements.peekable();
    while elements.peek().is_some() {
        batch.message(kind, flags, family, |bytes| {
            let start = bytes.len();
            let mut list = PushSetelemListAttrs::new(bytes)
                .push_table_bytes(TABLE.as_bytes())
                .push_set_bytes(set.schema().name.as_bytes())
                .nested_elements();
            while list.as_vec().len() - start < MESSAGE
                && let Some((key, value)) = elements.next()
            {
                element(list.as_vec_mut(), key, value);
            }
        });
    }
}

fn element(bytes: &mut Vec<u8>, key: &Key, value: Option<&Value>) {
    let list = PushSetelemListElemAttrs::new(bytes);
    let mut element = list.nested_elem().nested_key().push_value(&key.bytes).end_nested();
    if key.interval_end {
        element = element.push_flags(&(SetElemFlags::IntervalEnd as u32).to_be_bytes());
    }
    let Some(value) = value else { return };
    element = match &value.data {
        Some(Data::Goto(chain)) => {
            let verdict = element.nested_data().nested_verdict().push_code(VerdictCode::Goto as u32);
            verdict.push_chain_bytes(chain.name().as_bytes()).end_nested().end_nested()
        }
        Some(Data::Endpoint(bytes)) => element.nested_data().push_value(bytes).end_nested(),
        // Never written; the kernel refuses an element of a map that has no data.
        Some(Data::Foreign) | None => element,
    };
    if let Some(comment) = &value.comment {
        element.push_userdata(&userdata::comment(comment));
    }
}
