//! One Service into its plan and shards: puts the parts together and decides nothing that they decide.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pointsman_crds::conditions::RefusalReason;
use pointsman_crds::names::LABEL_HEADLESS;
use pointsman_crds::{
    Affinity, PlanPort, Protocol, ServiceProxyPlanSpec, ServiceRefused, ServiceRefusedList, Summary,
    TrafficPolicy,
};

use super::addresses::{self, Policy};
use super::conflicts::{Claim, Frontend, Part, Verdict};
use super::refuse::{self, refused};
use super::shards::{self, Layout};
use super::{PORTS, endpoints, summary};
use crate::model::{Service, Slice};

/// How long affinity lasts, in seconds, as the API server and the schema have it.
const AFFINITY_SECONDS: std::ops::RangeInclusive<u32> = 1..=86_400;

/// What the plan of one Service is made from.
pub struct ServicePlanInput<'a> {
    /// The Service.
    pub service: &'a Service,
    /// Every slice of the Service, in any order; ours as the API server acknowledged them.
    pub slices: &'a [Arc<Slice>],
    /// What it may not announce because of other Services.
    pub verdict: &'a Verdict,
    /// What holds for the whole cluster.
    pub policy: &'a Policy,
}

/// The plan of one Service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServicePlan {
    /// The plan named as the Service; `None`: the Service is not proxied, and has none.
    pub base: Option<ServiceProxyPlanSpec>,
    /// Its shards, by name.
    pub shards: BTreeMap<String, ServiceProxyPlanSpec>,
    /// What was refused.
    pub refused: Option<ServiceRefusedList>,
}

/// Plans one Service. Headless Services, ExternalNames and Services whose cluster IP is not allocated yet have no plan.
pub fn plan_service(input: &ServicePlanInput<'_>) -> ServicePlan {
    let service = input.service;
    if !is_proxied(service) {
        return ServicePlan::default();
    }
    let mut notes = service.malformed.clone();
    let mut spec = frame(service, &mut notes);
    addresses::write(service, input.policy, &mut spec, &mut notes);
    give_up_lost(service, input.verdict, &mut spec, &mut notes);
    let usable = endpoints::usable(service, input.slices, input.policy, &mut notes);
    let mut plan = ServicePlan { refused: refuse::list(notes), ..ServicePlan::default() };
    match shards::lay_out(&service.key.name, usable) {
        Layout::Whole(groups) => {
            let count = shards::distinct_addresses(&groups);
            spec.summary = Some(Summary { ports: summary::ports(&spec.ports), endpoints: Some(count) });
            spec.groups = groups;
        }
        Layout::Sharded(groups) => {
            spec.summary = Some(Summary { ports: summary::ports(&spec.ports), endpoints: None });
            spec.shards = groups.keys().cloned().collect();
            plan.shards = groups.into_iter().map(|(name, groups)| (name, shard(service, groups))).collect();
        }
    }
    plan.base = Some(spec);
    plan
}

/// What `service` wants to answer on, and how strongly.
pub fn claims(service: &Service, policy: &Policy) -> BTreeMap<Frontend, Claim> {
    let mut claims = BTreeMap::new();
    if !is_proxied(service) {
        return claims;
    }
    let mut spec = frame(service, &mut Vec::new());
    addresses::write(service, policy, &mut spec, &mut Vec::new());
    for frontend in held_by(&spec) {
        let borrowed = frontend.address.is_some_and(|address| !spec.cluster_ips.contains(&address));
        let claim = Claim { borrowed, created: service.created, service: service.key.clone() };
        claims.insert(frontend, claim);
    }
    claims
}

/// The frontends that stand in a plan.
pub fn held_by(spec: &ServiceProxyPlanSpec) -> BTreeSet<Frontend> {
    let addresses = spec.cluster_ips.iter().chain(&spec.external_ips).chain(&spec.load_balancer_ips);
    let on_addresses = addresses.flat_map(|&address| {
        let at = move |port: &PlanPort| Frontend {
            address: Some(address),
            protocol: port.protocol,
            port: port.port,
        };
        spec.ports.iter().map(at)
    });
    let on_nodes = |protocol, port| Frontend { address: None, protocol, port };
    let node_ports = spec.ports.iter().filter_map(|port| Some(on_nodes(port.protocol, port.node_port?)));
    // Health checks are answered on ports that the API server takes from the range of node ports.
    let health_check = spec.health_check_node_port.map(|port| on_nodes(Protocol::Tcp, port));
    on_addresses.chain(node_ports).chain(health_check).collect()
}

/// A Service that carries the headless label is nobody's to proxy, even if it has a cluster IP.
fn is_proxied(service: &Service) -> bool {
    !(service.headless
        || service.external_name
        || service.cluster_ips.is_empty()
        || service.labels.contains_key(LABEL_HEADLESS))
}

/// All of a plan but addresses and endpoints.
fn frame(service: &Service, notes: &mut Vec<ServiceRefused>) -> ServiceProxyPlanSpec {
    let from = format!("Service {}", service.key);
    let mut ports: Vec<PlanPort> = service
        .ports
        .iter()
        .map(|port| PlanPort {
            name: port.name.clone(),
            protocol: port.protocol,
            port: port.port,
            node_port: port.node_port,
        })
        .collect();
    for beyond in ports.split_off(ports.len().min(PORTS)) {
        notes.push(refused(
            &format!("port {}/{}", beyond.port, beyond.protocol),
            RefusalReason::PlanInconsistent,
            &from,
        ));
    }
    let local = |is_local: bool| is_local.then_some(TrafficPolicy::Local);
    ServiceProxyPlanSpec {
        service_uid: service.uid.clone(),
        proxy_name: service.proxy_name().filter(|name| !name.is_empty()).map(str::to_owned),
        ports,
        internal_traffic_policy: local(service.internal_local),
        external_traffic_policy: local(service.external_local),
        health_check_node_port: service.health_check_node_port.filter(|_| service.external_local),
        affinity: service
            .affinity
            .map(|seconds| seconds.clamp(*AFFINITY_SECONDS.start(), *AFFINITY_SECONDS.end()))
            .map(|timeout_seconds| Affinity { timeout_seconds }),
        ..ServiceProxyPlanSpec::default()
    }
}

fn give_up_lost(
    service: &Service,
    verdict: &Verdict,
    spec: &mut ServiceProxyPlanSpec,
    notes: &mut Vec<ServiceRefused>,
) {
    for (part, winner) in &verdict.lost {
        let what = format!("{part}, which Service {winner} holds");
        notes.push(refused(&what, RefusalReason::FrontendConflict, &format!("Service {}", service.key)));
    }
    for list in [&mut spec.cluster_ips, &mut spec.external_ips, &mut spec.load_balancer_ips] {
        list.retain(|&address| verdict.allows(Part::Address(address)));
    }
    for port in &mut spec.ports {
        let protocol = port.protocol;
        port.node_port = port.node_port.filter(|&number| verdict.allows(Part::NodePort(protocol, number)));
    }
    spec.health_check_node_port =
        spec.health_check_node_port.filter(|&port| verdict.allows(Part::NodePort(Protocol::Tcp, port)));
}

fn shard(service: &Service, groups: Vec<pointsman_crds::EndpointGroup>) -> ServiceProxyPlanSpec {
    ServiceProxyPlanSpec {
        service_uid: service.uid.clone(),
        summary: Some(Summary { ports: String::new(), endpoints: Some(shards::distinct_addresses(&groups)) }),
        groups,
        ..ServiceProxyPlanSpec::default()
    }
}
