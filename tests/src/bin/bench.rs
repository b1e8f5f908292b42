//! `make bench`: measures Pointsman beside the pinned kube-proxy. The program only reads its arguments; what is measured, and how, is in
//! the library.

use std::process::ExitCode;

use clap::Parser;

/// Measures Pointsman beside the pinned kube-proxy on real binaries, prints the figures and writes docs/benchmarks.md. Needs root.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    /// The numbers of Services to measure at.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    services: Vec<u32>,
    /// Only print; leave docs/benchmarks.md as it is.
    #[arg(long)]
    dry_run: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match pointsman_tests::bench::measure(&arguments.services, !arguments.dry_run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThe bench failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}
