//! The facts of a node that decide about packets: a `NodeProxyPlan`'s spec with its defaults resolved.

use std::net::IpAddr;

use ipnet::IpNet;
use pointsman_crds::{
    DetectLocal, DetectLocalMode, IpFamily, NodePortAddresses, NodePortAddressesType, NodeProxyPlanSpec,
};

/// The mark bit that says "masquerade" when the plan names none: kube-proxy's, 0x4000.
const DEFAULT_MASQUERADE_BIT: u8 = 14;

/// The facts of a node that decide about packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFacts {
    /// The node's name, as endpoints carry it.
    pub name: String,
    /// The node's zone.
    pub zone: Option<String>,
    /// The families that are proxied.
    pub families: Vec<IpFamily>,
    /// How traffic of the node's own pods is recognised.
    pub local: LocalDetector,
    /// The mark that says "masquerade": one bit.
    pub masquerade_mark: u32,
    /// Masquerade all traffic to cluster IPs.
    pub masquerade_all: bool,
    /// Local addresses inside these ranges answer on node ports. Loopback never does (CVE-2020-8558).
    pub node_port_ranges: Vec<IpNet>,
    /// The ranges that cluster IPs are allocated from.
    pub service_cidrs: Vec<IpNet>,
}

/// How traffic of the node's own pods is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalDetector {
    /// By its source address. In a family without a range there is no way to tell.
    Sources(Vec<IpNet>),
    /// By the interface that it came in through.
    Interface(String),
    /// By the beginning of that interface's name.
    InterfacePrefix(String),
    /// Not at all: nothing is masqueraded for being foreign.
    None,
}

impl NodeFacts {
    /// The facts of the node `name` under this plan, absent settings by default.
    pub fn new(name: &str, spec: &NodeProxyPlanSpec) -> Self {
        let settings = &spec.settings;
        let masquerade = settings.masquerade.clone().unwrap_or_default();
        let bit = masquerade.bit.unwrap_or(DEFAULT_MASQUERADE_BIT).min(31);
        let families = settings.ip_families.clone().filter(|families| !families.is_empty());
        Self {
            name: name.to_owned(),
            zone: spec.node.zone.clone().filter(|zone| !zone.is_empty()),
            families: families.unwrap_or_else(|| vec![IpFamily::IPv4, IpFamily::IPv6]),
            local: LocalDetector::new(settings.detect_local.as_ref(), &spec.node.pod_cidrs),
            masquerade_mark: 1 << bit,
            masquerade_all: masquerade.all.unwrap_or(false),
            node_port_ranges: node_port_ranges(settings.node_port_addresses.as_ref(), &spec.node.addresses),
            service_cidrs: spec.service_cidrs.clone(),
        }
    }

    /// Whether this family is proxied.
    pub fn proxies(&self, family: IpFamily) -> bool {
        self.families.contains(&family)
    }
}

impl LocalDetector {
    fn new(detect: Option<&DetectLocal>, pod_cidrs: &[IpNet]) -> Self {
        let Some(detect) = detect else { return Self::None };
        let interface = detect.interface.clone().unwrap_or_default();
        match detect.mode {
            DetectLocalMode::ClusterCIDR => Self::Sources(detect.cluster_cidrs.clone()),
            DetectLocalMode::NodeCIDR => Self::Sources(pod_cidrs.to_vec()),
            DetectLocalMode::BridgeInterface if !interface.is_empty() => Self::Interface(interface),
            DetectLocalMode::InterfaceNamePrefix if !interface.is_empty() => Self::InterfacePrefix(interface),
            DetectLocalMode::BridgeInterface
            | DetectLocalMode::InterfaceNamePrefix
            | DetectLocalMode::None => Self::None,
        }
    }
}

/// The family of an address.
pub fn family_of(ip: IpAddr) -> IpFamily {
    if ip.is_ipv4() { IpFamily::IPv4 } else { IpFamily::IPv6 }
}

fn node_port_ranges(asked: Option<&NodePortAddresses>, addresses: &[IpAddr]) -> Vec<IpNet> {
    let everything = || [IpAddr::from([0u8; 4]), IpAddr::from([0u8; 16])].into_iter();
    match asked.map(|asked| asked.kind).unwrap_or_default() {
        NodePortAddressesType::Primary => addresses.iter().copied().map(IpNet::from).collect(),
        NodePortAddressesType::All => everything().filter_map(|ip| IpNet::new(ip, 0).ok()).collect(),
        NodePortAddressesType::CIDRs => asked.map(|asked| asked.cidrs.clone()).unwrap_or_default(),
    }
}
