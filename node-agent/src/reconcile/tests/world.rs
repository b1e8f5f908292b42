//! A kernel in memory, an agent and plans, for the tests of the loop. No case stands here.

use std::sync::{Mutex, MutexGuard};

use pointsman_crds::{
    EndpointGroup, NodeProxyPlanSpec, PlanEndpoint, PlanPort, Protocol, ServiceProxyPlanSpec, Target,
};
use pointsman_dataplane::ServicePlan;
use pointsman_dataplane::nftables::schema::SetId;
use pointsman_dataplane::nftables::table::{Observed, Table};
use pointsman_dataplane::nftables::transaction::Transaction;

use super::super::*;
use crate::nftables::{Committed, Error, Fake, Ownership, TableHead};

/// A kernel that outlives its agents.
#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Fake>>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Fake> {
        self.0.lock().unwrap()
    }

    pub(super) fn table(&self, family: IpFamily) -> Option<Table> {
        self.lock().observe(family).unwrap().map(|observed| observed.table)
    }

    pub(super) fn services(&self) -> usize {
        self.table(IpFamily::IPv4).map_or(0, |table| table.sets[&SetId::Services].len())
    }

    pub(super) fn generation(&self) -> u32 {
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

/// An agent whose clock the test holds.
pub(super) struct Agent {
    reconciler: Reconciler<Shared>,
    reports: watch::Receiver<Report>,
    now: Instant,
}

impl Agent {
    pub(super) fn start(kernel: &Shared) -> Self {
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

    pub(super) fn told(&mut self, update: Update) -> Report {
        self.reconciler.absorb(update, self.now);
        self.later(0)
    }

    /// What `/livez` answers.
    pub(super) fn lives(&self) -> bool {
        self.reconciler.outlets.health.livez(self.now, Timestamp::UNIX_EPOCH).0
    }

    /// What `/readyz` answers.
    pub(super) fn is_ready(&self) -> bool {
        self.reconciler.outlets.health.readyz().is_ok()
    }

    /// Changes that wait to be timed.
    pub(super) fn waiting_triggers(&self) -> usize {
        self.reconciler.triggers.len()
    }

    /// Does what is due in the next seconds.
    pub(super) fn later(&mut self, seconds: u64) -> Report {
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

pub(super) fn node(change: impl FnOnce(&mut NodeProxyPlanSpec)) -> Arc<NodePlan> {
    let mut spec = NodeProxyPlanSpec::default();
    change(&mut spec);
    Arc::new(NodePlan { name: "node-7".to_owned(), generation: 3, spec, conditions: Vec::new() })
}

pub(super) fn service(name: &str, vip: &str, endpoints: &[&str]) -> (ServiceKey, Arc<ServicePlan>) {
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

pub(super) fn whole(revision: &str, node: Arc<NodePlan>) -> Update {
    let services =
        [service("web", "10.96.0.1", &["10.9.0.1", "10.9.0.2"]), service("dns", "10.96.0.2", &["10.9.0.3"])];
    Update {
        node: Some(node),
        services: Services::All(services.into()),
        revision: Some(Revision::new(revision)),
        ..Update::default()
    }
}

pub(super) fn change(revision: &str, name: &str, plan: Option<Arc<ServicePlan>>) -> Update {
    Update {
        services: Services::Changed([(ServiceKey::new("shop", name), plan)].into()),
        revision: Some(Revision::new(revision)),
        ..Update::default()
    }
}

pub(super) fn revision(report: &Report) -> Option<&str> {
    report.programmed.as_ref().map(|programmed| programmed.revision.as_str())
}

/// Somebody else takes an element away.
pub(super) fn meddle(kernel: &Shared) {
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
