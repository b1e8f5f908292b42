//! The agent itself, with its own order of commits and its own pauses, while a Service's endpoints come and go under traffic.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use pointsman_tests::traffic::Transport;

use crate::crowd::{Client, under};
use crate::services::{node_ports, services, services_with};
use crate::settings::Setting;
use crate::stage::Stage;
use crate::world::Place;

/// The endpoints of `flows/all`, one set after the other: grown, shrunk, replaced.
const SETS: &[&[&str]] = &[
    &["pod-1a"],
    &["pod-1a", "pod-1b", "pod-2a", "pod-2b"],
    &["pod-2b"],
    &["pod-1a", "pod-1b", "pod-2a"],
    &["pod-2a", "pod-2b"],
    &["pod-1b"],
];

/// Longer than the agent takes to notice a file; what is stale is not deleted yet.
const NOTICED: Duration = Duration::from_millis(500);
/// Longer than the agent waits before it deletes what is stale.
const SWEPT: Duration = Duration::from_millis(1600);

/// One plan directory after the other, some of them soon after another, some when nothing is stale any more.
pub fn under_traffic(stage: &Stage) -> Result<()> {
    stage.with_agents(Setting::Usual, |world, agents| {
        let settings = Setting::Usual.settings("");
        let node = &world.topology.nodes[0];
        let vip4: SocketAddr = "10.96.0.10:80".parse()?;
        let vip6: SocketAddr = "[fd00:96::10]:53".parse()?;
        let at_node = SocketAddr::new(node.v6.into(), node_ports::ALL);
        let client = |place, transport, target| Client { netns: world.netns(place), transport, target };
        let clients = [
            client(Place::Pod1b, Transport::Tcp, vip4),
            client(Place::Pod2b, Transport::Udp, vip6),
            client(Place::Node1, Transport::Tcp, vip4),
            client(Place::Outside, Transport::Tcp, at_node),
        ];
        let sent = under(&clients, &[], || {
            for (number, pods) in SETS.iter().enumerate() {
                let before = agents.generation(0)?;
                agents.tell(world, &settings, &services_with(world, pods))?;
                std::thread::sleep(if number % 2 == 0 { NOTICED } else { SWEPT });
                ensure!(agents.generation(0)? > before, "the agent did not notice {pods:?}");
            }
            agents.carry_out(world, &settings, &services(world))
        })?;
        println!("{} sets of endpoints under {} connections", SETS.len(), sent.answered);
        ensure!(sent.answered > 500, "too little: {sent:?}");
        Ok(())
    })
}
