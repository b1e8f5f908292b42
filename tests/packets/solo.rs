//! One agent in a namespace without neighbours, for what it writes and what it leaves alone. It changes files and processes of its own.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pointsman_crds::{NodeProxyPlanSpec, NodeProxyPlanStatus, ProxySettings};
use pointsman_dataplane::testing::{Canonical, endpoint, service};
use pointsman_dataplane::{NodeFacts, ServicePlan};
use pointsman_tests::netns::Netns;
use pointsman_tests::wait;
use tempfile::TempDir;

use crate::agent::{Agent, PATIENCE, plan_folder};
use crate::observe::{Eye, list};
use crate::plan::{self, FAMILIES, address, net};

/// The node's name.
pub const NODE: &str = "node-1";
/// A table that is none of ours and must stay as it is.
const NEIGHBOUR: &str = "table inet neighbour {
    set friends { type ipv4_addr; elements = { 192.0.2.1, 192.0.2.2 } }
    chain input { type filter hook input priority 0; ip saddr @friends counter accept; }
}
";

/// The namespace, its plan directory, and the agent if it runs.
pub struct Solo {
    // The agent ends before its namespace goes.
    agent: Option<Agent>,
    /// A look into the kernel.
    pub eye: Eye,
    folder: TempDir,
    spec: NodeProxyPlanSpec,
    services: Vec<ServicePlan>,
    /// Where it all is.
    pub netns: Netns,
}

impl Solo {
    /// A namespace with a neighbour's table, and a plan of a few Services. Nothing runs yet.
    pub fn create(label: &str, settings: ProxySettings) -> Result<Self> {
        let netns = Netns::create(0, label)?;
        let mut spec = NodeProxyPlanSpec { settings, ..NodeProxyPlanSpec::default() };
        spec.node.uid = "uid-of-the-node".to_owned();
        spec.node.addresses = vec![address("10.200.0.11"), address("fd00:200::11")];
        spec.service_cidrs = plan::SERVICE_CIDRS.iter().map(|range| net(range)).collect();
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(plan_folder(folder.path()))?;
        let eye = Eye::open(&netns)?;
        let solo = Self { agent: None, eye, folder, spec, services: services(), netns };
        solo.add_neighbour()?;
        solo.write_plan()?;
        Ok(solo)
    }

    /// Loads the neighbour's table.
    pub fn add_neighbour(&self) -> Result<()> {
        self.netns.run(&["nft", NEIGHBOUR]).map(drop)
    }

    /// The neighbour's table as nft lists it.
    pub fn neighbour(&self) -> Result<String> {
        self.netns.run(&["nft", "list", "table", "inet", "neighbour"])
    }

    /// A folder for files of the trial; the agent's log and status stand there.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The plan's only file.
    pub fn plan_file(&self) -> std::path::PathBuf {
        plan_folder(self.folder()).join("plan.yaml")
    }

    /// Writes the plan's file.
    pub fn write_plan(&self) -> Result<()> {
        plan::write(&plan_folder(self.folder()), &[(NODE.to_owned(), self.spec.clone())], &self.services)
    }

    /// Adds a Service to the plan.
    pub fn add(&mut self, service: ServicePlan) -> Result<()> {
        self.services.push(service);
        self.write_plan()
    }

    /// Starts the agent by way of `prefix`, a program that starts what follows it.
    pub fn start(&mut self, prefix: &[&str]) -> Result<&mut Agent> {
        let agent = Agent::start(&self.netns, NODE, self.folder.path(), prefix)?;
        Ok(self.agent.insert(agent))
    }

    /// The agent; an error if none was started or it has ended.
    pub fn agent(&mut self) -> Result<&mut Agent> {
        let agent = self.agent.as_mut().context("no agent was started")?;
        agent.process.still_runs()?;
        Ok(agent)
    }

    /// Ends the agent by SIGTERM.
    pub fn stop(&mut self) -> Result<()> {
        let agent = self.agent.take().context("no agent was started")?;
        agent.process.stop(PATIENCE)
    }

    /// What the kernel shall hold.
    pub fn expected(&self) -> Result<[Canonical; 2]> {
        plan::tables(&plan::dispatch(&NodeFacts::new(NODE, &self.spec), &self.services))
    }

    /// Waits until the kernel holds the plan.
    pub fn wait_until_held(&mut self, limit: Duration) -> Result<()> {
        let expected = self.expected()?;
        wait::until("the kernel to hold the plan", limit, || {
            self.agent()?;
            self.eye.holds(&expected)
        })
    }

    /// Waits until the agent's status satisfies `is_so`.
    pub fn wait_for_status(
        &mut self,
        what: &str,
        is_so: impl Fn(&NodeProxyPlanStatus) -> bool,
    ) -> Result<()> {
        wait::until(what, PATIENCE, || Ok(self.agent()?.status()?.as_ref().is_some_and(&is_so)))
            .with_context(|| format!("the status says {:?}", self.agent.as_ref().map(Agent::status)))
    }

    /// Both tables as nft lists them.
    pub fn listing(&self) -> Result<String> {
        let each = FAMILIES.map(|family| list(&self.netns, family));
        each.into_iter().collect()
    }

    /// An error if the tables or the neighbour's are not as they were.
    pub fn ensure_untouched(&self, listing: &str, neighbour: &str) -> Result<()> {
        let (now, beside) = (self.listing()?, self.neighbour()?);
        ensure!(now == listing, "the tables changed:\n{}", crate::listing::difference(listing, &now));
        ensure!(beside == neighbour, "the neighbour's table changed:\n{beside}");
        Ok(())
    }
}

/// A condition's status, reason and message.
pub fn condition<'a>(status: &'a NodeProxyPlanStatus, kind: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let found = status.conditions.iter().find(|condition| condition.type_ == kind)?;
    Some((&found.status, &found.reason, &found.message))
}

/// Whether the status says that all is well.
pub fn is_ready(status: &NodeProxyPlanStatus) -> bool {
    condition(status, "Ready").is_some_and(|(status, ..)| status == "True")
}

/// Services that put something into every kind of map.
fn services() -> Vec<ServicePlan> {
    use pointsman_crds::Protocol::{Sctp, Tcp, Udp};
    let both = |key, v4: &str, v6: &str| service(key).cluster_ip(v4).cluster_ip(v6);
    let here = |address| endpoint(address).on(NODE);
    vec![
        both("shop/web", "10.96.0.10", "fd00:96::10")
            .external_ip("198.51.100.10")
            .load_balancer("192.0.2.10")
            .port(Tcp, 80, 8080)
            .node_port(30080)
            .endpoint(here("10.244.1.2"))
            .endpoint("10.244.2.2")
            .endpoint("fd00:244:2::2")
            .plan(),
        both("shop/dns", "10.96.0.53", "fd00:96::53")
            .port(Udp, 53, 5353)
            .port(Sctp, 53, 5353)
            .endpoint(here("fd00:244:1::2"))
            .endpoint(here("10.244.1.3"))
            .plan(),
        both("shop/lonely", "10.96.0.20", "fd00:96::20").port(Tcp, 80, 80).node_port(30081).plan(),
        both("shop/elsewhere", "10.96.0.30", "fd00:96::30")
            .port(Tcp, 80, 80)
            .internal_local()
            .endpoint("10.244.2.9")
            .plan(),
    ]
}
