//! What a change of one endpoint costs at a given number of frontends: the agent's own code from the Service's plan to the kernel's
//! answer, in a namespace of its own, without a cluster.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pointsman_crds::{IpFamily, Protocol};
use pointsman_dataplane::dispatch::Dispatch;
use pointsman_dataplane::testing::{node, service};
use pointsman_dataplane::{ServiceKey, ServicePlan};
use pointsman_node_agent::nftables::Kernel;
use pointsman_node_agent::plan::Revision;
use pointsman_node_agent::tables::Tables;

use super::figures::{Change, Cost, Times};
use crate::netns::Netns;

const FAMILY: IpFamily = IpFamily::IPv4;
/// Changes of each kind, each of another Service.
const CHANGES: u32 = 300;
const FIRST_CLUSTER_IP: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
const FIRST_ENDPOINT: Ipv4Addr = Ipv4Addr::new(10, 128, 0, 1);
/// Addresses of endpoints that are kept for each Service.
const ENDPOINTS: u32 = 4;

/// The kinds of change, each from what the one before it left.
const KINDS: [(&str, &[u32]); 3] = [
    ("one endpoint replaced by another (a slot)", &[0, 2]),
    ("a third endpoint (a slot and a verdict)", &[0, 2, 3]),
    ("back to two (a verdict; the slot goes later)", &[0, 3]),
];

/// Loads that many Services of two endpoints each, and changes some.
pub fn measure(frontends: u32) -> Result<Change> {
    let netns = Netns::create(0, "change")?;
    netns.enter(|| measure_here(frontends))?
}

fn measure_here(frontends: u32) -> Result<Change> {
    ensure!(frontends >= CHANGES, "at least {CHANGES} frontends are changed");
    let mut dispatch = Dispatch::new(node("node-1").only(FAMILY).facts());
    for number in 0..frontends {
        let plan = plan(number, &[0, 1]);
        dispatch.change(&plan.key, Some(&plan));
    }
    let mut tables = Tables::new(Box::new(Kernel::open));
    tables.open(true)?;
    tables.adopt(&dispatch, FAMILY, &Revision::new("1")).context("load the Services")?;
    let mut costs = vec![];
    // Spread over all, as changes are.
    let numbers: Vec<u32> = (0..CHANGES).map(|index| frontends / CHANGES * index).collect();
    for (what, endpoints) in KINDS {
        let (mut kernel, mut whole) = (vec![], vec![]);
        for number in &numbers {
            let (took, all) = change(&mut dispatch, &mut tables, &plan(*number, endpoints))?;
            kernel.push(took);
            whole.push(all);
        }
        costs.push(Cost { what, kernel: Times::new(kernel)?, whole: Times::new(whole)? });
    }
    Ok(Change { frontends, costs })
}

fn change(
    dispatch: &mut Dispatch,
    tables: &mut Tables<Kernel>,
    plan: &ServicePlan,
) -> Result<(Duration, Duration)> {
    let start = Instant::now();
    let changes = dispatch.change(&plan.key, Some(plan));
    let written = tables.apply(&changes, FAMILY, &Revision::new("1"))?;
    ensure!(written.transactions == 1, "a change of {} took {} transactions", plan.key, written.transactions);
    Ok((written.duration, start.elapsed()))
}

fn plan(number: u32, endpoints: &[u32]) -> ServicePlan {
    let address = |first: Ipv4Addr, offset: u32| Ipv4Addr::from_bits(first.to_bits() + offset).to_string();
    let key = ServiceKey::new("bench", &format!("service-{number:05}"));
    let start =
        service(key.as_str()).cluster_ip(&address(FIRST_CLUSTER_IP, number)).port(Protocol::Tcp, 80, 8080);
    endpoints
        .iter()
        .fold(start, |service, slot| {
            service.endpoint(address(FIRST_ENDPOINT, number * ENDPOINTS + slot).as_str())
        })
        .plan()
}
