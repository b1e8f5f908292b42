//! Removes what the agent leaves behind on purpose: the tables, which outlive it, and the checkpoint.

use std::path::Path;

use pointsman_crds::IpFamily;
use pointsman_dataplane::nftables::schema::TABLE;
use pointsman_dataplane::nftables::statement::family_name;

use crate::feed::checkpoint::{self, Checkpoint};
use crate::nftables::{self, Nftables};

/// Why something could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A table.
    #[error(transparent)]
    Tables(#[from] nftables::Error),
    /// The checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
}

/// Removes the tables and, if a state directory is named, the checkpoint in it. Gives a line for everything that was looked for.
///
/// # Errors
/// Says what could not be removed; what was removed before stays so.
pub fn cleanup(kernel: &mut impl Nftables, state_dir: Option<&Path>) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    let told = |removed: bool| if removed { "removed" } else { "was not there" };
    for family in [IpFamily::IPv4, IpFamily::IPv6] {
        let removed = kernel.delete(family)?;
        lines.push(format!("table {} {TABLE}: {}", family_name(family), told(removed)));
    }
    if let Some(directory) = state_dir.filter(|directory| directory.is_dir()) {
        let mut checkpoint = Checkpoint::new(directory)?;
        let removed = checkpoint.delete()?;
        lines.push(format!("checkpoint {}: {}", checkpoint.path().display(), told(removed)));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use pointsman_dataplane::nftables::transaction::Transaction;

    use super::*;
    use crate::nftables::Fake;

    #[test]
    fn everything_is_removed_and_told_of_and_a_second_time_nothing_is_there() {
        let mut kernel = Fake::default();
        let made = Transaction { recreate: true, ..Transaction::default() };
        kernel.commit(IpFamily::IPv4, &made).unwrap();
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join("plan.checkpoint"), "x").unwrap();
        std::fs::write(state.path().join("somebody-elses"), "x").unwrap();
        let lines = cleanup(&mut kernel, Some(state.path())).unwrap();
        let ends = |lines: &[String]| lines.iter().map(|line| line.ends_with("removed")).collect::<Vec<_>>();
        assert_eq!(ends(&lines), [true, false, true]);
        assert_eq!(kernel.observe(IpFamily::IPv4).unwrap(), None);
        assert_eq!(ends(&cleanup(&mut kernel, Some(state.path())).unwrap()), [false, false, false]);
        assert!(state.path().join("somebody-elses").exists());
    }
}
