//! Chains and rules of one base chain's run. One packet can become several ways, one for each value of a random number.

use std::net::IpAddr;

use super::super::expr::Expr;
use super::super::schema::ChainId;
use super::super::table::Table;
use super::expression::{Fault, Step};
use super::registers::Registers;
use super::{Flight, Place, Trap};

/// `NFT_JUMP_STACK_SIZE`. The kernel counts jumps alone; our chains are far from it with gotos counted too, and a loop is found.
const DEEPEST: usize = 16;

/// How a chain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// No rule decided: the caller goes on, a base chain lets the packet pass.
    Returned,
    /// The base chain is over, the packet passes it.
    Accepted,
    /// The packet vanishes.
    Dropped,
    /// The sender is told.
    Rejected,
}

/// What a rule says to its chain.
pub enum Then {
    /// Go on with the next.
    NextRule,
    /// Run that chain, then go on with the next.
    Jump(ChainId),
    /// Run that chain instead.
    Goto(ChainId),
    /// The base chain, or the packet, is done.
    End(Ending),
}

/// The run of one base chain.
pub struct Machine<'a> {
    /// The table.
    pub table: &'a Table,
    /// The hook.
    pub place: Place,
    /// The base chain's type: translations happen in nat chains only.
    pub is_nat: bool,
    /// Whether an address is one of the node's own.
    pub is_local: &'a dyn Fn(IpAddr) -> bool,
}

type Ways = Vec<(Ending, Flight)>;

impl Machine<'_> {
    /// Runs the chain from its first rule.
    pub fn chain(&self, chain: ChainId, flight: Flight, depth: usize) -> Result<Ways, Trap> {
        if depth > DEEPEST {
            return Err(Trap::TooDeep);
        }
        let rules =
            self.table.chains.get(&chain).ok_or_else(|| Trap::Missing(format!("chain {}", chain.name())))?;
        let mut done = Vec::new();
        let mut here = vec![flight];
        for rule in rules {
            let mut at_next_rule = Vec::new();
            for flight in here {
                for (then, flight) in self.rule(chain, rule, flight)? {
                    match then {
                        Then::NextRule => at_next_rule.push(flight),
                        Then::End(ending) => done.push((ending, flight)),
                        Then::Goto(other) => done.extend(self.chain(other, flight, depth + 1)?),
                        Then::Jump(other) => {
                            for (ending, flight) in self.chain(other, flight, depth + 1)? {
                                match ending {
                                    Ending::Returned => at_next_rule.push(flight),
                                    _ => done.push((ending, flight)),
                                }
                            }
                        }
                    }
                }
            }
            here = at_next_rule;
        }
        done.extend(here.into_iter().map(|flight| (Ending::Returned, flight)));
        Ok(done)
    }

    fn rule(&self, chain: ChainId, rule: &[Expr], flight: Flight) -> Result<Vec<(Then, Flight)>, Trap> {
        let mut done = Vec::new();
        let mut under_way = vec![(0, Registers::new(), flight)];
        while let Some((at, mut registers, mut flight)) = under_way.pop() {
            let Some(expression) = rule.get(at) else {
                done.push((Then::NextRule, flight));
                continue;
            };
            let step =
                self.step(expression, &mut registers, &mut flight).map_err(|fault| trap(chain, fault))?;
            match step {
                Step::On => under_way.push((at + 1, registers, flight)),
                Step::Break => done.push((Then::NextRule, flight)),
                Step::End(then) => done.push((then, flight)),
                Step::Each(modulus, to) => {
                    for number in 0..modulus {
                        let mut registers = registers.clone();
                        if registers.store(to, &number.to_ne_bytes()).is_none() {
                            return Err(trap(
                                chain,
                                Fault::Unknown("a random number beyond the last register"),
                            ));
                        }
                        under_way.push((at + 1, registers, flight.clone()));
                    }
                }
            }
        }
        Ok(done)
    }
}

fn trap(chain: ChainId, fault: Fault) -> Trap {
    let chain = chain.name();
    match fault {
        Fault::Unknown(what) => Trap::Unknown { chain, what },
        Fault::NoSet(set) => Trap::Missing(format!("set {}", set.schema().name)),
        Fault::EmptySlot(map, key) => Trap::TranslationMissed { chain, map: map.schema().name, key },
    }
}
