//! The stages of a course, and what several of them do: something under continuous connections. Each claims what it has seen from outside.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use crate::account::Account;
use crate::clients::{Clients, Count, Through, Way};

pub mod cut;
pub mod deployment;
pub mod farewell;
pub mod handover;
pub mod install;
pub mod leader;
pub mod names;
pub mod reboot;
pub mod upgrade;

/// The name of the release.
pub const RELEASE: &str = "pointsman";

/// So long clients are at work before and after what is done, so that its beginning and its end are seen.
const MARGIN: Duration = Duration::from_secs(2);

/// What clients have seen, by the kind of address that they asked.
pub type Counts = BTreeMap<Through, Count>;

/// Does something while a client asks down each way, and says what they have seen.
pub fn under_connections(
    account: &mut Account,
    ways: &[Way],
    act: &str,
    work: impl FnOnce(&mut Account) -> Result<()>,
) -> Result<Counts> {
    let clients = Clients::start(ways)?;
    sleep(MARGIN);
    work(account)?;
    sleep(MARGIN);
    let took = clients.age().as_secs_f64();
    let counts = clients.stop()?;
    for (through, count) in &counts {
        account.say(&format!("{act}, {took:.0} s, through {through}: {count}"));
        for failure in &count.failures {
            account.say(&format!("  failed: {failure}"));
        }
    }
    Ok(counts)
}

/// Claims that no connection failed, and that there were some.
pub fn none_failed(account: &mut Account, act: &str, counts: &Counts) -> Result<()> {
    let (tried, failed) =
        counts.values().fold((0, 0), |(tried, failed), count| (tried + count.tried, failed + count.failed));
    let claim = format!("{act}: none of {tried} connections failed");
    account.claim(tried > 0 && failed == 0, &claim, || format!("{failed} failed"))
}
