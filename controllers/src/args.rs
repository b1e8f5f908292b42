//! The command line. Parses and explains; decides nothing.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use pointsman_crds::{Duration, names};

/// Plans what the nodes of a cluster must do for its Services, and writes EndpointSlices.
#[derive(Debug, Parser)]
#[command(name = "pointsman-controller", version, max_term_width = 120)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the controller against an API server until SIGTERM
    Run(Box<RunArgs>),
    /// Print the plans that the controller would write for Services, Pods, Nodes, EndpointSlices and ServiceCIDRs in files
    Plan(Box<PlanArgs>),
    /// Tell whether every node carries its plan; exit status 1 if one does not
    Status(StatusArgs),
    /// Print the CustomResourceDefinitions of this version
    Crds,
}

/// Flags of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Reach the API server by this kubeconfig; without it as a Pod does, by the Service `kubernetes` and the Pod's token
    #[arg(long, env = "POINTSMAN_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// How long to wait for nodes that are not ready
    #[arg(long, value_parser = duration, default_value = "0s", value_name = "DURATION")]
    pub wait: Duration,
    /// Ask only for nodes with these labels, in the form of kubectl: for those that agents are meant for
    #[arg(short = 'l', long, value_name = "KEY=VALUE,…")]
    pub selector: Option<String>,
}

/// Flags of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Reach the API server by this kubeconfig; without it by KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT and the Pod's token
    #[arg(long, env = "POINTSMAN_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Namespace of the Lease by which one replica leads
    #[arg(long, env = "POINTSMAN_LEASE_NAMESPACE", default_value = "kube-system", value_name = "NAMESPACE")]
    pub lease_namespace: String,
    /// Name of that Lease
    #[arg(long, env = "POINTSMAN_LEASE_NAME", default_value = names::LEASE, value_name = "NAME")]
    pub lease_name: String,
    /// Name of this replica in the Lease and in Events; the host name and process ID if absent
    #[arg(long, env = "POINTSMAN_IDENTITY", value_name = "NAME")]
    pub identity: Option<String>,
    /// Where /healthz and /readyz answer
    #[arg(
        long,
        env = "POINTSMAN_HEALTH_ADDRESS",
        value_parser = listen_address,
        default_value = "0.0.0.0:10266",
        value_name = "ADDRESS:PORT"
    )]
    pub health_address: SocketAddr,
    /// Where /metrics answers
    #[arg(
        long,
        env = "POINTSMAN_METRICS_ADDRESS",
        value_parser = listen_address,
        default_value = "127.0.0.1:10267",
        value_name = "ADDRESS:PORT"
    )]
    pub metrics_address: SocketAddr,
    /// Format of the log
    #[arg(long, env = "POINTSMAN_LOG_FORMAT", value_enum, default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// What is logged: a level (error, warn, info, debug, trace), or directives as in `info,kube=debug`
    #[arg(long, env = "POINTSMAN_LOG_LEVEL", default_value = "info", value_name = "LEVEL")]
    pub log_level: String,
    /// How Services become plans.
    #[command(flatten)]
    pub proxy: ProxyArgs,
}

/// Flags of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Manifests: YAML or JSON, several documents or Lists in one
    #[arg(short, long = "file", required = true, num_args = 1.., value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Of all Nodes print only the plan of this one
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
    /// How Services become plans.
    #[command(flatten)]
    pub proxy: ProxyArgs,
}

/// How Services become plans, and how nodes shall proxy.
#[derive(Debug, Args)]
pub struct ProxyArgs {
    /// Manage: write EndpointSlices from Services and Pods. Consume: read those that another controller writes
    #[arg(
        long,
        env = "POINTSMAN_ENDPOINT_SLICES",
        value_enum,
        ignore_case = true,
        default_value = "Manage",
        value_name = "MODE"
    )]
    pub endpoint_slices: EndpointSlices,
    /// Which part of the nodes' kernels carries Services
    #[arg(long, env = "POINTSMAN_MODE", value_enum, default_value = "nftables", value_name = "MODE")]
    pub mode: ModeArg,
    /// The IP families that are proxied
    #[arg(
        long,
        env = "POINTSMAN_IP_FAMILIES",
        value_enum,
        ignore_case = true,
        value_delimiter = ',',
        default_value = "IPv4,IPv6",
        value_name = "FAMILIES"
    )]
    pub ip_families: Vec<FamilyArg>,
    /// How traffic of a node's own pods is recognised
    #[arg(
        long,
        env = "POINTSMAN_DETECT_LOCAL_MODE",
        value_enum,
        ignore_case = true,
        default_value = "NodeCIDR",
        value_name = "MODE"
    )]
    pub detect_local_mode: DetectArg,
    /// For ClusterCIDR: the ranges that all pods' addresses come from
    #[arg(long, env = "POINTSMAN_CLUSTER_CIDRS", value_delimiter = ',', value_name = "CIDRS")]
    pub cluster_cidrs: Vec<IpNet>,
    /// For BridgeInterface the bridge, for InterfaceNamePrefix how the names of pods' interfaces begin
    #[arg(long, env = "POINTSMAN_POD_INTERFACE", value_name = "NAME")]
    pub pod_interface: Option<String>,
    /// Bit of the packet mark that says "masquerade"
    #[arg(long, env = "POINTSMAN_MASQUERADE_BIT", value_parser = clap::value_parser!(u8).range(0..=31), default_value = "14", value_name = "BIT")]
    pub masquerade_bit: u8,
    /// Masquerade all traffic to cluster IPs
    #[arg(long, env = "POINTSMAN_MASQUERADE_ALL")]
    pub masquerade_all: bool,
    /// Where node ports answer: Primary (the addresses of the Node object), All, or ranges
    #[arg(
        long,
        env = "POINTSMAN_NODE_PORT_ADDRESSES",
        default_value = "Primary",
        value_name = "Primary|All|CIDRS"
    )]
    pub node_port_addresses: String,
    /// The ranges that external IPs of Services may come from; without any, external IPs are refused (CVE-2020-8554)
    #[arg(long, env = "POINTSMAN_ALLOWED_EXTERNAL_IPS", value_delimiter = ',', value_name = "CIDRS")]
    pub allowed_external_ips: Vec<IpNet>,
    /// Which Services the nodes take: those with this value of the label service.kubernetes.io/service-proxy-name; those without
    /// the label if absent
    #[arg(long, env = "POINTSMAN_PROXY_NAME", value_name = "NAME")]
    pub proxy_name: Option<String>,
    /// Whether agents own their nftables table (kernel 6.9), so that nobody else can change it
    #[arg(long, env = "POINTSMAN_TABLE_OWNER", default_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub table_owner: bool,
    /// Least time between two writes to a node's kernel
    #[arg(long, env = "POINTSMAN_MIN_SYNC_PERIOD", value_parser = duration, default_value = "0s", value_name = "DURATION")]
    pub min_sync_period: Duration,
    /// How often agents read the kernel back and compare it with the plan; at least 1s
    #[arg(long, env = "POINTSMAN_VERIFY_PERIOD", value_parser = verify_period, default_value = "30s", value_name = "DURATION")]
    pub verify_period: Duration,
    /// What agents do about a kernel that differs from the plan
    #[arg(
        long,
        env = "POINTSMAN_DRIFT",
        value_enum,
        ignore_case = true,
        default_value = "Repair",
        value_name = "POLICY"
    )]
    pub drift: DriftArg,
}

/// The longest duration that the kinds take (a year), and the most digits of a number in one.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(8_760 * 3_600);
const MOST_DIGITS: usize = 11;

/// The format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One object a line
    Json,
}

/// Who writes EndpointSlices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum EndpointSlices {
    /// We do
    Manage,
    /// Another controller does
    Consume,
}

/// A mode, as a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModeArg {
    /// nf_tables
    Nftables,
    /// iptables
    Iptables,
    /// IP virtual server
    Ipvs,
}

/// A family, as a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum FamilyArg {
    /// IP version 4
    #[value(name = "IPv4")]
    Ipv4,
    /// IP version 6
    #[value(name = "IPv6")]
    Ipv6,
}

/// How local traffic is recognised, as a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DetectArg {
    /// By --cluster-cidrs
    #[value(name = "ClusterCIDR")]
    ClusterCidr,
    /// By the node's pod ranges
    #[value(name = "NodeCIDR")]
    NodeCidr,
    /// By the bridge named by --pod-interface
    #[value(name = "BridgeInterface")]
    BridgeInterface,
    /// By --pod-interface, the beginning of a name
    #[value(name = "InterfaceNamePrefix")]
    InterfaceNamePrefix,
    /// Not at all
    #[value(name = "None")]
    None,
}

/// What to do about drift, as a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum DriftArg {
    /// Write the difference, and say so
    Repair,
    /// Only say so
    Observe,
}

/// A duration as the kinds take it. What cannot be written down so is refused here, before it is computed with: the type's own
/// parser panics on numbers that are too large.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write it as 500ms, 30s or 1m; whole milliseconds, at most 8760h".to_owned();
    let mut rest = text;
    while !rest.is_empty() {
        let unit = rest.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
        let (number, after) = rest.split_at(unit);
        let whole = number.split('.').next().unwrap_or_default();
        let is_number = number.chars().all(|c| c.is_ascii_digit() || c == '.');
        if !is_number || whole.is_empty() || whole.len() > MOST_DIGITS {
            return Err(wrong());
        }
        rest = after.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    }
    let duration: Duration = text.parse().map_err(|error| format!("{error}; {}", wrong()))?;
    let plain = std::time::Duration::from(duration);
    let is_whole = plain.subsec_nanos().is_multiple_of(1_000_000);
    if text.is_empty() || !is_whole || plain > LONGEST { Err(wrong()) } else { Ok(duration) }
}

/// As `duration`, at least a second: agents read back no more often, and none would mean never and always at once.
fn verify_period(text: &str) -> Result<Duration, String> {
    let period = duration(text)?;
    match std::time::Duration::from(period) >= std::time::Duration::from_secs(1) {
        true => Ok(period),
        false => Err("at least 1s".to_owned()),
    }
}

/// An address to listen on. Port 0 is none: the kernel would choose one, and nobody would know it.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|error: std::net::AddrParseError| error.to_string())?;
    if address.port() == 0 { Err("the port must be 1 to 65535".to_owned()) } else { Ok(address) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_that_the_kinds_take() {
        for (text, millis) in
            [("0s", 0), ("500ms", 500), ("1.5s", 1_500), ("1m30s", 90_000), ("8760h", 31_536_000_000)]
        {
            let duration = duration(text).unwrap();
            assert_eq!(std::time::Duration::from(duration).as_millis(), millis, "{text}");
        }
        let beyond = "9".repeat(30) + "s";
        for text in
            ["", "5", "s", "-1s", "1s-2s", "1us", "0.5ms", "NaNs", "1e30h", "8761h", "1.2.3s", "1d", &beyond]
        {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn values_that_no_program_could_work_with_are_refused_in_words() {
        let cases = [
            ("--verify-period=0s", "at least 1s"),
            ("--verify-period=999ms", "at least 1s"),
            ("--verify-period=9000h", "at most 8760h"),
            ("--min-sync-period=0.5ms", "whole milliseconds"),
            ("--health-address=0.0.0.0:0", "the port must be 1 to 65535"),
            ("--metrics-address=[::1]:0", "the port must be 1 to 65535"),
            ("--metrics-address=here:80", "invalid socket address"),
        ];
        for (flag, expected) in cases {
            let message = Cli::try_parse_from(["pointsman-controller", "run", flag]).unwrap_err().to_string();
            assert!(message.contains(expected), "{flag}: {message}");
        }
        let good = ["--verify-period=1s", "--min-sync-period=0s", "--health-address=[::]:65535"];
        Cli::try_parse_from(["pointsman-controller", "run"].into_iter().chain(good)).unwrap();
    }
}
