//! web grows from one pod to five and shrinks to two, while clients open connections without a pause.

use std::time::Instant;

use anyhow::Result;

use super::services::web;
use crate::demo::crowd::Crowd;
use crate::demo::stage::Stage;
use crate::demo::story::Story;

/// The pods that come, and the nodes (counted from 0) that they come to.
const COMING: [(u8, usize); 4] = [(2, 1), (3, 2), (4, 0), (5, 1)];
/// The pods that go.
const GOING: [u8; 3] = [1, 4, 5];

/// Scales under load, and gives the clients on to the next chapters.
pub fn tell(story: &mut Story, stage: &mut Stage) -> Result<Crowd> {
    story.chapter("1 → 5 → 2 pods under load")?;
    let crowd = gather(stage)?;
    story.say(&format!(
        "{} clients on pods, nodes and outside open one new connection after the other, by cluster IP and node port.",
        crowd.size()
    ));
    for (number, node) in COMING {
        stage.start_pod(node, web(number))?;
    }
    settle(stage, 5)?;
    story.say("Four pods come. When every node reports the revision of web's plan, all five must serve:");
    let growing = crowd.take();
    std::thread::sleep(std::time::Duration::from_millis(700));
    let grown = crowd.take();
    story.show("kubectl get spp", &stage.kubectl("get spp")?);
    story.say(&format!("Answers within 0.7 s: {}", grown.shares()));
    story.claim(grown.servers.len() == 5, "all five pods answer", || grown.shares())?;
    story.say("Three pods go, as Kubernetes lets them go: their objects are deleted and they terminate, still serving; their");
    story.say("processes and addresses are gone only after the nodes have the plan without them.");
    let started = Instant::now();
    for number in GOING {
        stage.terminate_pod(&format!("web-{number}"))?;
    }
    settle(stage, 2)?;
    story.say(&format!(
        "Every node has reported that plan {:.1} s later. The pods end.",
        started.elapsed().as_secs_f64()
    ));
    for number in GOING {
        stage.remove_pod(&format!("web-{number}"))?;
    }
    let shrinking = crowd.take();
    std::thread::sleep(std::time::Duration::from_millis(700));
    let shrunk = crowd.take();
    story.say(&format!("Answers within 0.7 s: {}", shrunk.shares()));
    let names: Vec<&String> = shrunk.servers.keys().collect();
    story.claim(names == ["web-2", "web-3"], "the two that stayed answer, and nobody else", || {
        shrunk.shares()
    })?;
    let all = [growing, grown, shrinking, shrunk];
    let answered: u64 = all.iter().map(|tally| tally.answered).sum();
    let complaints: Vec<String> =
        all.iter().filter(|tally| tally.failed > 0).map(|tally| tally.complaints()).collect();
    let slowest = all.iter().map(|tally| tally.slowest).max().unwrap_or_default();
    story.claim(
        complaints.is_empty() && answered > 0,
        &format!("{answered} connections, none failed (the slowest took {} ms)", slowest.as_millis()),
        || complaints.join("; "),
    )?;
    Ok(crowd)
}

/// Waits until web's plan has so many endpoint addresses of each family, and every node carries it.
pub fn settle(stage: &mut Stage, pods: u64) -> Result<()> {
    stage.wait(&format!("web's plan to have {pods} pods"), |stage| {
        let plan = stage.get("serviceproxyplan web")?;
        // One address of each family a pod; terminating ones are in the plan, but used only when no other is left.
        let groups = plan["spec"]["groups"].as_array().into_iter().flatten();
        let endpoints = groups.flat_map(|group| group["endpoints"].as_array().into_iter().flatten());
        let lasting = endpoints.filter(|endpoint| endpoint["terminating"] != true).count();
        Ok(lasting as u64 == 2 * pods)
    })?;
    stage.wait_for_nodes("web")
}

/// Clients everywhere.
pub fn gather(stage: &Stage) -> Result<Crowd> {
    let [first, second, third] = stage.nodes() else { anyhow::bail!("three nodes") };
    let mut crowd = Crowd::new();
    crowd.add("the pod client", stage.pod("client")?, "10.96.0.80:80".parse()?);
    crowd.add("the pod client", stage.pod("client")?, "[fd00:96::80]:80".parse()?);
    crowd.add("node-1", &first.netns, "10.96.0.80:80".parse()?);
    crowd.add("node-2", &second.netns, "[fd00:96::80]:80".parse()?);
    crowd.add("node-3", &third.netns, "10.200.0.13:30080".parse()?);
    crowd.add("outside", stage.outside(), "10.200.0.11:30080".parse()?);
    crowd.add("outside", stage.outside(), "[fd00:200::12]:30080".parse()?);
    crowd.add("outside", stage.outside(), "10.200.0.13:30080".parse()?);
    Ok(crowd)
}
