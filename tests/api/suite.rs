//! What all trials share: one control plane with the chart installed by the real helm and kubectl, the objects that forbidden acts aim
//! at, and a client for everybody who acts. It sets up through the same doors as everybody: plans by the controller's token, statuses by
//! the agents'.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use pointsman_tests::chart::Chart;
use pointsman_tests::command::Outcome;
use pointsman_tests::control_plane::{ControlPlane, Settings};
use pointsman_tests::wait;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::request::{Answer, Request, apply, create, get, merge};
use crate::samples;

/// A policy works about a second after it was stored.
const POLICY_LIMIT: Duration = Duration::from_secs(20);

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// A cluster administrator.
    Admin,
    /// The controller.
    Controller,
    /// The agent of node `north`, which is only ever used for what is forbidden.
    North,
    /// The agent of node `east`, for what is allowed.
    East,
    /// A bearer of the agent's identity without a node.
    Unbound,
    /// Somebody with all rights in namespace `shop`.
    Tenant,
    /// Somebody who may look into namespace `shop`: the chart's part of Kubernetes' cluster role `view`, which only
    /// kube-controller-manager puts together.
    Viewer,
    /// Kubernetes' garbage collector.
    GarbageCollector,
    /// Kubernetes' namespace controller.
    NamespaceController,
    /// Kubernetes' storage version migrator.
    Migrator,
}

/// The control plane, and clients to it.
pub struct Suite {
    /// The control plane.
    pub control_plane: ControlPlane,
    /// What kubectl said when it installed the chart.
    pub installed: Outcome,
    runtime: Runtime,
    clients: BTreeMap<Who, Client>,
}

impl Suite {
    /// Starts everything; about ten seconds.
    pub fn start() -> Result<Self> {
        // The plugin asks for more rights than a plain API server: clusters that run it must be served too.
        let flags = vec!["--enable-admission-plugins=OwnerReferencesPermissionEnforcement".to_owned()];
        let control_plane =
            ControlPlane::start_with(Settings { apiserver_flags: flags, ..Settings::default() })?;
        let chart = Chart::pointsman();
        control_plane.apply(&samples::environment(chart.namespace()))?;
        let arguments = ["apply", "--server-side", "-f", "-"];
        let installed = control_plane.kubectl_outcome(control_plane.admin(), &arguments, &chart.render()?)?;
        installed.clone().success().context("install the chart")?;
        control_plane.kubectl(&["wait", "--for=condition=Established", "--timeout=30s", "crd", "--all"])?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let mut suite = Self { control_plane, installed, runtime, clients: BTreeMap::new() };
        suite.introduce_everybody(chart.namespace())?;
        suite.make_what_forbidden_acts_aim_at()?;
        suite.wait_for_policies()?;
        Ok(suite)
    }

    /// Sends one request as somebody; any answer of the API server is an answer, a refusal too.
    pub fn ask(&self, who: Who, request: &Request) -> Result<Answer> {
        let client = self.clients.get(&who).with_context(|| format!("a client for {who:?}"))?.clone();
        self.runtime
            .block_on(request.send(client, &format!("{who:?}")))
            .with_context(|| format!("{who:?}: {request:?}"))
    }

    /// Sends one request that must succeed, and gives the object that came back.
    pub fn must(&self, who: Who, request: &Request) -> Result<Value> {
        let answer = self.ask(who, request)?;
        ensure!(answer.code < 300, "{who:?}: {request:?}: {} {}", answer.code, answer.message());
        Ok(answer.body)
    }

    /// Name and resource version of everything that a forbidden act must leave as it is.
    pub fn protected(&self) -> Result<BTreeMap<String, String>> {
        let mut found = BTreeMap::new();
        for path in samples::PROTECTED {
            for item in self.must(Who::Admin, &get(path))?["items"].as_array().into_iter().flatten() {
                let name = item["metadata"]["name"].as_str().unwrap_or_default();
                // What the allowed acts work in, and a Lease that the API server renews for itself.
                let lease = *path == "lease@pointsman-system" && name == "pointsman-controller";
                if !lease && !name.starts_with("east") && !name.starts_with("apiserver-") {
                    let version = item["metadata"]["resourceVersion"].as_str().unwrap_or_default();
                    found.insert(format!("{path}/{name}"), version.to_owned());
                }
            }
        }
        Ok(found)
    }

    fn introduce_everybody(&mut self, namespace: &str) -> Result<()> {
        let admin = self.control_plane.admin().to_owned();
        self.introduce(Who::Admin, &admin, None)?;
        let accounts = [
            (Who::Controller, namespace, "pointsman-controller", None),
            (Who::North, namespace, "pointsman-agent", Some("north")),
            (Who::East, namespace, "pointsman-agent", Some("east")),
            (Who::Unbound, namespace, "pointsman-agent", None),
            (Who::Tenant, "shop", "tenant", None),
            (Who::Viewer, "shop", "viewer", None),
        ];
        for (who, namespace, account, node) in accounts {
            let token = self.control_plane.create_token(namespace, account, node)?;
            let kubeconfig = self.control_plane.kubeconfig_for(&format!("{who:?}"), &token)?;
            self.introduce(who, &kubeconfig, None)?;
        }
        let system = [
            (Who::GarbageCollector, "generic-garbage-collector"),
            (Who::NamespaceController, "namespace-controller"),
            (Who::Migrator, "storage-version-migrator-controller"),
        ];
        for (who, account) in system {
            self.introduce(who, &admin, Some(format!("system:serviceaccount:kube-system:{account}")))?;
        }
        Ok(())
    }

    fn introduce(&mut self, who: Who, kubeconfig: &std::path::Path, user: Option<String>) -> Result<()> {
        let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
        let client = self.runtime.block_on(async {
            let mut config =
                Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
            if let Some(user) = user {
                config.auth_info.impersonate = Some(user);
                // Its roles depend on the API server's feature gates; here only the policies are in question.
                config.auth_info.impersonate_groups = Some(vec!["system:masters".to_owned()]);
            }
            anyhow::Ok(Client::try_from(config)?)
        })?;
        self.clients.insert(who, client);
        Ok(())
    }

    fn make_what_forbidden_acts_aim_at(&self) -> Result<()> {
        for (node, agent) in [("north", Who::North), ("east", Who::East)] {
            self.must(Who::Controller, &create("npp", samples::node_plan(node)))?;
            self.must(agent, &apply(&format!("npp/{node}/status"), samples::node_status(node)))?;
            let alive = samples::alive(node);
            self.must(Who::Controller, &apply(&format!("npp/{node}/status"), alive))?;
        }
        self.must(Who::Controller, &create("npp", samples::node_plan("south")))?;
        self.must(Who::Controller, &create("spp@shop", samples::service_plan("shop", "web")))?;
        let status = json!({"status": samples::service_status()});
        self.must(Who::Controller, &merge("spp@shop/web/status", status)).map(drop)
    }

    fn wait_for_policies(&self) -> Result<()> {
        let canaries = [
            create("spp@shop", samples::service_plan("shop", "canary")).dry(),
            merge("npp/south/status", json!({"status": {"mode": "ipvs"}})).dry(),
        ];
        for canary in canaries {
            wait::until("the admission policies to work", POLICY_LIMIT, || {
                match self.ask(Who::Admin, &canary)?.code {
                    403 => Ok(true),
                    200 | 201 => Ok(false),
                    code => bail!("{canary:?} was answered with {code}"),
                }
            })?;
        }
        Ok(())
    }
}
