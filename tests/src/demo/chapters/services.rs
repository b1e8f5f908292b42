//! Services come, and packets find their pods: from pods, nodes and outside, through cluster IPs and node ports, in both families.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::demo::ruleset;
use crate::demo::stage::Stage;
use crate::demo::story::Story;
use crate::netns::Netns;
use crate::traffic::{Reply, Transport, ask};
use crate::wait;
use crate::workload::Workload;

const SERVICES: &str = include_str!("../services.yaml");
const LIMIT: Duration = Duration::from_secs(20);

/// Creates Services and pods, shows what came of them, and asks them from everywhere.
pub fn tell(story: &mut Story, stage: &mut Stage) -> Result<()> {
    story.chapter("Services")?;
    story.say(
        "Three Services: web (dual stack, with a node port), dns (UDP), and lonely, which no pod serves.",
    );
    stage.control_plane().apply(SERVICES)?;
    stage.start_pod(1, Workload::new("default", "client"))?;
    stage.start_pod(0, web(1))?;
    let started = Instant::now();
    let target: SocketAddr = "10.96.0.80:80".parse()?;
    let client = stage.pod("client")?;
    wait::until("web to answer", LIMIT, || {
        Ok(matches!(ask(client, Transport::Tcp, target, Duration::from_secs(1))?, Reply::Answered(_)))
    })?;
    story.say(&format!(
        "web-1 reports that it is ready; {} ms later its Service answers on another node.",
        started.elapsed().as_millis()
    ));
    let dns = Workload::new("default", "dns-1").label("app", "dns").port("dns", Transport::Udp, 5353);
    stage.start_pod(2, dns)?;
    for what in ["get pods", "get endpointslices -A", "get serviceproxyplans -A"] {
        story.show(&format!("kubectl {what}"), &stage.kubectl(what)?);
    }
    reach(story, stage)?;
    ask_dns(story, stage)?;
    be_refused(story, stage)?;
    explain(story, stage)?;
    stage.wait_for_nodes("dns")?;
    story.say("And every node says what it carries, up to which revision of the plans:");
    story.show("kubectl get npp -o wide", &stage.kubectl("get npp -o wide")?);
    Ok(())
}

/// A web server.
pub fn web(number: u8) -> Workload {
    Workload::new("default", &format!("web-{number}")).label("app", "web").port("http", Transport::Tcp, 8080)
}

fn reach(story: &mut Story, stage: &Stage) -> Result<()> {
    story.say("A page from web says who answered, and as whom it saw the client:");
    let [first, _, third] = stage.nodes() else { anyhow::bail!("three nodes") };
    let table: [(&str, &Netns, &str, &str); 9] = [
        ("pod client", stage.pod("client")?, "http://10.96.0.80/", "10.244.2.2"),
        ("pod client", stage.pod("client")?, "http://[fd00:96::80]/", "fd00:244:2::2"),
        ("pod client", stage.pod("client")?, "http://10.200.0.13:30080/", "10.200.0.13"),
        ("node-1", &first.netns, "http://10.96.0.80/", "10.244.1.1"),
        ("node-1", &first.netns, "http://[fd00:96::80]/", "fd00:244:1::1"),
        ("node-3", &third.netns, "http://10.200.0.13:30080/", "10.200.0.13"),
        ("outside", stage.outside(), "http://10.200.0.11:30080/", "10.244.1.1"),
        ("outside", stage.outside(), "http://10.200.0.13:30080/", "10.200.0.13"),
        ("outside", stage.outside(), "http://[fd00:200::13]:30080/", "fd00:200::13"),
    ];
    let mut wrong = vec![];
    for (who, place, url, seen_as) in table {
        let (command, printed) = stage.curl(place, url)?;
        story.say(&format!("  {who:<10} # {command:<36}  {printed}"));
        if printed != format!("web-1 {seen_as}") {
            wrong.push(format!("{who} at {url}: {printed:?} and not as {seen_as}"));
        }
    }
    story.say("A pod keeps its own address on the way to a cluster IP. A node, and whoever comes through a node port, is seen");
    story.say("under an address of the node: on its own pods' links 10.244.1.1, else the one on the bridge.");
    story.claim(
        wrong.is_empty(),
        "web answers pods, nodes and outside, by cluster IP and node port, in both families",
        || wrong.join("; "),
    )
}

fn ask_dns(story: &mut Story, stage: &Stage) -> Result<()> {
    let mut wrong = vec![];
    for target in ["10.96.0.10:53", "[fd00:96::10]:53"] {
        let reply = ask(stage.pod("client")?, Transport::Udp, target.parse()?, Duration::from_secs(3))?;
        if !matches!(&reply, Reply::Answered(answer) if answer.name == "dns-1") {
            wrong.push(format!("{target}: {reply:?}"));
        }
    }
    story.claim(wrong.is_empty(), "dns answers by UDP, in both families", || wrong.join("; "))
}

fn be_refused(story: &mut Story, stage: &Stage) -> Result<()> {
    let client = stage.pod("client")?;
    let (command, printed) = stage.curl(client, "http://10.96.0.99/")?;
    story.show_at("pod client", &command, &printed);
    let ask_at = |target: &str| -> Result<(Reply, Duration)> {
        let asked = Instant::now();
        let reply = ask(client, Transport::Tcp, target.parse()?, Duration::from_secs(3))?;
        Ok((reply, asked.elapsed()))
    };
    let (reply, took) = ask_at("10.96.0.99:80")?;
    story.claim(
        reply == Reply::Refused && took < Duration::from_millis(900),
        "lonely has no endpoints: clients are refused at once and need not wait for a timeout",
        || format!("{reply:?} after {took:?}"),
    )?;
    let (reply, took) = ask_at("10.96.0.80:81")?;
    story.claim(
        reply == Reply::Refused && took < Duration::from_millis(900),
        "so are they at a port of web that the Service does not have",
        || format!("{reply:?} after {took:?}"),
    )
}

fn explain(story: &mut Story, stage: &Stage) -> Result<()> {
    story.say("What a node does with a packet, and why, its agent can tell:");
    let (command, printed) = stage.explain(1, "10.96.0.80:80/tcp")?;
    story.show_at("node-2", &command, &printed);
    story.claim(
        printed.contains("default/web") && printed.contains("10.244.1.2"),
        "explain names the Service and the endpoint",
        || printed.clone(),
    )?;
    story.say("And so it stands in the kernel of node-2:");
    let node = &stage.nodes()[1].netns;
    let listed = ruleset::nft(node, "list map ip pointsman services")?.success()?;
    story.show_at("node-2", "nft list map ip pointsman services", &listed);
    let line = listed.lines().find(|line| line.contains("10.96.0.80")).context("web is not in the map")?;
    story.claim(line.contains("goto"), "web's address stands in the map of node-2", || listed.clone())
}
