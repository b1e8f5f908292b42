//! What a table says about itself, and what people read beside its elements: as it was written, and changed by nothing but what it stands for.
// Not only the tests, what they are built of may panic, too.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use pointsman_crds::IpFamily;
use pointsman_crds::Protocol::Tcp;
use pointsman_dataplane::dispatch::Dispatch;
use pointsman_dataplane::nftables::image::Image;
use pointsman_dataplane::nftables::schema::SetId;
use pointsman_dataplane::nftables::stamp::Stamp;
use pointsman_dataplane::nftables::table::{Observed, Table};
use pointsman_dataplane::nftables::transaction::{Batch, Transaction};
use pointsman_dataplane::node::LocalDetector;
use pointsman_dataplane::testing::{Bed, ServiceBuilder, apply, node, service};
use pointsman_dataplane::{NodeFacts, ServiceKey};

fn web(endpoints: &[&str]) -> ServiceBuilder {
    let web = service("shop/web").cluster_ip("10.96.0.10").port(Tcp, 80, 8001);
    endpoints.iter().fold(web, |web, address| web.endpoint(*address))
}

#[test]
fn a_revision_travels_with_a_change_and_is_none_by_itself() {
    let mut bed = Bed::of(node("node-1"), &[]);
    let changes = bed.dispatch.change(&web(&[]).plan().key, Some(&web(&["10.244.1.1"]).plan()));
    let (image, table) = &mut bed.families[0];
    let mut nothing = Batch::default();
    image.stamp("41", &mut nothing);
    assert!(nothing.is_empty() && !image.is_stamped("41"));
    let mut batch = image.apply(&changes);
    image.stamp("42", &mut batch);
    for transaction in [&batch.chains, &batch.change] {
        apply(table, transaction).unwrap();
    }
    assert_eq!(stamp(table), Stamp::new("42", image.digest()));
    let changes = bed.dispatch.change(&web(&[]).plan().key, Some(&web(&["10.244.1.2"]).plan()));
    let (image, table) = &mut bed.families[0];
    let mut batch = image.apply(&changes);
    image.stamp("43", &mut batch);
    apply(table, &batch.change).unwrap();
    assert_eq!(bed.restart(), 0, "a restart adopts the revision as it is");
    let (image, table) = &mut bed.families[0];
    assert!(image.is_stamped("43") && !image.is_stamped("42"));
    let mut alone = Transaction::default();
    image.restamp("43", &mut alone);
    assert!(alone.is_empty());
    image.restamp("44", &mut alone);
    apply(table, &alone).unwrap();
    assert_eq!(stamp(table), Stamp::new("44", image.digest()));
}

/// What a table says of itself.
fn stamp(table: &Table) -> Stamp {
    Stamp::of(&Observed { table: table.clone(), foreign: Vec::new() }).unwrap()
}

#[test]
fn a_comment_is_cut_to_what_the_kernel_gives_back_and_a_restart_writes_nothing() {
    let (namespace, name) = ("n".repeat(63), "s".repeat(63));
    let mut plan = web(&["10.244.1.1"]).plan();
    plan.key = ServiceKey::new(&namespace, &name);
    plan.spec.ports[0].name = "p".repeat(63);
    plan.spec.groups[0].targets[0].name = "p".repeat(63);
    let mut bed = Bed::of(node("node-1"), &[]);
    let changes = bed.dispatch.change(&plan.key.clone(), Some(&plan));
    let (image, table) = &mut bed.families[0];
    let batch = image.apply(&changes);
    for transaction in [&batch.chains, &batch.change] {
        apply(table, transaction).unwrap();
    }
    let comments: Vec<usize> = table.sets[&SetId::Services]
        .values()
        .filter_map(|value| Some(value.comment.as_ref()?.len()))
        .collect();
    assert_eq!(comments, [127]);
    assert_eq!(bed.restart(), 0);
}

#[test]
fn the_digest_tells_node_facts_apart() {
    let digest = |change: &dyn Fn(&mut NodeFacts)| {
        let mut facts = node("node-1").facts();
        change(&mut facts);
        Image::adopt(&Dispatch::new(facts), IpFamily::IPv4, None).0.digest()
    };
    let facts: [&dyn Fn(&mut NodeFacts); 4] = [
        &|_| (),
        &|node| node.masquerade_mark = 1 << 3,
        &|node| node.local = LocalDetector::Interface("cni0".to_owned()),
        &|node| node.service_cidrs = vec!["10.200.0.0/16".parse().unwrap()],
    ];
    let digests: BTreeSet<u64> = facts.iter().map(|change| digest(change)).collect();
    assert_eq!(digests.len(), facts.len());
    assert_eq!(digest(&|_| ()), digest(&|_| ()), "equal facts, equal digest");
}
