//! `make conformance`: upstream's conformance tests of the network against Pointsman in a real cluster. The program only reads its
//! arguments; what is run and how it is judged is in the library.

use std::process::ExitCode;

use clap::Parser;
use pointsman_tests::conformance;

/// Runs upstream's `[sig-network]` `[Conformance]` tests in a real two-node cluster, judges them, and writes docs/conformance.md. Needs
/// root.
#[derive(Debug, Parser)]
#[command(name = "conformance")]
struct Arguments {
    /// Run them against kube-proxy and kube-controller-manager's slices on the same ground, where all must pass. Nothing is written.
    #[arg(long)]
    kube_proxy: bool,
}

fn main() -> ExitCode {
    match conformance::run(Arguments::parse().kube_proxy) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nconformance: {error:#}");
            ExitCode::FAILURE
        }
    }
}
