//! What the assembler makes of records, in any order in which they may come. Each case says what is told, and that nothing else is.

use pointsman_crds::{EndpointGroup, PlanEndpoint};

use super::*;

struct Case {
    assembler: Assembler,
    revision: u32,
}

/// A listed and told state without Services.
fn following() -> Case {
    let mut assembler = Assembler::new("");
    assembler.list_begins();
    assembler.list_ends();
    assert_eq!(assembler.take().map(|update| update.services), Some(Services::All(BTreeMap::new())));
    Case { assembler, revision: 100 }
}

fn record(name: &str, revision: u32, spec: Result<ServiceProxyPlanSpec, String>) -> PlanRecord {
    let json = format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"shop","resourceVersion":"{revision}"}},"spec":null}}"#
    );
    let mut record: PlanRecord = serde_json::from_str(&json).unwrap();
    record.spec = spec;
    record
}

fn base(uid: &str, shards: &[&str]) -> ServiceProxyPlanSpec {
    let shards = shards.iter().map(|shard| (*shard).to_owned()).collect();
    ServiceProxyPlanSpec { service_uid: uid.to_owned(), shards, ..Default::default() }
}

fn holding(uid: &str, ip: &str) -> ServiceProxyPlanSpec {
    let endpoint = PlanEndpoint {
        ip: ip.parse().unwrap(),
        node: None,
        zone: None,
        for_zones: Vec::new(),
        for_nodes: Vec::new(),
        terminating: false,
    };
    let groups = vec![EndpointGroup { targets: Vec::new(), endpoints: vec![endpoint] }];
    ServiceProxyPlanSpec { service_uid: uid.to_owned(), groups, ..Default::default() }
}

impl Case {
    fn apply(&mut self, name: &str, spec: ServiceProxyPlanSpec) -> Vec<(String, Option<Vec<String>>)> {
        self.revision += 1;
        self.assembler.apply(record(name, self.revision, Ok(spec)));
        self.told()
    }

    fn delete(&mut self, name: &str) -> Vec<(String, Option<Vec<String>>)> {
        self.revision += 1;
        self.assembler.delete(&record(name, self.revision, Ok(ServiceProxyPlanSpec::default())));
        self.told()
    }

    /// What is told: Services, and the addresses of their endpoints.
    fn told(&mut self) -> Vec<(String, Option<Vec<String>>)> {
        let update = self.assembler.take().unwrap();
        assert_eq!(update.revision.unwrap().as_str(), self.revision.to_string());
        let Services::Changed(changed) = update.services else { panic!("told all again") };
        let addresses = |plan: &Arc<ServicePlan>| {
            assert!(plan.spec.shards.is_empty());
            let endpoints = plan.spec.groups.iter().flat_map(|group| &group.endpoints);
            endpoints.map(|endpoint| endpoint.ip.to_string()).collect()
        };
        changed.iter().map(|(key, plan)| (key.name().to_owned(), plan.as_ref().map(addresses))).collect()
    }
}

fn whole(name: &str, addresses: &[&str]) -> Vec<(String, Option<Vec<String>>)> {
    vec![(name.to_owned(), Some(addresses.iter().map(|ip| (*ip).to_owned()).collect()))]
}

const NOTHING: Vec<(String, Option<Vec<String>>)> = Vec::new();

#[test]
fn an_unsharded_plan_is_whole_at_once_and_told_once() {
    let mut case = following();
    assert_eq!(case.apply("web", holding("a", "10.9.0.1")), whole("web", &["10.9.0.1"]));
    assert_eq!(case.apply("web", holding("a", "10.9.0.1")), NOTHING, "the same again");
    assert_eq!(case.delete("web"), vec![("web".to_owned(), None)]);
    assert_eq!(case.delete("web"), NOTHING, "it was gone");
}

#[test]
fn a_sharded_plan_is_whole_when_its_last_shard_is_there() {
    let mut case = following();
    assert_eq!(case.apply("web.one", holding("a", "10.9.0.1")), NOTHING, "shards come before their base");
    assert_eq!(case.apply("web", base("a", &["web.one", "web.two"])), NOTHING, "one is missing");
    assert_eq!(case.apply("web.two", holding("a", "10.9.0.2")), whole("web", &["10.9.0.1", "10.9.0.2"]));
    assert_eq!(case.apply("web.two", holding("a", "10.9.0.3")), whole("web", &["10.9.0.1", "10.9.0.3"]));
    assert_eq!(case.apply("web.six", holding("a", "10.9.0.6")), NOTHING, "the base does not name it");
}

#[test]
fn half_a_change_keeps_the_last_whole_state() {
    let mut case = following();
    case.apply("web.one", holding("a", "10.9.0.1"));
    case.apply("web", base("a", &["web.one"]));
    assert_eq!(case.apply("web", base("a", &["web.one", "web.two"])), NOTHING, "the new shard is missing");
    assert_eq!(case.delete("web.one"), NOTHING, "a shard that the base still names");
    assert_eq!(case.apply("web", base("b", &["web.two"])), NOTHING);
    assert_eq!(case.apply("web.two", holding("a", "10.9.0.7")), NOTHING, "a shard of the Service before");
    assert_eq!(case.apply("web.two", holding("b", "10.9.0.8")), whole("web", &["10.9.0.8"]));
}

#[test]
fn shrinking_below_a_hundred_needs_no_shards() {
    let mut case = following();
    case.apply("web.one", holding("a", "10.9.0.1"));
    case.apply("web", base("a", &["web.one"]));
    assert_eq!(case.apply("web", holding("a", "10.9.0.2")), whole("web", &["10.9.0.2"]));
    assert_eq!(case.delete("web.one"), NOTHING);
    assert_eq!(case.delete("web"), vec![("web".to_owned(), None)]);
    assert!(case.assembler.services.is_empty(), "nothing is kept of what is gone");
}

#[test]
fn only_plans_of_this_proxy_are_taken() {
    let mut case = following();
    let other = ServiceProxyPlanSpec { proxy_name: Some("mesh".to_owned()), ..holding("a", "10.9.0.1") };
    assert_eq!(case.apply("web", other.clone()), NOTHING);
    case.apply("web", holding("a", "10.9.0.1"));
    assert_eq!(case.apply("web", other), vec![("web".to_owned(), None)], "it went to another proxy");
}

#[test]
fn a_list_is_told_when_it_ends_and_removes_what_it_does_not_name() {
    let mut case = following();
    case.apply("old", holding("a", "10.9.0.1"));
    case.apply("same", holding("a", "10.9.0.2"));
    case.assembler.list_begins();
    case.assembler.apply(record("same", 7, Ok(holding("a", "10.9.0.2"))));
    case.assembler.apply(record("new", 9, Ok(holding("a", "10.9.0.3"))));
    assert_eq!(case.assembler.take(), None, "half a list");
    case.assembler.list_ends();
    case.revision = 9; // Lower than before: etcd was restored.
    let mut expected = whole("new", &["10.9.0.3"]);
    expected.push(("old".to_owned(), None));
    assert_eq!(case.told(), expected);
}

#[test]
fn the_first_list_is_told_as_all() {
    let mut assembler = Assembler::new("");
    assert_eq!(assembler.take(), None);
    assembler.list_begins();
    assembler.apply(record("web", 5, Ok(holding("a", "10.9.0.1"))));
    assembler.list_begins(); // The connection broke.
    assembler.apply(record("dns", 6, Ok(holding("a", "10.9.0.2"))));
    assembler.list_ends();
    let Some(Services::All(all)) = assembler.take().map(|update| update.services) else {
        panic!("not told as all")
    };
    assert_eq!(all.keys().map(ServiceKey::as_str).collect::<Vec<_>>(), ["shop/dns"]);
}

#[test]
fn the_first_list_is_read_into_the_place_of_what_is_in_force() {
    let plan = |name: &str, ip: &str| {
        let key = ServiceKey::new("shop", name);
        (key.clone(), Arc::new(ServicePlan { key, spec: holding("one", ip) }))
    };
    let held = [plan("bad", "10.1.0.1"), plan("gone", "10.1.0.2"), plan("moved", "10.1.0.3")];
    let held: BTreeMap<_, _> =
        held.into_iter().chain([plan("orphan", "10.1.0.4"), plan("same", "10.1.0.5")]).collect();
    let mut assembler = Assembler::new("").beside(held.clone());
    assembler.list_begins();
    let listed = [
        record("bad", 7, Err("odd".to_owned())),
        record("moved", 8, Ok(holding("one", "10.1.0.33"))),
        record("orphan.a", 9, Ok(holding("one", "10.1.0.4"))),
        record("same", 10, Ok(holding("one", "10.1.0.5"))),
    ];
    listed.into_iter().for_each(|record| assembler.apply(record));
    assert!(assembler.take().is_none(), "told before the list has ended");
    assembler.list_ends();
    let Some(Services::All(all)) = assembler.take().map(|update| update.services) else { panic!("not all") };
    let (same, bad) = (ServiceKey::new("shop", "same"), ServiceKey::new("shop", "bad"));
    assert!(Arc::ptr_eq(&all[&same], &held[&same]), "what is equal is kept once");
    let expected = BTreeMap::from([
        (bad.clone(), held[&bad].clone()),
        plan("moved", "10.1.0.33"),
        plan("same", "10.1.0.5"),
    ]);
    assert_eq!(all, expected);
}

#[test]
fn a_held_plan_whose_base_was_never_read_goes_with_its_base() {
    let key = ServiceKey::new("shop", "web");
    let held = Arc::new(ServicePlan { key: key.clone(), spec: holding("one", "10.1.0.1") });
    let mut assembler = Assembler::new("").beside(BTreeMap::from([(key, held)]));
    assembler.list_begins();
    assembler.apply(record("web", 7, Err("odd".to_owned())));
    assembler.apply(record("web.one", 8, Ok(holding("one", "10.1.0.1"))));
    assembler.list_ends();
    assert!(assembler.take().is_some());
    let mut case = Case { assembler, revision: 100 };
    assert_eq!(case.delete("web.one"), NOTHING, "its base may still be read");
    assert_eq!(case.delete("web"), vec![("web".to_owned(), None)]);
}

#[test]
fn a_plan_that_cannot_be_read_keeps_its_last_state_and_is_told_of() {
    let mut case = following();
    case.apply("web", holding("a", "10.9.0.1"));
    case.revision += 1;
    case.assembler.apply(record("web", case.revision, Err("unknown variant".to_owned())));
    let update = case.assembler.take().unwrap();
    assert_eq!(update.services, Services::Changed(BTreeMap::new()));
    let told = [(ServiceKey::new("shop", "web"), "plan web: unknown variant".to_owned())];
    assert_eq!(update.unreadable, Some(told.into()));
    case.apply("web", holding("a", "10.9.0.1"));
    assert_eq!(case.assembler.unreadable, BTreeMap::new());
    assert_eq!(case.delete("web"), vec![("web".to_owned(), None)]);
}
