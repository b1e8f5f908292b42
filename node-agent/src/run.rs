//! Wires the parts together and ends them. Whatever ends the agent, what is in the kernel stays.

use std::io::Write;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, anyhow};
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use pointsman_node_agent::args::{CleanupArgs, ExplainArgs, RenderArgs, RunArgs};
use pointsman_node_agent::feed::Feed;
use pointsman_node_agent::feed::api::{ApiServer, Held};
use pointsman_node_agent::feed::checkpoint::Checkpoint;
use pointsman_node_agent::feed::directory::Directory;
use pointsman_node_agent::health::Health;
use pointsman_node_agent::mailbox::Mailbox;
use pointsman_node_agent::metrics::Metrics;
use pointsman_node_agent::nftables::{Error, Kernel, Watch};
use pointsman_node_agent::plan::{Link, Services, Update};
use pointsman_node_agent::reconcile::{Outlets, Reconciler};
use pointsman_node_agent::report::Report;
use pointsman_node_agent::report::publish::{self, Sink};
use pointsman_node_agent::report::status::Agent;
use pointsman_node_agent::serve::{self, Answers};
use pointsman_node_agent::tables::Tables;
use pointsman_node_agent::{cleanup, connect, explain, render, save, telemetry};

/// `pointsman-agent run`: until a signal ends it.
///
/// # Errors
/// Says in a sentence what keeps it from starting, or what ended it.
pub(crate) async fn run(args: RunArgs) -> anyhow::Result<()> {
    telemetry::start(args.log_format, &args.log_level).map_err(|why| anyhow!(why))?;
    let source = Origin::new(&args).await?;
    let mailbox = Arc::new(Mailbox::default());
    let metrics = Arc::new(Metrics::new(Timestamp::now()));
    let (reports, told) = watch::channel(Report::default());
    let (saving, held) = saved(&args, source.node(), &mailbox)?;
    let outlets = Outlets {
        reports,
        health: Arc::new(Health::default()),
        metrics: metrics.clone(),
        checkpoint: saving.as_ref().map(|_| Arc::new(Mailbox::default())),
    };
    let answers = Answers { health: outlets.health.clone(), metrics: metrics.clone(), reports: told.clone() };
    let saver = saving.zip(outlets.checkpoint.clone()).map(|(checkpoint, posted)| {
        let metrics = metrics.clone();
        thread::spawn(move || save::run(checkpoint, &posted, &metrics))
    });
    let posted = outlets.checkpoint.clone();
    let reconciler = Reconciler::new(Tables::new(opener(mailbox.clone())), outlets, args.take_over);
    let reading = mailbox.clone();
    let loops = thread::spawn(move || reconciler.run(&reading));
    let sink = source.sink(&args);
    let ended = tokio::select! {
        () = source.feed(mailbox.clone(), held) => Err(anyhow!("the plans' source ended")),
        () = publish::run(told, sink, Agent::here(), &metrics) => Err(anyhow!("the reconciler ended")),
        served = serve::serve(args.health_address, serve::health(answers.clone())) => served.context("health"),
        served = serve::serve(args.metrics_address, serve::metrics(answers)) => served.context("metrics"),
        stopped = stop() => stopped,
    };
    mailbox.close();
    loops.join().map_err(|_| anyhow!("the reconciler panicked"))?;
    if let Some((posted, saver)) = posted.zip(saver) {
        posted.close();
        saver.join().map_err(|_| anyhow!("the checkpoint's writer panicked"))?;
    }
    tracing::info!("the agent ends; what is in the kernel stays");
    ended
}

/// `pointsman-agent render`.
///
/// # Errors
/// Says what is wrong with the plan.
pub(crate) async fn render(args: RenderArgs) -> anyhow::Result<()> {
    let plan = connect::plan(&args.plan).await?;
    let dispatch = render::dispatch(&plan);
    print(&render::render(&dispatch, plan.revision.as_str(), args.family))?;
    for refusal in render::refusals(&dispatch) {
        eprintln!("refused: {refusal}");
    }
    Ok(())
}

/// `pointsman-agent explain`.
///
/// # Errors
/// Says what is wrong with the plan or the question.
pub(crate) async fn explain(args: ExplainArgs) -> anyhow::Result<()> {
    let plan = connect::plan(&args.plan).await?;
    let told = explain::explain(&plan, &render::dispatch(&plan), args.target, args.from);
    print(&told.map_err(|why| anyhow!(why))?)
}

/// `pointsman-agent cleanup`.
///
/// # Errors
/// Says what could not be removed.
pub(crate) async fn cleanup(args: CleanupArgs) -> anyhow::Result<()> {
    let mut kernel = Kernel::open(false)?;
    let lines = cleanup::cleanup(&mut kernel, args.state_dir.as_deref())?;
    print(&(lines.join("\n") + "\n"))?;
    if args.stay { stop().await } else { Ok(()) }
}

/// A reader that closes its end (`| head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

/// Where plans come from and statuses go.
enum Origin {
    Api { client: kube::Client, address: String, node: String },
    Directory { directory: Directory, node: String },
}

impl Origin {
    async fn new(args: &RunArgs) -> anyhow::Result<Self> {
        if let Some(path) = &args.plan.plan_dir {
            let directory = Directory::new(path, args.plan.node.as_deref());
            // What is wrong from the start is told at once; what goes wrong later leaves the last whole plan in force.
            let node = directory.load()?.node.name.clone();
            return Ok(Self::Directory { directory, node });
        }
        let node = args.plan.node.clone().ok_or(connect::Error::NoNode)?;
        let (client, address) = connect::client(args.plan.kubeconfig.as_deref()).await?;
        Ok(Self::Api { client, address, node })
    }

    fn node(&self) -> &str {
        match self {
            Self::Api { node, .. } | Self::Directory { node, .. } => node,
        }
    }

    fn sink(&self, args: &RunArgs) -> Sink {
        match self {
            Self::Api { client, .. } => Sink::Api(client.clone()),
            Self::Directory { .. } => Sink::File(args.status_file.clone()),
        }
    }

    async fn feed(self, mailbox: Arc<Mailbox>, held: Option<Held>) {
        match self {
            Self::Api { client, address, node } => {
                ApiServer::new(client, &address, &node, held).run(mailbox).await;
            }
            Self::Directory { directory, .. } => directory.run(mailbox).await,
        }
    }
}

/// The checkpoint, if one is wanted; what it holds is posted as the first plan, and handed back.
fn saved(
    args: &RunArgs,
    node: &str,
    mailbox: &Mailbox,
) -> anyhow::Result<(Option<Checkpoint>, Option<Held>)> {
    let mut held = None;
    let Some(directory) = &args.state_dir else { return Ok((None, held)) };
    let checkpoint = Checkpoint::new(directory)?;
    match checkpoint.load() {
        Ok(Some(plan)) if plan.node.name == node => {
            tracing::info!(revision = %plan.revision, services = plan.services.len(), "the last whole plan is read from the checkpoint");
            held = Some(plan.services.clone());
            mailbox.post(Update {
                node: Some(plan.node),
                services: Services::Saved(plan.services),
                revision: Some(plan.revision),
                link: Some(Link::Checkpoint),
                ..Update::default()
            });
        }
        Ok(Some(plan)) => {
            tracing::warn!(node = plan.node.name, "the checkpoint is another node's and is not used")
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "waiting for the first whole plan"),
    }
    Ok((Some(checkpoint), held))
}

/// Opens the kernel; where tables cannot be owned, others' changes to them are watched for.
fn opener(mailbox: Arc<Mailbox>) -> pointsman_node_agent::tables::Open<Kernel> {
    Box::new(move |own| {
        let kernel = Kernel::open(own)?;
        if !(own && kernel.features().owner) {
            let watch = Watch::open(kernel.port())?;
            let mailbox = mailbox.clone();
            thread::spawn(move || watch_tables(watch, &mailbox));
        }
        Ok(kernel)
    })
}

/// Ends only if the socket does; the scheduled read-back is there then.
fn watch_tables(mut watch: Watch, mailbox: &Mailbox) -> Option<Error> {
    loop {
        match watch.wait() {
            Ok(_) => mailbox.touched(),
            Err(error) => {
                tracing::warn!(%error, "changes by others are found by read-back only");
                return Some(error);
            }
        }
    }
}

async fn stop() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
