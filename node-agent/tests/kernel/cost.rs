//! What a load, a change and a read-back cost. The figures are printed; asserted is only what a slow machine keeps too.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pointsman_crds::{IpFamily, Protocol};
use pointsman_dataplane::nftables::schema::{ChainId, SetId};
use pointsman_dataplane::nftables::table::{Data, Key, Table, Value};
use pointsman_dataplane::nftables::transaction::Transaction;
use pointsman_node_agent::nftables::{Kernel, Nftables};

use crate::Case;
use crate::fixture::{address, creation, endpoint, frontend, key, nodes, rules, table, value};
use crate::namespace::Namespace;

pub const CASES: &[Case] =
    &[("10,000 services load at once, change alone and read back whole", ten_thousand)];

const FAMILY: IpFamily = IpFamily::IPv4;
const SERVICES: u32 = 10_000;
const CHANGES: u32 = 200;

fn ten_thousand() -> Result<()> {
    for endpoints in [2, 5] {
        let table = large(endpoints);
        let namespace = Namespace::create()?;
        let start = Instant::now();
        let mut kernel = namespace.enter(|| Kernel::open(true))??;
        let opened = start.elapsed();
        let start = Instant::now();
        let committed = kernel.commit(FAMILY, &creation(&table))?;
        let whole = start.elapsed();
        let start = Instant::now();
        let observed = kernel.observe(FAMILY)?.context("there is no table")?;
        let read = start.elapsed();
        ensure!(
            observed.table == table && observed.foreign.is_empty(),
            "it was not read back as it was written"
        );
        let slot = median(&mut kernel, slot_change)?;
        let verdict = median(&mut kernel, |number| verdict_change(number, endpoints))?;
        println!(
            "{SERVICES} x {endpoints}: open and probe {opened:.1?}, load {whole:.1?} (kernel {:.1?}, {} KiB), read back {read:.1?}, \
             change of a slot {slot:.1?}, of a verdict {verdict:.1?}",
            committed.duration,
            committed.bytes / 1024,
        );
        ensure!(whole < Duration::from_secs(5) && read < Duration::from_secs(5), "that is not linear");
    }
    Ok(())
}

fn frontend_of(number: u32) -> Key {
    Key::point(&frontend(address(FAMILY, number), Protocol::Tcp, 80))
}

fn slot_of(number: u32, slot: u32) -> Key {
    key(&[&frontend_of(number).bytes, &slot.to_ne_bytes()])
}

fn large(endpoints: u32) -> Table {
    let mut large = table(&nodes()[0], FAMILY);
    let chooser = ChainId::Lb(u16::try_from(endpoints).unwrap_or(1));
    for chain in [chooser, ChainId::Lb(1)] {
        large.chains.insert(chain, rules(&nodes()[0], chain, FAMILY));
    }
    for number in 0x2000..0x2000 + SERVICES {
        let name = format!("namespace-{}/service-{number}:http", number % 100);
        let services = large.sets.entry(SetId::Services).or_default();
        services.insert(frontend_of(number), value(Some(Data::Goto(chooser)), &name));
        for slot in 0..endpoints {
            let pod = value(Some(pod(number, slot)), &name);
            large.sets.entry(SetId::Endpoints).or_default().insert(slot_of(number, slot), pod);
        }
    }
    large
}

fn pod(number: u32, slot: u32) -> Data {
    endpoint(address(FAMILY, 0x8_0000 + number * 8 + slot), 8080)
}

/// Replaces slot 0 by another endpoint.
fn slot_change(number: u32) -> Transaction {
    let mut change = Transaction::default();
    let other = Value { data: Some(pod(number, 7)), comment: None };
    change.set(SetId::Endpoints, slot_of(number, 0), other, true);
    change
}

/// Shrinks a service to one endpoint.
fn verdict_change(number: u32, endpoints: u32) -> Transaction {
    let mut change = Transaction::default();
    let one = Value { data: Some(Data::Goto(ChainId::Lb(1))), comment: None };
    change.set(SetId::Services, frontend_of(number), one, true);
    let stale = (1..endpoints).map(|slot| slot_of(number, slot)).collect();
    Transaction {
        delete: BTreeMap::from([(SetId::Endpoints, stale)]).into_iter().chain(change.delete).collect(),
        ..change
    }
}

fn median(kernel: &mut Kernel, change: impl Fn(u32) -> Transaction) -> Result<Duration> {
    let mut durations = Vec::new();
    for number in 0..CHANGES {
        durations.push(kernel.commit(FAMILY, &change(0x2000 + number))?.duration);
    }
    durations.sort_unstable();
    durations.get(durations.len() / 2).copied().context("nothing was measured")
}
