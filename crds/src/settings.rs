//! How a node proxies: the part of a `NodeProxyPlan` that a `ProxyProfile` can set. Absent means the default, here in code:
//! a default in the schema would be stored by the API server and rewritten by us for ever.

use std::ops::RangeInclusive;
use std::time::Duration as Span;

use ipnet::IpNet;
use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// What `sync.statusPeriod` may be. At its longest it is below the time between two heartbeats (4 to 5 minutes), so that it never
/// makes an agent look dead.
const STATUS_PERIODS: RangeInclusive<Span> = Span::from_secs(1)..=Span::from_secs(240);
/// `sync.statusPeriod` when it is absent.
pub const DEFAULT_STATUS_PERIOD: Span = Span::from_secs(10);

/// The settable part of a node's plan. Every field is optional.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxySettings {
    /// Which part of the kernel carries Services: nftables (the default), iptables or ipvs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Mode")]
    pub mode: Option<Mode>,
    /// The IP families that are proxied; both when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2), extend("x-kubernetes-validations" = [{"rule": "self.size() == 1 || self[0] != self[1]", "message": "must not name a family twice"}]))]
    pub ip_families: Option<Vec<IpFamily>>,
    /// How traffic of this node's own pods is told from other traffic; what is not local is masqueraded on its way to a cluster IP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detect_local: Option<DetectLocal>,
    /// The mark bit for masquerading, and whether all traffic to cluster IPs is masqueraded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masquerade: Option<Masquerade>,
    /// On which of the node's addresses node ports answer; the node's primary addresses when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_port_addresses: Option<NodePortAddresses>,
    /// Settings of nftables mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nftables: Option<NftablesSettings>,
    /// Settings of ipvs mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipvs: Option<IpvsSettings>,
    /// Sizes and timeouts of connection tracking; what is absent is left as the node has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conntrack: Option<ConntrackSettings>,
    /// How often the agent writes, and how often it compares the kernel with the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncSettings>,
    /// Which Services: those whose label service.kubernetes.io/service-proxy-name has this value; those without the label when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub proxy_name: Option<String>,
    /// While true the agent writes nothing to the kernel; what is there stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

impl ProxySettings {
    /// What the API server would refuse, for settings that it never saw: the first problem, naming the field.
    pub fn problem(&self) -> Option<String> {
        let detect = self.detect_local.as_ref().and_then(DetectLocal::problem);
        let bit = self.masquerade.as_ref().and_then(|masquerade| masquerade.bit).filter(|bit| *bit > 31);
        let bit = bit.map(|bit| format!("masquerade.bit: {bit} is not a bit of a mark, 0 to 31"));
        let cidrs = self.node_port_addresses.as_ref().and_then(|addresses| {
            let asked = addresses.kind == NodePortAddressesType::CIDRs;
            let wrong = asked == addresses.cidrs.is_empty();
            wrong
                .then(|| "nodePortAddresses.cidrs: required for type CIDRs, and goes with it only".to_owned())
        });
        detect.or(bit).or(cidrs).or(self.sync.as_ref().and_then(SyncSettings::problem))
    }

    /// The least time between two writes of an agent's status that change no condition.
    pub fn status_period(&self) -> Span {
        let asked =
            self.sync.as_ref().and_then(|sync| sync.status_period).map_or(DEFAULT_STATUS_PERIOD, Span::from);
        asked.clamp(*STATUS_PERIODS.start(), *STATUS_PERIODS.end())
    }
}

impl SyncSettings {
    fn problem(&self) -> Option<String> {
        let period = self.status_period?;
        let is_good = !period.is_negative() && STATUS_PERIODS.contains(&Span::from(period));
        (!is_good).then(|| format!("sync.statusPeriod: {period} is not from 1s to 4m"))
    }
}

impl DetectLocal {
    fn problem(&self) -> Option<String> {
        let by_interface =
            matches!(self.mode, DetectLocalMode::BridgeInterface | DetectLocalMode::InterfaceNamePrefix);
        if (self.mode == DetectLocalMode::ClusterCIDR) == self.cluster_cidrs.is_empty() {
            return Some(
                "detectLocal.clusterCIDRs: required for mode ClusterCIDR, and goes with it only".to_owned(),
            );
        }
        match &self.interface {
            None if by_interface => Some(
                "detectLocal.interface: required for the modes BridgeInterface and InterfaceNamePrefix"
                    .to_owned(),
            ),
            Some(_) if !by_interface => Some(
                "detectLocal.interface: goes with the modes BridgeInterface and InterfaceNamePrefix only"
                    .to_owned(),
            ),
            Some(name) if !is_interface(name) => Some(format!(
                "detectLocal.interface: {name:?} is no interface name (1 to 15 of A-Za-z0-9_.:@-)"
            )),
            _ => None,
        }
    }
}

/// As the schema's pattern: what stands in a rule must be no more than a name.
fn is_interface(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:@-".contains(&byte))
}

/// Which part of the kernel carries Services.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// nf_tables, kernel 5.13 or newer.
    #[default]
    Nftables,
    /// iptables, legacy or nft.
    Iptables,
    /// IP virtual server.
    Ipvs,
}

/// An IP family, in Kubernetes' spelling.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
pub enum IpFamily {
    /// IP version 4.
    IPv4,
    /// IP version 6.
    IPv6,
}

/// How traffic of this node's pods is recognised.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.mode != 'ClusterCIDR' || has(self.clusterCIDRs) && self.clusterCIDRs.size() > 0", "message": "clusterCIDRs is required for mode ClusterCIDR", "fieldPath": ".clusterCIDRs"},
    {"rule": "self.mode == 'ClusterCIDR' || !has(self.clusterCIDRs)", "message": "clusterCIDRs goes with mode ClusterCIDR only", "fieldPath": ".clusterCIDRs"},
    {"rule": "(self.mode == 'BridgeInterface' || self.mode == 'InterfaceNamePrefix') == has(self.interface)", "message": "interface is required for the modes BridgeInterface and InterfaceNamePrefix, and goes with them only", "fieldPath": ".interface"},
]))]
pub struct DetectLocal {
    /// By source range (ClusterCIDR, NodeCIDR), by interface (BridgeInterface, InterfaceNamePrefix), or not at all (None).
    pub mode: DetectLocalMode,
    /// For ClusterCIDR: the ranges that all pods' addresses come from.
    #[serde(rename = "clusterCIDRs", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::cidrs")]
    pub cluster_cidrs: Vec<IpNet>,
    /// For BridgeInterface: the bridge's name. For InterfaceNamePrefix: how the names of pods' interfaces begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::interface")]
    pub interface: Option<String>,
}

/// The ways to recognise traffic of this node's pods.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum DetectLocalMode {
    /// The source lies in one of `clusterCIDRs`.
    ClusterCIDR,
    /// The source lies in one of the node's pod ranges.
    NodeCIDR,
    /// The packet came in through this bridge.
    BridgeInterface,
    /// The packet came in through an interface whose name begins so.
    InterfaceNamePrefix,
    /// Nothing is recognised, and nothing masqueraded for being foreign.
    #[default]
    None,
}

/// Masquerading of proxied traffic.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Masquerade {
    /// Which bit of the packet mark says "masquerade"; 14 (0x4000) when absent. No other bit is touched.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31))]
    pub bit: Option<u8>,
    /// Masquerade all traffic to cluster IPs; only what is not local when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
}

/// The addresses on which node ports answer.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "(self.type == 'CIDRs') == (has(self.cidrs) && self.cidrs.size() > 0)", "message": "cidrs is required for type CIDRs, and goes with it only", "fieldPath": ".cidrs"},
]))]
pub struct NodePortAddresses {
    /// Primary: the node's addresses of its Node object. All: every local address but loopback. CIDRs: local addresses in `cidrs`.
    #[serde(rename = "type")]
    pub kind: NodePortAddressesType,
    /// For CIDRs: the ranges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::cidrs")]
    pub cidrs: Vec<IpNet>,
}

/// Which of the node's addresses.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum NodePortAddressesType {
    /// The addresses of the Node object.
    #[default]
    Primary,
    /// Every local address but loopback.
    All,
    /// Local addresses inside given ranges.
    CIDRs,
}

/// Settings of nftables mode.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NftablesSettings {
    /// Own the table where the kernel can (6.9), so that nobody else can change or flush it; true when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_owner: Option<bool>,
}

/// Settings of ipvs mode.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IpvsSettings {
    /// The scheduler, a kernel module's name without its prefix; rr when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z]{2,8}$"))]
    pub scheduler: Option<String>,
    /// Answer ARP only for addresses of the interface that is asked; false when absent.
    #[serde(rename = "strictARP", skip_serializing_if = "Option::is_none")]
    pub strict_arp: Option<bool>,
}

/// Connection tracking: what is absent is left as the node has it.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConntrackSettings {
    /// Connections per processor, for nf_conntrack_max.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1048576))]
    pub max_per_core: Option<u32>,
    /// The least nf_conntrack_max, whatever the number of processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1073741824))]
    pub min: Option<u32>,
    /// How long an idle established TCP connection is remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub tcp_established_timeout: Option<Duration>,
    /// How long a TCP connection in CLOSE_WAIT is remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub tcp_close_wait_timeout: Option<Duration>,
}

/// How often the agent writes and reads.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncSettings {
    /// The least time between two writes to the kernel; none (0s) when absent: a change costs microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub min_period: Option<Duration>,
    /// How often the kernel is read back and compared with the plan, 1s or more; 30s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::verify_period")]
    pub verify_period: Option<Duration>,
    /// The least time between two writes of the status that change no condition, from 1s to 4m. When absent it is 10s, and 60s in a
    /// cluster of more than 500 nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::status_period")]
    pub status_period: Option<Duration>,
    /// Whether a difference found is repaired (the default) or only reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DriftPolicy")]
    pub drift: Option<DriftPolicy>,
}

/// What to do about a kernel that differs from the plan.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum DriftPolicy {
    /// Write the difference, and say so.
    #[default]
    Repair,
    /// Say so, and write nothing.
    Observe,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_server_would_refuse_is_refused_in_a_file() {
        let cases = [
            ("{}", None),
            ("masquerade: {bit: 32}", Some("masquerade.bit")),
            ("masquerade: {bit: 31}", None),
            ("nodePortAddresses: {type: CIDRs}", Some("nodePortAddresses.cidrs")),
            ("nodePortAddresses: {type: All, cidrs: [10.0.0.0/8]}", Some("nodePortAddresses.cidrs")),
            ("nodePortAddresses: {type: Primary}", None),
            ("detectLocal: {mode: ClusterCIDR}", Some("detectLocal.clusterCIDRs")),
            ("detectLocal: {mode: NodeCIDR, clusterCIDRs: [10.0.0.0/8]}", Some("detectLocal.clusterCIDRs")),
            ("detectLocal: {mode: ClusterCIDR, clusterCIDRs: [10.0.0.0/8]}", None),
            ("detectLocal: {mode: BridgeInterface}", Some("detectLocal.interface")),
            ("detectLocal: {mode: NodeCIDR, interface: cni0}", Some("detectLocal.interface")),
            ("detectLocal: {mode: BridgeInterface, interface: cni0}", None),
            (
                "detectLocal: {mode: InterfaceNamePrefix, interface: averylongprefix0}",
                Some("detectLocal.interface"),
            ),
            ("detectLocal: {mode: BridgeInterface, interface: 'a\"b'}", Some("detectLocal.interface")),
            ("sync: {statusPeriod: 999ms}", Some("sync.statusPeriod")),
            ("sync: {statusPeriod: 1s}", None),
            ("sync: {statusPeriod: 4m}", None),
            ("sync: {statusPeriod: 4m1ms}", Some("sync.statusPeriod")),
            ("sync: {statusPeriod: -1m}", Some("sync.statusPeriod")),
        ];
        for (yaml, field) in cases {
            let settings: ProxySettings = serde_saphyr::from_str(yaml).unwrap();
            let problem = settings.problem();
            assert_eq!(problem.is_some(), field.is_some(), "{yaml}: {problem:?}");
            assert!(problem.unwrap_or_default().starts_with(field.unwrap_or_default()), "{yaml}");
        }
    }

    #[test]
    fn the_status_period_keeps_its_bounds_also_where_nobody_has_checked_it() {
        let cases = [
            ("{}", 10),
            ("{statusPeriod: 1m}", 60),
            ("{statusPeriod: 0s}", 1),
            ("{statusPeriod: 9000h}", 240),
        ];
        for (sync, seconds) in cases {
            let sync = serde_saphyr::from_str(sync).unwrap();
            let settings = ProxySettings { sync: Some(sync), ..ProxySettings::default() };
            assert_eq!(settings.status_period(), Span::from_secs(seconds));
        }
        assert_eq!(ProxySettings::default().status_period(), DEFAULT_STATUS_PERIOD);
    }
}
