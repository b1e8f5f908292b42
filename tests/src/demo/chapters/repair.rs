//! An agent is away, and somebody breaks the rules behind it: when it comes back it repairs them, and says so.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::scale;
use crate::demo::crowd::Crowd;
use crate::demo::ruleset;
use crate::demo::stage::Stage;
use crate::demo::story::Story;
use crate::traffic::{Reply, Transport, ask};
use crate::wait;

const LIMIT: Duration = Duration::from_secs(20);

/// Breaks what the stopped agent of node-1 has left, and starts it again.
pub fn tell(story: &mut Story, stage: &mut Stage, crowd: Crowd) -> Result<Crowd> {
    story.chapter("Rules deleted behind a stopped agent")?;
    crowd.take();
    let logged = stage.stop_agent(0)?;
    std::thread::sleep(Duration::from_millis(500));
    let tally = crowd.take();
    story.claim(
        tally.failed == 0 && tally.answered > 0,
        &format!("node-1's agent is stopped, its rules stay: {} connections, none failed", tally.answered),
        || tally.complaints(),
    )?;
    crowd.disperse()?;
    story.say("Now nobody owns the table, and root may break it:");
    let node = &stage.nodes()[0].netns;
    let before = ruleset::contents(node)?;
    for command in ["flush map ip pointsman services", "flush chain ip6 pointsman lb-2"] {
        ruleset::nft(node, command)?.success()?;
        story.show_at("node-1", &format!("nft {command}"), "");
    }
    let target: SocketAddr = "10.96.0.80:80".parse()?;
    let (command, printed) = stage.curl(node, "http://10.96.0.80/")?;
    story.show_at("node-1", &command, &printed);
    let reply = ask(node, Transport::Tcp, target, Duration::from_millis(500))?;
    story.claim(!matches!(reply, Reply::Answered(_)), "web is out of order on node-1", || {
        format!("{reply:?}")
    })?;
    let started = Instant::now();
    stage.start_agent(0)?;
    let node = &stage.nodes()[0].netns;
    wait::until("web to answer on node-1 again", LIMIT, || {
        Ok(matches!(ask(node, Transport::Tcp, target, Duration::from_millis(500))?, Reply::Answered(_)))
    })?;
    story.say(&format!("The agent is started, and {} ms later web answers.", started.elapsed().as_millis()));
    let after = ruleset::contents(node)?;
    story.claim(before == after, "every rule and element is back, and nothing else changed", || {
        before.symmetric_difference(&after).cloned().collect::<Vec<_>>().join("; ")
    })?;
    told(story, stage, logged)?;
    scale::gather(stage)
}

fn told(story: &mut Story, stage: &mut Stage, logged: usize) -> Result<()> {
    stage.wait("node-1 to tell of the repair", |stage| {
        let plan = stage.get("nodeproxyplan node-1")?;
        Ok(plan["status"]["drift"]["repairs"].as_u64().is_some_and(|repairs| repairs > 0))
    })?;
    let drift = "get npp node-1 -o jsonpath={.status.drift}";
    story.show(&format!("kubectl {drift}"), &stage.kubectl(drift)?);
    let log = stage.agent_log(0, logged)?;
    let line = log.lines().find(|line| line.contains("repair")).unwrap_or_default().to_owned();
    story.show_at("node-1", "grep repair agent.log", &line);
    story.claim(!line.is_empty(), "the agent tells what it repaired, in its status and in its log", || {
        log.clone()
    })
}
