//! One Service's dispatch → the elements that it wants in one family's table. Slots and chains are chosen later, in
//! [`Image`](super::image::Image): here stands meaning, there allocation.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use pointsman_crds::{IpFamily, Protocol};

use super::base::address_key;
use super::schema::{ChainId, SetId};
use super::statement::{port_field, protocol_field};
use super::table::{Bytes, Key, address_bytes};
use super::text::COMMENT_LENGTH;
use crate::dispatch::{
    Endpoint, Frontend, FrontendAddress, FrontendKind, Masquerade, ServiceDispatch, Verdict,
};
use crate::node::family_of;

/// The two kinds of maps that balance: by address and port, and by node port alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pair {
    /// Virtual addresses.
    Vip,
    /// Node ports.
    NodePort,
}

impl Pair {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Vip, Self::NodePort];

    /// The map from frontend to chain.
    pub fn verdicts(self) -> SetId {
        match self {
            Self::Vip => SetId::Services,
            Self::NodePort => SetId::NodePorts,
        }
    }

    /// The map from frontend and slot to endpoint.
    pub fn endpoints(self) -> SetId {
        match self {
            Self::Vip => SetId::Endpoints,
            Self::NodePort => SetId::NodePortEndpoints,
        }
    }

    /// The chain that chooses among `n` endpoints.
    pub fn chain(self, masquerade: Masquerade, n: u16) -> ChainId {
        match (self, masquerade) {
            (Self::Vip, Masquerade::Foreign) => ChainId::Lb(n),
            (Self::Vip, Masquerade::Always) => ChainId::MasqLb(n),
            (Self::NodePort, _) => ChainId::NodePortLb(n),
        }
    }
}

/// A frontend that balances, as a key of its pair's maps (the slot left out).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FrontendKey {
    /// Which maps.
    pub pair: Pair,
    /// The key.
    pub bytes: Bytes,
}

/// What a balancing frontend wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balanced {
    /// Whose source is replaced.
    pub masquerade: Masquerade,
    /// The endpoints, each once, 1 to 65,535 of them.
    pub endpoints: Vec<Bytes>,
    /// For people.
    pub comment: Arc<str>,
}

/// What a Service wants in one family's table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceElements {
    /// Its frontends that balance.
    pub balanced: BTreeMap<FrontendKey, Balanced>,
    /// Its members of plain sets. Several Services may want the same one, except where it names a frontend: there stands a
    /// comment.
    pub members: BTreeMap<(SetId, Key), Option<Arc<str>>>,
}

/// What `service` wants in the table of `family`.
pub fn compile(service: Option<&ServiceDispatch>, family: IpFamily) -> ServiceElements {
    let mut elements = ServiceElements::default();
    let Some(service) = service else { return elements };
    for (frontend, dispatched) in service.frontends.iter().filter(|(frontend, _)| frontend.family() == family)
    {
        let key = frontend_key(frontend);
        if let (FrontendKind::ClusterIp, FrontendAddress::Vip(ip)) = (dispatched.kind, frontend.address) {
            elements.members.insert((SetId::ClusterIps, address_key(ip)), None);
        }
        let refused = match (&dispatched.verdict, key.pair) {
            (Verdict::Balance { endpoints, masquerade }, _) => {
                let endpoints = endpoints.iter().map(endpoint_bytes).collect();
                let comment = comment(&dispatched.label);
                elements.balanced.insert(key, Balanced { masquerade: *masquerade, endpoints, comment });
                continue;
            }
            (Verdict::Reject, Pair::Vip) => SetId::NoEndpoints,
            (Verdict::Reject, Pair::NodePort) => SetId::NoEndpointNodePorts,
            (Verdict::Drop, Pair::Vip) => SetId::NoLocalEndpoints,
            (Verdict::Drop, Pair::NodePort) => SetId::NoLocalEndpointNodePorts,
        };
        elements.members.insert((refused, Key::point(&key.bytes)), Some(comment(&dispatched.label)));
    }
    for (endpoint, protocol) in service.local.iter().filter(|(endpoint, _)| family_of(endpoint.ip) == family)
    {
        elements.members.insert((SetId::Hairpin, hairpin_key(*endpoint, *protocol)), None);
    }
    elements
}

/// A label as nft takes it for a comment: two long names and a port's name are longer. What differs from what the kernel gives back would be
/// written again with every start.
fn comment(label: &Arc<str>) -> Arc<str> {
    if label.len() <= COMMENT_LENGTH {
        return label.clone();
    }
    label.get(..label.floor_char_boundary(COMMENT_LENGTH)).unwrap_or_default().into()
}

fn frontend_key(frontend: &Frontend) -> FrontendKey {
    let (pair, mut bytes) = match frontend.address {
        FrontendAddress::Vip(ip) => (Pair::Vip, address_bytes(ip)),
        FrontendAddress::Node(_) => (Pair::NodePort, Bytes::new()),
    };
    bytes.extend_from_slice(&protocol_field(frontend.protocol));
    bytes.extend_from_slice(&port_field(frontend.port));
    FrontendKey { pair, bytes }
}

fn endpoint_bytes(endpoint: &Endpoint) -> Bytes {
    let mut bytes = address_bytes(endpoint.ip);
    bytes.extend_from_slice(&port_field(endpoint.port));
    bytes
}

fn hairpin_key(endpoint: Endpoint, protocol: Protocol) -> Key {
    let address: IpAddr = endpoint.ip;
    let mut bytes = address_bytes(address);
    bytes.extend_from_slice(&address_bytes(address));
    bytes.extend_from_slice(&protocol_field(protocol));
    bytes.extend_from_slice(&port_field(endpoint.port));
    Key { bytes, interval_end: false }
}

/// The key of one slot of a frontend.
pub fn slot_key(frontend: &FrontendKey, slot: usize) -> Key {
    let mut bytes = frontend.bytes.clone();
    bytes.extend_from_slice(&u32::try_from(slot).unwrap_or(u32::MAX).to_ne_bytes());
    Key { bytes, interval_end: false }
}

/// Which frontend's slot a key of an endpoint map is.
pub fn split_slot(pair: Pair, key: &Key) -> Option<(FrontendKey, usize)> {
    let (bytes, slot) = key.bytes.split_last_chunk::<4>()?;
    let slot = usize::try_from(u32::from_ne_bytes(*slot)).ok()?;
    Some((FrontendKey { pair, bytes: Bytes::from_slice(bytes) }, slot))
}
