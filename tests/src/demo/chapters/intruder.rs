//! Somebody with root on a node flushes the ruleset. Nothing happens.

use anyhow::Result;

use crate::demo::crowd::Crowd;
use crate::demo::ruleset;
use crate::demo::stage::Stage;
use crate::demo::story::Story;

/// What an intruder tries, in the order of how bad it would be.
const ATTEMPTS: [&str; 4] = [
    "flush ruleset",
    "delete table ip pointsman",
    "flush map ip pointsman services",
    "add rule ip pointsman lb-1 drop",
];

/// Attacks node-1's rules while clients use them.
pub fn tell(story: &mut Story, stage: &mut Stage, crowd: &Crowd) -> Result<()> {
    story.chapter("nft flush ruleset")?;
    story.say("The table belongs to the agent's netlink socket (flags owner and persist, Linux 6.9). On node-1, as root, with");
    story.say("the same clients at work:");
    let node = &stage.nodes()[0].netns;
    // A bystander, so that it can be seen that the flush did flush.
    ruleset::nft(node, "add table ip bystander")?.success()?;
    let before = ruleset::contents(node)?;
    crowd.take();
    for attempt in ATTEMPTS {
        let outcome = ruleset::nft(node, attempt)?;
        let printed = if outcome.status.success() {
            "(no error)"
        } else {
            outcome.stderr.lines().next().unwrap_or_default()
        };
        story.show_at("node-1", &format!("nft {attempt}"), printed);
    }
    let after = ruleset::contents(node)?;
    let tables = ruleset::nft(node, "list tables")?.success()?;
    story.show_at("node-1", "nft list tables", &tables);
    story.claim(!tables.contains("bystander"), "the flush took another table away", || tables.clone())?;
    story.claim(
        before == after,
        &format!("of our {} rules and elements it took none, and changed none", before.len()),
        || before.symmetric_difference(&after).cloned().collect::<Vec<_>>().join("; "),
    )?;
    std::thread::sleep(std::time::Duration::from_millis(500));
    let tally = crowd.take();
    story.claim(
        tally.failed == 0 && tally.answered > 0,
        &format!("{} connections meanwhile, none failed", tally.answered),
        || tally.complaints(),
    )
}
