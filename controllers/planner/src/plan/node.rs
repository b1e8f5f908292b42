//! One Node into the spec of its `NodeProxyPlan`. It knows no Services, and of other Nodes no more than how many there are.

use std::time::Duration;

use ipnet::IpNet;
use pointsman_crds::{NodeIdentity, NodeProxyPlanSpec, ProxySettings};

use crate::model::Node;

/// The status period in a large cluster: 5,000 nodes that write every ten seconds would be 500 writes a second.
const LARGE_STATUS_PERIOD: Duration = Duration::from_secs(60);

/// What a Node's plan is made of.
#[derive(Clone, Copy, Debug)]
pub struct NodePlanInput<'a> {
    /// The Node.
    pub node: &'a Node,
    /// How large the cluster is.
    pub size: ClusterSize,
    /// The cluster's service CIDRs, in any order.
    pub service_cidrs: &'a [IpNet],
    /// How the Node shall proxy.
    pub settings: &'a ProxySettings,
    /// The plan that is stored for it, if any.
    pub stored: Option<&'a NodeProxyPlanSpec>,
}

/// How large a cluster is, as far as plans depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterSize {
    /// Up to 450 nodes: agents write their status as often as they do by default.
    Small,
    /// Between the two: what a plan says stays. Else a cluster that wavers around one bound would have every plan rewritten each
    /// time, and the answer must not depend on what a controller remembers: its successor remembers nothing.
    Between,
    /// More than 500 nodes: agents write their status seldom.
    Large,
}

impl ClusterSize {
    /// The size of a cluster of so many nodes.
    pub fn of(nodes: usize) -> Self {
        match nodes {
            0..=450 => Self::Small,
            451..=500 => Self::Between,
            _ => Self::Large,
        }
    }
}

/// How the node shall proxy. A `sync.statusPeriod` in the settings stands, whatever the size of the cluster.
pub fn plan_node(input: &NodePlanInput<'_>) -> NodeProxyPlanSpec {
    let NodePlanInput { node, size, service_cidrs, settings, stored } = *input;
    let mut cidrs: Vec<IpNet> = service_cidrs.iter().map(IpNet::trunc).collect();
    cidrs.sort();
    cidrs.dedup();
    let mut settings = settings.clone();
    if writes_seldom(size, stored) {
        settings.sync.get_or_insert_default().status_period.get_or_insert(LARGE_STATUS_PERIOD.into());
    }
    NodeProxyPlanSpec {
        node: NodeIdentity {
            uid: node.uid.clone(),
            addresses: node.addresses.clone(),
            pod_cidrs: node.pod_cidrs.iter().map(IpNet::trunc).collect(),
            zone: node.zone.clone(),
            leaving: node.leaving,
        },
        service_cidrs: cidrs,
        profile: None,
        settings,
    }
}

fn writes_seldom(size: ClusterSize, stored: Option<&NodeProxyPlanSpec>) -> bool {
    match size {
        ClusterSize::Small => false,
        ClusterSize::Between => {
            stored.is_some_and(|plan| plan.settings.status_period() == LARGE_STATUS_PERIOD)
        }
        ClusterSize::Large => true,
    }
}

#[cfg(test)]
mod tests {
    use pointsman_crds::SyncSettings;

    use super::*;

    fn planned(
        nodes: usize,
        settings: &ProxySettings,
        stored: Option<&NodeProxyPlanSpec>,
    ) -> NodeProxyPlanSpec {
        let node = Node::default();
        let size = ClusterSize::of(nodes);
        plan_node(&NodePlanInput { node: &node, size, service_cidrs: &[], settings, stored })
    }

    fn with_period(status_period: Option<&str>) -> ProxySettings {
        let status_period = status_period.map(|period| period.parse().unwrap());
        let sync = SyncSettings { status_period, min_period: "7s".parse().ok(), ..SyncSettings::default() };
        ProxySettings { sync: Some(sync), ..ProxySettings::default() }
    }

    #[test]
    fn a_plan_has_the_nodes_facts_and_the_settings() {
        let node = Node {
            name: "node-1".to_owned(),
            uid: "node-uid".to_owned(),
            addresses: vec!["10.200.0.11".parse().unwrap()],
            pod_cidrs: vec!["10.244.1.7/24".parse().unwrap()],
            zone: Some("a".to_owned()),
            leaving: true,
            is_foreign: false,
        };
        let settings = ProxySettings { paused: Some(true), ..ProxySettings::default() };
        let cidrs = ["fd00:96::/112", "10.96.0.0/16", "10.96.0.0/16"].map(|cidr| cidr.parse().unwrap());
        let spec = plan_node(&NodePlanInput {
            node: &node,
            size: ClusterSize::Small,
            service_cidrs: &cidrs,
            settings: &settings,
            stored: None,
        });
        assert_eq!(spec.node.uid, "node-uid");
        assert_eq!(spec.node.pod_cidrs, ["10.244.1.0/24".parse().unwrap()]);
        assert_eq!((spec.node.zone.as_deref(), spec.node.leaving), (Some("a"), true));
        assert_eq!(spec.service_cidrs, [cidrs[1], cidrs[0]]);
        assert_eq!(spec.settings, settings);
        assert_eq!(spec.profile, None);
    }

    #[test]
    fn agents_of_a_large_cluster_write_seldom_unless_they_are_told_how_often() {
        // Nodes, the settings, the stored plan, the period.
        let cases = [
            (1, None, None, None),
            (500, None, None, None),
            (501, None, None, Some("60s")),
            (5000, None, Some("20s"), Some("60s")),
            (500, None, Some("60s"), Some("60s")),
            (451, None, Some("60s"), Some("60s")),
            (451, None, Some("20s"), None),
            (450, None, Some("60s"), None),
            (1, Some("30s"), None, Some("30s")),
            (451, Some("30s"), Some("60s"), Some("30s")),
            (501, Some("30s"), Some("60s"), Some("30s")),
            (501, Some("10s"), None, Some("10s")),
        ];
        for (nodes, asked, stored, expected) in cases {
            let before = NodeProxyPlanSpec { settings: with_period(stored), ..NodeProxyPlanSpec::default() };
            let spec = planned(nodes, &with_period(asked), stored.map(|_| &before));
            assert_eq!(spec.settings, with_period(expected), "{nodes} {asked:?} {stored:?}");
        }
        let bare = planned(501, &ProxySettings::default(), None).settings;
        let sync = SyncSettings { status_period: "60s".parse().ok(), ..SyncSettings::default() };
        assert_eq!(bare, ProxySettings { sync: Some(sync), ..ProxySettings::default() });
    }
}
