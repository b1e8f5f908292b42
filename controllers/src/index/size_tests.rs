//! A cluster that grows and shrinks: whose plan is written anew, and that nobody else's is.

use k8s_openapi::api::core::v1::Node as KubeNode;
use kube::ResourceExt;
use pointsman_crds::names::LABEL_OS;
use pointsman_crds::{NodeProxyPlan, ProxySettings, SyncSettings};
use pointsman_planner::model::{Node, Time};
use pointsman_planner::plan::Policy;

use super::{Index, Item, StoredNodePlan, Watched};
use crate::object;
use crate::offline::Agreeing;

/// A cluster, and the API server that it writes to.
struct Cluster {
    index: Index,
    api: Agreeing,
    settings: ProxySettings,
}

fn node(number: usize) -> Item<Node> {
    Item::from(object_of(number))
}

fn object_of(number: usize) -> KubeNode {
    let mut node = KubeNode::default();
    node.metadata.name = Some(format!("node-{number:04}"));
    node.metadata.uid = Some(format!("uid-{number}"));
    node
}

impl Cluster {
    fn new(settings: ProxySettings) -> Self {
        Self { index: Index::new(Policy::default()), api: Agreeing::default(), settings }
    }

    /// The Nodes 0 to `nodes` are there, and no others. Returns how many plans were created, updated and deleted.
    fn resize(&mut self, nodes: usize) -> [usize; 3] {
        let before = self.index.nodes().len();
        for number in before..nodes {
            self.index.watched(Watched::Applied(node(number)));
        }
        for number in nodes..before {
            self.index.watched(Watched::Deleted(node(number)));
        }
        self.written()
    }

    fn written(&mut self) -> [usize; 3] {
        let writes = self.api.settle(&mut self.index, &self.settings, Time(0));
        let counts = ["create", "update", "delete"].map(|verb| {
            writes.iter().filter(|write| write.starts_with(&format!("{verb} NodeProxyPlan "))).count()
        });
        assert_eq!(counts.iter().sum::<usize>(), writes.len(), "{writes:?}");
        counts
    }

    /// Another controller takes over, which knows what is stored and nothing else.
    fn restarted(self) -> Self {
        let mut next = Self { api: self.api, ..Self::new(self.settings) };
        for number in 0..self.index.nodes().len() {
            next.index.watched(Watched::Applied(node(number)));
        }
        for stored in self.index.node_plans() {
            let mut plan: NodeProxyPlan = object::node_plan(&stored.name, stored.spec.clone());
            plan.metadata.uid = Some(stored.uid.clone());
            plan.metadata.resource_version = Some(stored.resource_version.clone());
            assert_eq!(plan.name_any(), stored.name);
            next.index.watched(Watched::Applied(Item::<StoredNodePlan>::from(plan)));
        }
        next.index.mark_all();
        next
    }

    /// How many plans ask for seldom writes.
    fn seldom(&self) -> usize {
        self.index.node_plans().filter(|plan| plan.spec.settings.status_period().as_secs() == 60).count()
    }
}

#[test]
fn only_a_cluster_that_becomes_large_or_small_has_its_plans_rewritten() {
    let mut cluster = Cluster::new(ProxySettings::default());
    // The Nodes there are, and the plans that are created, updated and deleted for it; then those that ask for seldom writes.
    let steps = [
        (450, [450, 0, 0], 0),
        (500, [50, 0, 0], 0),
        (501, [1, 500, 0], 501),
        (500, [0, 0, 1], 500),
        (501, [1, 0, 0], 501),
        (451, [0, 0, 50], 451),
        (452, [1, 0, 0], 451),
        (450, [0, 450, 2], 0),
        (451, [1, 0, 0], 0),
    ];
    for (nodes, expected, seldom) in steps {
        assert_eq!(cluster.resize(nodes), expected, "{nodes} nodes");
        assert_eq!(cluster.seldom(), seldom, "{nodes} nodes");
        cluster = cluster.restarted();
        assert_eq!(cluster.written(), [0; 3], "a restart at {nodes} nodes");
    }
}

#[test]
fn a_period_that_is_set_stands_at_every_size() {
    let sync = SyncSettings { status_period: "30s".parse().ok(), ..SyncSettings::default() };
    let mut cluster = Cluster::new(ProxySettings { sync: Some(sync), ..ProxySettings::default() });
    let steps = [(500, [500, 0, 0]), (501, [1, 0, 0]), (450, [0, 0, 51])];
    for (nodes, expected) in steps {
        assert_eq!(cluster.resize(nodes), expected, "{nodes} nodes");
    }
    assert_eq!(cluster.seldom(), 0);
}

#[test]
fn a_node_of_another_system_has_no_plan() {
    let mut cluster = Cluster::new(ProxySettings::default());
    assert_eq!(cluster.resize(2), [2, 0, 0]);
    let says = |os: &str| {
        let mut node = object_of(1);
        node.metadata.labels = Some([(LABEL_OS.to_owned(), os.to_owned())].into());
        Watched::Applied(Item::from(node))
    };
    let cases = [("linux", [0, 0, 0]), ("windows", [0, 0, 1]), ("windows", [0, 0, 0]), ("linux", [1, 0, 0])];
    for (os, expected) in cases {
        cluster.index.watched(says(os));
        assert_eq!(cluster.written(), expected, "{os}");
    }
}
