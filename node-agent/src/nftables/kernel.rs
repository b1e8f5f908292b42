//! The real nf_tables of this network namespace. Holds the one socket that owns the tables for as long as it lives.

use std::thread::sleep;
use std::time::{Duration, Instant};

use netlink_bindings::nftables::{GenAttrs, IterableGenAttrs, TableFlags};
use pointsman_crds::IpFamily;
use pointsman_dataplane::nftables::schema::TABLE;
use pointsman_dataplane::nftables::table::Observed;
use pointsman_dataplane::nftables::transaction::Transaction;
use rustix::io::Errno;

use super::encode::{self, OWNED, Recreation};
use super::error::Error;
use super::message::{Batch, Kind, Message};
use super::probe::{self, Features};
use super::socket::Socket;
use super::{Committed, Nftables, Ownership, TableHead, decode, refusal, table_name};

/// How often a table that others keep changing is read before that is told.
const ATTEMPTS: u32 = 10;
/// The first pause between two attempts; it doubles each time.
const PAUSE: Duration = Duration::from_millis(1);

/// The kernel. Dropping it releases the tables: they stay, and carry traffic, as nobody's.
#[derive(Debug)]
pub struct Kernel {
    socket: Socket,
    features: Features,
    /// Whether tables are to be owned, and can be.
    owns: bool,
}

impl Kernel {
    /// Opens the socket in the calling thread's network namespace, and refuses a kernel that cannot run nftables mode.
    /// `own` is the plan's `tableOwner`.
    pub fn open(own: bool) -> Result<Self, Error> {
        let mut socket = Socket::open()?;
        let features = probe::probe(&mut socket)?;
        let owns = own && features.owner;
        Ok(Self { socket, features, owns })
    }

    /// What this kernel can do.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// The socket's netlink port: the owner's name in the kernel, and what notifications of our own commits carry.
    pub fn port(&self) -> u32 {
        self.socket.port()
    }

    fn head(&mut self, family: IpFamily) -> Result<Option<TableHead>, Error> {
        decode::table(&mut self.socket, family, TABLE)
    }

    /// Sends a batch and gives its refusals as an error about the first.
    fn send(&mut self, family: IpFamily, batch: &[u8]) -> Result<(), Error> {
        let refused = self.socket.batch(batch)?;
        let Some(first) = refused.first() else { return Ok(()) };
        match refusal::batch(batch, first) {
            Error::OwnedByAnother { table, .. } => {
                let port = self.head(family)?.and_then(|head| head.owner);
                Err(Error::OwnedByAnother { table, port })
            }
            error => Err(error),
        }
    }

    /// Whether a table with these flags is as it should be, whosever it is.
    fn flags_fit(&self, head: &TableHead) -> bool {
        let dormant = head.flags & TableFlags::Dormant as u32 != 0;
        !dormant && (!self.owns || head.owner == Some(self.port()) || is_orphan(head))
    }
}

/// Whether it is a table that outlived its owner: only such a one can be taken.
fn is_orphan(head: &TableHead) -> bool {
    head.flags & OWNED == TableFlags::Persist as u32
}

impl Nftables for Kernel {
    fn own(&mut self, family: IpFamily) -> Result<Ownership, Error> {
        let Some(head) = self.head(family)? else { return Ok(Ownership::Absent) };
        match head.owner {
            Some(port) if port == self.port() => return Ok(Ownership::Ours),
            Some(port) => return Err(Error::OwnedByAnother { table: table_name(family), port: Some(port) }),
            None if !self.owns => return Ok(Ownership::Shared),
            None if !is_orphan(&head) => return Ok(Ownership::MustBeMadeAnew),
            None => {}
        }
        let mut batch = Batch::begin();
        encode::new_table(&mut batch, family, TABLE, OWNED);
        self.send(family, &batch.end())?;
        Ok(Ownership::Ours)
    }

    fn observe(&mut self, family: IpFamily) -> Result<Option<Observed>, Error> {
        let mut pause = PAUSE;
        for _ in 0..ATTEMPTS {
            let before = self.generation()?;
            let Some(head) = self.head(family)? else { return Ok(None) };
            let reading = decode::read(&mut self.socket, family)?;
            // Nobody but us can have changed what we own, and we did not: then others may commit as they like.
            let ours = head.owner == Some(self.port()) && reading.chains_whole;
            let of_one_moment = ours || reading.whole && self.generation()? == before;
            if let Some(mut observed) = reading.observed.filter(|_| of_one_moment) {
                if !self.flags_fit(&head) {
                    observed.foreign.push("table flags".to_owned());
                }
                if head.objects > reading.objects {
                    observed.foreign.push(format!("{} other objects", head.objects - reading.objects));
                }
                return Ok(Some(observed));
            }
            sleep(pause);
            pause *= 2;
        }
        Err(Error::Restless { table: table_name(family), attempts: ATTEMPTS })
    }

    fn commit(&mut self, family: IpFamily, transaction: &Transaction) -> Result<Committed, Error> {
        if transaction.is_empty() {
            return Ok(Committed { duration: Duration::ZERO, bytes: 0 });
        }
        let present = transaction.recreate && self.head(family)?.is_some();
        let flags = if self.owns { OWNED } else { 0 };
        let batch = encode::transaction(family, transaction, Recreation { present, flags });
        let start = Instant::now();
        self.send(family, &batch)?;
        Ok(Committed { duration: start.elapsed(), bytes: batch.len() })
    }

    fn delete(&mut self, family: IpFamily) -> Result<bool, Error> {
        if self.head(family)?.is_none() {
            return Ok(false);
        }
        let mut batch = Batch::begin();
        encode::delete_table(&mut batch, family, TABLE);
        self.send(family, &batch.end())?;
        Ok(true)
    }

    fn tables(&mut self) -> Result<Vec<TableHead>, Error> {
        decode::tables(&mut self.socket)
    }

    fn generation(&mut self) -> Result<u32, Error> {
        let read = |message: &Message<'_>| {
            let attributes: IterableGenAttrs<'_> = GenAttrs::new(message.attributes());
            attributes.get_id().ok()
        };
        match self.socket.get(Kind::GetGeneration, 0, |_| (), read)? {
            Ok(Some(generation)) => Ok(generation),
            Ok(None) => Err(Error::Malformed("a generation without its number".to_owned())),
            Err(answer) if answer.errno == Errno::INVAL.raw_os_error() => {
                Err(Error::Unsupported("it has no nf_tables".to_owned()))
            }
            Err(answer) => Err(refusal::question("ask for the ruleset's generation", &answer)),
        }
    }
}
