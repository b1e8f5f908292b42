//! Runs a packet through a table value as the kernel would, every random choice explored. It knows the expressions that we emit and the places
//! where we put them, and errs on anything else; it compiles nothing and shares no code with what does.
//!
//! Modelled: the hooks that a new connection's first packet meets, base chains by priority, jump, goto and return, registers, sets of points and
//! of ranges, maps, destination and source translation. Not modelled: other tables, and packets of known connections (translated by conntrack
//! alone).

mod expression;
mod facts;
mod machine;
mod registers;

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::schema::ChainId;
use super::table::{Key, Table};
use crate::dispatch::Endpoint;
use crate::packet::{Origin, Outcome, Packet};
use machine::{Ending, Machine};

/// Why a packet could not be followed: the table is not one of ours, or it is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trap {
    /// A chain or set is named that is not there.
    #[error("{0} is named and is not there")]
    Missing(String),
    /// An expression stands where we never put it.
    #[error("chain {chain}: {what}")]
    Unknown {
        /// The chain.
        chain: String,
        /// What was met.
        what: &'static str,
    },
    /// A chain chose a slot that holds no endpoint: the packet would go on untranslated.
    #[error("chain {chain}: translation missed, {map} has nothing for {key:?}")]
    TranslationMissed {
        /// The chain that chose.
        chain: String,
        /// The map.
        map: &'static str,
        /// The key with the slot.
        key: Key,
    },
    /// More jumps than the kernel's stack holds (`NFT_JUMP_STACK_SIZE`), or a loop.
    #[error("chains lead to chains more than 16 deep")]
    TooDeep,
    /// An endpoint is more likely than another.
    #[error("endpoint {0:?} stands in more than one slot")]
    Uneven(Endpoint),
    /// One random number leads to an endpoint, another does not.
    #[error("the packet's fate depends on a random number: {0}")]
    Mixed(String),
    /// Its source is replaced although it goes to no endpoint of ours.
    #[error("a packet that is none of ours would be masqueraded")]
    StrangerMasqueraded,
}

/// A packet on its way: what rules can see and change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flight {
    /// The packet, its destination (and whether that is the node's own) as it is now.
    pub packet: Packet,
    /// Its mark.
    pub mark: u32,
    /// The endpoint that it was sent to.
    pub endpoint: Option<Endpoint>,
    /// Conntrack says that its destination was replaced (`IPS_DST_NAT`): not when it was replaced by the same.
    pub translated: bool,
    /// Its source was replaced.
    pub masqueraded: bool,
}

/// How a packet's way through the hooks ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It left the node or reached a process on it.
    Passed,
    /// It vanished.
    Dropped,
    /// Its sender was told.
    Rejected,
}

/// A hook as the packet meets it: `NF_INET_…` and what may happen there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
}

/// What becomes of `packet`. `is_local` tells whether an address is one of the node's own; it is asked about endpoints, `packet` speaks for its own
/// destination. A packet to an endpoint on the node's own address keeps its source: the input hook replaces none.
pub fn run(table: &Table, packet: &Packet, is_local: &dyn Fn(IpAddr) -> bool) -> Result<Outcome, Trap> {
    let ways = walk(table, packet, 0, is_local)?;
    if ways.iter().any(|(_, flight)| flight.masqueraded && flight.endpoint.is_none()) {
        return Err(Trap::StrangerMasqueraded);
    }
    let mut endpoints = BTreeSet::new();
    let mut others = BTreeSet::new();
    for (fate, flight) in &ways {
        match (fate, flight.endpoint) {
            (Fate::Passed, Some(endpoint)) => {
                if !endpoints.insert((endpoint, flight.masqueraded)) {
                    return Err(Trap::Uneven(endpoint));
                }
            }
            (fate, endpoint) => {
                others.insert(format!("{fate:?} with endpoint {endpoint:?}"));
            }
        }
    }
    match ways.as_slice() {
        _ if others.is_empty() && !endpoints.is_empty() => Ok(Outcome::Forward { endpoints }),
        [(Fate::Dropped, Flight { endpoint: None, .. })] => Ok(Outcome::Drop),
        [(Fate::Rejected, Flight { endpoint: None, .. })] => Ok(Outcome::Reject),
        [(Fate::Passed, _)] => Ok(Outcome::Pass),
        _ => Err(Trap::Mixed(format!("{} endpoints, {others:?}", endpoints.len()))),
    }
}

/// Every way that `packet`, with this mark, can take: one for each slot that a random number can choose.
pub fn walk(
    table: &Table,
    packet: &Packet,
    mark: u32,
    is_local: &dyn Fn(IpAddr) -> bool,
) -> Result<Vec<(Fate, Flight)>, Trap> {
    let start =
        Flight { packet: packet.clone(), mark, endpoint: None, translated: false, masqueraded: false };
    let mut done = Vec::new();
    let first = if packet.origin == Origin::Host { Place::Output } else { Place::Prerouting };
    let mut under_way = vec![(first, start)];
    while let Some((place, flight)) = under_way.pop() {
        for (fate, flight) in meet(table, place, flight, is_local)? {
            match next(place, &flight) {
                Some(place) if fate == Fate::Passed => under_way.push((place, flight)),
                _ => done.push((fate, flight)),
            }
        }
    }
    Ok(done)
}

/// Where a packet goes that a hook let pass.
fn next(place: Place, flight: &Flight) -> Option<Place> {
    let stays = flight.packet.to_local_address;
    match place {
        Place::Prerouting if stays => Some(Place::Input),
        Place::Prerouting => Some(Place::Forward),
        Place::Forward | Place::Output => Some(Place::Postrouting),
        // Through loopback, with the connection already known to prerouting: only input is met anew, and still as a new connection.
        Place::Postrouting if stays => Some(Place::Input),
        Place::Input | Place::Postrouting => None,
    }
}

/// All base chains of one hook, lower priority first; each can end the packet, none can save it from the next.
fn meet(
    table: &Table,
    place: Place,
    flight: Flight,
    is_local: &dyn Fn(IpAddr) -> bool,
) -> Result<Vec<(Fate, Flight)>, Trap> {
    let number = match place {
        Place::Prerouting => 0,
        Place::Input => 1,
        Place::Forward => 2,
        Place::Output => 3,
        Place::Postrouting => 4,
    };
    let hooked = table.chains.keys().filter_map(|chain| chain.hook().map(|hook| (hook, *chain)));
    let mut chains: Vec<_> = hooked.filter(|(hook, _)| hook.number == number).collect();
    chains.sort_by_key(|(hook, _)| hook.priority);
    let mut ways = vec![(Fate::Passed, flight)];
    for (hook, chain) in chains {
        let machine = Machine { table, place, is_nat: hook.kind == "nat", is_local };
        let mut after = Vec::new();
        for (fate, flight) in ways {
            if fate == Fate::Passed {
                after.extend(through(&machine, chain, flight)?)
            } else {
                after.push((fate, flight))
            }
        }
        ways = after;
    }
    Ok(ways)
}

fn through(machine: &Machine<'_>, chain: ChainId, flight: Flight) -> Result<Vec<(Fate, Flight)>, Trap> {
    let fate = |ending| match ending {
        Ending::Returned | Ending::Accepted => Fate::Passed,
        Ending::Dropped => Fate::Dropped,
        Ending::Rejected => Fate::Rejected,
    };
    let ways = machine.chain(chain, flight, 0)?;
    Ok(ways.into_iter().map(|(ending, flight)| (fate(ending), flight)).collect())
}
