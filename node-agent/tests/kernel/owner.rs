//! Whose the table is: nobody else changes it while its owner lives, and it outlives its owner.

use anyhow::{Context, Result, ensure};
use pointsman_crds::IpFamily;
use pointsman_dataplane::nftables::transaction::Transaction;
use pointsman_node_agent::nftables::{Error, Kernel, Nftables, Ownership};

use crate::Case;
use crate::fixture::{creation, nodes, table};
use crate::namespace::Namespace;
use crate::round_trip::listed;

pub const CASES: &[Case] = &[
    ("an owned table is untouched by others, outlives its owner and is adopted", life),
    ("a table without an owner costs nothing to find and is anybody's", shared),
    ("a shared table cannot be taken, and is made anew to be owned", taken_over),
    ("what is deleted is gone, an orphan too, and others' tables stay", deleted),
];

const FAMILY: IpFamily = IpFamily::IPv4;

fn life() -> Result<()> {
    let namespace = Namespace::create()?;
    let ours = table(&nodes()[0], FAMILY);
    let mut kernel = namespace.enter(|| Kernel::open(true))??;
    ensure!(kernel.features().owner, "this kernel has no owners: the trial needs 6.9");
    ensure!(
        kernel.own(FAMILY)? == Ownership::Absent && kernel.generation()? == 1,
        "there is something at first"
    );
    kernel.commit(FAMILY, &creation(&ours))?;
    ensure!(kernel.own(FAMILY)? == Ownership::Ours, "what we made is not ours");
    let text = listed(&namespace, FAMILY)?;

    let generation = kernel.generation()?;
    let flushed = namespace.nft_outcome(&["flush", "ruleset"], "")?;
    ensure!(flushed.success, "a flush of the ruleset fails: {}", flushed.stderr);
    for command in [
        "add element ip pointsman no-endpoints { 10.9.9.9 . tcp . 9 }",
        "add rule ip pointsman lb-1 drop",
        "add chain ip pointsman own",
        "flush chain ip pointsman lb-1",
        "delete table ip pointsman",
    ] {
        let outcome = namespace.nft_outcome(&[command], "")?;
        ensure!(!outcome.success && outcome.stderr.contains("not permitted"), "{command}: {outcome:?}");
    }
    ensure!(listed(&namespace, FAMILY)? == text, "it was changed");
    let by_flush = kernel.generation()? - generation;
    ensure!(by_flush <= 1, "refused commands cost {by_flush} generations");

    let mut second = namespace.enter(|| Kernel::open(true))??;
    for error in
        [second.own(FAMILY).err(), second.commit(FAMILY, &creation(&ours)).err(), second.delete(FAMILY).err()]
    {
        let port = Some(kernel.port());
        let owned = matches!(&error, Some(Error::OwnedByAnother { port: owner, .. }) if *owner == port);
        ensure!(owned, "a second owner is told {error:?}");
    }

    let before_death = kernel.generation()?;
    drop(kernel);
    ensure!(second.generation()? == before_death, "the owner's death cost a generation");
    ensure!(second.tables()?.first().is_some_and(|head| head.owner.is_none()), "the dead own it");
    ensure!(second.own(FAMILY)? == Ownership::Ours, "an orphan was not taken");
    let cost = second.generation()? - before_death;
    ensure!(cost == 1, "adoption cost {cost} generations");
    ensure!(
        second.own(FAMILY)? == Ownership::Ours && second.generation()? - before_death == 1,
        "twice costs twice"
    );
    let observed = second.observe(FAMILY)?.context("it is gone")?;
    ensure!(observed.table == ours && observed.foreign.is_empty(), "it was adopted as {observed:#?}");
    Ok(())
}

fn shared() -> Result<()> {
    let namespace = Namespace::create()?;
    let ours = table(&nodes()[0], FAMILY);
    let mut first = namespace.enter(|| Kernel::open(false))??;
    first.commit(FAMILY, &creation(&ours))?;
    let generation = first.generation()?;
    drop(first);
    let mut kernel = namespace.enter(|| Kernel::open(false))??;
    ensure!(kernel.own(FAMILY)? == Ownership::Shared, "a shared table is said to be another's");
    let observed = kernel.observe(FAMILY)?.context("it is gone")?;
    ensure!(observed.table == ours && observed.foreign.is_empty(), "it is read as {observed:#?}");
    kernel.commit(FAMILY, &Transaction::default())?;
    ensure!(kernel.generation()? == generation, "looking cost a generation");
    namespace.nft(&["flush", "chain", "ip", "pointsman", "lb-1"], "")?;
    ensure!(kernel.observe(FAMILY)?.context("it is gone")?.table != ours, "a flush was not noticed");
    Ok(())
}

fn taken_over() -> Result<()> {
    let namespace = Namespace::create()?;
    let ours = table(&nodes()[0], FAMILY);
    namespace.enter(|| Kernel::open(false))??.commit(FAMILY, &creation(&ours))?;
    let mut kernel = namespace.enter(|| Kernel::open(true))??;
    ensure!(kernel.own(FAMILY)? == Ownership::MustBeMadeAnew, "a shared table was taken as it is");
    let observed = kernel.observe(FAMILY)?.context("it is gone")?;
    ensure!(observed.foreign == ["table flags"], "foreign: {:?}", observed.foreign);
    kernel.commit(FAMILY, &creation(&ours))?;
    ensure!(kernel.own(FAMILY)? == Ownership::Ours, "made anew, it is not ours");
    let observed = kernel.observe(FAMILY)?.context("it is gone")?;
    ensure!(observed.table == ours && observed.foreign.is_empty(), "made anew, it is {observed:#?}");
    // And back: an orphan is as good as a shared table.
    drop(kernel);
    let mut back = namespace.enter(|| Kernel::open(false))??;
    ensure!(back.own(FAMILY)? == Ownership::Shared, "an orphan is not shared");
    ensure!(back.observe(FAMILY)?.context("it is gone")?.foreign.is_empty(), "an orphan is foreign");
    back.commit(FAMILY, &creation(&ours))?;
    Ok(())
}

fn deleted() -> Result<()> {
    let namespace = Namespace::create()?;
    let ours = table(&nodes()[0], FAMILY);
    namespace.nft(&["add", "table", "ip", "others"], "")?;
    let mut kernel = namespace.enter(|| Kernel::open(true))??;
    ensure!(!kernel.delete(FAMILY)?, "what was not there was deleted");
    kernel.commit(FAMILY, &creation(&ours))?;
    drop(kernel);
    let mut cleaner = namespace.enter(|| Kernel::open(false))??;
    ensure!(cleaner.delete(FAMILY)?, "an orphan was not deleted");
    let left: Vec<String> = cleaner.tables()?.into_iter().map(|head| head.name).collect();
    ensure!(left == ["others"], "left are {left:?}");
    ensure!(cleaner.observe(FAMILY)?.is_none(), "it is still read");
    Ok(())
}
