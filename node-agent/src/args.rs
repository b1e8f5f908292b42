//! The command line: what can be asked for, and the words in which `--help` says so. Decides nothing.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use pointsman_crds::IpFamily;

use crate::explain::{Source, Target};

/// The node agent of Pointsman: carries this node's plan in the kernel, proves it, and says so.
#[derive(Debug, Parser)]
#[command(name = "pointsman-agent", version, propagate_version = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring the kernel to this node's plan and keep it there
    Run(RunArgs),
    /// Print what would be programmed, as nft text; needs no privileges
    Render(RenderArgs),
    /// Tell what becomes of a connection on a node, and why; needs no privileges
    Explain(ExplainArgs),
    /// Remove everything that the agent programmed on this node
    Cleanup(CleanupArgs),
}

/// Where plans come from.
#[derive(Clone, Debug, clap::Args)]
pub struct PlanArgs {
    /// The node whose plan counts [default for a plan directory: the only one in it]
    #[arg(long = "node-name", visible_alias = "node", env = "NODE_NAME", value_name = "NAME")]
    pub node: Option<String>,
    /// Read plans from this directory (or file) of YAML or JSON: no cluster is needed
    #[arg(long, env = "POINTSMAN_PLAN_DIR", value_name = "PATH", conflicts_with = "kubeconfig")]
    pub plan_dir: Option<PathBuf>,
    /// Read plans from the API server that this file names [default: the Pod's own cluster]
    #[arg(long, env = "POINTSMAN_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// Arguments of `run`.
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    /// Where plans come from.
    #[command(flatten)]
    pub plan: PlanArgs,
    /// Keep the last whole plan in this directory, for a start without API server
    #[arg(long, env = "POINTSMAN_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// With --plan-dir: write the status to this file
    #[arg(long, env = "POINTSMAN_STATUS_FILE", value_name = "FILE")]
    pub status_file: Option<PathBuf>,
    /// Serve /healthz, /livez and /readyz here
    #[arg(
        long,
        env = "POINTSMAN_HEALTH_ADDRESS",
        value_parser = listen_address,
        value_name = "IP:PORT",
        default_value = "0.0.0.0:10256"
    )]
    pub health_address: SocketAddr,
    /// Serve /metrics and /proxyMode here
    #[arg(
        long,
        env = "POINTSMAN_METRICS_ADDRESS",
        value_parser = listen_address,
        value_name = "IP:PORT",
        default_value = "127.0.0.1:10249"
    )]
    pub metrics_address: SocketAddr,
    /// How logs are written
    #[arg(long, env = "POINTSMAN_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug, or a filter such as info,pointsman_node_agent=debug
    #[arg(long, env = "POINTSMAN_LOG_LEVEL", value_name = "FILTER", default_value = "info")]
    pub log_level: String,
    /// Program beside an active kube-proxy, to replace it without a gap
    #[arg(long, env = "POINTSMAN_TAKE_OVER")]
    pub take_over: bool,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people
    Text,
    /// A JSON object a line
    Json,
}

/// Arguments of `render`.
#[derive(Clone, Debug, clap::Args)]
pub struct RenderArgs {
    /// Where plans come from.
    #[command(flatten)]
    pub plan: PlanArgs,
    /// Only this family's table
    #[arg(long, value_parser = family, value_name = "IPv4|IPv6")]
    pub family: Option<IpFamily>,
}

/// Arguments of `explain`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pointsman-agent explain 10.96.0.10:80/tcp --plan-dir examples/plan-dir\n  \
    pointsman-agent explain [fd00:96::10]:53/udp --from outside --node node-1 --kubeconfig ~/.kube/config"
)]
pub struct ExplainArgs {
    /// Where the connection goes: IP:PORT/PROTOCOL, an IPv6 address in brackets
    #[arg(value_name = "IP:PORT/PROTOCOL")]
    pub target: Target,
    /// Where it comes from: pod (of this node), node (the node itself), outside, or an address
    #[arg(long, default_value = "pod", value_name = "pod|node|outside|IP")]
    pub from: Source,
    /// Where plans come from.
    #[command(flatten)]
    pub plan: PlanArgs,
}

/// Arguments of `cleanup`.
#[derive(Clone, Debug, clap::Args)]
pub struct CleanupArgs {
    /// Remove the checkpoint in this directory too
    #[arg(long, env = "POINTSMAN_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Then do nothing until SIGTERM, for a DaemonSet, which starts again whatever ends
    #[arg(long)]
    pub stay: bool,
}

fn family(text: &str) -> Result<IpFamily, String> {
    match text.to_ascii_lowercase().as_str() {
        "ipv4" | "ip" | "4" => Ok(IpFamily::IPv4),
        "ipv6" | "ip6" | "6" => Ok(IpFamily::IPv6),
        _ => Err("expected IPv4 or IPv6".to_owned()),
    }
}

/// An address to listen on. Port 0 is none: the kernel would choose one, and nobody would know it.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|error: std::net::AddrParseError| error.to_string())?;
    if address.port() == 0 { Err("the port must be 1 to 65535".to_owned()) } else { Ok(address) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn bad_arguments_are_refused_in_words() {
        let cases: [(&[&str], &str); 9] = [
            (&["explain", "10.0.0.1"], "expected IP:PORT/PROTOCOL"),
            (&["explain", "10.0.0.1:80/icmp"], "expected tcp, udp or sctp"),
            (&["explain", "fd00::1:80/tcp"], "expected IP:PORT/PROTOCOL"),
            (
                &["explain", "10.0.0.1:80/tcp", "--from", "moon"],
                "expected pod, node, outside or an IP address",
            ),
            (&["render", "--family", "ipx"], "expected IPv4 or IPv6"),
            (&["run", "--health-address", "here"], "invalid socket address"),
            (&["run", "--health-address", "0.0.0.0:0"], "the port must be 1 to 65535"),
            (&["run", "--metrics-address", "[::1]:0"], "the port must be 1 to 65535"),
            (
                &["run", "--plan-dir", "plans", "--kubeconfig", "config"],
                "cannot be used with '--kubeconfig <FILE>'",
            ),
        ];
        for (arguments, expected) in cases {
            let arguments = std::iter::once(&"pointsman-agent").chain(arguments);
            let message = Args::try_parse_from(arguments).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
