//! Sets and maps: the types and lengths that the kernel and nft know them by.

use netlink_bindings::nftables::{PushSetAttrs, SetFlags};
use pointsman_crds::IpFamily;
use pointsman_dataplane::nftables::schema::{Field, Maps, SetId, TABLE, address_length};

use super::userdata;

/// `NFT_DATA_VERDICT`: the type of what a verdict map holds.
pub const VERDICT: u32 = 0xffff_ff00;

/// What the kernel keeps of a set's declaration; two sets of one shape hold the same things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// `NFT_SET_…`.
    pub flags: u32,
    /// nft's number of the key's type; the kernel only keeps it.
    pub key_type: u32,
    /// Bytes of a key.
    pub key_length: u32,
    /// nft's number of the data's type, or the kernel's for verdicts; absent in a plain set.
    pub data_type: Option<u32>,
    /// Bytes of the data; absent where the kernel knows.
    pub data_length: Option<u32>,
}

impl Shape {
    /// The shape of one of our sets.
    pub fn of(set: SetId, family: IpFamily) -> Self {
        let schema = set.schema();
        let interval = if schema.interval { SetFlags::Interval as u32 } else { 0 };
        let map = if schema.maps == Maps::Nothing { 0 } else { SetFlags::Map as u32 };
        let (data_type, data_length) = match schema.maps {
            Maps::Nothing => (None, None),
            Maps::Verdict => (Some(VERDICT), None),
            Maps::Endpoint => (
                Some(joined(&[Field::Daddr, Field::Dport], family)),
                Some(length(address_length(family) + 4)),
            ),
        };
        Self {
            flags: interval | map,
            key_type: joined(schema.key, family),
            key_length: length(set.key_length(family)),
            data_type,
            data_length,
        }
    }
}

/// Writes the attributes that make a set.
pub fn declare(bytes: &mut Vec<u8>, set: SetId, family: IpFamily) {
    let shape = Shape::of(set, family);
    // The number only has to be another for each set of the transaction.
    let number = SetId::ALL.iter().position(|other| *other == set).map_or(0, length) + 1;
    let mut attributes = PushSetAttrs::new(bytes)
        .push_table_bytes(TABLE.as_bytes())
        .push_name_bytes(set.schema().name.as_bytes())
        .push_flags(shape.flags)
        .push_key_type(shape.key_type)
        .push_key_len(shape.key_length)
        .push_id(number);
    if let Some(data_type) = shape.data_type {
        attributes = attributes.push_data_type(data_type);
    }
    if let Some(data_length) = shape.data_length {
        attributes = attributes.push_data_len(data_length);
    }
    attributes.push_userdata(&userdata::declaration(set, family));
}

/// nft's number of a concatenation: 6 bits for each field (`TYPE_BITS` in nft's `datatype.h`).
fn joined(fields: &[Field], family: IpFamily) -> u32 {
    fields.iter().fold(0, |joined, field| joined << 6 | data_type(*field, family))
}

/// nft's `enum datatypes`.
fn data_type(field: Field, family: IpFamily) -> u32 {
    match (field, family) {
        (Field::Slot, _) => 4,
        (Field::Daddr | Field::Saddr, IpFamily::IPv4) => 7,
        (Field::Daddr | Field::Saddr, IpFamily::IPv6) => 8,
        (Field::L4Proto, _) => 12,
        (Field::Dport, _) => 13,
        (Field::Mark, _) => 19,
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
