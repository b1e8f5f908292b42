//! Chains and the rules in them, from netlink attributes.

use netlink_bindings::nftables::{ChainAttrs, ChainFlags, IterableChainAttrs, RuleAttrs, VerdictCode};
use pointsman_dataplane::nftables::schema::{ChainId, TABLE};
use pointsman_dataplane::nftables::table::{Observed, Rule};

use super::super::message::Message;
use super::rule;

/// Notes a chain of our table: known and empty, or foreign. False if the table does not count it.
pub fn declaration(message: &Message<'_>, observed: &mut Observed) -> bool {
    let attributes: IterableChainAttrs<'_> = ChainAttrs::new(message.attributes());
    if !attributes.get_table().is_ok_and(|table| table.to_bytes() == TABLE.as_bytes()) {
        return false;
    }
    let flags = attributes.get_flags().unwrap_or_default();
    // A bound chain lives and dies with a foreign rule, which is told apart by its expressions.
    if flags & ChainFlags::Binding as u32 != 0 {
        return false;
    }
    let name = attributes.get_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match ChainId::named(&name) {
        Some(chain) if hook_fits(chain, &attributes, flags) => {
            observed.table.chains.insert(chain, Vec::new());
        }
        _ => observed.foreign.push(format!("chain {name}")),
    }
    true
}

fn hook_fits(chain: ChainId, attributes: &IterableChainAttrs<'_>, flags: u32) -> bool {
    let found = attributes.get_hook().ok();
    let Some(hook) = chain.hook() else { return found.is_none() && flags == 0 };
    let place = found.map(|found| (found.get_num().ok(), found.get_priority().ok()));
    place == Some((Some(hook.number), Some(hook.priority)))
        && attributes.get_type().is_ok_and(|kind| kind.to_bytes() == hook.kind.as_bytes())
        && attributes.get_policy() == Ok(VerdictCode::Accept as u32)
        && flags & !(ChainFlags::Base as u32) == 0
}

/// Adds a rule to its chain. One that we could not have written is an empty rule, which none of ours is: so it differs
/// from whatever should be there.
pub fn rule(message: &Message<'_>, observed: &mut Observed) {
    let attributes = RuleAttrs::new(message.attributes());
    let family = observed.table.family;
    let read = || {
        let ours = attributes.get_table().ok()?.to_bytes() == TABLE.as_bytes();
        let chain = ChainId::named(attributes.get_chain().ok().filter(|_| ours)?.to_str().ok()?)?;
        let expressions = || rule::read(&attributes.get_expressions().ok()?, family);
        Some((chain, expressions().unwrap_or_else(Rule::new)))
    };
    if let Some((chain, rule)) = read()
        && let Some(rules) = observed.table.chains.get_mut(&chain)
    {
        rules.push(rule);
    }
}
