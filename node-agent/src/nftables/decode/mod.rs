//! The kernel's table as an [`Observed`]: the inverse of `encode`. What it does not know it names and never guesses;
//! nothing here is an error but an answer that no kernel would send.

mod chain;
mod rule;
mod set;

use netlink_bindings::nftables::{
    IterableTableAttrs, PushChainAttrs, PushRuleAttrs, PushSetAttrs, PushSetelemListAttrs, PushTableAttrs,
    TableAttrs,
};
use pointsman_crds::IpFamily;
use pointsman_dataplane::nftables::schema::{SetId, TABLE};
use pointsman_dataplane::nftables::table::{Observed, Table};
use rustix::io::Errno;

use super::error::Error;
use super::message::{Answer, Kind, Message, family_number, family_of};
use super::refusal;
use super::socket::Socket;
use super::{TableHead, family_name};

/// What was read, and whether it is of one moment as far as the dumps can tell.
#[derive(Debug)]
pub struct Reading {
    /// The table; absent if it vanished while it was read.
    pub observed: Option<Observed>,
    /// Whether no dump was interrupted by a change of whichever table.
    pub whole: bool,
    /// Whether the dump of chains was not: it passes through all tables, so another table's change can make it skip a
    /// chain of ours. The other dumps stay in our table.
    pub chains_whole: bool,
    /// How many named sets and chains there are, ours or not: if the table counts more, it holds objects of other kinds.
    pub objects: u32,
}

/// Reads one family's table, except for its flags.
pub fn read(socket: &mut Socket, family: IpFamily) -> Result<Reading, Error> {
    let mut reader = Reader { socket, family, whole: true, vanished: false, objects: 0 };
    let mut observed = Observed { table: Table::new(family), foreign: Vec::new() };
    reader.sets(&mut observed)?;
    for set in SetId::ALL {
        if observed.table.sets.contains_key(&set) {
            reader.elements(set, &mut observed)?;
        }
    }
    let before = std::mem::replace(&mut reader.whole, true);
    reader.chains(&mut observed)?;
    let chains_whole = reader.whole;
    reader.whole &= before;
    reader.rules(&mut observed)?;
    let Reader { whole, vanished, objects, .. } = reader;
    Ok(Reading { observed: (!vanished).then_some(observed), whole, chains_whole, objects })
}

/// All tables of IPv4 and IPv6, of whomever.
pub fn tables(socket: &mut Socket) -> Result<Vec<TableHead>, Error> {
    let mut heads = Vec::new();
    let ended = socket.dump(Kind::GetTable, 0, |_| (), |message| heads.extend(head(message)))?;
    ended.map_err(|answer| refusal::question("list the tables", &answer))?;
    Ok(heads)
}

/// One family's table called so; `None` if there is none.
pub fn table(socket: &mut Socket, family: IpFamily, name: &str) -> Result<Option<TableHead>, Error> {
    let attributes = |bytes: &mut Vec<u8>| {
        PushTableAttrs::new(bytes).push_name_bytes(name.as_bytes());
    };
    match socket.get(Kind::GetTable, family_number(family), attributes, head)? {
        Ok(head) => Ok(head),
        Err(answer) if is(&answer, Errno::NOENT) => Ok(None),
        Err(answer) => {
            Err(refusal::question(&format!("look for table {} {name}", family_name(family)), &answer))
        }
    }
}

fn head(message: &Message<'_>) -> Option<TableHead> {
    let attributes: IterableTableAttrs<'_> = TableAttrs::new(message.attributes());
    Some(TableHead {
        family: family_of(message.family())?,
        name: attributes.get_name().ok()?.to_string_lossy().into_owned(),
        flags: attributes.get_flags().unwrap_or_default(),
        objects: attributes.get_use().unwrap_or_default(),
        owner: attributes.get_owner().ok(),
    })
}

fn is(answer: &Answer, errno: Errno) -> bool {
    answer.errno == errno.raw_os_error()
}

/// The four dumps that a table is read by.
struct Reader<'a> {
    socket: &'a mut Socket,
    family: IpFamily,
    whole: bool,
    vanished: bool,
    objects: u32,
}

impl Reader<'_> {
    fn sets(&mut self, observed: &mut Observed) -> Result<(), Error> {
        let family = self.family;
        let attributes = |bytes: &mut Vec<u8>| {
            PushSetAttrs::new(bytes).push_table_bytes(TABLE.as_bytes());
        };
        let mut sets = 0;
        self.dump("sets", Kind::GetSet, attributes, |message| {
            sets += u32::from(set::declaration(message, family, observed));
        })?;
        self.objects += sets;
        Ok(())
    }

    fn elements(&mut self, set: SetId, observed: &mut Observed) -> Result<(), Error> {
        let family = self.family;
        let attributes = |bytes: &mut Vec<u8>| {
            let list = PushSetelemListAttrs::new(bytes).push_table_bytes(TABLE.as_bytes());
            list.push_set_bytes(set.schema().name.as_bytes());
        };
        let mut elements = set::Elements::new(set, family);
        self.dump("elements", Kind::GetElements, attributes, |message| elements.read(message))?;
        observed.table.sets.insert(set, elements.into_map());
        Ok(())
    }

    fn chains(&mut self, observed: &mut Observed) -> Result<(), Error> {
        let attributes = |bytes: &mut Vec<u8>| {
            PushChainAttrs::new(bytes).push_table_bytes(TABLE.as_bytes());
        };
        let mut chains = 0;
        self.dump("chains", Kind::GetChain, attributes, |message| {
            chains += u32::from(chain::declaration(message, observed));
        })?;
        self.objects += chains;
        Ok(())
    }

    fn rules(&mut self, observed: &mut Observed) -> Result<(), Error> {
        let attributes = |bytes: &mut Vec<u8>| {
            PushRuleAttrs::new(bytes).push_table_bytes(TABLE.as_bytes());
        };
        self.dump("rules", Kind::GetRule, attributes, |message| chain::rule(message, observed))
    }

    fn dump(
        &mut self,
        what: &str,
        kind: Kind,
        attributes: impl FnOnce(&mut Vec<u8>),
        read: impl FnMut(&Message<'_>),
    ) -> Result<(), Error> {
        match self.socket.dump(kind, family_number(self.family), attributes, read)? {
            Ok(whole) => self.whole &= whole,
            // The table, or a set of it, was deleted since it was seen.
            Err(answer) if is(&answer, Errno::NOENT) => {
                self.vanished = true;
            }
            Err(answer) => {
                let table = format!("read the {what} of table {} {TABLE}", family_name(self.family));
                return Err(refusal::question(&table, &answer));
            }
        }
        Ok(())
    }
}
