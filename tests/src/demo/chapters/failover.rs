//! The leading controller is killed: the standby takes over, rewrites nothing, and goes on working.

use std::time::Instant;

use anyhow::Result;

use super::cluster::wait_for_leader;
use super::services::web;
use crate::audit::{Mark, Record};
use crate::demo::crowd::Crowd;
use crate::demo::stage::Stage;
use crate::demo::story::Story;

/// Kills the leader, waits for the other one, and lets it scale.
pub fn tell(story: &mut Story, stage: &mut Stage, crowd: &Crowd) -> Result<()> {
    story.chapter("The leader is killed")?;
    let audit = stage.control_plane().audit();
    let mark = audit.mark()?;
    crowd.take();
    stage.kill_controller(1)?;
    let started = Instant::now();
    story.say("kill -9: it cannot give its Lease back, so the standby has to wait until that runs out.");
    wait_for_leader(stage, 2)?;
    let lease = "get lease -n pointsman-system";
    story.show(&format!("kubectl {lease}"), &stage.kubectl(lease)?);
    story.say(&format!("controller-2 leads after {:.1} s.", started.elapsed().as_secs_f64()));
    // Whatever a new leader would rewrite without need, it would do now.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let rewritten = plans_and_slices(stage, mark)?;
    story.claim(
        rewritten.is_empty(),
        "the API server's audit log: no slice and no plan was written",
        || format!("{rewritten:?}"),
    )?;
    let mark = audit.mark()?;
    stage.start_pod(0, web(6))?;
    stage.wait("web-6 to answer", |_| Ok(crowd.has_met(&["web-6"])))?;
    let written = plans_and_slices(stage, mark)?;
    for record in &written {
        story.say(&format!(
            "  {} {} {}/{}: {}",
            record.verb, record.resource, record.namespace, record.name, record.code
        ));
    }
    story.claim(
        !written.is_empty()
            && written.iter().all(|record| record.name.starts_with("web") && record.code < 300),
        &format!(
            "a third pod for web, and the new leader writes its slices and its plan: {} writes, no more",
            written.len()
        ),
        || format!("{written:?}"),
    )?;
    std::thread::sleep(std::time::Duration::from_millis(500));
    let tally = crowd.take();
    story.say(&format!("Answers meanwhile: {}", tally.shares()));
    story.claim(
        tally.failed == 0 && tally.servers.contains_key("web-6"),
        &format!("{} connections meanwhile, none failed, and web-6 has its share", tally.answered),
        || tally.complaints(),
    )?;
    story.say("controller-1 is started again, to stand by.");
    stage.start_controller(1)
}

/// What the controllers wrote since then: their Lease, Events and the condition AgentAlive aside.
fn plans_and_slices(stage: &Stage, mark: Mark) -> Result<Vec<Record>> {
    let mut writes = stage.control_plane().audit().writes_since(mark)?;
    writes.retain(|write| {
        ["endpointslices", "serviceproxyplans", "nodeproxyplans"].contains(&write.resource.as_str())
            && write.user.ends_with(":pointsman-controller")
            && write.subresource.is_empty()
    });
    Ok(writes)
}
