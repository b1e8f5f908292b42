//! The kernel's tables of all families and the images of them: adoption, changes, stale slots, read-back. The only place where
//! the dataplane's values meet the kernel; it decides nothing about when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pointsman_crds::{DriftPolicy, IpFamily};
use pointsman_dataplane::dispatch::{Change, Dispatch};
use pointsman_dataplane::nftables::image::Image;
use pointsman_dataplane::nftables::schema::{SetId, TABLE};
use pointsman_dataplane::nftables::stamp::Stamp;
use pointsman_dataplane::nftables::statement::family_name;
use pointsman_dataplane::nftables::table::{Key, Observed};
use pointsman_dataplane::nftables::transaction::{Batch, Transaction};

use crate::nftables::{Error, Nftables, Ownership};
use crate::plan::Revision;

/// Both families, in the order in which they are written.
const FAMILIES: [IpFamily; 2] = [IpFamily::IPv4, IpFamily::IPv6];

/// kube-proxy's table in nftables mode, in both families.
const KUBE_PROXY: &str = "kube-proxy";

/// A difference that the kernel refuses so often is not tried again: the table is made anew, in one transaction.
const MOST_REFUSALS: u32 = 3;

/// Opens the kernel; the argument says whether tables are to be owned.
pub type Open<K> = Box<dyn FnMut(bool) -> Result<K, Error> + Send>;

/// The tables of this network namespace.
pub struct Tables<K> {
    open: Open<K>,
    kernel: Option<(bool, K)>,
    images: BTreeMap<IpFamily, Image>,
    /// Families whose table was removed.
    removed: BTreeSet<IpFamily>,
    /// The ruleset's generation as it is if nobody but us wrote since the tables were read.
    generation: Option<u32>,
    /// What becomes of differences that somebody else made.
    policy: DriftPolicy,
    /// A difference was found at adoption and left: it must be found again.
    left: bool,
    /// How often in a row the kernel refused the difference that would put a table right.
    refused: BTreeMap<IpFamily, u32>,
    /// The revision that tables carry without saying so yet, because it changed nothing in them.
    unsaid: Option<Revision>,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Transactions that were committed.
    pub transactions: u32,
    /// Elements written or deleted.
    pub elements: usize,
    /// How long the kernel took.
    pub duration: Duration,
}

/// What a read-back found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// A sentence for each table that is not as it should be.
    pub found: BTreeMap<IpFamily, String>,
}

impl<K: Nftables> Tables<K> {
    /// Nothing is opened or read yet.
    pub fn new(open: Open<K>) -> Self {
        Self {
            open,
            kernel: None,
            images: BTreeMap::new(),
            removed: BTreeSet::new(),
            generation: None,
            policy: DriftPolicy::default(),
            left: false,
            refused: BTreeMap::new(),
            unsaid: None,
        }
    }

    /// Opens the kernel if it is not open, or anew if tables are to be owned otherwise than they are. The socket is held for
    /// life: it is the owner.
    ///
    /// # Errors
    /// What the kernel or the process lacks.
    pub fn open(&mut self, own: bool) -> Result<(), Error> {
        if self.kernel.as_ref().is_some_and(|(owned, _)| *owned == own) {
            return Ok(());
        }
        // The old socket goes first: a table has one owner.
        self.kernel = None;
        self.forget();
        self.kernel = Some((own, (self.open)(own)?));
        Ok(())
    }

    /// What becomes of differences that somebody else made.
    pub fn set_policy(&mut self, policy: DriftPolicy) {
        self.policy = policy;
    }

    /// Whether the kernel's table of this family is known.
    pub fn knows(&self, family: IpFamily) -> bool {
        self.images.contains_key(&family)
    }

    /// Forgets what the kernel is thought to hold: it will be read.
    pub fn forget(&mut self) {
        self.images.clear();
        self.removed.clear();
        self.generation = None;
        self.unsaid = None;
    }

    /// Another proxy's table with something in it, if there is one. Tables outlive the process that made them, so it may be a
    /// leftover; either way two proxies would fight for the same packets.
    ///
    /// # Errors
    /// Why the tables cannot be listed.
    pub fn rival(&mut self) -> Result<Option<String>, Error> {
        let tables = self.kernel()?.tables()?;
        let rival = tables.into_iter().find(|table| table.name == KUBE_PROXY && table.objects > 0);
        Ok(rival.map(|table| format!("{} {}", family_name(table.family), table.name)))
    }

    /// The revisions that the kernel's tables say they carry, before anything is adopted.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub fn revisions(&mut self) -> Result<Vec<Revision>, Error> {
        let kernel = self.kernel()?;
        let mut revisions = Vec::new();
        for family in FAMILIES {
            let stamp = kernel.observe(family)?.as_ref().and_then(Stamp::of);
            revisions.extend(stamp.map(|stamp| Revision::new(&stamp.revision)));
        }
        Ok(revisions)
    }

    /// Reads the table of one family and writes what differs from `dispatch`. What differed although the table said that it holds just
    /// this is told: it was changed by somebody else, and not the plan, the node's facts or the agent. With [`DriftPolicy::Observe`] that is
    /// told and left as it is.
    ///
    /// # Errors
    /// Why the kernel refused; then nothing is known about the table.
    pub fn adopt(
        &mut self,
        dispatch: &Dispatch,
        family: IpFamily,
        plan: &Revision,
    ) -> Result<(Written, Option<String>), Error> {
        self.images.remove(&family);
        let kernel = self.kernel()?;
        let ownership = kernel.own(family)?;
        let generation = kernel.generation()?;
        let observed = kernel.observe(family)?;
        // The first table read decides: a later generation would hide what happened in between.
        self.generation.get_or_insert(generation);
        let hopeless = self.refused.get(&family).is_some_and(|times| *times >= MOST_REFUSALS);
        let observed = observed.filter(|_| !hopeless);
        let (mut image, mut batch) = Image::adopt(dispatch, family, observed.as_ref());
        let said = observed.as_ref().and_then(Stamp::of).and_then(|stamp| stamp.digest);
        let same = said == Some(image.digest());
        let changed = if same { describe(family, observed.as_ref(), &batch) } else { None };
        drop(observed);
        // A table that cannot be owned as the plan asks is nobody's hand.
        let leave = self.policy == DriftPolicy::Observe && ownership != Ownership::MustBeMadeAnew;
        if leave && changed.is_some() {
            self.left = true;
            self.images.insert(family, image);
            return Ok((Written::default(), changed));
        }
        image.stamp(plan.as_str(), &mut batch);
        let written = self.commit(family, &batch);
        match &written {
            Ok(_) => drop(self.refused.remove(&family)),
            Err(Error::Refused { .. }) => *self.refused.entry(family).or_default() += 1,
            Err(_) => {}
        }
        let written = written?;
        self.images.insert(family, image);
        Ok((written, changed))
    }

    /// Writes changes to the table of one family, which is known.
    ///
    /// # Errors
    /// Why the kernel refused; then nothing is known about the table.
    pub fn apply(
        &mut self,
        changes: &[Change],
        family: IpFamily,
        revision: &Revision,
    ) -> Result<Written, Error> {
        let Some(mut image) = self.images.remove(&family) else { return Ok(Written::default()) };
        let mut batch = image.apply(changes);
        image.stamp(revision.as_str(), &mut batch);
        if !image.is_stamped(revision.as_str()) {
            self.unsaid = Some(revision.clone());
        }
        let written = self.commit(family, &batch)?;
        self.images.insert(family, image);
        Ok(written)
    }

    /// Whether slots are stale, or a revision unsaid.
    pub fn has_stale(&self) -> bool {
        self.unsaid.is_some() || self.images.values().any(Image::has_stale)
    }

    /// Deletes slots that no chain can choose any more, and lets the tables say which revision they carry: a restart that finds them
    /// different then knows that it was not the plan that changed. No more often than once a second.
    ///
    /// # Errors
    /// Why the kernel refused; then nothing is known about that table.
    pub fn sweep(&mut self) -> Result<Written, Error> {
        let mut written = Written::default();
        for family in FAMILIES {
            let Some(mut image) = self.images.remove(&family) else { continue };
            let mut change = image.sweep();
            if let Some(revision) = &self.unsaid {
                image.restamp(revision.as_str(), &mut change);
            }
            written += self.commit(family, &Batch { change, ..Batch::default() })?;
            self.images.insert(family, image);
        }
        self.unsaid = None;
        Ok(written)
    }

    /// Reads back what is not proven to be untouched, and tells what differs. A ruleset whose generation is the one that our own
    /// writes made was changed by nobody else.
    ///
    /// # Errors
    /// Why the tables cannot be read.
    pub fn verify(&mut self, dispatch: &Dispatch) -> Result<Differences, Error> {
        let mut differences = Differences::default();
        let generation = self.kernel()?.generation()?;
        if !std::mem::take(&mut self.left) && self.generation == Some(generation) {
            return Ok(differences);
        }
        for family in FAMILIES {
            let Some(known) = self.images.get(&family) else { continue };
            let had_stale = known.has_stale();
            let observed = self.kernel()?.observe(family)?;
            let (image, batch) = Image::adopt(dispatch, family, observed.as_ref());
            let strange = || (image.has_stale() && !had_stale).then(|| strangers(family));
            if let Some(what) = describe(family, observed.as_ref(), &batch).or_else(strange) {
                differences.found.insert(family, what);
            }
        }
        // A difference that nobody repairs must be found again.
        self.generation = differences.found.is_empty().then_some(generation);
        Ok(differences)
    }

    /// Deletes the table of a family that is not proxied.
    ///
    /// # Errors
    /// Why the kernel refused.
    pub fn remove(&mut self, family: IpFamily) -> Result<(), Error> {
        self.images.remove(&family);
        if self.removed.contains(&family) {
            return Ok(());
        }
        let there = self.kernel()?.delete(family)?;
        self.count(u32::from(there));
        self.removed.insert(family);
        Ok(())
    }

    /// Fingerprint of what packets meet, over all families.
    pub fn digest(&self) -> u64 {
        self.images.values().fold(0, |sum: u64, image| sum.wrapping_add(image.digest()))
    }

    fn kernel(&mut self) -> Result<&mut K, Error> {
        match &mut self.kernel {
            Some((_, kernel)) => Ok(kernel),
            None => Err(Error::Unsupported("nf_tables was not opened".to_owned())),
        }
    }

    /// Chains first, then the change: no packet meets a verdict whose chain is empty.
    fn commit(&mut self, family: IpFamily, batch: &Batch) -> Result<Written, Error> {
        let mut written = Written::default();
        for transaction in [&batch.chains, &batch.change] {
            if transaction.is_empty() {
                continue;
            }
            written.duration += self.kernel()?.commit(family, transaction)?.duration;
            written.transactions += 1;
            written.elements += transaction.elements();
            self.count(1);
        }
        Ok(written)
    }

    fn count(&mut self, transactions: u32) {
        self.generation = self.generation.map(|generation| generation.wrapping_add(transactions));
    }
}

impl std::ops::AddAssign for Written {
    fn add_assign(&mut self, other: Self) {
        self.transactions += other.transactions;
        self.elements += other.elements;
        self.duration += other.duration;
    }
}

/// Changes of one commit, one for each Service: an image takes a Service from what it had to what it has, in one step.
pub fn squash(changes: impl IntoIterator<Item = Change>) -> Vec<Change> {
    let mut squashed: BTreeMap<_, Change> = BTreeMap::new();
    for change in changes {
        match squashed.get_mut(&change.service) {
            Some(known) => known.after = change.after,
            None => drop(squashed.insert(change.service.clone(), change)),
        }
    }
    squashed.into_values().filter(|change| change.before != change.after).collect()
}

/// What differs between a table and the plan, given what would have to be written; nothing, if nothing does.
fn describe(family: IpFamily, observed: Option<&Observed>, batch: &Batch) -> Option<String> {
    let table = format!("{} {TABLE}", family_name(family));
    let Batch { chains, change } = batch;
    match observed {
        None => return Some(format!("{table}: the table is gone")),
        Some(observed) if !observed.foreign.is_empty() => {
            return Some(format!("{table}: not as we make it: {}", observed.foreign.join(", ")));
        }
        Some(_) if change.recreate => return Some(format!("{table}: sets are missing")),
        Some(_) => {}
    }
    let rules = chains
        .rules
        .keys()
        .chain(change.rules.keys())
        .map(|chain| format!("rules of chain {} differ", chain.name()));
    let sets: BTreeSet<SetId> = change.add.keys().chain(change.delete.keys()).copied().collect();
    let sets = sets.into_iter().filter_map(|set| elements(set, change));
    let parts: Vec<String> = rules.chain(sets).collect();
    (!parts.is_empty()).then(|| format!("{table}: {}", parts.join("; ")))
}

/// Slots beyond those that any chain chooses do no harm, but somebody put them there.
fn strangers(family: IpFamily) -> String {
    format!("{} {TABLE}: elements that nobody asked for", family_name(family))
}

fn elements(set: SetId, change: &Transaction) -> Option<String> {
    let (no_adds, no_deletes) = (BTreeMap::new(), BTreeSet::new());
    let added = change.add.get(&set).unwrap_or(&no_adds);
    let deleted = change.delete.get(&set).unwrap_or(&no_deletes);
    let altered = added.keys().filter(|key: &&Key| deleted.contains(*key)).count();
    let counts =
        [(added.len() - altered, "missing"), (deleted.len() - altered, "unexpected"), (altered, "altered")];
    let told: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {} {word}", if count == 1 { "element" } else { "elements" }))
        .collect();
    (!told.is_empty()).then(|| format!("{} {}", set.schema().name, told.join(", ")))
}
