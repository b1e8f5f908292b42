//! `make cluster` and `make cluster-down`: a real two-node cluster to look around in. The program only reads its arguments; the work is in
//! the library.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};
use pointsman_tests::nodes::kept::{Place, enter, hold, lower, raise};
use pointsman_tests::nodes::{Options, Proxy, Slices};
use pointsman_tests::tools::Tool;

/// A real Kubernetes of two nodes on this machine, in namespaces. Needs root.
#[derive(Debug, Parser)]
#[command(name = "cluster")]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Brings it up, installs the chart and an example, and leaves it up.
    Up(Wanted),
    /// Takes it down, and removes what a crash has left.
    Down,
    /// Runs kubectl in it.
    #[command(disable_help_flag = true)]
    Kubectl(Words),
    /// Runs helm in it.
    #[command(disable_help_flag = true)]
    Helm(Words),
    /// Runs a program on a node: `node 1 nft list ruleset`.
    Node {
        /// 1 or 2.
        number: usize,
        #[command(flatten)]
        words: Program,
    },
    /// Runs a program as a client that is no part of the cluster: `outside curl http://10.200.0.11:30080/`.
    Outside(Program),
    /// Brings it up and holds it until it is told to end.
    #[command(hide = true)]
    Hold(Wanted),
}

#[derive(Debug, Args)]
struct Wanted {
    /// Who proxies Services.
    #[arg(long, value_enum, default_value = "pointsman")]
    proxy: ProxyName,
    /// Leave the EndpointSlices to kube-controller-manager.
    #[arg(long)]
    consume: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ProxyName {
    Pointsman,
    KubeProxy,
    Nothing,
}

#[derive(Debug, Args)]
struct Words {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

#[derive(Debug, Args)]
struct Program {
    program: PathBuf,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

impl Wanted {
    fn options(&self) -> Options {
        Options {
            slices: if self.consume { Slices::Consume } else { Slices::Manage },
            proxy: match self.proxy {
                ProxyName::Pointsman => Proxy::Pointsman,
                ProxyName::KubeProxy => Proxy::KubeProxy,
                ProxyName::Nothing => Proxy::Nothing,
            },
        }
    }
}

fn main() -> ExitCode {
    match run(Arguments::parse().action) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cluster: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(action: Action) -> Result<()> {
    match action {
        // The holder gets the same flags.
        Action::Up(_) => {
            let flags = std::env::args().skip(2);
            raise(&std::iter::once("hold".to_owned()).chain(flags).collect::<Vec<_>>())
        }
        Action::Hold(wanted) => hold(wanted.options()),
        Action::Down => lower(),
        Action::Kubectl(words) => enter(Place::ControlPlane, &Tool::Kubectl.path()?, &words.words),
        Action::Helm(words) => enter(Place::ControlPlane, &Tool::Helm.path()?, &words.words),
        Action::Node { number, words } => enter(Place::Node(number), &words.program, &words.args),
        Action::Outside(words) => enter(Place::Outside, &words.program, &words.args),
    }
}
