//! What the loop does with plans, a kernel in memory and a clock that the test holds. Each case says what was written, and that nothing
//! else was.

use std::sync::{Mutex, MutexGuard};

use pointsman_crds::{
    DriftPolicy, EndpointGroup, NodeProxyPlanSpec, PlanEndpoint, PlanPort, Protocol, ServiceProxyPlanSpec,
    SyncSettings, Target,
};
use pointsman_dataplane::ServicePlan;
use pointsman_dataplane::nftables::schema::SetId;
use pointsman_dataplane::nftables::table::{Observed, Table};
use pointsman_dataplane::nftables::transaction::Transaction;

use super::*;
use crate::nftables::{Committed, Error, Fake, Ownership, TableHead};
use crate::plan::Link;

/// A kernel that outlives its agents.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Fake>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Fake> {
        self.0.lock().unwrap()
    }

    fn table(&self, family: IpFamily) -> Option<Table> {
        self.lock().observe(family).unwrap().map(|observed| observed.table)
    }

    fn services(&self) -> usize {
        self.table(IpFamily::IPv4).map_or(0, |table| table.sets[&SetId::Services].len())
    }

    fn generation(&self) -> u32 {
        self.lock().generation().unwrap()
    }
}

impl Nftables for Shared {
    fn own(&mut self, family: IpFamily) -> Result<Ownership, Error> {
        self.lock().own(family)
    }
    fn observe(&mut self, family: IpFamily) -> Result<Option<Observed>, Error> {
        self.lock().observe(family)
    }
    fn commit(&mut self, family: IpFamily, transaction: &Transaction) -> Result<Committed, Error> {
        self.lock().commit(family, transaction)
    }
    fn delete(&mut self, family: IpFamily) -> Result<bool, Error> {
        self.lock().delete(family)
    }
    fn tables(&mut self) -> Result<Vec<TableHead>, Error> {
        self.lock().tables()
    }
    fn generation(&mut self) -> Result<u32, Error> {
        self.lock().generation()
    }
}

struct Agent {
    reconciler: Reconciler<Shared>,
    reports: watch::Receiver<Report>,
    now: Instant,
}

impl Agent {
    fn start(kernel: &Shared) -> Self {
        let (sender, reports) = watch::channel(Report::default());
        let outlets = Outlets {
            reports: sender,
            health: Arc::new(Health::default()),
            metrics: Arc::new(Metrics::new(Timestamp::now())),
            checkpoint: None,
        };
        let kernel = kernel.clone();
        let tables = Tables::new(Box::new(move |_| Ok(kernel.clone())));
        Self { reconciler: Reconciler::new(tables, outlets, false), reports, now: Instant::now() }
    }

    fn told(&mut self, update: Update) -> Report {
        self.reconciler.absorb(update, self.now);
        self.later(0)
    }

    /// Does what is due in the next seconds.
    fn later(&mut self, seconds: u64) -> Report {
        let end = self.now + Duration::from_secs(seconds);
        loop {
            self.reconciler.step(self.now);
            match self.reconciler.schedule.due() {
                Some(due) if due <= end => self.now = due.max(self.now),
                _ => break,
            }
        }
        self.now = end;
        self.reports.borrow().clone()
    }
}

fn node(change: impl FnOnce(&mut NodeProxyPlanSpec)) -> Arc<NodePlan> {
    let mut spec = NodeProxyPlanSpec::default();
    change(&mut spec);
    Arc::new(NodePlan { name: "node-7".to_owned(), generation: 3, spec, conditions: Vec::new() })
}

fn service(name: &str, vip: &str, endpoints: &[&str]) -> (ServiceKey, Arc<ServicePlan>) {
    let endpoint = |ip: &&str| PlanEndpoint {
        ip: ip.parse().unwrap(),
        node: None,
        zone: None,
        for_zones: Vec::new(),
        for_nodes: Vec::new(),
        terminating: false,
    };
    let port = |number: u16| number.try_into().unwrap();
    let spec = ServiceProxyPlanSpec {
        service_uid: name.to_owned(),
        cluster_ips: vec![vip.parse().unwrap()],
        ports: vec![PlanPort {
            name: String::new(),
            protocol: Protocol::Tcp,
            port: port(80),
            node_port: None,
        }],
        groups: vec![EndpointGroup {
            targets: vec![Target { name: String::new(), port: port(8080) }],
            endpoints: endpoints.iter().map(endpoint).collect(),
        }],
        ..Default::default()
    };
    let key = ServiceKey::new("shop", name);
    (key.clone(), Arc::new(ServicePlan { key, spec }))
}

fn whole(revision: &str, node: Arc<NodePlan>) -> Update {
    let services =
        [service("web", "10.96.0.1", &["10.9.0.1", "10.9.0.2"]), service("dns", "10.96.0.2", &["10.9.0.3"])];
    Update {
        node: Some(node),
        services: Services::All(services.into()),
        revision: Some(Revision::new(revision)),
        ..Update::default()
    }
}

fn change(revision: &str, name: &str, plan: Option<Arc<ServicePlan>>) -> Update {
    Update {
        services: Services::Changed([(ServiceKey::new("shop", name), plan)].into()),
        revision: Some(Revision::new(revision)),
        ..Update::default()
    }
}

fn revision(report: &Report) -> Option<&str> {
    report.programmed.as_ref().map(|programmed| programmed.revision.as_str())
}

#[test]
fn nothing_is_written_before_the_first_whole_plan() {
    let kernel = Shared::default();
    let mut agent = Agent::start(&kernel);
    agent.told(Update { node: Some(node(|_| ())), ..Update::default() });
    agent.told(change("7", "web", Some(service("web", "10.96.0.1", &["10.9.0.1"]).1)));
    assert_eq!((kernel.generation(), kernel.table(IpFamily::IPv4)), (0, None));
    let report = agent.told(whole("8", node(|_| ())));
    assert_eq!((revision(&report), kernel.services()), (Some("8"), 2));
}

#[test]
fn an_agent_that_starts_with_the_same_plan_writes_nothing() {
    let kernel = Shared::default();
    let first = Agent::start(&kernel).told(whole("8", node(|_| ())));
    let before = kernel.generation();
    let mut second = Agent::start(&kernel);
    let report = second.told(whole("9", node(|_| ())));
    assert_eq!(kernel.generation(), before);
    assert_eq!(revision(&report), Some("9"), "all of it is there already");
    let digest = |report: &Report| report.programmed.as_ref().unwrap().digest;
    assert_eq!(digest(&report), digest(&first));
    second.later(100);
    assert_eq!(kernel.generation(), before, "reading back writes nothing");
}

#[test]
fn a_change_is_written_and_its_stale_slots_go_later() {
    let kernel = Shared::default();
    let mut agent = Agent::start(&kernel);
    agent.told(whole("8", node(|_| ())));
    let slots = || kernel.table(IpFamily::IPv4).unwrap().sets[&SetId::Endpoints].len();
    assert_eq!(slots(), 3);
    let smaller = service("web", "10.96.0.1", &["10.9.0.2"]).1;
    let report = agent.told(change("9", "web", Some(smaller)));
    assert_eq!((revision(&report), slots()), (Some("9"), 3), "packets may still look it up");
    agent.later(3);
    assert_eq!(slots(), 2);
    let report = agent.told(change("10", "web", None));
    assert_eq!((revision(&report), kernel.services()), (Some("10"), 1));
}

#[test]
fn what_the_kernel_refuses_is_retried_and_nothing_is_lost() {
    let kernel = Shared::default();
    let mut agent = Agent::start(&kernel);
    agent.told(whole("8", node(|_| ())));
    kernel.lock().broken = true;
    let report = agent.told(change("9", "web", None));
    assert_eq!(report.failure.map(|failure| failure.reason), Some(ConditionReason::KernelRefused));
    assert_eq!(report.programmed.unwrap().revision.as_str(), "8", "what is in the kernel");
    let new = service("new", "10.96.0.3", &["10.9.0.4"]).1;
    agent.told(change("10", "new", Some(new)));
    agent.later(30);
    kernel.lock().broken = false;
    let report = agent.later(30);
    assert_eq!((&report.failure, revision(&report), kernel.services()), (&None, Some("10"), 2));
}

#[test]
fn a_plan_that_forbids_writing_stalls_and_goes_on_later() {
    use ConditionReason::{ModeNotSupported, Paused};
    let cases = [
        (node(|spec| spec.settings.paused = Some(true)), Paused),
        (node(|spec| spec.settings.mode = Some(Mode::Ipvs)), ModeNotSupported),
    ];
    for (forbidding, reason) in cases {
        let kernel = Shared::default();
        let mut agent = Agent::start(&kernel);
        agent.told(whole("8", node(|_| ())));
        let before = kernel.generation();
        agent.told(Update { node: Some(forbidding), ..Update::default() });
        agent.told(change("9", "web", None));
        let report = agent.later(100);
        assert_eq!(report.stalled.map(|stalled| stalled.reason), Some(reason));
        assert_eq!((kernel.generation(), kernel.services()), (before, 2), "{reason}: what is there stays");
        let report = agent.told(Update { node: Some(node(|_| ())), ..Update::default() });
        assert_eq!((&report.stalled, revision(&report), kernel.services()), (&None, Some("9"), 1));
    }
}

/// Somebody else takes an element away.
fn meddle(kernel: &Shared) {
    let mut kernel = kernel.lock();
    let elements = kernel.table(IpFamily::IPv4).sets[&SetId::Services].keys().next().cloned().unwrap();
    let mut transaction = Transaction::default();
    transaction.unset(SetId::Services, elements);
    kernel.commit(IpFamily::IPv4, &transaction).unwrap();
}

trait Look {
    fn table(&mut self, family: IpFamily) -> Table;
}

impl Look for Fake {
    fn table(&mut self, family: IpFamily) -> Table {
        self.observe(family).unwrap().unwrap().table
    }
}

#[test]
fn drift_is_repaired_and_told_of() {
    let kernel = Shared::default();
    let mut agent = Agent::start(&kernel);
    agent.told(whole("8", node(|_| ())));
    meddle(&kernel);
    assert_eq!(kernel.services(), 1);
    let report = agent.later(31);
    assert_eq!(kernel.services(), 2);
    assert_eq!((report.drift.repairs, &report.drifted), (1, &None));
    let (_, what) = report.drift.last.unwrap();
    assert_eq!(what, "ip pointsman: services 1 element missing");
    assert_eq!(agent.later(100).drift.repairs, 1, "once");
}

#[test]
fn drift_that_may_not_be_repaired_stays_and_is_told_of_until_it_is_gone() {
    let observe = |spec: &mut NodeProxyPlanSpec| {
        spec.settings.sync =
            Some(SyncSettings { drift: Some(DriftPolicy::Observe), ..SyncSettings::default() });
    };
    let kernel = Shared::default();
    let mut agent = Agent::start(&kernel);
    agent.told(whole("8", node(observe)));
    meddle(&kernel);
    for _ in 0..3 {
        let report = agent.later(31);
        assert_eq!(report.drifted.map(|drifted| drifted.reason), Some(ConditionReason::DriftObserved));
        assert_eq!((kernel.services(), report.drift.repairs), (1, 0));
    }
    let new = service("new", "10.96.0.3", &["10.9.0.4"]).1;
    let report = agent.told(change("9", "new", Some(new)));
    assert_eq!((revision(&report), kernel.services()), (Some("9"), 2), "a change is written");
    assert!(report.drifted.is_some(), "and the difference is still there");
}

#[test]
fn a_checkpoint_is_used_unless_the_kernel_is_newer() {
    for (in_kernel, in_checkpoint, used) in
        [(None, "8", true), (Some("8"), "8", true), (Some("8"), "9", true), (Some("10"), "9", false)]
    {
        let kernel = Shared::default();
        if let Some(revision) = in_kernel {
            Agent::start(&kernel).told(whole(revision, node(|_| ())));
        }
        let mut agent = Agent::start(&kernel);
        let saved = Services::Saved([service("old", "10.96.0.9", &["10.9.0.9"])].into());
        let report = agent.told(Update {
            services: saved,
            link: Some(Link::Checkpoint),
            ..whole(in_checkpoint, node(|_| ()))
        });
        let name = format!("{in_checkpoint} over {in_kernel:?}");
        assert_eq!(revision(&report), used.then_some(in_checkpoint), "{name}");
        assert_eq!(kernel.services(), if used { 1 } else { 2 }, "{name}");
        let report = agent.told(whole("11", node(|_| ())));
        assert_eq!(
            (revision(&report), kernel.services()),
            (Some("11"), 2),
            "{name}: the feed's plan replaces it"
        );
    }
}

#[test]
fn the_table_of_a_family_that_is_not_proxied_goes() {
    let kernel = Shared::default();
    let mut agent = Agent::start(&kernel);
    agent.told(whole("8", node(|_| ())));
    assert!(kernel.table(IpFamily::IPv6).is_some());
    let only_four = node(|spec| spec.settings.ip_families = Some(vec![IpFamily::IPv4]));
    agent.told(Update { node: Some(only_four), ..Update::default() });
    assert_eq!((kernel.table(IpFamily::IPv6), kernel.services()), (None, 2));
    let before = kernel.generation();
    agent.later(100);
    assert_eq!(kernel.generation(), before);
}

#[test]
fn what_is_refused_holds_up_nothing_else() {
    let kernel = Shared::default();
    let mut agent = Agent::start(&kernel);
    agent.told(whole("8", node(|_| ())));
    let bad = service("bad", "127.0.0.1", &["10.9.0.4"]).1;
    let mut update = change("9", "bad", Some(bad));
    update.merge(change("10", "new", Some(service("new", "10.96.0.3", &["10.9.0.4"]).1)));
    update.unreadable = Some([(ServiceKey::new("shop", "odd"), "plan odd: no".to_owned())].into());
    let report = agent.told(update);
    assert_eq!((revision(&report), kernel.services()), (Some("10"), 3));
    let told: Vec<(&str, &str)> = report
        .refused
        .first
        .iter()
        .map(|refused| (refused.service.as_str(), refused.reason.as_str()))
        .collect();
    assert_eq!(told, [("shop/odd", "Malformed"), ("shop/bad", "FrontendAddressInvalid")]);
    assert_eq!(report.refused.count, 2);
    let report = agent.told(change("11", "bad", None));
    assert_eq!(report.refused.count, 1);
}
