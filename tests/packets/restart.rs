//! An agent that starts over an unchanged plan writes nothing: shown by the ruleset's generation and by what nft's monitor hears, not by the
//! agent's own counters.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pointsman_crds::{NftablesSettings, ProxySettings};
use pointsman_tests::process::Launch;
use pointsman_tests::traffic::Transport;

use crate::agent::PATIENCE;
use crate::crowd::{Client, under};
use crate::services::node_ports;
use crate::settings::Setting;
use crate::solo::{Solo, is_ready};
use crate::stage::Stage;
use crate::world::Place;

/// Settings under which the table is owned, or not.
fn owned(owned: bool) -> ProxySettings {
    let nftables = Some(NftablesSettings { table_owner: Some(owned) });
    ProxySettings { nftables, ..ProxySettings::default() }
}

/// Owned tables are taken over by one transaction a family, which names the table and nothing in it.
pub fn of_an_owner() -> Result<()> {
    unchanged("restart-owner", owned(true), 2)
}

/// Tables that are nobody's are only read.
pub fn without_owner() -> Result<()> {
    unchanged("restart-shared", owned(false), 0)
}

fn unchanged(label: &str, settings: ProxySettings, transactions: u32) -> Result<()> {
    let mut solo = Solo::create(label, settings)?;
    for ends_by in ["SIGTERM", "SIGKILL"] {
        solo.start(&[])?;
        solo.wait_for_status("the agent to be ready", is_ready)?;
        solo.wait_until_held(PATIENCE)?;
        if ends_by == "SIGTERM" {
            solo.stop()?
        } else {
            solo.agent()?.process.kill()?
        }
        let (listing, neighbour) = (without_owner_line(&solo.listing()?), solo.neighbour()?);
        let generation = solo.eye.generation()?;
        let mut monitor =
            Launch::new("monitor", "nft").arg("monitor").netns(Some(&solo.netns)).start(solo.folder())?;
        // The monitor says nothing when it begins to listen.
        sleep(Duration::from_millis(300));
        monitor.still_runs()?;
        solo.start(&[])?;
        solo.wait_for_status("the agent to be ready again", is_ready)?;
        // Whatever it might want to delete later, it would by now.
        sleep(Duration::from_millis(1500));
        let written = solo.eye.generation()? - generation;
        ensure!(written == transactions, "after {ends_by}: {written} transactions instead of {transactions}");
        let heard = monitor.log()?;
        let strange = heard.lines().find(|line| !is_about_the_table_alone(line));
        ensure!(strange.is_none(), "after {ends_by} the monitor heard: {strange:?} in\n{heard}");
        ensure!(without_owner_line(&solo.listing()?) == listing, "after {ends_by}: the tables changed");
        ensure!(solo.neighbour()? == neighbour, "after {ends_by}: the neighbour's table changed");
        solo.stop()?;
    }
    Ok(())
}

/// What a monitor may hear of an owner that takes its table: the table's own line, and the new generation's.
fn is_about_the_table_alone(line: &str) -> bool {
    let line = line.trim();
    line.is_empty()
        || line.starts_with("add table ip") && line.contains("pointsman")
        || line.starts_with("# new generation")
}

/// The flags line and the owner's name differ while nobody owns the table.
fn without_owner_line(listing: &str) -> String {
    crate::listing::without_flags(listing)
}

/// Old connections go on and new ones are made while the agent of the node that carries them is away and comes back.
pub fn under_traffic(stage: &Stage) -> Result<()> {
    stage.with_agents(Setting::Usual, |world, agents| {
        let target = |text: &str| -> Result<SocketAddr> { Ok(text.parse()?) };
        let node = &world.topology.nodes[0];
        let at_node = SocketAddr::new(node.v4.into(), node_ports::ALL);
        let client = |place, transport, target| Client { netns: world.netns(place), transport, target };
        let clients = [
            client(Place::Pod1b, Transport::Tcp, target("10.96.0.10:80")?),
            client(Place::Pod1b, Transport::Udp, target("[fd00:96::10]:53")?),
            client(Place::Outside, Transport::Tcp, at_node),
            client(Place::Node1, Transport::Tcp, target("[fd00:96::10]:80")?),
        ];
        let mut talks = Vec::new();
        for (place, target) in [(Place::Pod1b, target("10.96.0.10:80")?), (Place::Outside, at_node)] {
            talks.push(world.netns(place).enter(|| TcpStream::connect(target))??);
        }
        let said = say(&mut talks)?;
        let sent = under(&clients, &[], || {
            let before = agents.generation(0)?;
            agents.stop(0)?;
            sleep(Duration::from_millis(200));
            agents.start(0, &node.netns)?;
            let written = agents.generation(0)? - before;
            ensure!(written == 2, "{written} transactions instead of one a family");
            Ok(())
        })?;
        let still = say(&mut talks)?;
        ensure!(said == still, "old connections were answered by {said:?}, and then by {still:?}");
        println!("an agent restarted under {} connections", sent.answered);
        ensure!(sent.answered > 100, "too little: {sent:?}");
        Ok(())
    })
}

/// Asks once more on each connection; gives the answers.
fn say(talks: &mut [TcpStream]) -> Result<Vec<String>> {
    let ask = |stream: &mut TcpStream| -> std::io::Result<String> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"still there?\n")?;
        let mut buffer = [0; 256];
        let length = stream.read(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    };
    talks.iter_mut().map(|stream| ask(stream).context("an old connection")).collect()
}
