//! Who owns a frontend when two Services claim it. A set of claims that is kept up by single changes; the verdict depends on
//! the claims alone, not on their history.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;

use pointsman_crds::Protocol;

use crate::model::{ServiceKey, Time};

/// An address, protocol and port on which a Service answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frontend {
    /// The address; `None`: those of the nodes.
    pub address: Option<IpAddr>,
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: NonZeroU16,
}

/// What a Service gives up when a frontend of it is another's. An address goes as a whole, even if only one of its ports is
/// contested: half an address would be harder to understand than none. Node ports go one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// An address with all of its ports.
    Address(IpAddr),
    /// A port of the nodes.
    NodePort(Protocol, NonZeroU16),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "address {address}"),
            Self::NodePort(protocol, port) => write!(f, "node port {port}/{protocol}"),
        }
    }
}

impl Frontend {
    fn part(&self) -> Part {
        self.address.map_or(Part::NodePort(self.protocol, self.port), Part::Address)
    }
}

/// How strong a Service's claim on a frontend is; the least wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// It is neither the Service's own cluster IP nor its node port: those were given to it by the API server, to it alone.
    pub borrowed: bool,
    /// When the Service was created.
    pub created: Time,
    /// The Service.
    pub service: ServiceKey,
}

/// What a Service may not announce.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What another Service, the stronger one, claims.
    pub lost: BTreeMap<Part, ServiceKey>,
    /// What is won, and still stands in the written plan of another Service: it waits until that one is rewritten.
    pub waiting: BTreeSet<Part>,
}

impl Verdict {
    /// Whether the Service may announce `part` now.
    pub fn allows(&self, part: Part) -> bool {
        !self.lost.contains_key(&part) && !self.waiting.contains(&part)
    }
}

/// All claims, and what the written plans hold.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    wanted: BTreeMap<Frontend, BTreeSet<Claim>>,
    wanted_by: BTreeMap<ServiceKey, BTreeMap<Frontend, Claim>>,
    held: BTreeMap<Frontend, BTreeSet<ServiceKey>>,
    held_by: BTreeMap<ServiceKey, BTreeSet<Frontend>>,
}

impl Claims {
    /// `service` wants exactly these frontends from now on. Returns the other Services that this concerns.
    pub fn want(&mut self, service: &ServiceKey, claims: BTreeMap<Frontend, Claim>) -> BTreeSet<ServiceKey> {
        let before = self.wanted_by.remove(service).unwrap_or_default();
        let mut concerned = BTreeSet::new();
        for (frontend, claim) in &before {
            if claims.get(frontend) != Some(claim)
                && let Some(claimants) = self.wanted.get_mut(frontend)
            {
                claimants.remove(claim);
                concerned.extend(claimants.iter().map(|other| other.service.clone()));
                if claimants.is_empty() {
                    self.wanted.remove(frontend);
                }
            }
        }
        for (frontend, claim) in &claims {
            if before.get(frontend) != Some(claim) {
                let claimants = self.wanted.entry(*frontend).or_default();
                concerned.extend(claimants.iter().map(|other| other.service.clone()));
                claimants.insert(claim.clone());
            }
        }
        if !claims.is_empty() {
            self.wanted_by.insert(service.clone(), claims);
        }
        concerned.remove(service);
        concerned
    }

    /// The written plan of `service` holds exactly these frontends from now on. Returns the other Services that waited.
    pub fn hold(&mut self, service: &ServiceKey, frontends: BTreeSet<Frontend>) -> BTreeSet<ServiceKey> {
        let before = self.held_by.remove(service).unwrap_or_default();
        let mut concerned = BTreeSet::new();
        for frontend in before.difference(&frontends) {
            if let Some(holders) = self.held.get_mut(frontend) {
                holders.remove(service);
                if holders.is_empty() {
                    self.held.remove(frontend);
                }
            }
            let waiting = self.wanted.get(frontend).into_iter().flatten();
            concerned.extend(waiting.map(|claim| claim.service.clone()));
        }
        for frontend in frontends.difference(&before) {
            self.held.entry(*frontend).or_default().insert(service.clone());
        }
        if !frontends.is_empty() {
            self.held_by.insert(service.clone(), frontends);
        }
        concerned.remove(service);
        concerned
    }

    /// What `service` may not announce.
    pub fn verdict(&self, service: &ServiceKey) -> Verdict {
        let mut verdict = Verdict::default();
        for frontend in self.wanted_by.get(service).into_iter().flat_map(BTreeMap::keys) {
            match self.wanted.get(frontend).and_then(BTreeSet::first) {
                Some(winner) if winner.service != *service => {
                    verdict.lost.insert(frontend.part(), winner.service.clone());
                }
                Some(_) | None => {
                    if self.held.get(frontend).is_some_and(|by| by.iter().any(|holder| holder != service)) {
                        verdict.waiting.insert(frontend.part());
                    }
                }
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frontend(port: u16) -> Frontend {
        Frontend {
            address: Some("192.0.2.1".parse().unwrap()),
            protocol: Protocol::Tcp,
            port: NonZeroU16::new(port).unwrap(),
        }
    }

    fn claim(name: &str, created: i64, borrowed: bool) -> Claim {
        Claim { borrowed, created: Time(created), service: ServiceKey::new("ns", name) }
    }

    fn want(claims: &mut Claims, claim: &Claim, ports: &[u16]) -> BTreeSet<ServiceKey> {
        claims.want(&claim.service, ports.iter().map(|&port| (frontend(port), claim.clone())).collect())
    }

    #[test]
    fn the_older_service_wins_whoever_comes_first() {
        let (old, young) = (claim("z-old", 1, true), claim("a-young", 2, true));
        for order in [[&old, &young], [&young, &old]] {
            let mut claims = Claims::default();
            assert!(want(&mut claims, order[0], &[80]).is_empty());
            assert_eq!(want(&mut claims, order[1], &[80]), BTreeSet::from([order[0].service.clone()]));
            assert_eq!(claims.verdict(&old.service), Verdict::default());
            assert_eq!(
                claims.verdict(&young.service).lost,
                BTreeMap::from([(frontend(80).part(), old.service.clone())])
            );
            assert_eq!(want(&mut claims, &old, &[443]), BTreeSet::from([young.service.clone()]));
            assert_eq!(claims.verdict(&young.service), Verdict::default());
        }
    }

    #[test]
    fn a_cluster_ip_is_stronger_than_an_older_external_ip() {
        let (own, thief) = (claim("own", 2, false), claim("thief", 1, true));
        let mut claims = Claims::default();
        want(&mut claims, &thief, &[53]);
        want(&mut claims, &own, &[53]);
        assert_eq!(claims.verdict(&own.service), Verdict::default());
        assert_eq!(claims.verdict(&thief.service).lost.len(), 1);
    }

    #[test]
    fn what_another_plan_still_holds_is_waited_for() {
        let (gone, heir) = (claim("gone", 1, false), claim("heir", 2, false));
        let mut claims = Claims::default();
        want(&mut claims, &gone, &[80]);
        claims.hold(&gone.service, BTreeSet::from([frontend(80)]));
        want(&mut claims, &heir, &[80]);
        assert_eq!(want(&mut claims, &gone, &[]), BTreeSet::from([heir.service.clone()]));
        assert_eq!(claims.verdict(&heir.service).waiting, BTreeSet::from([frontend(80).part()]));
        assert_eq!(claims.hold(&gone.service, BTreeSet::new()), BTreeSet::from([heir.service.clone()]));
        assert_eq!(claims.verdict(&heir.service), Verdict::default());
    }

    #[test]
    fn a_node_port_is_contested_alone_and_by_protocol() {
        let on_nodes =
            |protocol, port| Frontend { address: None, protocol, port: NonZeroU16::new(port).unwrap() };
        let (old, young) = (claim("old", 1, false), claim("young", 2, false));
        let mut claims = Claims::default();
        claims.want(&old.service, [(on_nodes(Protocol::Tcp, 30080), old.clone())].into());
        let wanted = [(Protocol::Tcp, 30080), (Protocol::Udp, 30080), (Protocol::Tcp, 30081)];
        claims.want(&young.service, wanted.map(|(p, n)| (on_nodes(p, n), young.clone())).into());
        let contested = on_nodes(Protocol::Tcp, 30080).part();
        assert_eq!(claims.verdict(&young.service).lost, BTreeMap::from([(contested, old.service.clone())]));
        assert_eq!(contested.to_string(), "node port 30080/TCP");
        assert_eq!(claims.verdict(&old.service), Verdict::default());
    }
}
