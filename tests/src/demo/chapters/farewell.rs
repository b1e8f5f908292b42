//! The end: how to look around in what is left up, or that nothing is left.

use anyhow::Result;

use crate::demo::remains::Remains;
use crate::demo::stage::Stage;
use crate::demo::story::Story;
use crate::tools::Tool;

/// Says how to look around, and waits until somebody has seen enough.
pub fn stay(story: &mut Story, stage: &Stage) -> Result<()> {
    story.chapter("Look around")?;
    let control_plane = stage.control_plane();
    let name = stage.place_of_control_plane().name();
    story.say("As root, in another terminal:");
    let enter = format!("ip netns exec {name}");
    story.say(&format!("  export KUBECONFIG={}", control_plane.admin().display()));
    story.say(&format!(
        "  {enter} {} get nodeproxyplans,serviceproxyplans,pods -A",
        Tool::Kubectl.path()?.display()
    ));
    for node in stage.nodes() {
        story.say(&format!(
            "  ip netns exec {} nft list table ip pointsman     # {}",
            node.netns.name(),
            node.name
        ));
    }
    let client = stage.pod("client")?.name();
    story.say(&format!("  ip netns exec {client} curl http://10.96.0.80/     # from a pod"));
    story.say(&format!(
        "  ip netns exec {} curl http://10.200.0.11:30080/     # from outside",
        stage.outside().name()
    ));
    story.say(&format!("Logs: {}/*.log", control_plane.folder().display()));
    story.say(&format!("Ctrl-C here, or kill {}, takes it all down.", std::process::id()));
    story.wait_for_interrupt();
    Ok(())
}

/// Claims that nothing is left.
pub fn tell(story: &mut Story, remains: &Remains) -> Result<()> {
    println!();
    let found = remains.found()?;
    story
        .last_claim(found.is_empty(), "no process, no namespace and no file is left", || found.join(", "))?;
    story.end();
    Ok(())
}
