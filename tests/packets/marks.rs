//! The packet mark is shared with others: our bit is there between translation and masquerading, gone afterwards, and everybody else's bits
//! are as they set them.

use std::time::Duration;

use anyhow::{Result, ensure};
use pointsman_crds::Protocol::Udp;
use pointsman_tests::netns::Netns;
use pointsman_tests::traffic::Reply;

use crate::client::ask;
use crate::observe::counters;
use crate::settings::Setting;
use crate::stage::Stage;
use crate::world::Place;

/// Somebody else's bits; bit 14 among them while ours is another.
const THEIRS: u32 = 0x4_0001;

/// Under the default bit, and under another.
pub fn only_our_bit(stage: &Stage) -> Result<()> {
    for (setting, ours, theirs) in
        [(Setting::Usual, 0x4000, THEIRS), (Setting::OtherBit, 0x80, THEIRS | 0x4000)]
    {
        stage.with(setting, |world| {
            let node = world.netns(Place::Node1);
            node.run(&["nft", &witness(ours, theirs)])?;
            let reply =
                ask(world.netns(Place::Outside), Udp, "10.96.0.10:53".parse()?, Duration::from_secs(2));
            let counted = counts(node);
            node.run(&["nft", "delete", "table", "inet", "marks"])?;
            let (reply, counted) = (reply?, counted?);
            ensure!(matches!(reply, Reply::Answered(_)), "{setting:?}: {reply:?}");
            ensure!(counted == [1, 1, 0], "{setting:?}: marked, cleared, with any other mark: {counted:?}");
            Ok(())
        })?;
    }
    Ok(())
}

fn counts(node: &Netns) -> Result<Vec<u64>> {
    counters(node, &["inet", "marks"])
}

/// Marks a question as somebody else would, and looks at its mark just before we masquerade and just after.
fn witness(ours: u32, theirs: u32) -> String {
    let both = ours | theirs;
    format!(
        "table inet marks {{
            chain theirs {{ type filter hook prerouting priority -150; udp dport 53 meta mark set meta mark | {theirs:#x}; }}
            chain before {{ type filter hook postrouting priority 90; meta mark {both:#x} counter; }}
            chain after {{ type filter hook postrouting priority 110; meta mark {theirs:#x} counter; meta mark != {{ 0, {theirs:#x} }} counter; }}
        }}"
    )
}
