//! The suite's world with Pointsman in its nodes, shared by all flow trials: made when the first one needs it, gone with the last handle.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use pointsman_tests::traffic::Transport;

use crate::plan::{node_object, node_spec};
use crate::services::{PROTOCOLS, node_port, node_ports, services};
use crate::settings::Setting;
use crate::world::World;

/// A handle on the stage. One trial at a time has it.
#[derive(Clone, Default)]
pub struct Stage(Arc<Mutex<Option<Set>>>);

struct Set {
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
        Ok(Self { world: World::create(&ports.concat())?, setting: None })
    }

    fn program(&mut self, setting: Setting) -> Result<()> {
        use pointsman_dataplane::NodeFacts;
        use pointsman_dataplane::dispatch::Dispatch;
        use pointsman_dataplane::nftables::{image::Image, text::render};
        let settings = setting.settings(&self.world.pods[1].node_interface);
        for node in &self.world.topology.nodes {
            let spec = node_spec(&node.addresses(), &node.pod_cidrs(), &node.zone(), settings.clone());
            let facts = NodeFacts::new(&node.name, &spec);
            let mut dispatch = Dispatch::new(facts.clone());
            for service in services(&self.world) {
                dispatch.change(&service.key, Some(&service.plan()));
            }
            for (family, name) in
                [(pointsman_crds::IpFamily::IPv4, "ip"), (pointsman_crds::IpFamily::IPv6, "ip6")]
            {
                let (image, _) = Image::adopt(&dispatch, family, None);
                let text = format!(
                    "add table {name} pointsman\ndelete table {name} pointsman\n{}",
                    render(&facts, &image.table(&facts))
                );
                let mut c = node.netns.command("nft");
                pointsman_tests::command::run_with_input(c.args(["-f", "-"]), &text)?.success()?;
            }
            let _ = node_object(&node.name, spec, 1);
        }
        Ok(())
    }
}
