//! The cluster that people look around in: held by a process in the background, found again by its record. It is brought up and taken down
//! as the suites do it, and prints how to use it.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::interrupt::Interrupt;
use crate::process::Signal;
use crate::tools::{Tool, repository};
use crate::wait;

use super::{Options, Proxy, RealCluster, Record, Remains, sweep};

/// For all of it, on a machine that is busy with other things as well.
const LIMIT: Duration = Duration::from_secs(600);

/// A place to run a program in.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// Where the API server can be reached.
    ControlPlane,
    /// A node, counted from 1 as its name is.
    Node(usize),
    /// The client that is no part of the cluster.
    Outside,
}

/// Starts the holder and waits until it has brought the cluster up. `arguments` are those of this program that make it [`hold`].
pub fn raise(arguments: &[String]) -> Result<()> {
    ensure!(Record::kept()?.is_none(), "a cluster is up already: `make cluster-down` takes it down");
    let log = repository().join("target/cluster/holder.log");
    let mut holder = start_holder(arguments, &log)?;
    let mut shown = 0;
    wait::until("the cluster to be up", LIMIT, || {
        show_news(&log, &mut shown)?;
        if let Some(status) = holder.try_wait().context("look after the holder")? {
            bail!("the cluster did not come up: its holder ended with {status}");
        }
        Ok(Record::kept()?.is_some_and(|record| record.holder.pid() == holder.id()))
    })?;
    show_news(&log, &mut shown)
}

/// Brings the cluster up, shows what there is to see, and holds it until it is told to end.
pub fn hold(options: Options) -> Result<()> {
    let interrupt = Interrupt::watch()?;
    let begun = Instant::now();
    let mut cluster = RealCluster::up(options)?;
    println!("both nodes are Ready after {:.1} s", begun.elapsed().as_secs_f64());
    cluster.explained(furnish(&cluster))?;
    println!("{}", guide(&cluster)?);
    cluster.keep()?;
    interrupt.wait();
    cluster.down()
}

/// Installs what the cluster is kept for: the chart, and something to look at.
fn furnish(cluster: &RealCluster) -> Result<()> {
    if cluster.options().proxy == Proxy::Pointsman {
        let begun = Instant::now();
        cluster.install(&[])?;
        println!("helm install --wait took {:.1} s", begun.elapsed().as_secs_f64());
    }
    cluster.apply(include_str!("example.yaml"))?;
    if cluster.options().proxy != Proxy::Nothing {
        let begun = Instant::now();
        for deployment in ["default/echo", "kube-system/coredns"] {
            let (namespace, name) = deployment.split_once('/').context("a namespace and a name")?;
            cluster.kubectl(&["rollout", "status", "--timeout=120s", "-n", namespace, "deployment", name])?;
        }
        println!("DNS and the example are ready {:.1} s later", begun.elapsed().as_secs_f64());
    }
    Ok(())
}

/// Takes the kept cluster down, and whatever dead holders have left; an error names what could not be removed.
pub fn lower() -> Result<()> {
    let Some(record) = Record::kept()? else {
        let swept = sweep()?;
        println!("No cluster is up; the remains of {swept} were removed.");
        return Ok(());
    };
    let remains = Remains::of_record(&record)?;
    record.holder.signal(Signal::TERM).context("tell the holder of the cluster to end")?;
    wait::until("the holder of the cluster to end", LIMIT, || Ok(!record.holder.is_alive()))?;
    // In case it did not get to the end of its work.
    sweep()?;
    let found = remains.found()?;
    ensure!(found.is_empty(), "there still is: {}", found.join(", "));
    println!("The cluster is down: no process, mount, namespace, control group or file of it is left.");
    Ok(())
}

/// Replaces this program by another one inside the kept cluster.
pub fn enter(place: Place, program: &Path, args: &[String]) -> Result<()> {
    let record = Record::kept()?.context("no cluster is up: `make cluster` brings one up")?;
    let mut command = Command::new("nsenter");
    match place {
        Place::ControlPlane => command.arg(format!("--net={}", record.control_plane.display())),
        Place::Outside => command.arg(format!("--net={}", record.outside.display())),
        Place::Node(number) => {
            let node = number.checked_sub(1).and_then(|index| record.nodes.get(index));
            let (name, first) = node.with_context(|| format!("there is no node {number}"))?;
            ensure!(first.is_alive(), "{name} is off");
            command.args(["--target", &first.pid().to_string(), "--mount", "--uts", "--net", "--pid"])
        }
    };
    let home = record.folder.join("home");
    let error = command
        .arg("--")
        .arg(program)
        .args(args)
        .env("KUBECONFIG", &record.kubeconfig)
        // Caches are kept by address, and another cluster may have had this one.
        .env("KUBECACHEDIR", home.join("cache"))
        .env("HELM_CACHE_HOME", home.join("helm"))
        .exec();
    Err(error).with_context(|| format!("run {}", program.display()))
}

/// In a session of its own, so that it outlives the terminal that it was started from.
fn start_holder(arguments: &[String], log: &Path) -> Result<Child> {
    std::fs::create_dir_all(repository().join("target/cluster")).context("make the folder for clusters")?;
    let file = File::create(log).with_context(|| format!("open the log {}", log.display()))?;
    Command::new("setsid")
        .arg(std::env::current_exe().context("find the running program")?)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .context("start the holder of the cluster")
}

/// Prints what has been added to a log since the last look.
fn show_news(log: &Path, shown: &mut usize) -> Result<()> {
    let text = std::fs::read_to_string(log).with_context(|| format!("read {}", log.display()))?;
    let news = text.get(*shown..).unwrap_or_default();
    *shown = text.len();
    std::io::stdout().write_all(news.as_bytes()).context("print what the holder says")
}

fn guide(cluster: &RealCluster) -> Result<String> {
    let own: PathBuf = std::env::current_exe().context("find the running program")?;
    let own = own.strip_prefix(repository()).unwrap_or(&own).display().to_string();
    let node = cluster.node(0);
    let mut lines = vec![
        format!(
            "\nThe cluster is up; {} and helm are there too. As root, from {}:",
            Tool::Kubectl.name(),
            repository().display()
        ),
        format!("  {own} kubectl get nodes,pods -A -o wide"),
        format!(
            "  {own} kubectl exec deploy/echo -- curl -s http://echo/hostname      # from a pod, by name"
        ),
        format!(
            "  {own} outside curl -s http://{}:30080/hostname       # from outside, a node port",
            node.address()
        ),
    ];
    if cluster.options().proxy == Proxy::Pointsman {
        lines.push(format!("  {own} kubectl get nodeproxyplans,serviceproxyplans -A"));
        lines.push(format!("  {own} node 1 nft list table ip pointsman"));
        lines.push(format!("  {own} helm status pointsman -n {}", super::NAMESPACE));
    }
    lines.push(format!(
        "Logs: {}/*.log. `make cluster-down` takes it down.",
        cluster.record().folder.display()
    ));
    Ok(lines.join("\n"))
}
