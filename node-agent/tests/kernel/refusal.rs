//! What the kernel refuses is refused whole, and told by name.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use pointsman_crds::{IpFamily, Protocol};
use pointsman_dataplane::nftables::schema::{ChainId, SetId};
use pointsman_dataplane::nftables::table::{Data, Key, Value};
use pointsman_dataplane::nftables::transaction::Transaction;
use pointsman_node_agent::nftables::{Error, Fake, Kernel, Nftables, Watch};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use crate::Case;
use crate::fixture::{FAMILIES, address, creation, frontend, nodes, table, value};
use crate::namespace::Namespace;
use crate::round_trip::written;

pub const CASES: &[Case] = &[
    ("the tables in memory refuse what the kernel refuses, and hold what it holds", fake_agrees),
    ("without the privilege nothing is done, and that is said", unprivileged),
    ("a refused transaction leaves the table as it was and names what was refused", named),
    ("what foreign hands did is read and named", foreign),
];

fn named() -> Result<()> {
    for family in FAMILIES {
        let (_namespace, mut kernel) = written(&table(&nodes()[0], family))?;
        let before = (kernel.observe(family)?, kernel.generation()?);
        for (transaction, expected) in refused(family) {
            let error = kernel.commit(family, &transaction).err().context("it was not refused")?.to_string();
            ensure!(error.contains(expected), "{error:?} does not say {expected:?}");
            ensure!(
                (kernel.observe(family)?, kernel.generation()?) == before,
                "after {error} something changed"
            );
        }
    }
    Ok(())
}

fn fake_agrees() -> Result<()> {
    for family in FAMILIES {
        let mut fake = Fake::default();
        let full = table(&nodes()[0], family);
        fake.commit(family, &creation(&full))?;
        ensure!(
            fake.observe(family)?.is_some_and(|observed| observed.table == full),
            "it holds something else"
        );
        for (transaction, expected) in refused(family) {
            ensure!(fake.commit(family, &transaction).is_err(), "it does what should {expected:?}");
            ensure!(
                fake.observe(family)?.is_some_and(|observed| observed.table == full),
                "half of it was done"
            );
        }
        ensure!(fake.generation()? == 1, "refusals cost generations");
    }
    Ok(())
}

fn unprivileged() -> Result<()> {
    let namespace = Namespace::create()?;
    let opened = namespace.enter(|| {
        // Of this thread only, which ends with this closure.
        let mut sets = capabilities(None)?;
        sets.effective.remove(CapabilitySet::NET_ADMIN);
        set_capabilities(None, sets)?;
        Ok::<_, anyhow::Error>((Kernel::open(true).map(drop), Watch::open(1).map(drop)))
    })??;
    ensure!(matches!(opened, (Err(Error::Privilege), Err(Error::Privilege))), "it is {opened:?}");
    Ok(())
}

/// Transactions that begin well and go wrong, and what must be said of them.
fn refused(family: IpFamily) -> Vec<(Transaction, &'static str)> {
    let new = Key::point(&frontend(address(family, 77), Protocol::Tcp, 8080));
    let there = Key::point(&frontend(address(family, 1), Protocol::Tcp, 443));
    let good = || Transaction {
        new_chains: BTreeSet::from([ChainId::Lb(9)]),
        add: BTreeMap::from([(SetId::NoEndpoints, BTreeMap::from([(new.clone(), Value::default())]))]),
        ..Transaction::default()
    };
    let goto = |chain| value(Some(Data::Goto(chain)), "x");
    let with = |key: &Key, value: Value| {
        let mut transaction = good();
        transaction.set(SetId::Services, key.clone(), value, false);
        transaction
    };
    let mut deleting = good();
    deleting.unset(SetId::Services, new.clone());
    let in_use = Transaction { old_chains: BTreeSet::from([ChainId::Lb(1)]), ..good() };
    let absent = Transaction { old_chains: BTreeSet::from([ChainId::Lb(8)]), ..good() };
    let unknown = Transaction { rules: BTreeMap::from([(ChainId::Lb(8), Vec::new())]), ..good() };
    let of_new = match family {
        IpFamily::IPv4 => "element 10.96.0.77 . 6 . 8080",
        IpFamily::IPv6 => "element fd00:96::4d . 6 . 8080",
    };
    vec![
        (with(&new, goto(ChainId::Lb(8))), of_new),
        (with(&there, goto(ChainId::Lb(3))), "to services in table ip"),
        (with(&new, value(Some(Data::Foreign), "x")), of_new),
        (deleting, of_new),
        (in_use, "delete chain lb-1 in table ip"),
        (absent, "delete chain lb-8 in table ip"),
        (unknown, "flush chain lb-8 in table ip"),
    ]
}

fn foreign() -> Result<()> {
    let family = IpFamily::IPv4;
    let written_table = table(&nodes()[0], family);
    let (namespace, mut kernel) = written(&written_table)?;
    for command in [
        "add rule ip pointsman lb-1 counter accept",
        "add rule ip pointsman lb-3 meta l4proto { tcp, udp } drop",
        "add element ip pointsman no-endpoints { 10.9.9.9 . tcp . 9 comment \"by hand\" }",
        "add element ip pointsman services { 10.9.9.9 . tcp . 9 : drop }",
        "add set ip pointsman mine { type ipv4_addr; }",
        "add chain ip pointsman own",
        "add chain ip pointsman lb-7 { type filter hook input priority 5; }",
        "add counter ip pointsman tally",
    ] {
        namespace.nft(&[command], "")?;
    }
    let observed = kernel.observe(family)?.context("there is no table")?;
    let mut expected = written_table;
    for chain in [ChainId::Lb(1), ChainId::Lb(3)] {
        expected.chains.entry(chain).or_default().push(Vec::new());
    }
    let key = Key::point(&frontend("10.9.9.9".parse()?, Protocol::Tcp, 9));
    expected.sets.entry(SetId::NoEndpoints).or_default().insert(key.clone(), value(None, "by hand"));
    let dropping = Value { data: Some(Data::Foreign), comment: None };
    expected.sets.entry(SetId::Services).or_default().insert(key, dropping);
    ensure!(observed.table == expected, "it was read as {:#?}", observed.table);
    let named = ["set mine", "chain own", "chain lb-7", "1 other objects"];
    ensure!(observed.foreign == named, "foreign: {:?}", observed.foreign);
    Ok(())
}
