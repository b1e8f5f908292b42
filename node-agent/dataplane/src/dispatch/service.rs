//! One Service's plan × one node → its frontends and their verdicts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use litemap::LiteMap;
use pointsman_crds::conditions::RefusalReason;
use pointsman_crds::{IpFamily, PlanPort, ServiceProxyPlanSpec};

use super::refuse::{endpoint_refusal, frontend_refusal, is_port_name, name_refusal};
use super::{
    Candidate, Categorized, Endpoint, Frontend, FrontendAddress, FrontendDispatch, FrontendKind, Masquerade,
    Policies, Refusal, ServiceDispatch, Verdict, categorize,
};
use crate::node::family_of;
use crate::{NodeFacts, ServicePlan};

/// A chain's name carries the number of endpoints in 16 bits.
const MOST_ENDPOINTS: usize = u16::MAX as usize;

/// What `plan` means on `node`.
pub fn dispatch(plan: &ServicePlan, node: &NodeFacts) -> ServiceDispatch {
    if let Some(refusal) = name_refusal(&plan.key) {
        return ServiceDispatch { refused: vec![refusal], ..ServiceDispatch::default() };
    }
    let mut work = Work { plan, node, out: ServiceDispatch::default(), refused_ips: BTreeSet::new() };
    work.refuse_addresses();
    work.note_unsupported();
    for port in &plan.spec.ports {
        if is_port_name(&port.name) {
            for family in [IpFamily::IPv4, IpFamily::IPv6] {
                work.port(port, family);
            }
        } else {
            work.refuse(
                RefusalReason::NameInvalid,
                format!("port {} is not programmed: its name is no DNS label", port.port),
            );
        }
    }
    let mut frontends = work.out.frontends.into_tuple_vec();
    frontends.shrink_to_fit();
    work.out.frontends = LiteMap::from_sorted_store_unchecked(frontends);
    work.out
}

struct Work<'a> {
    plan: &'a ServicePlan,
    node: &'a NodeFacts,
    out: ServiceDispatch,
    refused_ips: BTreeSet<IpAddr>,
}

impl Work<'_> {
    fn spec(&self) -> &ServiceProxyPlanSpec {
        &self.plan.spec
    }

    fn refuse(&mut self, reason: RefusalReason, message: impl Into<String>) {
        self.out.refused.push(Refusal::new(reason, message));
    }

    /// Endpoints and frontends whose address can never be right.
    fn refuse_addresses(&mut self) {
        let plan = self.plan;
        for endpoint in plan.spec.groups.iter().flat_map(|group| &group.endpoints) {
            if let Some(refusal) = endpoint_refusal(endpoint.ip, &self.node.service_cidrs)
                && self.refused_ips.insert(endpoint.ip)
            {
                self.out.refused.push(refusal);
            }
        }
        let frontends = [&plan.spec.cluster_ips, &plan.spec.external_ips, &plan.spec.load_balancer_ips];
        for ip in frontends.into_iter().flatten() {
            if let Some(refusal) = frontend_refusal(*ip)
                && self.refused_ips.insert(*ip)
            {
                self.out.refused.push(refusal);
            }
        }
    }

    /// Features that this version does not have: said, and never answered by something weaker than what was asked for.
    fn note_unsupported(&mut self) {
        let spec = self.spec();
        let external = externally_accessible(spec);
        let missing = [
            (spec.affinity.is_some(), RefusalReason::AffinityNotSupported),
            (
                external && spec.external_traffic_policy.is_some(),
                RefusalReason::ExternalPolicyLocalNotSupported,
            ),
            (!spec.load_balancer_source_ranges.is_empty(), RefusalReason::SourceRangesNotSupported),
        ];
        for (_, reason) in missing.into_iter().filter(|(missing, _)| *missing) {
            self.refuse(reason, reason.meaning());
        }
    }

    fn port(&mut self, port: &PlanPort, family: IpFamily) {
        let frontends = self.frontends(port, family);
        if frontends.is_empty() {
            return;
        }
        let spec = self.spec();
        let policies = Policies {
            internal_local: spec.internal_traffic_policy.is_some(),
            external_local: spec.external_traffic_policy.is_some(),
            externally_accessible: externally_accessible(spec),
        };
        let candidates = self.candidates(port, family);
        let categorized = categorize(&candidates, policies, self.node);
        let local: BTreeSet<Endpoint> = candidates
            .iter()
            .filter(|candidate| candidate.node == Some(self.node.name.as_str()))
            .map(|candidate| candidate.endpoint)
            .collect();
        let mut used = BTreeSet::new();
        let internal = self.verdict(&categorized, policies.internal_local, Masquerade::Foreign, &mut used);
        let external = self.verdict(&categorized, false, Masquerade::Always, &mut used);
        self.out.endpoints += u32::try_from(used.len()).unwrap_or(u32::MAX);
        self.out.local.extend(used.intersection(&local).map(|endpoint| (*endpoint, port.protocol)));
        let label = self.label(port);
        for (frontend, kind) in frontends {
            let verdict = if kind == FrontendKind::ClusterIp { internal.clone() } else { external.clone() };
            self.insert(frontend, FrontendDispatch { kind, label: label.clone(), verdict });
        }
    }

    fn insert(&mut self, frontend: Frontend, dispatch: FrontendDispatch) {
        if self.out.frontends.try_insert(frontend, dispatch).is_some() {
            self.refuse(RefusalReason::PlanInconsistent, format!("{frontend} stands in the plan twice"));
        }
    }

    fn label(&self, port: &PlanPort) -> Arc<str> {
        let key = &self.plan.key;
        if port.name.is_empty() { key.as_str().into() } else { format!("{key}:{}", port.name).into() }
    }

    /// Where this port listens, without what is refused.
    fn frontends(&self, port: &PlanPort, family: IpFamily) -> Vec<(Frontend, FrontendKind)> {
        if !self.node.proxies(family) {
            return Vec::new();
        }
        let spec = self.spec();
        let external = spec.external_traffic_policy.is_none();
        let load_balancer = external && spec.load_balancer_source_ranges.is_empty();
        let vips = [
            (FrontendKind::ClusterIp, true, &spec.cluster_ips),
            (FrontendKind::ExternalIp, external, &spec.external_ips),
            (FrontendKind::LoadBalancer, load_balancer, &spec.load_balancer_ips),
        ];
        let mut frontends = Vec::new();
        for (kind, _, ips) in vips.into_iter().filter(|(_, offered, _)| *offered) {
            let usable = ips.iter().filter(|ip| family_of(**ip) == family && !self.refused_ips.contains(ip));
            frontends.extend(usable.map(|ip| (FrontendAddress::Vip(*ip), kind, port.port)));
        }
        // A Service without a cluster IP of this family has no endpoints of it either: its node port stays silent there.
        let serves_family = spec.cluster_ips.iter().any(|ip| family_of(*ip) == family);
        if let Some(node_port) = port.node_port.filter(|_| external && serves_family) {
            frontends.push((FrontendAddress::Node(family), FrontendKind::NodePort, node_port));
        }
        let frontend = |address, number| Frontend { address, protocol: port.protocol, port: number };
        frontends.into_iter().map(|(address, kind, number)| (frontend(address, number.get()), kind)).collect()
    }

    /// The usable endpoints of this port, each once: of two that say different things the one that does not terminate counts,
    /// of two such the first.
    fn candidates(&self, port: &PlanPort, family: IpFamily) -> Vec<Candidate<'_>> {
        let mut by_endpoint: BTreeMap<Endpoint, Candidate<'_>> = BTreeMap::new();
        for group in &self.plan.spec.groups {
            let Some(target) = group.targets.iter().find(|target| target.name == port.name) else { continue };
            for endpoint in &group.endpoints {
                if family_of(endpoint.ip) != family || self.refused_ips.contains(&endpoint.ip) {
                    continue;
                }
                let candidate = Candidate {
                    endpoint: Endpoint { ip: endpoint.ip, port: target.port.get() },
                    node: endpoint.node.as_deref(),
                    terminating: endpoint.terminating,
                    for_zones: &endpoint.for_zones,
                    for_nodes: &endpoint.for_nodes,
                };
                let known = by_endpoint.entry(candidate.endpoint).or_insert(candidate);
                if known.terminating && !candidate.terminating {
                    *known = candidate;
                }
            }
        }
        by_endpoint.into_values().collect()
    }

    fn verdict(
        &mut self,
        categorized: &Categorized,
        local: bool,
        masquerade: Masquerade,
        used: &mut BTreeSet<Endpoint>,
    ) -> Verdict {
        let chosen = if local { &categorized.local } else { &categorized.cluster };
        match chosen.as_deref() {
            _ if !categorized.any => Verdict::Reject,
            None | Some([]) => Verdict::Drop,
            Some(endpoints) => {
                if endpoints.len() > MOST_ENDPOINTS {
                    let reason = RefusalReason::TooManyEndpoints;
                    self.refuse(
                        reason,
                        format!("only the first {MOST_ENDPOINTS} endpoints are used: {}", reason.meaning()),
                    );
                }
                let endpoints = &endpoints[..endpoints.len().min(MOST_ENDPOINTS)];
                used.extend(endpoints);
                Verdict::Balance { endpoints: endpoints.into(), masquerade }
            }
        }
    }
}

fn externally_accessible(spec: &ServiceProxyPlanSpec) -> bool {
    !spec.external_ips.is_empty()
        || !spec.load_balancer_ips.is_empty()
        || spec.ports.iter().any(|port| port.node_port.is_some())
}
