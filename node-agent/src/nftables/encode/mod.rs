//! A [`Transaction`] as one netlink batch. Pure: bytes out, no socket. Names and types come from the dataplane's schema.

mod element;
mod rule;
mod set;
mod userdata;

use netlink_bindings::consts::{NLM_F_APPEND, NLM_F_CREATE};
use netlink_bindings::nftables::{PushChainAttrs, PushRuleAttrs, PushTableAttrs, TableFlags, VerdictCode};
use netlink_bindings::traits::Pusher;
use pointsman_crds::IpFamily;
use pointsman_dataplane::nftables::schema::{ChainId, SetId, TABLE};
use pointsman_dataplane::nftables::table::Rule;
use pointsman_dataplane::nftables::transaction::Transaction;

use super::message::{Batch, Kind};

pub use rule::write as write_rule;
pub use rule::{
    DNAT, EXPRESSION_DATA, FIB_ADDRESS_TYPE, LOOKUP_DREG, LOOKUP_SREG, MASQUERADE, MASQUERADE_FULLY_RANDOM,
    REJECT_UNREACHABLE, VERDICT_REGISTER, port_unreachable,
};
pub use set::{Shape, VERDICT};
pub use userdata::COMMENT;

/// The flags of a table that lives on when its owner dies.
pub const OWNED: u32 = TableFlags::Owner as u32 | TableFlags::Persist as u32;

/// How a table is made anew.
#[derive(Clone, Copy, Debug)]
pub struct Recreation {
    /// There is one to delete first. (The kernel has no "delete if there" before 6.3.)
    pub present: bool,
    /// Its flags.
    pub flags: u32,
}

/// The batch of a transaction; `how` matters if the transaction makes the table anew.
pub fn transaction(family: IpFamily, transaction: &Transaction, how: Recreation) -> Vec<u8> {
    let Transaction { recreate, new_chains, rules, delete, add, old_chains } = transaction;
    let mut batch = Batch::begin();
    if *recreate {
        if how.present {
            delete_table(&mut batch, family, TABLE);
        }
        new_table(&mut batch, family, TABLE, how.flags);
        for set in SetId::ALL {
            batch.message(Kind::NewSet, NLM_F_CREATE, family, |bytes| set::declare(bytes, set, family));
        }
        for chain in ChainId::CONSTANT {
            new_chain(&mut batch, family, chain);
        }
    }
    for chain in new_chains {
        new_chain(&mut batch, family, *chain);
    }
    for (chain, rules) in rules {
        replace_rules(&mut batch, family, *chain, rules);
    }
    for (set, keys) in delete {
        let keys = keys.iter().map(|key| (key, None));
        element::write(&mut batch, Kind::DelElements, family, *set, keys);
    }
    for (set, elements) in add {
        let elements = elements.iter().map(|(key, value)| (key, Some(value)));
        element::write(&mut batch, Kind::NewElements, family, *set, elements);
    }
    for chain in old_chains {
        batch.message(Kind::DelChain, 0, family, |bytes| {
            PushChainAttrs::new(bytes)
                .push_table_bytes(TABLE.as_bytes())
                .push_name_bytes(chain.name().as_bytes());
        });
    }
    batch.end()
}

/// Makes a table, or takes an orphan one.
pub fn new_table(batch: &mut Batch, family: IpFamily, name: &str, flags: u32) {
    batch.message(Kind::NewTable, NLM_F_CREATE, family, |bytes| {
        PushTableAttrs::new(bytes).push_name_bytes(name.as_bytes()).push_flags(flags);
    });
}

/// Deletes a table with all that is in it.
pub fn delete_table(batch: &mut Batch, family: IpFamily, name: &str) {
    batch.message(Kind::DelTable, 0, family, |bytes| {
        PushTableAttrs::new(bytes).push_name_bytes(name.as_bytes());
    });
}

fn new_chain(batch: &mut Batch, family: IpFamily, chain: ChainId) {
    batch.message(Kind::NewChain, NLM_F_CREATE, family, |bytes| {
        let attributes = PushChainAttrs::new(bytes).push_table_bytes(TABLE.as_bytes());
        hook(attributes.push_name_bytes(chain.name().as_bytes()), chain);
    });
}

/// Writes what makes a chain a base chain, if it is to be one.
pub fn hook<P: Pusher>(attributes: PushChainAttrs<P>, chain: ChainId) {
    if let Some(hook) = chain.hook() {
        let place = attributes.nested_hook().push_num(hook.number).push_priority(hook.priority).end_nested();
        place.push_policy(VerdictCode::Accept as u32).push_type_bytes(hook.kind.as_bytes());
    }
}

fn replace_rules(batch: &mut Batch, family: IpFamily, chain: ChainId, rules: &[Rule]) {
    let name = chain.name();
    batch.message(Kind::DelRule, 0, family, |bytes| {
        PushRuleAttrs::new(bytes).push_table_bytes(TABLE.as_bytes()).push_chain_bytes(name.as_bytes());
    });
    for rule in rules {
        batch.message(Kind::NewRule, NLM_F_CREATE | NLM_F_APPEND, family, |bytes| {
            let mut list = PushRuleAttrs::new(bytes)
                .push_table_bytes(TABLE.as_bytes())
                .push_chain_bytes(name.as_bytes())
                .nested_expressions();
            write_rule(list.as_vec_mut(), rule, family);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use pointsman_dataplane::nftables::expr::Expr;
    use pointsman_dataplane::nftables::table::{Data, Key, Value};

    use super::super::message::Message;
    use super::*;

    /// The messages of a transaction: kind, and the attributes in hexadecimal.
    fn messages(transaction: &Transaction, how: Recreation) -> Vec<(Option<Kind>, String)> {
        let bytes = super::transaction(IpFamily::IPv4, transaction, how);
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Message::all(&bytes).map(|message| (message.kind(), hex(message.attributes()))).collect()
    }

    const NONE: Recreation = Recreation { present: false, flags: 0 };

    #[test]
    #[cfg(target_endian = "little")]
    fn a_small_change_is_these_bytes() {
        let key = |last| Key::point(&[10, 96, 0, last, 6, 0, 0, 0, 1, 187, 0, 0]);
        let goto = Value { data: Some(Data::Goto(ChainId::Lb(2))), comment: Some("a/b".into()) };
        let change = Transaction {
            rules: BTreeMap::from([(
                ChainId::Lb(2),
                vec![vec![Expr::Random { modulus: 2, to: 3 }, Expr::Masquerade]],
            )]),
            delete: BTreeMap::from([(SetId::NodePortIps, BTreeSet::from([Key::end(&[11, 0, 0, 0])]))]),
            add: BTreeMap::from([(SetId::Services, BTreeMap::from([(key(1), goto)]))]),
            old_chains: BTreeSet::from([ChainId::MasqLb(9)]),
            ..Transaction::default()
        };
        let table = "0e000100706f696e74736d616e000000";
        let expected = [
            (None, String::new()),
            (Some(Kind::DelRule), format!("{table}090002006c622d3200000000")),
            (
                Some(Kind::NewRule),
                format!(
                    "{table}090002006c622d320000000054000480340001800b0001006e756d67656e000024000280\
                 080001000000000b080002000000000208000300000000010800040000000000\
                 1c000180090001006d617371000000000c0002800800010000000010"
                ),
            ),
            (
                Some(Kind::DelElements),
                format!(
                    "{table}110002006e6f6465706f72742d697073000000001c000380180001800c000180080001000b000000\
                 0800030000000001"
                ),
            ),
            (
                Some(Kind::NewElements),
                format!(
                    "{table}0d000200736572766963657300000000440003804000018014000180100001000a60000106000000\
                 01bb00001c0002801800028008000100fffffffc090002006c622d32000000000a0006000004612f62000000"
                ),
            ),
            (Some(Kind::DelChain), format!("{table}0e0003006d6173712d6c622d39000000")),
            (None, String::new()),
        ];
        assert_eq!(messages(&change, NONE), expected);
    }

    #[test]
    fn a_table_is_made_anew_with_all_its_sets_and_constant_chains() {
        let anew = Transaction { recreate: true, ..Transaction::default() };
        let kinds = |how| messages(&anew, how).into_iter().filter_map(|(kind, _)| kind).collect::<Vec<_>>();
        let mut expected = vec![Kind::NewTable];
        expected.extend([Kind::NewSet; SetId::ALL.len()]);
        expected.extend([Kind::NewChain; ChainId::CONSTANT.len()]);
        assert_eq!(kinds(NONE), expected);
        expected.insert(0, Kind::DelTable);
        assert_eq!(kinds(Recreation { present: true, flags: OWNED }), expected);
    }

    #[test]
    fn no_attribute_is_longer_than_its_length_can_say() {
        let comment = Value { data: None, comment: Some("c".repeat(300).into()) };
        let keys = (0..2000u32).map(|number| (Key::point(&number.to_be_bytes()), comment.clone()));
        let many = Transaction {
            add: BTreeMap::from([(SetId::ClusterIps, keys.collect())]),
            ..Transaction::default()
        };
        let bytes = super::transaction(IpFamily::IPv4, &many, NONE);
        let lengths: Vec<usize> = Message::all(&bytes).map(|message| message.whole().len()).collect();
        assert!(
            lengths.len() > 10 && lengths.iter().all(|length| *length < usize::from(u16::MAX)),
            "{lengths:?}"
        );
        assert_eq!(bytes.windows(253).filter(|window| window.iter().all(|byte| *byte == b'c')).count(), 2000);
    }
}
