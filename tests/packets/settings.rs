//! The settings of a node under which flows are tried. Values only.

use pointsman_crds::{
    DetectLocal, DetectLocalMode, Masquerade, NftablesSettings, NodePortAddresses, NodePortAddressesType,
    ProxySettings,
};
use pointsman_tests::topology::CLUSTER_CIDRS;

use crate::plan::net;

/// How both nodes proxy. All but [`Setting::Usual`] differ from it in one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// Local is what has an address of the cluster's pods; node ports at the node's own addresses; everything else at its default.
    Usual,
    /// Local is what has an address of the node's own pods.
    NodeCidr,
    /// Local is what comes from the first node's second pod.
    Bridge,
    /// Local is what comes in through an interface of a pod.
    Prefix,
    /// Nothing is told apart.
    NoDetection,
    /// All traffic to cluster IPs is masqueraded.
    MasqueradeAll,
    /// Another bit of the mark says so.
    OtherBit,
    /// Node ports at every address.
    AllAddresses,
    /// Node ports at the first node's second address.
    Cidrs,
    /// The table may be changed by others.
    SharedTable,
}

impl Setting {
    /// As a node's plan says it. `pod_interface` is the link of the first node's second pod.
    pub fn settings(self, pod_interface: &str) -> ProxySettings {
        let detect = |mode, interface: Option<&str>| {
            Some(DetectLocal { mode, cluster_cidrs: vec![], interface: interface.map(str::to_owned) })
        };
        let cluster_cidrs = CLUSTER_CIDRS.iter().map(|range| net(range)).collect();
        let mut settings = ProxySettings {
            detect_local: Some(DetectLocal {
                mode: DetectLocalMode::ClusterCIDR,
                cluster_cidrs,
                interface: None,
            }),
            ..ProxySettings::default()
        };
        match self {
            Self::Usual => {}
            Self::NodeCidr => settings.detect_local = detect(DetectLocalMode::NodeCIDR, None),
            Self::Bridge => {
                settings.detect_local = detect(DetectLocalMode::BridgeInterface, Some(pod_interface));
            }
            Self::Prefix => {
                settings.detect_local = detect(DetectLocalMode::InterfaceNamePrefix, Some("pod"));
            }
            Self::NoDetection => settings.detect_local = detect(DetectLocalMode::None, None),
            Self::MasqueradeAll => settings.masquerade = Some(Masquerade { bit: None, all: Some(true) }),
            Self::OtherBit => settings.masquerade = Some(Masquerade { bit: Some(7), all: None }),
            Self::AllAddresses => {
                let kind = NodePortAddressesType::All;
                settings.node_port_addresses = Some(NodePortAddresses { kind, cidrs: vec![] });
            }
            Self::Cidrs => {
                let cidrs = vec![net("10.200.1.0/24"), net("fd00:201::/64")];
                let kind = NodePortAddressesType::CIDRs;
                settings.node_port_addresses = Some(NodePortAddresses { kind, cidrs });
            }
            Self::SharedTable => settings.nftables = Some(NftablesSettings { table_owner: Some(false) }),
        }
        settings
    }
}
