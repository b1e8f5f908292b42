//! What all trials share: a control plane with the chart in it, two nodes, Services that are there before any controller is, an
//! administrator's client, and the audit log. It starts no controller.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use pointsman_tests::audit::{Mark, Record};
use pointsman_tests::chart::Chart;
use pointsman_tests::control_plane::ControlPlane;
use pointsman_tests::kubeconfig;
use pointsman_tests::wait;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::objects;
use crate::place::Place;
use crate::request::{Answer, Request, create, get, merge};

/// The chart's account, as the API server knows it.
pub const CONTROLLER: &str = "system:serviceaccount:pointsman-system:pointsman-controller";
/// External IPs may come from here.
pub const ALLOWED: &str = "192.0.2.0/24";
/// The namespace of the Services that are there first, and how many they are.
pub const FIRST: (&str, usize) = ("first", 20);
/// Whoever has not written for this long has nothing to write: a change is answered within milliseconds.
const SILENCE: Duration = Duration::from_millis(500);
/// Long enough for a busy machine.
pub const LIMIT: Duration = Duration::from_secs(30);
/// Requests under way at once, where there are many.
const AT_ONCE: usize = 16;

/// The cluster.
pub struct World {
    /// The API server.
    pub control_plane: ControlPlane,
    /// The audit log before the first controller.
    pub dawn: Mark,
    runtime: Runtime,
    admin: Client,
    forger: Client,
    kubeconfig: PathBuf,
    flags: Vec<String>,
    numbers: AtomicU16,
}

impl World {
    /// Starts it; about ten seconds.
    pub fn start() -> Result<Self> {
        let control_plane = ControlPlane::start()?;
        let chart = Chart::pointsman().set("externalIPs.allow", &format!("{{{ALLOWED}}}"));
        chart.install(&control_plane)?;
        let token = control_plane.create_token(chart.namespace(), "pointsman-controller", None)?;
        let kubeconfig = control_plane.kubeconfig_for("controller", &token)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let admin = runtime.block_on(kubeconfig::client(control_plane.admin()))?;
        let forger = runtime.block_on(impersonate(control_plane.admin(), CONTROLLER))?;
        let dawn = control_plane.audit().mark()?;
        let numbers = AtomicU16::new(1);
        let mut world =
            Self { control_plane, dawn, runtime, admin, forger, kubeconfig, flags: vec![], numbers };
        world.flags = world.chart_flags(chart.namespace())?;
        for (name, zone) in [("north", "a"), ("south", "b")] {
            world.add_node(name, zone)?;
        }
        let first = Place::create(&world, FIRST.0)?;
        for number in 0..FIRST.1 {
            first.service(&format!("web-{number}"), &Value::Null)?;
        }
        // The API server holds up creations of a kind that it has served for less than two seconds; a pause there is none of the controller's.
        std::thread::sleep(Duration::from_secs(2));
        world.dawn = world.mark()?;
        Ok(world)
    }

    /// The flags with which the chart starts the controller, but for where it listens and how it logs.
    fn chart_flags(&self, namespace: &str) -> Result<Vec<String>> {
        let deployment = self.must(&get(&format!("deployment@{namespace}/pointsman-controller")))?;
        let args = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
        let args: Vec<String> = serde_json::from_value(args.clone()).context("the chart's arguments")?;
        let own = ["--health-address", "--metrics-address", "--log-format"];
        Ok(args.into_iter().filter(|flag| !own.iter().any(|name| flag.starts_with(name))).collect())
    }

    /// Makes a Node with addresses, as its kubelet would.
    pub fn add_node(&self, name: &str, zone: &str) -> Result<Value> {
        self.must(&create("node", objects::node(name, zone)))?;
        self.must(&merge(&format!("node/{name}/status"), objects::node_status("10.200.0.11")))
    }

    /// The kubeconfig with the token of the chart's account.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The controller's flags, as the chart has them.
    pub fn flags(&self) -> &[String] {
        &self.flags
    }

    /// A number that no controller had before.
    pub fn next_number(&self) -> u16 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Asks as the administrator; any answer is an answer.
    pub fn ask(&self, request: &Request) -> Result<Answer> {
        let answer = self.runtime.block_on(request.send(self.admin.clone(), "controller-suite"));
        answer.with_context(|| format!("{request:?}"))
    }

    /// Asks as the administrator for what must succeed, and gives what came back.
    pub fn must(&self, request: &Request) -> Result<Value> {
        accepted(request, self.ask(request)?)
    }

    /// Writes in the controller's name, for the admission policy lets nobody else. The audit log knows the administrator.
    pub fn forge(&self, request: &Request) -> Result<Value> {
        let answer = self.runtime.block_on(request.send(self.forger.clone(), "controller-suite"));
        accepted(request, answer.with_context(|| format!("{request:?}"))?)
    }

    /// Lines of requests: each line in its order, many lines at once.
    pub fn many(&self, lines: Vec<Vec<Request>>) -> Result<()> {
        let line = async |requests: Vec<Request>| {
            for request in requests {
                let answer = request.send(self.admin.clone(), "controller-suite").await?;
                accepted(&request, answer)?;
            }
            anyhow::Ok(())
        };
        let all = stream::iter(lines).map(line).buffer_unordered(AT_ONCE).try_collect();
        self.runtime.block_on(all)
    }

    /// The text with which the API server answers a GET, whole.
    pub fn text(&self, path: &str) -> Result<String> {
        let request = http::Request::get(path).body(vec![]).context("build the request")?;
        self.runtime.block_on(self.admin.request_text(request)).with_context(|| format!("get {path}"))
    }

    /// The end of the audit log now.
    pub fn mark(&self) -> Result<Mark> {
        self.control_plane.audit().mark()
    }

    /// What controllers have tried to write since then, but for the Lease.
    pub fn writes_since(&self, mark: Mark) -> Result<Vec<Record>> {
        let mut writes = self.control_plane.audit().writes_since(mark)?;
        writes.retain(|record| record.user == CONTROLLER && record.resource != "leases");
        Ok(writes)
    }

    /// Waits until controllers write nothing that `concerns`.
    pub fn silence(&self, concerns: impl Fn(&Record) -> bool) -> Result<()> {
        let (mut mark, mut since) = (self.mark()?, Instant::now());
        wait::until("the controller to have nothing to write", LIMIT, || {
            let now = self.mark()?;
            if self.writes_since(mark)?.iter().any(&concerns) {
                since = Instant::now();
            }
            mark = now;
            Ok(since.elapsed() > SILENCE)
        })
    }

    /// Makes a Service in a namespace of its own and waits for its plan: a controller leads, and has seen all that was before.
    /// Gives the namespace.
    pub fn canary(&self) -> Result<String> {
        let name = format!("canary-{}", self.next_number());
        let place = Place::create(self, &name)?;
        place.service("canary", &Value::Null)?;
        place.expect_plan("canary", Some(&[]))?;
        self.silence(|_| true)?;
        Ok(name)
    }
}

fn accepted(request: &Request, answer: Answer) -> Result<Value> {
    ensure!(answer.code < 300, "{request:?}: {} {}", answer.code, answer.message());
    Ok(answer.body)
}

async fn impersonate(kubeconfig: &Path, user: &str) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.auth_info.impersonate = Some(user.to_owned());
    config.auth_info.impersonate_groups = Some(vec!["system:masters".to_owned()]);
    Ok(Client::try_from(config)?)
}
