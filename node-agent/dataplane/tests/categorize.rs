//! Which endpoints of a port this node uses, over what kube-proxy's CategorizeEndpoints tells apart: readiness, hints of zones and nodes, traffic
//! policies, and what they do to each other. The node is node-1 in zone a.
// Not only the tests, what they are built of may panic, too.
#![allow(clippy::unwrap_used, clippy::panic)]

use pointsman_dataplane::dispatch::{Candidate, Endpoint, Policies, categorize};
use pointsman_dataplane::testing::node;

/// An endpoint in words: its number, then `here` (on this node), `dying` (terminating), `zone:a` and `node:1` (hints for a zone and for node-1, each may stand
/// more than once).
struct Described {
    number: u8,
    here: bool,
    dying: bool,
    for_zones: Vec<String>,
    for_nodes: Vec<String>,
}

fn describe(words: &str) -> Described {
    let mut words = words.split_whitespace();
    let number = words.next().unwrap().parse().unwrap();
    let mut described =
        Described { number, here: false, dying: false, for_zones: Vec::new(), for_nodes: Vec::new() };
    for word in words {
        match word.split_once(':') {
            Some(("zone", zone)) => described.for_zones.push(zone.to_owned()),
            Some(("node", node)) => described.for_nodes.push(format!("node-{node}")),
            _ if word == "here" => described.here = true,
            _ if word == "dying" => described.dying = true,
            _ => panic!("{word}"),
        }
    }
    described
}

fn candidate(described: &Described) -> Candidate<'_> {
    Candidate {
        endpoint: Endpoint { ip: [10, 0, 0, described.number].into(), port: described.number.into() },
        node: Some(if described.here { "node-1" } else { "node-2" }),
        terminating: described.dying,
        for_zones: &described.for_zones,
        for_nodes: &described.for_nodes,
    }
}

fn numbers(endpoints: Option<Vec<Endpoint>>) -> String {
    let number = |endpoint: &Endpoint| endpoint.port.to_string();
    endpoints.map_or("-".to_owned(), |endpoints| endpoints.iter().map(number).collect::<Vec<_>>().join(" "))
}

/// Name, policies, endpoints (separated by commas); then those of cluster traffic and those of local traffic, `-` if there is no such traffic, and whether anybody serves.
type Case = (&'static str, Policies, &'static str, &'static str, &'static str, bool);

fn check(zone: Option<&str>, cases: &[Case]) {
    let node = zone.map_or(node("node-1"), |zone| node("node-1").zone(zone)).facts();
    for (name, policies, endpoints, cluster, local, any) in cases {
        let described: Vec<Described> =
            endpoints.split(", ").filter(|words| !words.is_empty()).map(describe).collect();
        let candidates: Vec<Candidate<'_>> = described.iter().map(candidate).collect();
        let found = categorize(&candidates, *policies, &node);
        let found = (numbers(found.cluster), numbers(found.local), found.any);
        assert_eq!(found, ((*cluster).to_owned(), (*local).to_owned(), *any), "{name}");
    }
}

/// Any endpoint for anybody.
const CLUSTER: Policies =
    Policies { internal_local: false, external_local: false, externally_accessible: false };
/// `internalTrafficPolicy: Local`, reached by its cluster IP alone.
const INTERNAL: Policies = Policies { internal_local: true, ..CLUSTER };
/// The same, and outside traffic reaches it, too.
const INTERNAL_REACHED: Policies = Policies { externally_accessible: true, ..INTERNAL };
/// `externalTrafficPolicy: Local`.
const EXTERNAL: Policies = Policies { external_local: true, externally_accessible: true, ..CLUSTER };
/// `externalTrafficPolicy: Local` without an address that outside traffic reaches.
const EXTERNAL_UNREACHED: Policies = Policies { externally_accessible: false, ..EXTERNAL };
/// Both policies are Local.
const BOTH: Policies = Policies { internal_local: true, ..EXTERNAL };

#[test]
fn readiness() {
    check(
        Some("a"),
        &[
            ("no endpoint", CLUSTER, "", "", "-", false),
            ("all ready", CLUSTER, "1 here, 2", "1 2", "-", true),
            ("order does not matter", CLUSTER, "3, 1 here, 2", "1 2 3", "-", true),
            ("one is going away", CLUSTER, "1 here dying, 2", "2", "-", true),
            ("all are going away", CLUSTER, "1 here dying, 2 dying", "1 2", "-", true),
        ],
    );
}

#[test]
fn hints() {
    check(
        Some("a"),
        &[
            ("hints for this zone", CLUSTER, "1 zone:a, 2 zone:b, 3 zone:a", "1 3", "-", true),
            (
                "hints for several zones",
                CLUSTER,
                "1 zone:a zone:b, 2 zone:b, 3 zone:b zone:a",
                "1 3",
                "-",
                true,
            ),
            ("one has no hint for a zone", CLUSTER, "1 zone:a, 2, 3 zone:b", "1 2 3", "-", true),
            ("nobody is for this zone", CLUSTER, "1 zone:b, 2 zone:c", "1 2", "-", true),
            ("one without a hint is going away", CLUSTER, "1 zone:a, 2 zone:b, 3 dying", "1", "-", true),
            ("this zone's is going away", CLUSTER, "1 zone:a dying, 2 zone:b", "2", "-", true),
            ("all going away know no zones", CLUSTER, "1 zone:a dying, 2 zone:b dying", "1 2", "-", true),
            ("hints for this node", CLUSTER, "1 node:1, 2 node:2", "1", "-", true),
            ("the node before the zone", CLUSTER, "1 zone:a node:2, 2 zone:b node:1", "2", "-", true),
            ("for this zone, not this node", CLUSTER, "1 zone:a node:2, 2 zone:b node:3", "1", "-", true),
            ("one has no hint for a node", CLUSTER, "1 zone:a node:1, 2 zone:a", "1 2", "-", true),
            ("for neither node nor zone", CLUSTER, "1 zone:b node:2, 2 zone:c node:3", "1 2", "-", true),
        ],
    );
    check(
        None,
        &[
            ("the node knows no zone", CLUSTER, "1 zone:a, 2 zone:b", "1 2", "-", true),
            ("an empty zone is none", CLUSTER, "1 zone:, 2 zone:", "1 2", "-", true),
            ("a node's hint needs no zone", CLUSTER, "1 node:1, 2 node:2", "1", "-", true),
        ],
    );
}

#[test]
fn policies() {
    check(
        Some("a"),
        &[
            ("internal, one here", INTERNAL, "1 here, 2", "-", "1", true),
            ("internal, nobody here", INTERNAL, "1, 2", "-", "", true),
            ("internal, nobody at all", INTERNAL, "", "-", "", false),
            ("internal, only a dying one here", INTERNAL, "1 here dying, 2", "-", "1", true),
            ("internal, ready and dying here", INTERNAL, "1 here dying, 2 here, 3", "-", "2", true),
            ("internal, a dying one elsewhere", INTERNAL, "1 dying", "-", "", true),
            ("internal knows no hints", INTERNAL, "1 here zone:b, 2 zone:a", "-", "1", true),
            ("internal, reached", INTERNAL_REACHED, "1 here, 2", "1 2", "1", true),
            ("internal, reached, hints", INTERNAL_REACHED, "1 here zone:b, 2 zone:a", "2", "1", true),
            ("external, one here", EXTERNAL, "1 here, 2", "1 2", "1", true),
            ("external, nobody here", EXTERNAL, "1, 2", "1 2", "", true),
            ("external, nobody at all", EXTERNAL, "", "", "", false),
            ("external, only a dying one here", EXTERNAL, "1 here dying, 2", "2", "1", true),
            ("external, all dying", EXTERNAL, "1 here dying, 2 dying", "1 2", "1", true),
            ("external, hints", EXTERNAL, "1 here zone:b, 2 zone:a", "2", "1", true),
            ("external, nobody can reach it", EXTERNAL_UNREACHED, "1 here, 2", "1 2", "-", true),
            ("both, one here", BOTH, "1 here, 2", "1 2", "1", true),
            ("both, nobody here", BOTH, "1, 2", "1 2", "", true),
            ("both, only a dying one here", BOTH, "1 here dying, 2", "2", "1", true),
        ],
    );
}
