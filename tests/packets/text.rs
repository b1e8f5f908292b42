//! What people see and keep: `render`, `nft list` and `cleanup`. One text, three ways to it.

use anyhow::{Context, Result, ensure};
use pointsman_crds::{DetectLocal, DetectLocalMode, Masquerade, ProxySettings};
use pointsman_tests::command::{run, run_with_input};
use pointsman_tests::netns::Netns;
use pointsman_tests::topology::CLUSTER_CIDRS;

use crate::agent::once;
use crate::listing::{difference, sorted, without_flags};
use crate::observe::list;
use crate::plan::{FAMILIES, net};
use crate::solo::{NODE, Solo, is_ready};

/// What `render` prints lists, once loaded by nft, as what the agent writes; and what `nft list` prints loads again as the same.
pub fn round_trip() -> Result<()> {
    let by_interface = |mode| DetectLocal { mode, cluster_cidrs: vec![], interface: Some("veth".to_owned()) };
    let cluster_cidrs = CLUSTER_CIDRS.iter().map(|range| net(range)).collect();
    let kinds = [
        DetectLocal { mode: DetectLocalMode::ClusterCIDR, cluster_cidrs, interface: None },
        by_interface(DetectLocalMode::BridgeInterface),
        by_interface(DetectLocalMode::InterfaceNamePrefix),
    ];
    for (bit, detect_local) in [14, 0, 31].into_iter().zip(kinds) {
        let settings = ProxySettings {
            masquerade: Some(Masquerade { bit: Some(bit), all: None }),
            detect_local: Some(detect_local),
            ..ProxySettings::default()
        };
        round_trip_of(&format!("text-{bit}"), settings)?;
    }
    Ok(())
}

fn round_trip_of(label: &str, settings: ProxySettings) -> Result<()> {
    let mut solo = Solo::create(label, settings)?;
    let folder = solo.plan_file();
    let folder = folder.parent().map(|folder| folder.display().to_string()).unwrap_or_default();
    let rendered =
        run(&mut once(&solo.netns, &["render", "--node-name", NODE, "--plan-dir", &folder])?)?.success()?;
    ensure!(!solo.eye.has_table()?, "render wrote to the kernel");
    solo.start(&[])?;
    solo.wait_for_status("the agent to be ready", is_ready)?;
    let written = solo.listing()?;
    let loaded = load(&format!("{label}-rendered"), &rendered).context("what render printed")?;
    let (left, right) = (sorted(&written), sorted(&loaded));
    ensure!(left == right, "render and the agent differ:\n{}", difference(&left, &right));
    let reloaded = load(&format!("{label}-listed"), &without_flags(&written)).context("what nft listed")?;
    let right = sorted(&reloaded);
    ensure!(left == right, "the listing loads as another table:\n{}", difference(&left, &right));
    solo.stop()
}

/// Loads text by nft into an empty namespace, and lists both tables there.
fn load(label: &str, text: &str) -> Result<String> {
    let netns = Netns::create(0, label)?;
    run_with_input(netns.command("nft").args(["-f", "-"]), text)?.success()?;
    let each = FAMILIES.map(|family| list(&netns, family));
    each.into_iter().collect()
}

/// While an agent owns the tables `cleanup` is refused; afterwards it leaves nothing of ours, and everything else as it was.
pub fn cleanup() -> Result<()> {
    let mut solo = Solo::create("cleanup", ProxySettings::default())?;
    solo.start(&[])?;
    solo.wait_for_status("the agent to be ready", is_ready)?;
    let (listing, neighbour) = (solo.listing()?, solo.neighbour()?);
    let refused = run(&mut once(&solo.netns, &["cleanup"])?)?;
    ensure!(!refused.status.success(), "tables of a living agent were removed");
    ensure!(refused.stderr.contains("owned by another process"), "{}", refused.stderr);
    solo.ensure_untouched(&listing, &neighbour)?;
    solo.stop()?;
    let done = run(&mut once(&solo.netns, &["cleanup"])?)?.success()?;
    ensure!(done.matches("removed").count() == 2, "{done}");
    ensure!(!solo.eye.has_table()?, "a table is left");
    ensure!(solo.netns.run(&["nft", "list", "ruleset"])? == neighbour, "something else changed");
    let again = run(&mut once(&solo.netns, &["cleanup"])?)?.success()?;
    ensure!(again.matches("was not there").count() == 2, "{again}");
    ensure!(solo.netns.run(&["nft", "list", "ruleset"])? == neighbour, "something else changed");
    Ok(())
}
