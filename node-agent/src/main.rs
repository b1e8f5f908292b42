//! The binary `pointsman-agent`: wiring only.

mod run;

use std::process::ExitCode;

use clap::Parser;
use pointsman_node_agent::args::{Args, Command};
use pointsman_node_agent::chain;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let done = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(start(Args::parse().command));
            // A request that is under way must not hold up the end.
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(anyhow::Error::new(error).context("cannot start the runtime")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pointsman-agent: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn start(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run(args) => run::run(args).await,
        Command::Render(args) => run::render(args).await,
        Command::Explain(args) => run::explain(args).await,
        Command::Cleanup(args) => run::cleanup(args).await,
    }
}
