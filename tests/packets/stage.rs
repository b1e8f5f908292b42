//! The suite's world with an agent in each node, shared by all flow trials: made when the first one needs it, gone with the last handle.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use pointsman_dataplane::NodeFacts;
use pointsman_dataplane::testing::Canonical;
use pointsman_tests::traffic::Transport;
use pointsman_tests::wait;
use tempfile::TempDir;

use crate::agent::{Agent, PATIENCE, plan_folder};
use crate::observe::Eye;
use crate::plan;
use crate::services::{PROTOCOLS, node_port, node_ports, services};
use crate::settings::Setting;
use crate::world::World;

/// A handle on the stage. One trial at a time has it.
#[derive(Clone, Default)]
pub struct Stage(Arc<Mutex<Option<Set>>>);

struct Set {
    // Agents end before their namespaces and files go.
    agents: Vec<(Agent, Eye)>,
    folder: TempDir,
    world: World,
    setting: Option<Setting>,
}

impl Stage {
    /// Runs `work` in the world, the nodes proxying as `setting` says.
    pub fn with(&self, setting: Setting, work: impl FnOnce(&World) -> Result<()>) -> Result<()> {
        // A trial that panicked has failed; the world is as good as before.
        let mut stage = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let set = match stage.as_mut() {
            Some(set) => set,
            None => stage.insert(Set::create()?),
        };
        if set.setting != Some(setting) {
            set.setting = None;
            set.program(setting)?;
            set.setting = Some(setting);
        }
        work(&set.world)
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
        Ok(Self { agents: vec![], folder, world, setting: None })
    }

    /// Writes the plan, and waits until both kernels hold what it means.
    fn program(&mut self, setting: Setting) -> Result<()> {
        let settings = setting.settings(&self.world.pods[1].node_interface);
        let services = services(&self.world);
        let nodes = &self.world.topology.nodes;
        let specs: Vec<_> =
            nodes.iter().map(|node| (node.name.as_str(), plan::node_spec(node, settings.clone()))).collect();
        plan::write(&plan_folder(self.folder.path()), &specs, &services)?;
        if self.agents.is_empty() {
            for node in nodes {
                let agent = Agent::start(&node.netns, &node.name, self.folder.path())?;
                self.agents.push((agent, Eye::open(&node.netns)?));
            }
        }
        for ((name, spec), (agent, eye)) in specs.iter().zip(&mut self.agents) {
            let facts = NodeFacts::new(name, spec);
            let expected: [Canonical; 2] = plan::tables(&plan::dispatch(&facts, &services))?;
            wait::until(&format!("{name} to proxy as {setting:?}"), PATIENCE, || {
                agent.process.still_runs()?;
                eye.holds(&expected)
            })?;
        }
        Ok(())
    }
}
