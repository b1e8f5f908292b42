//! Everything that is measured at one number of Services, in order. While one proxy is measured, the other and all that serves it stand
//! still.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kube::Api;
use pointsman_crds::NodeProxyPlan;

use super::figures::{Added, Cold, Memory, Restart, Size, human};
use super::ground::Ground;
use super::subject::{Subject, Which, memory};
use super::{added, cold, figures, first_packet, objects, restart};
use crate::control_plane::ControlPlane;
use crate::process::Process;
use crate::tools::repository;
use crate::wait;

/// Services that are added to each proxy, one by one.
pub const ADDED: u32 = 50;
/// Cold starts and restarts of our agent; kube-proxy's take up to a minute and a half each, and are not repeated where they do.
const REPEATS: usize = 5;
/// At more Services than these, kube-proxy's starts are not repeated.
const QUICK: u32 = 2_000;
/// kube-proxy's default `minSyncPeriod` is 1 s: after this rest it writes at once.
const REST_OF_KUBE_PROXY: Duration = Duration::from_millis(1_100);
const REST: Duration = Duration::from_millis(150);
/// What a process needs to come to rest after a start.
const SETTLE: Duration = Duration::from_secs(2);
const PLAN_LIMIT: Duration = Duration::from_secs(600);

/// All that is measured of a proxy but its packets.
struct Course {
    cold: Vec<Cold>,
    memory_cold: Memory,
    added: Added,
    memory_added: Memory,
    restarts: Vec<Restart>,
    process: Process,
}

impl Course {
    fn with(self, first_packet: figures::FirstPacket) -> figures::Proxy {
        let Self { cold, memory_cold, added, memory_added, restarts, process: _ } = self;
        figures::Proxy { cold, memory_cold, added, memory_added, restarts, first_packet }
    }
}

/// Measures everything; where that fails, the logs are kept.
pub fn measure(services: u32) -> Result<Size> {
    let start = Instant::now();
    say(start, &format!("{services} Services: a cluster is made"));
    let ground = Ground::build()?;
    measure_on(&ground, services, start).with_context(|| match keep_logs(ground.control_plane()) {
        Ok(folder) => format!("the programs' logs are in {}", folder.display()),
        Err(error) => format!("the programs' logs are lost: {error:#}"),
    })
}

fn measure_on(ground: &Ground, services: u32, start: Instant) -> Result<Size> {
    let created = objects::create_all(ground.control_plane(), services)?;
    say(start, &format!("Services and slices are written ({})", human(created)));
    let (mut controller, planned) = plan(ground)?;
    say(start, &format!("all plans are written ({})", human(planned)));
    std::thread::sleep(SETTLE);
    let controller_memory = memory(&controller)?;

    let mut ours = course(&Subject::new(ground, Which::Pointsman), services, REPEATS, start)?;
    ours.process.terminate(Duration::from_secs(30))?;
    controller.terminate(Duration::from_secs(30))?;

    let repeats = if services <= QUICK { REPEATS } else { 1 };
    let mut theirs = course(&Subject::new(ground, Which::KubeProxy(None)), services, repeats, start)?;
    let eager = Subject::new(ground, Which::KubeProxy(Some("10ms")));
    let after = services + 2 * ADDED..services + 3 * ADDED;
    let theirs_eager = added::measure(&eager, after, REST)?;
    say(start, &format!("added with minSyncPeriod 10ms: {}", theirs_eager.from_write));
    theirs.process.terminate(Duration::from_secs(30))?;

    let netns = [ground.our_node(), ground.their_node()].map(|node| &node.netns);
    let (our_packets, their_packets) = first_packet::measure(netns[0], netns[1], services)?;
    say(start, "first packets are timed");
    Ok(Size {
        services,
        created,
        planned,
        controller: controller_memory,
        ours: ours.with(our_packets),
        theirs: theirs.with(their_packets),
        theirs_eager,
    })
}

/// Starts the controller, and tells how long it took until every Service's plan was acknowledged: only then does it write the nodes'.
fn plan(ground: &Ground) -> Result<(Process, Duration)> {
    let flags = Ground::controller_flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let start = Instant::now();
    let mut controller = ground.cluster.start_controller(1, &flags)?;
    let nodes = [ground.our_node(), ground.their_node()].map(|node| node.name.as_str());
    let control_plane = ground.control_plane();
    let planned = control_plane.with_client(control_plane.admin(), async |client| {
        let plans: Api<NodeProxyPlan> = Api::all(client);
        while start.elapsed() < PLAN_LIMIT {
            controller.still_runs()?;
            let listed =
                plans.list(&kube::api::ListParams::default()).await.context("list the nodes' plans")?;
            if listed.items.len() == nodes.len() {
                return Ok(start.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::bail!("the controller has not planned all after {PLAN_LIMIT:?}:\n{}", controller.log_tail(20))
    })?;
    Ok((controller, planned))
}

/// Cold starts, Services added, restarts.
fn course(subject: &Subject<'_>, services: u32, repeats: usize, start: Instant) -> Result<Course> {
    let which = subject.which();
    let (mut process, first) = cold::measure(subject, services)?;
    let mut all = vec![first];
    for _ in 1..repeats {
        process.terminate(Duration::from_secs(30))?;
        let (again, figure) = cold::measure(subject, services)?;
        process = again;
        all.push(figure);
    }
    let answered: Vec<_> = all.iter().map(|cold| cold.answered).collect();
    say(start, &format!("{which}: cold starts {}", figures::Times::new(answered)?));
    wait::until("the proxy to come to rest", Duration::from_secs(60), || {
        subject.node().netns.enter(Subject::synced)
    })?;
    std::thread::sleep(SETTLE);
    let memory_cold = memory(&process)?;

    let (first, rest) = match which {
        Which::Pointsman => (services, REST),
        Which::KubeProxy(_) => (services + ADDED, REST_OF_KUBE_PROXY),
    };
    let added = added::measure(subject, first..first + ADDED, rest)?;
    say(start, &format!("{which}: added Services {}", added.from_write));
    std::thread::sleep(SETTLE);
    let memory_added = memory(&process)?;

    let mut restarts = vec![];
    // kube-proxy comes back with a shorter minSyncPeriod, which cannot make its first sync later.
    let next = subject.eager();
    for _ in 0..repeats {
        let (again, restart) = restart::measure(&next, process, services)?;
        process = again;
        say(
            start,
            &format!(
                "{which}: restart {}, {}, {} of {} connects failed",
                human(restart.synced),
                restart.writes,
                restart.failed,
                restart.connects
            ),
        );
        restarts.push(restart);
    }
    Ok(Course { cold: all, memory_cold, added, memory_added, restarts, process })
}

fn say(start: Instant, what: &str) {
    println!("[{:6.1} s] {what}", start.elapsed().as_secs_f64());
}

/// Copies the logs out of the folder that goes with the cluster.
fn keep_logs(control_plane: &ControlPlane) -> Result<PathBuf> {
    let folder = repository().join("target/bench-logs");
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    for entry in std::fs::read_dir(control_plane.folder()).context("list the logs")? {
        let path = entry?.path();
        if let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|end| end == "log")) {
            std::fs::copy(&path, folder.join(name)).with_context(|| format!("keep {}", path.display()))?;
        }
    }
    Ok(folder)
}
