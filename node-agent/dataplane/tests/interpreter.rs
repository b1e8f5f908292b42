//! The interpreter can fail: it sees each statement of each rule that is missing, and errs on what is none of ours. Otherwise the tests that use it
//! would prove nothing.
// Not only the tests, what they are built of may panic, too.
#![allow(clippy::unwrap_used)]

use pointsman_crds::IpFamily;
use pointsman_crds::NodePortAddressesType::All;
use pointsman_crds::Protocol::Tcp;
use pointsman_dataplane::nftables::expr::{Expr, Header, Verdict};
use pointsman_dataplane::nftables::interpret::{self, Trap};
use pointsman_dataplane::nftables::schema::{ChainId, SetId};
use pointsman_dataplane::nftables::statement::{Statement, rule};
use pointsman_dataplane::nftables::table::{Data, Key, Table};
use pointsman_dataplane::nftables::text::statements;
use pointsman_dataplane::testing::{Bed, endpoint, from, is_local, node, service};
use pointsman_dataplane::{Outcome, Packet};

/// Services that make every rule matter to some packet.
fn bed() -> Bed {
    let web = service("shop/web")
        .cluster_ip("10.96.0.10")
        .external_ip("198.51.100.50")
        .port(Tcp, 80, 8001)
        .node_port(30080);
    let web = web.endpoint(endpoint("10.244.1.7").on("node-1")).endpoint(endpoint("10.244.2.9").on("node-2"));
    let host = service("shop/host").cluster_ip("10.96.0.12").port(Tcp, 80, 30099).port(Tcp, 81, 8443);
    let host =
        host.endpoint(endpoint("10.200.0.11").on("node-1")).endpoint(endpoint("10.200.0.12").on("node-2"));
    let empty =
        service("shop/empty").cluster_ip("10.96.0.11").external_ip("10.200.0.11").external_ip("10.200.0.12");
    let away = service("shop/away").cluster_ip("10.96.0.13").port(Tcp, 80, 8001).internal_local();
    let away = away.endpoint(endpoint("10.244.2.9").on("node-2"));
    // Cluster IPs were once allocated from another range, whose addresses are pods' now.
    let old = service("shop/old").cluster_ip("172.20.0.1").port(Tcp, 80, 80).endpoint("10.244.2.9");
    let pod = service("shop/pod").cluster_ip("10.96.0.14").port(Tcp, 80, 8001).endpoint("172.20.0.1");
    let node = node("node-1").node_ports_on(All, &[]);
    Bed::of(node, &[web, host, empty.port(Tcp, 80, 80).port(Tcp, 8443, 80).node_port(30099), away, old, pod])
}

fn packets() -> Vec<Packet> {
    let sources = ["pod 10.244.1.7", "elsewhere 10.244.2.9", "host 10.200.0.11", "outside 203.0.113.9"];
    let destinations = [
        "10.96.0.10:80/tcp",
        "10.96.0.10:81/tcp",
        "10.96.0.11:80/tcp",
        "10.96.0.11:81/tcp",
        "10.96.0.11:8443/tcp",
        "10.96.0.12:80/tcp",
        "10.96.0.12:81/tcp",
        "10.96.0.13:80/tcp",
        "10.96.0.13:81/tcp",
        "10.96.0.14:80/tcp",
        "10.96.0.99:80/tcp",
        "192.0.2.11:30080/tcp",
        "10.200.0.11:22/tcp",
        "172.20.0.1:80/tcp",
        "172.20.0.1:81/tcp",
        "198.51.100.50:80/tcp",
        "198.51.100.50:81/tcp",
        "10.200.0.11:30080/tcp",
        "10.200.0.11:30099/tcp",
        "10.200.0.11:80/tcp",
        "10.200.0.11:8443/tcp",
        "10.200.0.12:80/tcp",
        "10.200.0.12:8443/tcp",
        "10.200.0.13:30080/tcp",
        "10.200.0.13:30099/tcp",
        "127.0.0.1:30080/tcp",
        "127.0.0.1:30099/tcp",
        "203.0.113.9:80/tcp",
        "10.244.1.7:8001/tcp",
    ];
    sources.iter().flat_map(|source| destinations.iter().map(|to| from(source).to(to))).collect()
}

/// What becomes of each packet, and of its mark.
fn outcomes(table: &Table) -> Vec<Result<(Outcome, Vec<u32>), Trap>> {
    let outcome = |packet: &Packet| {
        let ways = interpret::walk(table, packet, 0, &is_local)?;
        let marks = ways.into_iter().map(|(_, flight)| flight.mark).collect();
        Ok((interpret::run(table, packet, &is_local)?, marks))
    };
    packets().iter().map(outcome).collect()
}

fn v4(bed: &Bed) -> Table {
    let (_, table) = bed.families.iter().find(|(_, table)| table.family == IpFamily::IPv4).unwrap();
    table.clone()
}

#[test]
fn every_statement_of_every_rule_matters_to_some_packet() {
    let bed = bed();
    let table = v4(&bed);
    let before = outcomes(&table);
    assert!(before.iter().all(Result::is_ok), "{before:?}");
    let used = [ChainId::Lb(2), ChainId::MasqLb(2), ChainId::NodePortLb(2)];
    let mut unnoticed = Vec::new();
    for chain in ChainId::CONSTANT.into_iter().chain(used) {
        let rules = statements(bed.dispatch.node(), chain, IpFamily::IPv4);
        for (at, statements) in rules.iter().enumerate() {
            for without in 0..statements.len() {
                let mut fewer = statements.clone();
                let missing = fewer.remove(without);
                let mut table = table.clone();
                table.chains.get_mut(&chain).unwrap()[at] = rule(&fewer, table.family);
                if outcomes(&table) == before && missing != Statement::NewConnection {
                    unnoticed.push(format!("{} {at} {missing:?}", chain.name()));
                }
            }
        }
    }
    // Only a connection's first packet is interpreted: that it is new goes without saying. What comes to the input hook is for the node itself (the
    // statement is for broadcasts), and no policy drops at node ports yet.
    let expected = [
        "nodeport-check 0 ToLocalAddress",
        "nodeport-check 1 ToLocalAddress",
        "nodeport-check 1 In(NodePortIps)",
        "nodeport-check 1 Verdict(Drop)",
    ];
    assert_eq!(unnoticed, expected);
}

#[test]
fn every_element_matters_to_some_packet() {
    let table = v4(&bed());
    let before = outcomes(&table);
    let mut unnoticed = Vec::new();
    for (set, elements) in &table.sets {
        for key in elements.keys() {
            let mut table = table.clone();
            table.sets.get_mut(set).unwrap().remove(key);
            if outcomes(&table) == before {
                unnoticed.push((set.schema().name, key.bytes[..4].to_vec()));
            }
        }
    }
    // A cluster IP that nobody serves would be rejected as one of its other ports is, and the node's own processes are masqueraded on their way to
    // any cluster IP.
    let mut expected = vec![("no-endpoints", vec![10, 96, 0, 11]); 2];
    expected.extend(vec![("hairpin", vec![10, 200, 0, 11]); 2]);
    assert_eq!(unnoticed, expected);
}

#[test]
fn what_is_none_of_ours_is_a_trap() {
    let bed = bed();
    let services = ChainId::ServicesChain;
    let packet = from("pod 10.244.1.5").to("10.96.0.10:80/tcp");
    let goto = |chain| vec![Expr::Verdict(Verdict::Goto(chain))];
    let with_rule = |chain: ChainId, rule: Vec<Expr>| {
        let mut table = v4(&bed);
        table.chains.get_mut(&chain).unwrap().insert(0, rule);
        table
    };
    let payload = |offset, length| Expr::Payload { header: Header::Network, offset, length, to: 0 };
    let member = |set| Expr::Member { set, register: 0, inverted: false };
    let cases = [
        (with_rule(services, goto(ChainId::Lb(99))), "chain lb-99 is named and is not there"),
        (
            with_rule(services, vec![Expr::SetMark(3)]),
            "chain services: a register is read that was not loaded",
        ),
        (
            with_rule(services, vec![payload(16, 4), member(SetId::Services)]),
            "chain services: a register is read that was not loaded",
        ),
        (with_rule(services, vec![payload(9, 1)]), "chain services: bytes of a header that we never read"),
        (with_rule(services, vec![Expr::Reject]), "chain services: reject in this hook"),
        (with_rule(services, vec![Expr::Masquerade]), "chain services: masquerade in this hook"),
        (
            with_rule(ChainId::FilterForward, vec![payload(16, 4), Expr::Dnat { address: 0, port: 0 }]),
            "chain filter-forward: dnat in this hook, or for the second time",
        ),
        (
            with_rule(
                services,
                vec![payload(16, 4), Expr::VerdictMap { map: SetId::ClusterIps, register: 0 }],
            ),
            "chain services: vmap of a map without verdicts",
        ),
        (
            with_rule(services, vec![Expr::Random { modulus: 0, to: 0 }]),
            "chain services: a random number below 0",
        ),
        (
            with_rule(services, vec![Expr::Random { modulus: 2, to: 16 }]),
            "chain services: a random number beyond the last register",
        ),
        (with_rule(services, goto(services)), "chains lead to chains more than 16 deep"),
        (with_rule(ChainId::NatPostrouting, vec![Expr::Masquerade]), ""),
    ];
    for (table, expected) in cases {
        let trap = interpret::run(&table, &packet, &is_local).err().map(|trap| trap.to_string());
        assert_eq!(trap.unwrap_or_default(), expected);
    }
    let mut table = with_rule(ChainId::NatPostrouting, vec![Expr::Masquerade]);
    let stranger = from("pod 10.244.1.5").to("203.0.113.9:80/tcp");
    assert_eq!(interpret::run(&table, &stranger, &is_local), Err(Trap::StrangerMasqueraded));
    table.sets.remove(&SetId::ClusterIps);
    assert_eq!(interpret::run(&table, &packet, &is_local), Err(Trap::Missing("set cluster-ips".to_owned())));
}

#[test]
fn an_empty_slot_a_full_one_twice_and_foreign_data_are_traps() {
    let table = v4(&bed());
    let packet = from("pod 10.244.1.5").to("10.96.0.10:80/tcp");
    let slot = |slot: u8| Key::point(&[10, 96, 0, 10, 6, 0, 0, 0, 0, 80, 0, 0, slot, 0, 0, 0]);
    let run = |table: &Table| interpret::run(table, &packet, &is_local).map_err(|trap| trap.to_string());
    let change = |change: fn(
        &mut std::collections::BTreeMap<Key, pointsman_dataplane::nftables::table::Value>,
        [Key; 2],
    )| {
        let mut table = table.clone();
        change(table.sets.get_mut(&SetId::Endpoints).unwrap(), [slot(0), slot(1)]);
        run(&table)
    };
    assert!(run(&table).is_ok());
    let missed = change(|slots, [_, second]| drop(slots.remove(&second)));
    assert!(missed.unwrap_err().starts_with("chain lb-2: translation missed, endpoints has nothing for"));
    let twice = change(|slots, [first, second]| drop(slots.insert(second, slots[&first].clone())));
    assert!(twice.unwrap_err().ends_with("stands in more than one slot"));
    let foreign = change(|slots, [first, _]| slots.get_mut(&first).unwrap().data = Some(Data::Foreign));
    assert_eq!(foreign, Err("chain lb-2: data that we never write".to_owned()));
}
