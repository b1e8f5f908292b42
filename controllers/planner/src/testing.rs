//! Builders for tests, that read as English. Their defaults differ from one another, so that a swap is caught.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::sync::Arc;

use pointsman_crds::names::{LABEL_SLICE_MANAGED_BY, LABEL_SLICE_SERVICE};
use pointsman_crds::{IpFamily, Protocol};

use crate::model::{
    Labels, Node, Pod, Service, ServiceKey, ServicePort, Slice, SliceContent, SliceEndpoint, SlicePort,
    TargetPort, Time,
};
use crate::slice::{SliceInput, SlicePlan, SliceWrite, plan};

/// A port number.
pub fn number(port: u16) -> NonZeroU16 {
    NonZeroU16::new(port).unwrap()
}

/// A Service `shop/web` with a selector, a cluster IP and the port http 80 → 8080.
pub fn web() -> Service {
    Service {
        key: ServiceKey::new("shop", "web"),
        uid: "web-uid".to_owned(),
        created: Time(1_000),
        selector: Some(labels(&[("app", "web")])),
        families: vec![IpFamily::IPv4],
        cluster_ips: vec!["10.96.0.10".parse().unwrap()],
        ports: vec![port("http", 80, TargetPort::Number(number(8080)))],
        ..Service::default()
    }
}

/// A TCP port.
pub fn port(name: &str, port: u16, target: TargetPort) -> ServicePort {
    ServicePort {
        name: name.to_owned(),
        protocol: Protocol::Tcp,
        port: number(port),
        node_port: None,
        target,
        app_protocol: None,
    }
}

/// Labels.
pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The `n`th ready Pod of `web`, on node-1.
pub fn pod(n: usize) -> Pod {
    Pod {
        namespace: "shop".to_owned(),
        name: format!("web-{n:04}"),
        uid: format!("pod-uid-{n}"),
        labels: labels(&[("app", "web")]),
        ips: vec![
            format!("10.244.{}.{}", n / 250, 1 + n % 250).parse().unwrap(),
            format!("fd00:244::{:x}", 1 + n).parse().unwrap(),
        ],
        node: Some("node-1".to_owned()),
        ready: true,
        ..Pod::default()
    }
}

/// So many Pods of `web`.
pub fn pods(count: usize) -> Vec<Pod> {
    (0..count).map(pod).collect()
}

/// The Node node-1, in zone a.
pub fn nodes() -> BTreeMap<String, Node> {
    let node = Node { name: "node-1".to_owned(), zone: Some("a".to_owned()), ..Node::default() };
    BTreeMap::from([(node.name.clone(), node)])
}

/// What is missing for `service`, with at most `max` endpoints a slice.
pub fn slices_for(service: &Service, pods: &[Pod], existing: &[Arc<Slice>], max: usize) -> SlicePlan {
    let pods: Vec<&Pod> = pods.iter().collect();
    let (nodes, taken) = (nodes(), BTreeSet::new());
    plan(&SliceInput { service, pods: &pods, nodes: &nodes, existing, taken: &taken, trigger: None, max })
}

/// The slices after an API server has taken `writes`.
pub fn acknowledge(service: &Service, existing: &[Arc<Slice>], writes: Vec<SliceWrite>) -> Vec<Arc<Slice>> {
    let mut slices: BTreeMap<String, Arc<Slice>> =
        existing.iter().map(|slice| (slice.name.clone(), Arc::clone(slice))).collect();
    for write in writes {
        match write {
            SliceWrite::Create { name, content } => {
                let slice = Arc::new(stored(&name, &service.uid, content));
                assert!(slices.insert(name.clone(), slice).is_none(), "{name} is there already");
            }
            SliceWrite::Update { stored: old, content } => {
                let slice = Arc::new(stored(&old.name, &service.uid, content));
                assert!(slices.insert(old.name.clone(), slice).is_some(), "{} is not there", old.name);
            }
            SliceWrite::Delete { stored } => {
                assert!(slices.remove(&stored.name).is_some(), "{} is not there", stored.name);
            }
        }
    }
    slices.into_values().collect()
}

/// A slice as an API server has it.
pub fn stored(name: &str, owner: &str, content: SliceContent) -> Slice {
    Slice {
        name: name.to_owned(),
        uid: format!("{name}-uid"),
        resource_version: "1".to_owned(),
        owner: Some(owner.to_owned()),
        deleting: false,
        altered: false,
        content,
    }
}

/// A slice of `web` that somebody else writes: these addresses, ready, on port http 8080.
pub fn foreign(name: &str, addresses: &[&str]) -> Slice {
    let endpoints = addresses.iter().map(|address| SliceEndpoint {
        address: address.parse().unwrap(),
        ready: true,
        serving: true,
        terminating: false,
        node: Some("node-2".to_owned()),
        zone: None,
        hostname: None,
        target: None,
        for_zones: Vec::new(),
        for_nodes: Vec::new(),
    });
    let content = SliceContent {
        family: IpFamily::IPv4,
        labels: labels(&[(LABEL_SLICE_SERVICE, "web"), (LABEL_SLICE_MANAGED_BY, "somebody")]),
        trigger: None,
        ports: vec![SlicePort {
            name: "http".to_owned(),
            protocol: Protocol::Tcp,
            port: Some(number(8080)),
            app_protocol: None,
        }],
        endpoints: endpoints.collect(),
    };
    stored(name, "nobody", content)
}
