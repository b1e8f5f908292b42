//! Flags → settings of the nodes and the policy of the cluster; what contradicts itself is refused here, in a sentence.

use ipnet::IpNet;
use pointsman_crds::{
    DetectLocal, DetectLocalMode, DriftPolicy, IpFamily, Masquerade, Mode, NftablesSettings,
    NodePortAddresses, NodePortAddressesType, ProxySettings, SyncSettings,
};
use pointsman_planner::plan::Policy;

use crate::args::{DetectArg, DriftArg, EndpointSlices, FamilyArg, ModeArg, ProxyArgs};

/// Why the flags cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// A flag lacks another.
    #[error("--detect-local-mode={0} needs {1}")]
    Needs(&'static str, &'static str),
    /// A flag goes with another value of another flag.
    #[error("{0} goes with --detect-local-mode={1} only")]
    GoesWith(&'static str, &'static str),
    /// No range is of a family that is proxied.
    #[error("--cluster-cidrs={0} has no range of a family in --ip-families={1}")]
    NoSuchFamily(String, String),
    /// An interface name that Linux would not take.
    #[error("--pod-interface={0:?} is no interface name: 1 to 15 letters, digits and the signs _ . : @ -")]
    Interface(String),
    /// No keyword and no ranges.
    #[error(
        "--node-port-addresses={0:?} is neither Primary nor All nor a list of ranges such as 192.0.2.0/24"
    )]
    NodePortAddresses(String),
    /// A proxy name that no label can have.
    #[error(
        "--proxy-name={0:?} is no label value: up to 63 letters, digits and the signs - _ . between them"
    )]
    ProxyName(String),
}

/// What holds for the whole cluster, by the flags.
pub fn policy(args: &ProxyArgs) -> Policy {
    Policy {
        allowed_external_ips: args.allowed_external_ips.iter().map(IpNet::trunc).collect(),
        service_cidrs: Vec::new(),
        manage_slices: args.endpoint_slices == EndpointSlices::Manage,
    }
}

/// How every node shall proxy, by the flags. What is at its default is left out, but for what everybody wants to see.
///
/// # Errors
/// If flags contradict one another.
pub fn settings(args: &ProxyArgs) -> Result<ProxySettings, FlagError> {
    let mut families: Vec<IpFamily> = args
        .ip_families
        .iter()
        .map(|family| match family {
            FamilyArg::Ipv4 => IpFamily::IPv4,
            FamilyArg::Ipv6 => IpFamily::IPv6,
        })
        .collect();
    families.sort();
    families.dedup();
    let masquerade = Masquerade {
        bit: (args.masquerade_bit != 14).then_some(args.masquerade_bit),
        all: args.masquerade_all.then_some(true),
    };
    let sync = SyncSettings {
        min_period: Some(args.min_sync_period).filter(|period| Some(*period) != "0s".parse().ok()),
        verify_period: Some(args.verify_period).filter(|period| Some(*period) != "30s".parse().ok()),
        // By the size of the cluster; see `plan_node`.
        status_period: None,
        drift: (args.drift == DriftArg::Observe).then_some(DriftPolicy::Observe),
    };
    let detect_local = detect_local(args)?;
    check_families(&families, &detect_local)?;
    Ok(ProxySettings {
        mode: Some(match args.mode {
            ModeArg::Nftables => Mode::Nftables,
            ModeArg::Iptables => Mode::Iptables,
            ModeArg::Ipvs => Mode::Ipvs,
        }),
        ip_families: Some(families),
        detect_local: Some(detect_local),
        masquerade: Some(masquerade).filter(|masquerade| *masquerade != Masquerade::default()),
        node_port_addresses: node_port_addresses(&args.node_port_addresses)?,
        nftables: (!args.table_owner).then_some(NftablesSettings { table_owner: Some(false) }),
        ipvs: None,
        conntrack: None,
        sync: Some(sync).filter(|sync| *sync != SyncSettings::default()),
        proxy_name: proxy_name(args.proxy_name.as_deref())?,
        paused: None,
    })
}

fn detect_local(args: &ProxyArgs) -> Result<DetectLocal, FlagError> {
    let (mode, name) = match args.detect_local_mode {
        DetectArg::ClusterCidr => (DetectLocalMode::ClusterCIDR, "ClusterCIDR"),
        DetectArg::NodeCidr => (DetectLocalMode::NodeCIDR, "NodeCIDR"),
        DetectArg::BridgeInterface => (DetectLocalMode::BridgeInterface, "BridgeInterface"),
        DetectArg::InterfaceNamePrefix => (DetectLocalMode::InterfaceNamePrefix, "InterfaceNamePrefix"),
        DetectArg::None => (DetectLocalMode::None, "None"),
    };
    let by_range = mode == DetectLocalMode::ClusterCIDR;
    if by_range == args.cluster_cidrs.is_empty() {
        return Err(match by_range {
            true => FlagError::Needs(name, "--cluster-cidrs"),
            false => FlagError::GoesWith("--cluster-cidrs", "ClusterCIDR"),
        });
    }
    let by_interface =
        matches!(mode, DetectLocalMode::BridgeInterface | DetectLocalMode::InterfaceNamePrefix);
    match &args.pod_interface {
        None if by_interface => return Err(FlagError::Needs(name, "--pod-interface")),
        Some(_) if !by_interface => {
            return Err(FlagError::GoesWith("--pod-interface", "BridgeInterface or InterfaceNamePrefix"));
        }
        Some(interface) if !is_interface(interface) => return Err(FlagError::Interface(interface.clone())),
        Some(_) | None => {}
    }
    let mut cluster_cidrs: Vec<IpNet> = args.cluster_cidrs.iter().map(IpNet::trunc).collect();
    cluster_cidrs.sort();
    cluster_cidrs.dedup();
    Ok(DetectLocal { mode, cluster_cidrs, interface: args.pod_interface.clone() })
}

/// What works, and is perhaps not what was meant, in sentences. A cluster of one family need not name it: both are proxied by default.
pub fn remarks(settings: &ProxySettings) -> Vec<String> {
    let families = settings.ip_families.iter().flatten();
    let Some(detect) = &settings.detect_local else { return Vec::new() };
    let bare = families.filter(|&&family| lacks_range(detect, family));
    bare.map(|family| {
        format!(
            "--cluster-cidrs has no {family:?} range: traffic to cluster IPs of that family is not masqueraded, as with \
             --detect-local-mode=None"
        )
    })
    .collect()
}

fn lacks_range(detect: &DetectLocal, family: IpFamily) -> bool {
    let is_of = |range: &IpNet| match range {
        IpNet::V4(_) => family == IpFamily::IPv4,
        IpNet::V6(_) => family == IpFamily::IPv6,
    };
    detect.mode == DetectLocalMode::ClusterCIDR && !detect.cluster_cidrs.iter().any(is_of)
}

/// Ranges of the other family alone are a mistake, as kube-proxy has it too.
fn check_families(families: &[IpFamily], detect: &DetectLocal) -> Result<(), FlagError> {
    if families.iter().any(|&family| !lacks_range(detect, family)) {
        return Ok(());
    }
    let ranges: Vec<String> = detect.cluster_cidrs.iter().map(IpNet::to_string).collect();
    let families: Vec<String> = families.iter().map(|family| format!("{family:?}")).collect();
    Err(FlagError::NoSuchFamily(ranges.join(","), families.join(",")))
}

fn is_interface(name: &str) -> bool {
    (1..=15).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.:@-".contains(c))
}

fn node_port_addresses(text: &str) -> Result<Option<NodePortAddresses>, FlagError> {
    if text.eq_ignore_ascii_case("Primary") {
        return Ok(None);
    }
    if text.eq_ignore_ascii_case("All") {
        return Ok(Some(NodePortAddresses { kind: NodePortAddressesType::All, cidrs: Vec::new() }));
    }
    let ranges: Result<Vec<IpNet>, _> = text.split(',').map(|range| range.trim().parse::<IpNet>()).collect();
    let Ok(ranges) = ranges else { return Err(FlagError::NodePortAddresses(text.to_owned())) };
    let mut cidrs: Vec<IpNet> = ranges.iter().map(IpNet::trunc).collect();
    cidrs.sort();
    cidrs.dedup();
    Ok(Some(NodePortAddresses { kind: NodePortAddressesType::CIDRs, cidrs }))
}

fn proxy_name(name: Option<&str>) -> Result<Option<String>, FlagError> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(None) };
    let outer = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    match name.len() <= 63 && inner && outer(name.chars().next()) && outer(name.chars().last()) {
        true => Ok(Some(name.to_owned())),
        false => Err(FlagError::ProxyName(name.to_owned())),
    }
}
