//! The suite's world with an agent in each node, shared by all flow trials: made when the first one needs it, gone with the last handle.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use pointsman_crds::{NodeProxyPlanSpec, ProxySettings};
use pointsman_dataplane::testing::Canonical;
use pointsman_dataplane::{NodeFacts, ServicePlan};
use pointsman_tests::netns::Netns;
use pointsman_tests::topology::Node;
use pointsman_tests::traffic::Transport;
use pointsman_tests::wait;
use tempfile::TempDir;

use crate::agent::{Agent, PATIENCE, plan_folder};
use crate::observe::Eye;
use crate::plan;
use crate::services::{PROTOCOLS, node_port, node_ports, services};
use crate::settings::Setting;
use crate::solo::is_ready;
use crate::world::World;

/// A handle on the stage. One trial at a time has it.
#[derive(Clone, Default)]
pub struct Stage(Arc<Mutex<Option<Set>>>);

struct Set {
    // Agents end before their namespaces go.
    agents: Agents,
    world: World,
    setting: Option<Setting>,
}

/// Nodes' names and plans.
type Specs = Vec<(String, NodeProxyPlanSpec)>;

/// The nodes' agents, in the order of the nodes.
pub struct Agents {
    running: Vec<(String, Option<Agent>, Eye)>,
    folder: TempDir,
}

impl Stage {
    /// Runs `work` in the world, the nodes proxying as `setting` says.
    pub fn with(&self, setting: Setting, work: impl FnOnce(&World) -> Result<()>) -> Result<()> {
        self.with_agents(setting, |world, _| work(world))
    }

    /// The same with the agents at hand. They must run again when `work` is done.
    pub fn with_agents(
        &self,
        setting: Setting,
        work: impl FnOnce(&World, &mut Agents) -> Result<()>,
    ) -> Result<()> {
        // A trial that panicked has failed; the world is as good as before.
        let mut stage = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let set = match stage.as_mut() {
            Some(set) => set,
            None => stage.insert(Set::create()?),
        };
        if set.setting != Some(setting) {
            set.setting = None;
            let settings = setting.settings(&set.world.pods[1].node_interface);
            set.agents.carry_out(&set.world, &settings, &services(&set.world))?;
            set.setting = Some(setting);
        }
        work(&set.world, &mut set.agents)
    }
}

impl Agents {
    /// Writes a plan, for agents that run to notice.
    pub fn tell(&self, world: &World, settings: &ProxySettings, services: &[ServicePlan]) -> Result<Specs> {
        let spec = |node: &Node| (node.name.clone(), plan::node_spec(node, settings.clone()));
        let specs: Specs = world.topology.nodes.iter().map(spec).collect();
        plan::write(&plan_folder(self.folder.path()), &specs, services)?;
        Ok(specs)
    }

    /// Writes a plan, starts agents that do not run, and waits until both kernels hold what it means and nothing else.
    pub fn carry_out(
        &mut self,
        world: &World,
        settings: &ProxySettings,
        services: &[ServicePlan],
    ) -> Result<()> {
        let specs = self.tell(world, settings, services)?;
        for (index, node) in world.topology.nodes.iter().enumerate() {
            if self.running[index].1.is_none() {
                self.start(index, &node.netns)?;
            }
        }
        for ((name, spec), (_, agent, eye)) in specs.iter().zip(&mut self.running) {
            let facts = NodeFacts::new(name, spec);
            let expected: [Canonical; 2] = plan::tables(&plan::dispatch(&facts, services))?;
            wait::until(&format!("{name} to carry out its plan"), PATIENCE, || {
                agent.as_mut().map_or(Ok(()), |agent| agent.process.still_runs())?;
                eye.holds(&expected)
            })?;
        }
        Ok(())
    }

    /// Ends an agent by SIGTERM.
    pub fn stop(&mut self, node: usize) -> Result<()> {
        let agent = self.running[node].1.take().context("the agent does not run")?;
        agent.process.stop(PATIENCE)
    }

    /// Starts it, and waits until it says that it is ready.
    pub fn start(&mut self, node: usize, netns: &Netns) -> Result<()> {
        let (name, slot, _) = &mut self.running[node];
        let agent = slot.insert(Agent::start(netns, name, self.folder.path(), &[])?);
        wait::until(&format!("the agent of {name} to be ready"), PATIENCE, || {
            agent.process.still_runs()?;
            Ok(agent.status()?.as_ref().is_some_and(is_ready))
        })
    }

    /// How many transactions were committed on a node.
    pub fn generation(&mut self, node: usize) -> Result<u32> {
        self.running[node].2.generation()
    }
}

impl Set {
    fn create() -> Result<Self> {
        let firsts = [node_ports::ALL, node_ports::LONELY, node_ports::NOBODYS];
        let transports = [(Transport::Tcp, PROTOCOLS[0]), (Transport::Udp, PROTOCOLS[1])];
        let ports = firsts
            .map(|first| transports.map(|(transport, protocol)| (transport, node_port(first, protocol))));
        let world = World::create(&ports.concat())?;
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(plan_folder(folder.path()))?;
        let mut running = Vec::new();
        for node in &world.topology.nodes {
            running.push((node.name.clone(), None, Eye::open(&node.netns)?));
        }
        Ok(Self { agents: Agents { running, folder }, world, setting: None })
    }
}
