//! web grows from one pod to five and shrinks to two, while clients open connections without a pause.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::services::web;
use crate::demo::crowd::{Crowd, Tally};
use crate::demo::stage::Stage;
use crate::demo::story::Story;

/// The pods that come, and the nodes (counted from 0) that they come to.
const COMING: [(u8, usize); 4] = [(2, 1), (3, 2), (4, 0), (5, 1)];
/// The pods that go.
const GOING: [u8; 3] = [1, 4, 5];
/// How long the clients are watched to see who answers them.
const SAMPLE: Duration = Duration::from_millis(700);

/// Scales under load, and gives the clients on to the next chapters.
pub fn tell(story: &mut Story, stage: &mut Stage) -> Result<Crowd> {
    story.chapter("1 → 5 → 2 pods under load")?;
    let crowd = gather(stage)?;
    story.say(&format!(
        "{} clients on pods, nodes and outside open one new connection after the other, by cluster IP and node port.",
        crowd.size()
    ));
    let mut tallies = vec![];
    grow(story, stage, &crowd, &mut tallies)?;
    shrink(story, stage, &crowd, &mut tallies)?;
    let answered: u64 = tallies.iter().map(|tally| tally.answered).sum();
    let complaints: Vec<String> =
        tallies.iter().filter(|tally| tally.failed > 0).map(Tally::complaints).collect();
    let slowest = tallies.iter().map(|tally| tally.slowest).max().unwrap_or_default();
    story.claim(
        complaints.is_empty() && answered > 0,
        &format!("{answered} connections, none failed (the slowest took {} ms)", slowest.as_millis()),
        || complaints.join("; "),
    )?;
    Ok(crowd)
}

fn grow(story: &mut Story, stage: &mut Stage, crowd: &Crowd, tallies: &mut Vec<Tally>) -> Result<()> {
    story.say("Four pods come, to all three nodes.");
    for (number, node) in COMING {
        stage.start_pod(node, web(number))?;
    }
    let all = ["web-1", "web-2", "web-3", "web-4", "web-5"];
    stage.wait("all five pods to answer", |_| Ok(crowd.has_met(&all)))?;
    tallies.push(crowd.take());
    sleep(SAMPLE);
    let grown = crowd.take();
    story.show("kubectl get spp", &stage.kubectl("get spp")?);
    story.say(&format!("Answers in {SAMPLE:?}: {}", grown.shares()));
    let even =
        grown.servers.len() == all.len() && grown.servers.values().all(|count| 10 * count > grown.answered);
    story.claim(even, "all five pods have their share", || grown.shares())?;
    tallies.push(grown);
    Ok(())
}

fn shrink(story: &mut Story, stage: &mut Stage, crowd: &Crowd, tallies: &mut Vec<Tally>) -> Result<()> {
    story.say("Three pods go, as Kubernetes lets them go: their objects are deleted and they terminate, still serving; their");
    story.say("processes and addresses are gone only after every node has reported a plan without them.");
    let started = Instant::now();
    for number in GOING {
        stage.terminate_pod(&format!("web-{number}"))?;
    }
    settle(stage, 2)?;
    let seconds = started.elapsed().as_secs_f64();
    story.say(&format!(
        "They have, {seconds:.1} s later (a node writes its counts at most once in 10 s). The pods end."
    ));
    for number in GOING {
        stage.remove_pod(&format!("web-{number}"))?;
    }
    tallies.push(crowd.take());
    sleep(SAMPLE);
    let shrunk = crowd.take();
    story.say(&format!("Answers in {SAMPLE:?}: {}", shrunk.shares()));
    let names: Vec<&String> = shrunk.servers.keys().collect();
    story.claim(names == ["web-2", "web-3"], "the two that stayed answer, and nobody else", || {
        shrunk.shares()
    })?;
    tallies.push(shrunk);
    Ok(())
}

/// Waits until web's plan has so many pods that are not about to go, and every node says that it carries that plan.
pub fn settle(stage: &mut Stage, pods: usize) -> Result<()> {
    stage.wait(&format!("web's plan to have {pods} pods"), |stage| {
        let plan = stage.get("serviceproxyplan web")?;
        let groups = plan["spec"]["groups"].as_array().into_iter().flatten();
        let endpoints = groups.flat_map(|group| group["endpoints"].as_array().into_iter().flatten());
        // Those that terminate stand in the plan, and are used only where no other is left. Every pod has an address of each family.
        Ok(endpoints.filter(|endpoint| endpoint["terminating"] != true).count() == 2 * pods)
    })?;
    stage.wait_for_nodes("web")
}

/// Clients everywhere.
pub fn gather(stage: &Stage) -> Result<Crowd> {
    let [first, second, third] = stage.nodes() else { bail!("the story is about three nodes") };
    let client = stage.pod("client")?;
    let mut crowd = Crowd::new();
    crowd.add("the pod client", client, "10.96.0.80:80".parse()?);
    crowd.add("the pod client", client, "[fd00:96::80]:80".parse()?);
    crowd.add("node-1", &first.netns, "10.96.0.80:80".parse()?);
    crowd.add("node-2", &second.netns, "[fd00:96::80]:80".parse()?);
    crowd.add("node-3", &third.netns, "10.200.0.13:30080".parse()?);
    crowd.add("outside", stage.outside(), "10.200.0.11:30080".parse()?);
    crowd.add("outside", stage.outside(), "[fd00:200::12]:30080".parse()?);
    crowd.add("outside", stage.outside(), "10.200.0.13:30080".parse()?);
    Ok(crowd)
}
