//! Pointsman and the pinned kube-proxy, side by side: the same API server, the same objects, a node for each, one after the other. It
//! measures, prints, and writes `docs/benchmarks.md`; it judges by the targets that stand there.

mod added;
mod change;
mod cold;
mod dial;
mod figures;
mod first_packet;
mod ground;
mod machine;
mod notices;
mod objects;
mod page;
mod restart;
mod run;
mod subject;
mod tables;
mod targets;

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::privilege::is_root;
use crate::tools::repository;
use machine::Machine;

/// Frontends at which single changes are timed.
const CHANGED_AT: [u32; 2] = [10_000, 50_000];

/// Measures at each number of Services, prints the figures, and writes the page if `write` says so.
pub fn measure(services: &[u32], write: bool) -> Result<()> {
    ensure!(is_root(), "the bench makes network namespaces: run it as root");
    ensure!(!services.is_empty(), "no number of Services to measure at");
    for count in services {
        ensure!(
            (1_000..=objects::MOST - run::ADDED * 2).contains(count),
            "{count} Services: 1000 to 15000 can be measured"
        );
    }
    let machine = Machine::look()?;
    let changes = CHANGED_AT.into_iter().map(change::measure).collect::<Result<Vec<_>>>()?;
    let sizes = services.iter().map(|count| run::measure(*count)).collect::<Result<Vec<_>>>()?;
    let text = page::write(&machine, machine::load()?, &sizes, &changes);
    println!("\n{text}");
    if write {
        let path = repository().join("docs/benchmarks.md");
        save(&path, &text)?;
        println!("written to {}", path.display());
    }
    Ok(())
}

fn save(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
