//! What is missing for one Service: first its slices, and once those are acknowledged its plans.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pointsman_crds::{PlanEndpoint, ServiceProxyPlanSpec, ServiceRefusedList};
use pointsman_planner::model::{Service, ServiceKey, Slice, Time};
use pointsman_planner::plan::{ServicePlan, ServicePlanInput, plan_service};
use pointsman_planner::slice::{self, ENDPOINTS_PER_SLICE, SliceInput, SlicePlan, SliceWrite};

use crate::index::{Index, StoredPlan};

/// The next writes for one Service.
#[derive(Debug)]
pub enum ServiceWork {
    /// Everything is as it should be.
    Nothing,
    /// Slices.
    Slices(SliceWrites),
    /// Plans of a Service that exists.
    Plans(Arc<Service>, Vec<PlanWrite>),
    /// What an absent Service has left behind.
    Leftovers {
        /// Its plans; the base comes first, so that agents drop the Service at once.
        plans: Vec<Arc<StoredPlan>>,
        /// Its slices, if they are ours.
        slices: Vec<Arc<Slice>>,
    },
}

/// Writes of slices.
#[derive(Debug)]
pub struct SliceWrites {
    /// Their Service.
    pub service: Arc<Service>,
    /// The writes, in order.
    pub writes: Vec<SliceWrite>,
}

/// One write of a plan.
#[derive(Debug)]
pub enum PlanWrite {
    /// A new plan.
    Create {
        /// Its name.
        name: String,
        /// Its spec.
        spec: Box<ServiceProxyPlanSpec>,
        /// The oldest change that it answers to.
        trigger: Option<Time>,
    },
    /// Another spec, owner or label for a plan that is there.
    Update {
        /// The plan as it was read.
        stored: Arc<StoredPlan>,
        /// Its spec.
        spec: Box<ServiceProxyPlanSpec>,
        /// The oldest change that it answers to.
        trigger: Option<Time>,
    },
    /// What is refused has changed.
    Status {
        /// The plan as it was read.
        stored: Arc<StoredPlan>,
        /// What is refused now.
        refused: Option<ServiceRefusedList>,
        /// The Services that won something from this one.
        winners: Vec<Arc<Service>>,
    },
    /// A plan that is not needed.
    Delete {
        /// The plan as it was read.
        stored: Arc<StoredPlan>,
    },
}

/// What others put in the way of a Service's slices.
#[derive(Debug, Default)]
pub struct Obstacles {
    /// Names that are theirs.
    pub taken: BTreeSet<String>,
    /// They change our slices as they are stored (an admission webhook that labels everything): those will never be as we
    /// want them, and the plans do not wait for it.
    pub altered: bool,
}

/// What is missing for the Service `key`. `trigger`: the oldest change that this answers to.
pub fn service_work(
    index: &Index,
    key: &ServiceKey,
    obstacles: &Obstacles,
    trigger: Option<Time>,
) -> ServiceWork {
    let Some(service) = index.service(key) else { return leftovers(index, key) };
    let slices = index.slices_of(key);
    let manage = index.policy().manage_slices;
    let planned = manage.then(|| slice_plan(index, service, &slices, &obstacles.taken, trigger).writes);
    let of_slices = planned
        .filter(|writes| !writes.is_empty())
        .map(|writes| ServiceWork::Slices(SliceWrites { service: Arc::clone(service), writes }));
    if !obstacles.altered
        && let Some(work) = of_slices
    {
        return work;
    }
    let verdict = index.verdict(key);
    let input = ServicePlanInput { service, slices: &slices, verdict: &verdict, policy: index.policy() };
    let winners: BTreeSet<&ServiceKey> = verdict.lost.values().collect();
    let winners = winners.into_iter().filter_map(|winner| index.service(winner).cloned()).collect();
    let writes = plan_writes(service, plan_service(&input), index.plans_of(key), trigger, winners);
    match writes.is_empty() {
        true => of_slices.unwrap_or(ServiceWork::Nothing),
        false => ServiceWork::Plans(Arc::clone(service), writes),
    }
}

fn slice_plan(
    index: &Index,
    service: &Service,
    existing: &[Arc<Slice>],
    taken: &BTreeSet<String>,
    trigger: Option<Time>,
) -> SlicePlan {
    let pods = index.pods_of(service);
    let nodes = index.nodes();
    slice::plan(&SliceInput {
        service,
        pods: &pods,
        nodes,
        existing,
        taken,
        trigger,
        max: ENDPOINTS_PER_SLICE,
    })
}

fn leftovers(index: &Index, key: &ServiceKey) -> ServiceWork {
    let plans = index.plans_of(key);
    let manage = index.policy().manage_slices;
    // Only what still names the Service as its owner: slices that were orphaned on purpose stay.
    let ours = |slice: &Arc<Slice>| manage && slice.is_ours() && slice.owner.is_some() && !slice.deleting;
    let slices: Vec<_> = index.slices_of(key).into_iter().filter(ours).collect();
    if plans.is_empty() && slices.is_empty() {
        ServiceWork::Nothing
    } else {
        ServiceWork::Leftovers { plans, slices }
    }
}

/// The writes that lead from `stored` to `wanted`: shards that gain endpoints, shards that only lose some, the base that names
/// them, then what is not needed; and the status once all of that is acknowledged.
fn plan_writes(
    service: &Service,
    wanted: ServicePlan,
    stored: Vec<Arc<StoredPlan>>,
    trigger: Option<Time>,
    winners: Vec<Arc<Service>>,
) -> Vec<PlanWrite> {
    let mut stored: BTreeMap<String, Arc<StoredPlan>> =
        stored.into_iter().map(|plan| (plan.name.clone(), plan)).collect();
    let (mut gaining, mut losing, mut base) = (Vec::new(), Vec::new(), Vec::new());
    let wanted_specs =
        wanted.shards.into_iter().chain(wanted.base.map(|base| (service.key.name.clone(), base)));
    let mut base_stored = None;
    for (name, spec) in wanted_specs {
        let known = stored.remove(&name);
        let is_base = name == service.key.name;
        if is_base {
            base_stored.clone_from(&known);
        }
        let gains = known.as_ref().is_none_or(|known| has_more(&spec, &known.spec));
        let Some(write) = write(service, name, spec, known, trigger) else { continue };
        match (is_base, gains) {
            (true, _) => base.push(write),
            (false, true) => gaining.push(write),
            (false, false) => losing.push(write),
        }
    }
    let deletes = stored.into_values().map(|stored| PlanWrite::Delete { stored });
    let writes: Vec<PlanWrite> = gaining.into_iter().chain(losing).chain(base).chain(deletes).collect();
    match base_stored {
        Some(stored) if writes.is_empty() && stored.refused != wanted.refused => {
            vec![PlanWrite::Status { stored, refused: wanted.refused, winners }]
        }
        Some(_) | None => writes,
    }
}

fn write(
    service: &Service,
    name: String,
    spec: ServiceProxyPlanSpec,
    known: Option<Arc<StoredPlan>>,
    trigger: Option<Time>,
) -> Option<PlanWrite> {
    let Some(stored) = known else {
        return Some(PlanWrite::Create { name, spec: Box::new(spec), trigger });
    };
    let in_place = stored.owner.as_deref() == Some(&service.uid)
        && stored.service.as_deref() == Some(&service.key.name)
        && stored.spec == spec;
    (!in_place).then(|| PlanWrite::Update { stored, spec: Box::new(spec), trigger })
}

fn has_more(wanted: &ServiceProxyPlanSpec, known: &ServiceProxyPlanSpec) -> bool {
    fn endpoints(spec: &ServiceProxyPlanSpec) -> BTreeSet<&PlanEndpoint> {
        spec.groups.iter().flat_map(|group| &group.endpoints).collect()
    }
    !endpoints(wanted).is_subset(&endpoints(known))
}
