//! The API server is gone, and an agent restarts just then: it works from its checkpoint, and no packet knows.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::scale::settle;
use super::services::web;
use crate::demo::crowd::Crowd;
use crate::demo::ruleset;
use crate::demo::stage::Stage;
use crate::demo::story::Story;
use crate::wait;

const LIMIT: Duration = Duration::from_secs(20);
/// Where an agent says whether a plan of the API server is in the kernel, or what is there instead.
const READY: &str = "http://127.0.0.1:10256/readyz";

/// Kills the API server, restarts node-2's agent, and brings the API server back.
pub fn tell(story: &mut Story, stage: &mut Stage, crowd: &Crowd) -> Result<()> {
    story.chapter("The API server is killed, and an agent restarts meanwhile")?;
    crowd.take();
    stage.control_plane().kill_apiserver();
    restart_an_agent(story, stage)?;
    std::thread::sleep(Duration::from_millis(500));
    let tally = crowd.take();
    story.claim(
        tally.failed == 0 && tally.answered > 0,
        &format!("{} connections without an API server, none failed", tally.answered),
        || tally.complaints(),
    )?;
    stage.control_plane().start_apiserver()?;
    let started = Instant::now();
    story.say("The API server comes back. Another pod for web shows that all have found it again:");
    stage.start_pod(2, web(7))?;
    settle(stage, 4)?;
    story.say(&format!(
        "{:.1} s later every node has reported the new plan.",
        started.elapsed().as_secs_f64()
    ));
    let nodes = "get nodeproxyplans -o wide";
    story.show(&format!("kubectl {nodes}"), &stage.kubectl(nodes)?);
    let ready = stage.status_of(&stage.nodes()[1].netns, READY)?;
    story.claim(ready == "200", "node-2's agent counts as ready again", || ready.clone())?;
    crowd.take();
    std::thread::sleep(Duration::from_millis(500));
    let tally = crowd.take();
    story.claim(
        tally.failed == 0 && tally.servers.contains_key("web-7"),
        &format!("every node is ready, web-7 answers: {}", tally.shares()),
        || tally.complaints(),
    )
}

fn restart_an_agent(story: &mut Story, stage: &mut Stage) -> Result<()> {
    let before = ruleset::contents(&stage.nodes()[1].netns)?;
    let logged = stage.stop_agent(1)?;
    let generation = ruleset::generation(&stage.nodes()[1].netns)?;
    stage.start_agent(1)?;
    let started = Instant::now();
    let node = &stage.nodes()[1].netns;
    let in_force = || Ok(stage.curl(node, READY)?.1.starts_with("the checkpoint's plan is in the kernel"));
    wait::until("node-2's agent to serve from its checkpoint", LIMIT, in_force)?;
    story.say(&format!(
        "node-2's agent serves again after {} ms, from its checkpoint; a rollout would wait at this node:",
        started.elapsed().as_millis()
    ));
    story.show_at("node-2", "tail agent.log", &stage.agent_log(1, logged)?);
    let node = &stage.nodes()[1].netns;
    let after = ruleset::contents(node)?;
    story.claim(before == after, "not a rule and not an element of node-2 has changed", || {
        before.symmetric_difference(&after).cloned().collect::<Vec<_>>().join("; ")
    })?;
    let commits = ruleset::generation(node)?.wrapping_sub(generation);
    story.claim(
        commits == 2,
        "the kernel counts two transactions: the agent took back the ownership of its table, once a family",
        || format!("{commits} transactions"),
    )
}
