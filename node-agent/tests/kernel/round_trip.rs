//! What is written is what is read, by us and by `nft`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use pointsman_crds::{IpFamily, Protocol};
use pointsman_dataplane::nftables::schema::{SetId, revision_key};
use pointsman_dataplane::nftables::table::{Key, Observed, Table, Value};
use pointsman_dataplane::nftables::text;
use pointsman_dataplane::nftables::transaction::Transaction;
use pointsman_node_agent::nftables::{Kernel, Nftables};

use crate::Case;
use crate::fixture::{FAMILIES, address, creation, frontend, nodes, table};
use crate::namespace::Namespace;

pub const CASES: &[Case] = &[
    ("a table is read back exactly as it was written", exact),
    ("nft prints a table that nft loads again as the same table", reloads),
    ("a table that is being changed is read as it was at one moment", of_one_moment),
    ("an owned table is read whole while others commit without a pause", undisturbed),
    ("our netlink and our nft text make the same table", text_agrees),
];

/// Writes a table into a namespace of its own.
pub fn written(table: &Table) -> Result<(Namespace, Kernel)> {
    let namespace = Namespace::create()?;
    let mut kernel = namespace.enter(|| Kernel::open(false))??;
    kernel.commit(table.family, &creation(table))?;
    Ok((namespace, kernel))
}

/// What `nft` lists of one family's table.
pub fn listed(namespace: &Namespace, family: IpFamily) -> Result<String> {
    let family = if family == IpFamily::IPv4 { "ip" } else { "ip6" };
    namespace.nft(&["list", "table", family, "pointsman"], "")
}

/// A listing with each set's elements sorted: a hash set has no order.
fn sorted(listing: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut elements: Vec<String> = Vec::new();
    for line in listing.lines() {
        let element = line.strip_prefix("\t\telements = { ").or_else(|| line.strip_prefix("\t\t\t     "));
        if let Some(element) = element {
            elements.push(element.trim_end_matches([',', '}', ' ']).to_owned());
            continue;
        }
        elements.sort_unstable();
        lines.append(&mut elements);
        lines.push(line.to_owned());
    }
    lines.join("\n")
}

fn exact() -> Result<()> {
    for node in nodes() {
        for family in FAMILIES {
            let expected = table(&node, family);
            let (_namespace, mut kernel) = written(&expected)?;
            let observed = kernel.observe(family)?.context("there is no table")?;
            ensure!(observed.foreign.is_empty(), "foreign: {:?}", observed.foreign);
            for (set, elements) in &expected.sets {
                let found = observed.table.sets.get(set);
                ensure!(found == Some(elements), "{set:?} of {family:?} is {found:#?}, not {elements:#?}");
            }
            for (chain, rules) in &expected.chains {
                let found = observed.table.chains.get(chain);
                ensure!(found == Some(rules), "{chain:?} of {family:?} is {found:#?}, not {rules:#?}");
            }
            ensure!(observed.table == expected, "something else is there: {observed:#?}");
            let other = if family == IpFamily::IPv4 { IpFamily::IPv6 } else { IpFamily::IPv4 };
            ensure!(kernel.observe(other)?.is_none(), "the other family has a table");
        }
    }
    Ok(())
}

fn reloads() -> Result<()> {
    for node in nodes() {
        for family in FAMILIES {
            let (first, _kernel) = written(&table(&node, family))?;
            let text = listed(&first, family)?;
            let second = Namespace::create()?;
            second.nft(&["-f", "-"], &text).with_context(|| text.clone())?;
            let again = listed(&second, family)?;
            ensure!(sorted(&again) == sorted(&text), "it was\n{text}\nand is\n{again}");
        }
    }
    Ok(())
}

fn text_agrees() -> Result<()> {
    for node in nodes() {
        for family in FAMILIES {
            let table = table(&node, family);
            let (first, _kernel) = written(&table)?;
            let second = Namespace::create()?;
            let text = text::render(&node, &table);
            second.nft(&["-f", "-"], &text).with_context(|| text.clone())?;
            let (ours, theirs) = (listed(&first, family)?, listed(&second, family)?);
            ensure!(sorted(&ours) == sorted(&theirs), "by netlink it is\n{ours}\nby text\n{theirs}");
            // And what nft loaded is, to us, what we would have written.
            let mut kernel = second.enter(|| Kernel::open(false))??;
            let observed = kernel.observe(family)?.context("there is no table")?;
            ensure!(observed.table == table && observed.foreign.is_empty(), "nft made {observed:#?}");
        }
    }
    Ok(())
}

/// A writer changes a set that is read first and one that is read last, together; between them stands enough for a read
/// to take a good part of the time between two changes.
fn of_one_moment() -> Result<()> {
    const READS: usize = 2000;
    const SEEN: usize = 20;
    let family = IpFamily::IPv4;
    let mut table = table(&nodes()[0], family);
    let ports = (0..1000u16).map(|port| Key::point(&frontend(address(family, 5), Protocol::Tcp, port)));
    table.sets.entry(SetId::NoEndpoints).or_default().extend(ports.map(|key| (key, Value::default())));
    let (namespace, mut writer) = written(&table)?;
    let mut reader = namespace.enter(|| Kernel::open(false))??;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut swaps = 0u32;
            while !done.load(Ordering::Relaxed) {
                swaps += 1;
                writer.commit(family, &swap(swaps))?;
                thread::sleep(Duration::from_millis(40));
            }
            Ok::<_, anyhow::Error>(swaps)
        });
        let mut revisions = BTreeSet::new();
        let mut read = || {
            let observed = reader.observe(family)?.context("there is no table")?;
            let comment = |set, key: &Key| observed.table.sets.get(&set)?.get(key)?.comment.clone();
            let first = comment(SetId::ClusterIps, &swapped());
            let last = comment(SetId::Revision, &revision_key());
            // Before the first swap only the revision is there.
            ensure!(first.is_none() || first == last, "it was read as a mixture: {first:?} and {last:?}");
            revisions.extend(last);
            Ok(revisions.len())
        };
        let outcome = (0..READS).map(|_| read()).find(|seen| !matches!(seen, Ok(seen) if *seen < SEEN));
        done.store(true, Ordering::Relaxed);
        let swaps = writing.join().map_err(|_| anyhow!("the writer panicked"))??;
        outcome.with_context(|| format!("too few of {swaps} changes were seen"))?.map(drop)
    })
}

fn undisturbed() -> Result<()> {
    let namespace = Namespace::create()?;
    let [ours, others] = FAMILIES.map(|family| table(&nodes()[0], family));
    let mut reader = namespace.enter(|| Kernel::open(true))??;
    reader.commit(ours.family, &creation(&ours))?;
    let mut writer = namespace.enter(|| Kernel::open(false))??;
    writer.commit(others.family, &creation(&others))?;
    let generation = reader.generation()?;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut revision = Transaction::default();
            revision.set(SetId::Revision, revision_key(), Value::default(), true);
            while !done.load(Ordering::Relaxed) {
                writer.commit(others.family, &revision)?;
            }
            Ok::<_, anyhow::Error>(())
        });
        let wrong = (0..50).map(|_| reader.observe(ours.family)).find(|observed| {
            let fits = |observed: &Observed| observed.table == ours && observed.foreign.is_empty();
            !matches!(observed, Ok(Some(observed)) if fits(observed))
        });
        done.store(true, Ordering::Relaxed);
        writing.join().map_err(|_| anyhow!("the writer panicked"))??;
        ensure!(wrong.is_none(), "it was read as {wrong:#?}");
        let commits = reader.generation()? - generation;
        ensure!(commits > 100, "only {commits} commits disturbed it");
        Ok(())
    })
}

fn swapped() -> Key {
    Key::point(&[10, 0, 0, 1])
}

fn swap(number: u32) -> Transaction {
    let mut change = Transaction::default();
    let comment = || Value { data: None, comment: Some(number.to_string().into()) };
    change.set(SetId::ClusterIps, swapped(), comment(), number > 1);
    change.set(SetId::Revision, revision_key(), comment(), true);
    change
}
