//! `pointsman-controller`: wiring only.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use pointsman_controllers::args::{Cli, Command, PlanArgs, RunArgs, StatusArgs};
use pointsman_controllers::{offline, settings, status};
use pointsman_crds::crd;

fn run(args: RunArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    Ok(runtime.block_on(pointsman_controllers::run(args))?)
}

fn plan(args: &PlanArgs) -> anyhow::Result<()> {
    let policy = settings::policy(&args.proxy);
    let settings = settings::settings(&args.proxy)?;
    for remark in settings::remarks(&settings) {
        eprintln!("note: {remark}");
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    let node = args.node.as_deref();
    offline::print_plans(&args.files, node, policy, &settings, &mut out, &mut io::stderr().lock())?;
    out.flush().context("write the plans")
}

fn status(args: &StatusArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    let (table, ready) = runtime.block_on(status::status(args))?;
    io::stdout().lock().write_all(table.as_bytes()).context("write the table")?;
    anyhow::ensure!(ready, "not every node carries its plan");
    Ok(())
}

fn crds() -> anyhow::Result<()> {
    for definition in crd::definitions().context("build the kinds")? {
        let yaml = serde_saphyr::to_string(&definition).context("write the kinds as YAML")?;
        writeln!(io::stdout().lock(), "---\n{}", yaml.trim_end()).context("write the kinds")?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run(*args),
        Command::Plan(args) => plan(&args),
        Command::Status(args) => status(&args),
        Command::Crds => crds(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pointsman-controller: {error:#}");
            ExitCode::FAILURE
        }
    }
}
