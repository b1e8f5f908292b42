//! A whole cluster in plain tests: what an event concerns, what is written, and that nothing else is.

use k8s_openapi::api::core::v1::{Node as KubeNode, Pod as KubePod, Service as KubeService};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use pointsman_crds::ProxySettings;
use pointsman_planner::model::{Node, Pod, Service, ServiceKey, Slice, Time};
use pointsman_planner::plan::Policy;
use serde_json::{Value, json};

use super::{Dirty, Index, Indexed, Item, Watched};
use crate::next::{Obstacles, PlanWrite, ServiceWork, service_work};
use crate::offline::Agreeing;

/// An index, and the API server that it sees.
struct Cluster {
    index: Index,
    api: Agreeing,
}

impl std::ops::Deref for Cluster {
    type Target = Index;

    fn deref(&self) -> &Index {
        &self.index
    }
}

impl std::ops::DerefMut for Cluster {
    fn deref_mut(&mut self) -> &mut Index {
        &mut self.index
    }
}

fn cluster() -> Cluster {
    let policy = Policy {
        allowed_external_ips: vec!["198.51.100.0/24".parse().unwrap()],
        manage_slices: true,
        ..Policy::default()
    };
    Cluster { index: Index::new(policy), api: Agreeing::default() }
}

fn item<K: serde::de::DeserializeOwned, T>(object: Value) -> Item<T>
where
    Item<T>: From<K>,
{
    Item::from(serde_json::from_value::<K>(object).unwrap())
}

fn service(name: &str, created: u32, ip: &str) -> Value {
    json!({
        "metadata": {"namespace": "shop", "name": name, "uid": format!("{name}-{created}"),
            "creationTimestamp": format!("2026-01-01T00:00:{created:02}Z")},
        "spec": {"selector": {"app": name}, "clusterIP": ip, "clusterIPs": [ip], "ipFamilies": ["IPv4"],
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    })
}

fn pod(name: &str, app: &str, ip: &str, ready: &str) -> Value {
    json!({
        "metadata": {"namespace": "shop", "name": name, "uid": name, "labels": {"app": app, "tier": "x"}},
        "spec": {"nodeName": "node-1", "containers": []},
        "status": {"phase": "Running", "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:01:00Z"}]},
    })
}

fn node(zone: &str) -> Value {
    json!({"metadata": {"name": "node-1", "uid": "n1", "labels": {"topology.kubernetes.io/zone": zone}},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.200.0.11"}]}})
}

fn apply_service(index: &mut Index, object: Value) {
    index.watched(Watched::Applied(item::<KubeService, Service>(object)));
}

fn apply_pod(index: &mut Index, object: Value) {
    index.watched(Watched::Applied(item::<KubePod, Pod>(object)));
}

fn apply_node(index: &mut Index, object: Value) {
    index.watched(Watched::Applied(item::<KubeNode, Node>(object)));
}

fn writes(cluster: &mut Cluster) -> Vec<String> {
    cluster.api.settle(&mut cluster.index, &ProxySettings::default(), Time(0))
}

/// The Services web and dns, two Pods of web, one Node; all written.
fn settled() -> Cluster {
    let mut index = cluster();
    apply_service(&mut index, service("web", 1, "10.96.0.10"));
    apply_service(&mut index, service("dns", 2, "10.96.0.53"));
    apply_pod(&mut index, pod("web-1", "web", "10.244.1.1", "True"));
    apply_pod(&mut index, pod("web-2", "web", "10.244.1.2", "True"));
    apply_node(&mut index, node("a"));
    writes(&mut index);
    index
}

fn verbs(writes: &[String]) -> Vec<String> {
    // The last part of a slice's name is a hash.
    let short = |write: &String| match write.split_once("EndpointSlice") {
        Some((verb, name)) => format!("{verb}EndpointSlice{}", name.rsplit_once('-').unwrap().0),
        None => write.clone(),
    };
    writes.iter().map(short).collect()
}

#[test]
fn slices_come_before_plans_and_nodes_last() {
    let mut index = cluster();
    apply_node(&mut index, node("a"));
    apply_service(&mut index, service("web", 1, "10.96.0.10"));
    apply_pod(&mut index, pod("web-1", "web", "10.244.1.1", "True"));
    assert_eq!(
        verbs(&writes(&mut index)),
        ["create EndpointSlice shop/web", "create ServiceProxyPlan shop/web", "create NodeProxyPlan node-1"]
    );
    assert_eq!(writes(&mut index), [""; 0]);
}

#[test]
fn a_change_concerns_only_whom_it_must() {
    let web = ServiceKey::new("shop", "web");
    let mut index = settled();
    apply_pod(&mut index, pod("web-1", "web", "10.244.1.1", "True"));
    apply_node(&mut index, node("a"));
    apply_service(&mut index, service("web", 1, "10.96.0.10"));
    assert_eq!(index.take_dirty(), Dirty::default(), "nothing has changed");

    apply_pod(&mut index, pod("web-1", "web", "10.244.1.1", "False"));
    assert_eq!(index.take_dirty().services.keys().collect::<Vec<_>>(), [&web]);
    apply_pod(&mut index, pod("web-1", "dns", "10.244.1.1", "False"));
    let dirty = index.take_dirty();
    assert_eq!(dirty.services.len(), 2, "it leaves one Service and joins another: {dirty:?}");
    apply_pod(&mut index, pod("other-1", "other", "10.244.1.9", "True"));
    assert_eq!(index.take_dirty(), Dirty::default(), "nobody selects it");
    apply_node(&mut index, node("b"));
    let dirty = index.take_dirty();
    assert_eq!((dirty.services.len(), dirty.nodes.len()), (2, 1), "its zone stands in endpoints");
}

#[test]
fn a_pod_that_changes_writes_one_slice_and_one_plan() {
    let mut index = settled();
    apply_pod(&mut index, pod("web-1", "web", "10.244.1.1", "False"));
    assert_eq!(
        verbs(&writes(&mut index)),
        ["update EndpointSlice shop/web", "update ServiceProxyPlan shop/web"]
    );
    // One that never was ready changes the slice, and no plan.
    apply_pod(&mut index, pod("web-3", "web", "10.244.1.3", "False"));
    assert_eq!(verbs(&writes(&mut index)), ["update EndpointSlice shop/web"]);
}

#[test]
fn a_new_list_of_the_same_objects_writes_nothing() {
    let mut index = settled();
    index.watched::<Pod>(Watched::Start);
    for name in ["web-1", "web-2"] {
        let ip = format!("10.244.1.{}", &name[4..]);
        index.watched(Watched::Listed(item::<KubePod, Pod>(pod(name, "web", &ip, "True"))));
    }
    index.watched::<Pod>(Watched::End);
    assert_eq!(writes(&mut index), [""; 0]);
    // What a list does not name is gone.
    index.watched::<Pod>(Watched::Start);
    index.watched(Watched::Listed(item::<KubePod, Pod>(pod("web-2", "web", "10.244.1.2", "True"))));
    index.watched::<Pod>(Watched::End);
    assert_eq!(
        verbs(&writes(&mut index)),
        ["update EndpointSlice shop/web", "update ServiceProxyPlan shop/web"]
    );
}

#[test]
fn what_a_service_leaves_behind_goes_with_it() {
    let mut index = settled();
    index.watched(Watched::Deleted(item::<KubeService, Service>(service("web", 1, "10.96.0.10"))));
    assert_eq!(
        verbs(&writes(&mut index)),
        ["delete ServiceProxyPlan shop/web", "delete EndpointSlice shop/web"]
    );
    index.watched(Watched::Deleted(item::<KubeNode, Node>(node("a"))));
    assert_eq!(verbs(&writes(&mut index)), ["delete NodeProxyPlan node-1"]);
}

#[test]
fn an_address_is_given_up_before_another_service_takes_it() {
    let mut index = settled();
    // The heir stands before the deceased in every order of names.
    index.watched(Watched::Deleted(item::<KubeService, Service>(service("web", 1, "10.96.0.10"))));
    apply_service(&mut index, service("heir", 9, "10.96.0.10"));
    let writes = writes(&mut index);
    let at = |wanted: &str| writes.iter().position(|write| write == wanted).unwrap();
    let given_up = at("delete ServiceProxyPlan shop/web");
    assert!(at("update ServiceProxyPlan shop/heir") > given_up, "{writes:?}");
    let plan = index.plans_of(&ServiceKey::new("shop", "heir"));
    assert_eq!(plan[0].spec.cluster_ips, ["10.96.0.10".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(plan[0].refused, None);
}

#[test]
fn of_two_claims_on_an_external_ip_the_older_wins_and_the_younger_is_told() {
    let with_external = |name: &str, created: u32, ip: &str| {
        let mut service = service(name, created, ip);
        service["spec"]["externalIPs"] = json!(["198.51.100.7"]);
        service
    };
    let mut index = cluster();
    apply_service(&mut index, with_external("a-young", 9, "10.96.0.1"));
    apply_service(&mut index, with_external("z-old", 1, "10.96.0.2"));
    writes(&mut index);
    let plan = |index: &Index, name: &str| index.plans_of(&ServiceKey::new("shop", name))[0].clone();
    assert_eq!(plan(&index, "z-old").spec.external_ips.len(), 1);
    assert_eq!(plan(&index, "z-old").refused, None);
    assert_eq!(plan(&index, "a-young").spec.external_ips.len(), 0);
    assert_eq!(plan(&index, "a-young").refused.clone().unwrap().first[0].reason, "FrontendConflict");

    index.watched(Watched::Deleted(item::<KubeService, Service>(with_external("z-old", 1, "10.96.0.2"))));
    let after = writes(&mut index);
    assert_eq!(plan(&index, "a-young").spec.external_ips.len(), 1, "{after:?}");
    assert_eq!(plan(&index, "a-young").refused, None);
}

#[test]
fn a_service_that_grows_is_sharded_and_one_that_shrinks_is_whole_again() {
    let mut index = cluster();
    apply_node(&mut index, node("a"));
    apply_service(&mut index, service("web", 1, "10.96.0.10"));
    let one =
        |n: u32| pod(&format!("web-{n}"), "web", &format!("10.244.{}.{}", n / 200, 1 + n % 200), "True");
    (0..150).for_each(|n| apply_pod(&mut index, one(n)));
    writes(&mut index);
    let key = ServiceKey::new("shop", "web");
    let names = |index: &Index| index.plans_of(&key).iter().map(|plan| plan.name.clone()).collect::<Vec<_>>();
    assert_eq!((names(&index).len(), names(&index)[0].as_str()), (3, "web"));
    assert_eq!(index.plans_of(&key)[0].spec.shards, names(&index)[1..]);

    // A change of one Pod touches one slice and one shard.
    apply_pod(&mut index, pod("web-149", "web", "10.244.0.150", "False"));
    let change = writes(&mut index);
    assert_eq!(change.len(), 2, "{change:?}");
    assert!(change[1].starts_with("update ServiceProxyPlan shop/web."), "{change:?}");

    for n in 50..150 {
        index.watched(Watched::Deleted(item::<KubePod, Pod>(one(n))));
    }
    let change = writes(&mut index);
    assert_eq!(names(&index), ["web"]);
    let base = change.iter().position(|write| write == "update ServiceProxyPlan shop/web").unwrap();
    assert!(change.iter().skip(base + 1).all(|write| write.starts_with("delete")), "{change:?}");
}

#[test]
fn late_news_of_what_we_wrote_is_no_news() {
    let mut index = settled();
    let key = ServiceKey::new("shop", "web");
    let slice = index.slices_of(&key)[0].clone();
    let at = ("shop".to_owned(), slice.name.clone());
    let version = |number: &str, labels: Value| {
        let labels = json!({"kubernetes.io/service-name": "web", "x": labels});
        let meta = json!({"namespace": "shop", "name": slice.name, "uid": slice.uid, "resourceVersion": number, "labels": labels});
        item::<EndpointSlice, Slice>(json!({"metadata": meta, "addressType": "IPv4", "endpoints": []}))
    };
    index.watched(Watched::Applied(version("0", json!("older"))));
    assert_eq!(index.take_dirty(), Dirty::default());
    index.deleted::<Slice>(&at, &slice.uid);
    index.take_dirty();
    index.watched(Watched::Applied(version("999", json!("a ghost"))));
    assert_eq!((index.take_dirty(), index.slices_of(&key).len()), (Dirty::default(), 0));
}

#[test]
fn the_oldest_change_stands_as_the_trigger() {
    let mut index = cluster();
    apply_service(&mut index, service("web", 7, "10.96.0.10"));
    let dirty = index.take_dirty();
    assert_eq!(
        dirty.services.values().copied().collect::<Vec<_>>(),
        [super::parse::timestamp("2026-01-01T00:00:07Z")]
    );
    apply_pod(&mut index, pod("web-1", "web", "10.244.1.1", "True"));
    let ready = super::parse::timestamp("2026-01-01T00:01:00Z");
    assert_eq!(index.take_dirty().services.values().copied().collect::<Vec<_>>(), [ready]);
    index.watched(Watched::Deleted(item::<KubePod, Pod>(pod("web-1", "web", "10.244.1.1", "True"))));
    assert_eq!(
        index.take_dirty().services.values().copied().collect::<Vec<_>>(),
        [None],
        "a deletion has no time"
    );
}

#[test]
fn finished_and_homeless_pods_are_no_endpoints() {
    let mut index = settled();
    let mut finished = pod("web-1", "web", "10.244.1.1", "True");
    finished["status"]["phase"] = json!("Succeeded");
    apply_pod(&mut index, finished);
    assert_eq!(verbs(&writes(&mut index)).len(), 2);
    let mut homeless = pod("web-9", "web", "10.244.1.9", "False");
    homeless["status"]["podIPs"] = json!([]);
    apply_pod(&mut index, homeless);
    assert_eq!(writes(&mut index), [""; 0]);
    assert_eq!(<Pod as Indexed>::keys(&index).len(), 1);
}

#[test]
fn a_node_port_is_given_up_before_another_service_takes_it() {
    let on_node_port = |name: &str, created: u32, ip: &str| {
        let mut service = service(name, created, ip);
        service["spec"]["ports"][0]["nodePort"] = json!(30080);
        service
    };
    let mut index = cluster();
    apply_service(&mut index, on_node_port("web", 1, "10.96.0.10"));
    writes(&mut index);
    // The heir stands before the deceased in every order of names, and has an address of its own.
    index.watched(Watched::Deleted(item::<KubeService, Service>(on_node_port("web", 1, "10.96.0.10"))));
    apply_service(&mut index, on_node_port("heir", 9, "10.96.0.11"));
    let writes = writes(&mut index);
    let at = |wanted: &str| writes.iter().position(|write| write == wanted).unwrap();
    let given_up = at("delete ServiceProxyPlan shop/web");
    assert!(at("create ServiceProxyPlan shop/heir") < given_up, "it is served meanwhile: {writes:?}");
    assert!(at("update ServiceProxyPlan shop/heir") > given_up, "{writes:?}");
    let plan = &index.plans_of(&ServiceKey::new("shop", "heir"))[0];
    assert_eq!((plan.spec.ports[0].node_port.map(u16::from), &plan.refused), (Some(30080), &None));
}

#[test]
fn the_time_of_an_earlier_change_is_not_told_again() {
    let mut index = settled();
    let key = ServiceKey::new("shop", "web");
    let trigger = |index: &Index| index.plans_of(&key)[0].trigger;
    assert!(trigger(&index).is_some());
    for port in [81, 82] {
        let mut changed = service("web", 1, "10.96.0.10");
        changed["spec"]["ports"][0]["port"] = json!(port);
        apply_service(&mut index, changed);
        assert_eq!(verbs(&writes(&mut index)), ["update ServiceProxyPlan shop/web"]);
        assert_eq!(trigger(&index), None, "no slice has moved: port {port}");
    }
    // A new leader does not know since when something is missing for a Service that was served before.
    index.take_dirty();
    index.mark_all();
    assert!(index.take_dirty().services.values().all(Option::is_none));
}

#[test]
fn plans_do_not_wait_for_slices_that_others_change_as_they_are_stored() {
    let mut index = settled();
    let key = ServiceKey::new("shop", "web");
    apply_pod(&mut index, pod("web-1", "web", "10.244.1.1", "False"));
    let mut content = index.slices_of(&key)[0].content.clone();
    content.labels.insert("added-by".to_owned(), "a-webhook".to_owned());
    content.endpoints.retain(|endpoint| endpoint.address.to_string() != "10.244.1.1");
    let name = index.slices_of(&key)[0].name.clone();
    let mut stored = crate::object::slice(index.service(&key).unwrap(), &name, &content);
    stored.metadata.uid = Some(format!("uid-of-{name}"));
    stored.metadata.resource_version = Some("1000".to_owned());
    index.watched(Watched::Applied(Item::<Slice>::from(stored)));
    let work = |altered| service_work(&index, &key, &Obstacles { altered, ..Obstacles::default() }, None);
    assert!(matches!(work(false), ServiceWork::Slices(_)));
    let ServiceWork::Plans(_, writes) = work(true) else { panic!("{:?}", work(true)) };
    let [PlanWrite::Update { spec, .. }] = &*writes else { panic!("{writes:?}") };
    assert_eq!(spec.groups[0].endpoints.len(), 1, "as the slice is stored");
}

#[test]
fn a_node_is_known_by_its_external_address_only_without_an_internal_one() {
    let typed = |kind: &str, address: &str| json!({"type": kind, "address": address});
    let mut object = node("a");
    object["status"]["addresses"] = json!([
        typed("Hostname", "node-1"),
        typed("ExternalIP", "192.0.2.1"),
        typed("ExternalIP", "2001:db8::1"),
        typed("InternalIP", "10.200.0.11"),
        typed("InternalIP", "10.200.0.12"),
    ]);
    let found = item::<KubeNode, Node>(object).value.unwrap().addresses;
    assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.200.0.11", "2001:db8::1"]);
}
