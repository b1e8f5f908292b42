//! The table's parts as data: sets, maps and chains with their types, hooks and priorities. Everything that names one of them
//! takes the name from here.

use pointsman_crds::{IpFamily, Protocol};

use super::table::Key;

/// The table's name, in both families.
pub const TABLE: &str = "pointsman";

/// A set or map of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetId {
    /// Cluster IPs with at least one port: any other port of theirs is rejected.
    ClusterIps,
    /// VIP frontend → `goto lb-<n>` or `goto masq-lb-<n>`.
    Services,
    /// VIP frontend and slot → endpoint.
    Endpoints,
    /// Node port → `goto nodeport-lb-<n>`.
    NodePorts,
    /// Node port and slot → endpoint.
    NodePortEndpoints,
    /// VIP frontends that are rejected: nobody serves them.
    NoEndpoints,
    /// VIP frontends that are dropped: nobody on this node serves them, and the policy is Local.
    NoLocalEndpoints,
    /// Node ports that are rejected.
    NoEndpointNodePorts,
    /// Node ports that are dropped.
    NoLocalEndpointNodePorts,
    /// Endpoint, itself, protocol, port of this node's endpoints: a pod that reaches itself is masqueraded, else the answer
    /// would not pass through the node.
    Hairpin,
    /// Ranges whose local addresses answer on node ports.
    NodePortIps,
    /// Sources that count as this node's pods.
    LocalSources,
    /// Ranges that cluster IPs are allocated from.
    ServiceCidrs,
    /// One element whose comment is the revision of the plan that the table carries.
    Revision,
}

/// A part of a set's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// A destination address of the table's family.
    Daddr,
    /// A source address of the table's family.
    Saddr,
    /// The transport protocol's number.
    L4Proto,
    /// The destination port.
    Dport,
    /// Which of a frontend's endpoints: a random number (32 bits, host order).
    Slot,
    /// A packet mark (32 bits, host order).
    Mark,
}

/// What a set maps its keys to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maps {
    /// Nothing: a plain set.
    Nothing,
    /// A verdict.
    Verdict,
    /// An endpoint: address and port.
    Endpoint,
}

/// What there is to know about a set.
#[derive(Clone, Copy, Debug)]
pub struct SetSchema {
    /// Its name in the table.
    pub name: &'static str,
    /// Its key, field by field; each takes whole 4-byte words.
    pub key: &'static [Field],
    /// What it maps to.
    pub maps: Maps,
    /// Whether its elements are ranges.
    pub interval: bool,
}

impl SetId {
    /// Every set, in the order in which the table lists them.
    pub const ALL: [Self; 14] = [
        Self::ClusterIps,
        Self::Services,
        Self::Endpoints,
        Self::NodePorts,
        Self::NodePortEndpoints,
        Self::NoEndpoints,
        Self::NoLocalEndpoints,
        Self::NoEndpointNodePorts,
        Self::NoLocalEndpointNodePorts,
        Self::Hairpin,
        Self::NodePortIps,
        Self::LocalSources,
        Self::ServiceCidrs,
        Self::Revision,
    ];

    /// The set's schema.
    pub fn schema(self) -> SetSchema {
        use Field::{Daddr, Dport, L4Proto, Mark, Saddr, Slot};
        let plain = |name, key| SetSchema { name, key, maps: Maps::Nothing, interval: false };
        let map = |name, key, maps| SetSchema { name, key, maps, interval: false };
        let ranges = |name, key| SetSchema { name, key, maps: Maps::Nothing, interval: true };
        match self {
            Self::ClusterIps => plain("cluster-ips", &[Daddr]),
            Self::Services => map("services", &[Daddr, L4Proto, Dport], Maps::Verdict),
            Self::Endpoints => map("endpoints", &[Daddr, L4Proto, Dport, Slot], Maps::Endpoint),
            Self::NodePorts => map("nodeports", &[L4Proto, Dport], Maps::Verdict),
            Self::NodePortEndpoints => map("nodeport-endpoints", &[L4Proto, Dport, Slot], Maps::Endpoint),
            Self::NoEndpoints => plain("no-endpoints", &[Daddr, L4Proto, Dport]),
            Self::NoLocalEndpoints => plain("no-local-endpoints", &[Daddr, L4Proto, Dport]),
            Self::NoEndpointNodePorts => plain("no-endpoint-nodeports", &[L4Proto, Dport]),
            Self::NoLocalEndpointNodePorts => plain("no-local-endpoint-nodeports", &[L4Proto, Dport]),
            Self::Hairpin => plain("hairpin", &[Saddr, Daddr, L4Proto, Dport]),
            Self::NodePortIps => ranges("nodeport-ips", &[Daddr]),
            Self::LocalSources => ranges("local-sources", &[Saddr]),
            Self::ServiceCidrs => ranges("service-cidrs", &[Daddr]),
            Self::Revision => plain("revision", &[Mark]),
        }
    }

    /// The set of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.schema().name == name)
    }

    /// Length of a key in bytes.
    pub fn key_length(self, family: IpFamily) -> usize {
        self.schema().key.iter().map(|field| field.length(family)).sum()
    }
}

impl Field {
    /// Length in bytes, padded to whole words as registers hold it.
    pub fn length(self, family: IpFamily) -> usize {
        match self {
            Self::Daddr | Self::Saddr => address_length(family),
            Self::L4Proto | Self::Dport | Self::Slot | Self::Mark => 4,
        }
    }
}

/// Length of an address in bytes.
pub fn address_length(family: IpFamily) -> usize {
    match family {
        IpFamily::IPv4 => 4,
        IpFamily::IPv6 => 16,
    }
}

/// The number of a protocol in an IP header (IANA).
pub fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}

/// A chain of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainId {
    /// Choice among n endpoints of a VIP frontend; the packet is masqueraded. Before [`Self::Lb`], which its rule goes to: chains
    /// are deleted in this order.
    MasqLb(u16),
    /// Choice among n endpoints of a VIP frontend.
    Lb(u16),
    /// Choice among n endpoints of a node port; the packet is masqueraded.
    NodePortLb(u16),
    /// Rejects or drops frontends nobody serves.
    EndpointsCheck,
    /// The same for node ports.
    NodePortCheck,
    /// Rejects other ports of cluster IPs, drops unallocated ones.
    ClusterIpsCheck,
    /// Finds the frontend of a new connection.
    ServicesChain,
    /// Replaces the source where that was decided.
    Masquerading,
    /// Base chain: packets to the node itself.
    FilterInput,
    /// Base chain: packets passing through.
    FilterForward,
    /// Base chain: packets of the node itself.
    FilterOutput,
    /// Base chain: packets coming in, before routing.
    NatPrerouting,
    /// Base chain: packets of the node itself, before routing.
    NatOutput,
    /// Base chain: packets leaving, after routing.
    NatPostrouting,
}

/// Where and when a base chain is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// `nat` or `filter`.
    pub kind: &'static str,
    /// The hook's name.
    pub name: &'static str,
    /// The hook's number in the kernel (`NF_INET_…`).
    pub number: u32,
    /// Lower runs first.
    pub priority: i32,
    /// The priority as nft prints it.
    pub priority_name: &'static str,
}

impl ChainId {
    /// The chains that stand in every table, regular ones before the base chains that jump to them.
    pub const CONSTANT: [Self; 11] = [
        Self::EndpointsCheck,
        Self::NodePortCheck,
        Self::ClusterIpsCheck,
        Self::ServicesChain,
        Self::Masquerading,
        Self::FilterInput,
        Self::FilterForward,
        Self::FilterOutput,
        Self::NatPrerouting,
        Self::NatOutput,
        Self::NatPostrouting,
    ];

    /// The chain's name in the table.
    pub fn name(self) -> String {
        match self {
            Self::Lb(n) => format!("lb-{n}"),
            Self::MasqLb(n) => format!("masq-lb-{n}"),
            Self::NodePortLb(n) => format!("nodeport-lb-{n}"),
            Self::EndpointsCheck => "endpoints-check".to_owned(),
            Self::NodePortCheck => "nodeport-check".to_owned(),
            Self::ClusterIpsCheck => "cluster-ips-check".to_owned(),
            Self::ServicesChain => "services".to_owned(),
            Self::Masquerading => "masquerading".to_owned(),
            Self::FilterInput => "filter-input".to_owned(),
            Self::FilterForward => "filter-forward".to_owned(),
            Self::FilterOutput => "filter-output".to_owned(),
            Self::NatPrerouting => "nat-prerouting".to_owned(),
            Self::NatOutput => "nat-output".to_owned(),
            Self::NatPostrouting => "nat-postrouting".to_owned(),
        }
    }

    /// The chain of this name.
    pub fn named(name: &str) -> Option<Self> {
        let count = |prefix: &str| name.strip_prefix(prefix)?.parse().ok().filter(|n: &u16| *n > 0);
        let chain = count("masq-lb-")
            .map(Self::MasqLb)
            .or_else(|| count("nodeport-lb-").map(Self::NodePortLb))
            .or_else(|| count("lb-").map(Self::Lb))
            .or_else(|| Self::CONSTANT.into_iter().find(|chain| chain.name() == name))?;
        (chain.name() == name).then_some(chain)
    }

    /// The hook of a base chain.
    pub fn hook(self) -> Option<Hook> {
        let hook = |kind, name, number, priority, priority_name| Hook {
            kind,
            name,
            number,
            priority,
            priority_name,
        };
        match self {
            Self::FilterInput => Some(hook("filter", "input", 1, 0, "filter")),
            Self::FilterForward => Some(hook("filter", "forward", 2, 0, "filter")),
            Self::FilterOutput => Some(hook("filter", "output", 3, 0, "filter")),
            Self::NatPrerouting => Some(hook("nat", "prerouting", 0, -100, "dstnat")),
            Self::NatOutput => Some(hook("nat", "output", 3, -100, "-100")),
            Self::NatPostrouting => Some(hook("nat", "postrouting", 4, 100, "srcnat")),
            Self::Lb(_) | Self::MasqLb(_) | Self::NodePortLb(_) => None,
            Self::EndpointsCheck | Self::NodePortCheck | Self::ClusterIpsCheck => None,
            Self::ServicesChain | Self::Masquerading => None,
        }
    }
}

/// The only key of [`SetId::Revision`].
pub fn revision_key() -> Key {
    Key::point(&1u32.to_ne_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_what_it_names() {
        for set in SetId::ALL {
            assert_eq!(SetId::named(set.schema().name), Some(set));
        }
        let choosers = [ChainId::Lb(7), ChainId::MasqLb(100), ChainId::NodePortLb(65535)];
        for chain in ChainId::CONSTANT.into_iter().chain(choosers) {
            assert_eq!(ChainId::named(&chain.name()), Some(chain));
        }
        for foreign in ["", "lb-", "lb-0", "lb-007", "lb-65536", "LB-1", "services2"] {
            assert_eq!(ChainId::named(foreign), None, "{foreign}");
        }
    }
}
