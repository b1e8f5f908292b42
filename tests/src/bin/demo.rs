//! `make demo`: the story of the product on real binaries. The program only reads its arguments; the story is in the library.

use std::process::ExitCode;

use clap::Parser;

/// Shows Pointsman on real binaries: etcd, kube-apiserver, controllers, agents and packets in network namespaces. Needs root.
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Arguments {
    /// Leave the cluster up at the end, and print how to look around in it, until Ctrl-C.
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    match pointsman_tests::demo::play(Arguments::parse().keep) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThe demo failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}
