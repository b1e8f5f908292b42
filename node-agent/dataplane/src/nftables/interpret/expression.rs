//! One expression of a rule: what it reads, what it changes, and what it says to its rule.

use std::collections::BTreeMap;
use std::net::IpAddr;

use pointsman_crds::IpFamily;

use super::super::expr::{ADDRESS_TYPE_LOCAL, Expr, Register, Verdict};
use super::super::schema::{Maps, SetId};
use super::super::table::{Data, Key, Value};
use super::machine::{Ending, Machine, Then};
use super::registers::Registers;
use super::{Flight, Place, facts};
use crate::dispatch::Endpoint;

/// `RTN_UNICAST`: an address that is not the node's own.
const ADDRESS_TYPE_UNICAST: u32 = 1;

/// What an expression says to its rule.
pub enum Step {
    /// The next expression.
    On,
    /// The next rule.
    Break,
    /// The rule ends so.
    End(Then),
    /// The next expression, once for each value below this in this register.
    Each(u32, Register),
}

/// Why an expression cannot be evaluated.
pub enum Fault {
    /// It is none of those that we emit, or not where we put it.
    Unknown(&'static str),
    /// Its set is not there.
    NoSet(SetId),
    /// A slot was chosen that is empty.
    EmptySlot(SetId, Key),
}

const UNLOADED: Fault = Fault::Unknown("a register is read that was not loaded");
const NO_ROOM: Fault = Fault::Unknown("a value goes beyond the last register");

impl Machine<'_> {
    /// Evaluates one expression.
    pub fn step(&self, expr: &Expr, registers: &mut Registers, flight: &mut Flight) -> Result<Step, Fault> {
        let family = self.table.family;
        let go_on = |yes| Ok(if yes { Step::On } else { Step::Break });
        match expr {
            Expr::Meta(key, to) => store(registers, *to, &facts::meta(*key, self.place, flight)),
            Expr::Payload { header, offset, length, to } => {
                let bytes = facts::payload(*header, *offset, *length, flight, family);
                store(registers, *to, &bytes.ok_or(Fault::Unknown("bytes of a header that we never read"))?)
            }
            Expr::Ct(key, to) => store(registers, *to, &facts::connection(*key, flight).to_ne_bytes()),
            Expr::FibDaddrType(to) => {
                let local = flight.packet.to_local_address;
                let kind = if local { ADDRESS_TYPE_LOCAL } else { ADDRESS_TYPE_UNICAST };
                store(registers, *to, &kind.to_ne_bytes())
            }
            Expr::Compare { register, equal, value } => {
                let found = registers.load(*register, value.len()).ok_or(UNLOADED)?;
                go_on((found == value.as_slice()) == *equal)
            }
            Expr::Bitwise { register, mask, xor } => {
                let number = registers.number(*register).ok_or(UNLOADED)?;
                store(registers, *register, &((number & mask) ^ xor).to_ne_bytes())
            }
            Expr::SetMark(register) => {
                flight.mark = registers.number(*register).ok_or(UNLOADED)?;
                Ok(Step::On)
            }
            Expr::Member { set, register, inverted } => {
                let key = registers.load(*register, set.key_length(family)).ok_or(UNLOADED)?;
                go_on(self.is_member(*set, key)? != *inverted)
            }
            Expr::VerdictMap { map, register } => self.verdict_map(*map, *register, registers),
            Expr::Map { map, from, to } => self.map(*map, *from, *to, registers),
            Expr::Random { modulus: 0, .. } => Err(Fault::Unknown("a random number below 0")),
            Expr::Random { modulus, to } => Ok(Step::Each(*modulus, *to)),
            Expr::Verdict(Verdict::Drop) => Ok(Step::End(Then::End(Ending::Dropped))),
            Expr::Verdict(Verdict::Jump(other)) => Ok(Step::End(Then::Jump(*other))),
            Expr::Verdict(Verdict::Goto(other)) => Ok(Step::End(Then::Goto(*other))),
            Expr::Dnat { address, port } => self.dnat(*address, *port, registers, flight),
            Expr::Masquerade if self.is_nat && self.place == Place::Postrouting => {
                flight.masqueraded = true;
                Ok(Step::End(Then::End(Ending::Accepted)))
            }
            Expr::Masquerade => Err(Fault::Unknown("masquerade in this hook")),
            Expr::Reject
                if !self.is_nat && matches!(self.place, Place::Input | Place::Forward | Place::Output) =>
            {
                Ok(Step::End(Then::End(Ending::Rejected)))
            }
            Expr::Reject => Err(Fault::Unknown("reject in this hook")),
        }
    }

    fn elements(&self, set: SetId) -> Result<&BTreeMap<Key, Value>, Fault> {
        self.table.sets.get(&set).ok_or(Fault::NoSet(set))
    }

    fn is_member(&self, set: SetId, key: &[u8]) -> Result<bool, Fault> {
        let elements = self.elements(set)?;
        let point = Key::point(key);
        // Inside a range the nearest lower key is its beginning; behind it, its end.
        let is_inside =
            || elements.range(..point.clone()).next_back().is_some_and(|(key, _)| !key.interval_end);
        let is_end = || elements.contains_key(&Key::end(key));
        Ok(elements.contains_key(&point) || set.schema().interval && !is_end() && is_inside())
    }

    fn verdict_map(&self, map: SetId, register: Register, registers: &Registers) -> Result<Step, Fault> {
        if map.schema().maps != Maps::Verdict {
            return Err(Fault::Unknown("vmap of a map without verdicts"));
        }
        let key = Key::point(registers.load(register, map.key_length(self.table.family)).ok_or(UNLOADED)?);
        match self.elements(map)?.get(&key).map(|value| &value.data) {
            None => Ok(Step::Break),
            Some(Some(Data::Goto(other))) => Ok(Step::End(Then::Goto(*other))),
            Some(_) => Err(Fault::Unknown("a verdict that we never write")),
        }
    }

    fn map(
        &self,
        map: SetId,
        from: Register,
        to: Register,
        registers: &mut Registers,
    ) -> Result<Step, Fault> {
        if map.schema().maps != Maps::Endpoint {
            return Err(Fault::Unknown("lookup in a map without endpoints"));
        }
        let key = Key::point(registers.load(from, map.key_length(self.table.family)).ok_or(UNLOADED)?);
        match self.elements(map)?.get(&key).map(|value| &value.data) {
            Some(Some(Data::Endpoint(bytes))) => store(registers, to, bytes),
            Some(_) => Err(Fault::Unknown("data that we never write")),
            None => Err(Fault::EmptySlot(map, key)),
        }
    }

    fn dnat(
        &self,
        address: Register,
        port: Register,
        registers: &Registers,
        flight: &mut Flight,
    ) -> Result<Step, Fault> {
        if !self.is_nat
            || !matches!(self.place, Place::Prerouting | Place::Output)
            || flight.endpoint.is_some()
        {
            return Err(Fault::Unknown("dnat in this hook, or for the second time"));
        }
        let ip = match self.table.family {
            IpFamily::IPv4 => fixed::<4>(registers, address).map(IpAddr::from),
            IpFamily::IPv6 => fixed::<16>(registers, address).map(IpAddr::from),
        };
        let port = fixed::<2>(registers, port).map(u16::from_be_bytes);
        let (ip, port) = ip.zip(port).ok_or(UNLOADED)?;
        flight.translated = (flight.packet.destination, flight.packet.port) != (ip, port);
        flight.packet.destination = ip;
        flight.packet.port = port;
        flight.packet.to_local_address = (self.is_local)(ip);
        flight.endpoint = Some(Endpoint { ip, port });
        Ok(Step::End(Then::End(Ending::Accepted)))
    }
}

fn store(registers: &mut Registers, to: Register, value: &[u8]) -> Result<Step, Fault> {
    registers.store(to, value).map(|()| Step::On).ok_or(NO_ROOM)
}

fn fixed<const N: usize>(registers: &Registers, from: Register) -> Option<[u8; N]> {
    registers.load(from, N)?.try_into().ok()
}
