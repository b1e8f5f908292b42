//! What would be programmed, as nft text.

use pointsman_crds::IpFamily;
use pointsman_dataplane::NodeFacts;
use pointsman_dataplane::dispatch::Dispatch;
use pointsman_dataplane::nftables::image::Image;
use pointsman_dataplane::nftables::text;

use crate::plan::Plan;

/// What this plan means on its node.
pub fn dispatch(plan: &Plan) -> Dispatch {
    let mut dispatch = Dispatch::new(NodeFacts::new(&plan.node.name, &plan.node.spec));
    for (key, service) in &plan.services {
        dispatch.change(key, Some(service));
    }
    dispatch
}

/// The tables of this dispatch, all families or one.
pub fn render(dispatch: &Dispatch, revision: &str, family: Option<IpFamily>) -> String {
    let asked = |candidate: &IpFamily| family.is_none_or(|family| family == *candidate);
    let proxied = |candidate: &IpFamily| dispatch.node().proxies(*candidate);
    let families =
        [IpFamily::IPv4, IpFamily::IPv6].into_iter().filter(|family| asked(family) && proxied(family));
    let table = |family: IpFamily| {
        let (mut image, mut batch) = Image::adopt(dispatch, family, None);
        image.stamp(revision, &mut batch);
        text::render(dispatch.node(), &image.table(dispatch.node()))
    };
    families.map(table).collect()
}

/// What is not programmed, a line each.
pub fn refusals(dispatch: &Dispatch) -> impl Iterator<Item = String> {
    dispatch.services().flat_map(|(service, dispatched)| {
        let line = move |refusal: &pointsman_dataplane::dispatch::Refusal| {
            format!("{service}: {} ({})", refusal.message, refusal.reason)
        };
        dispatched.refused.iter().map(line).collect::<Vec<_>>()
    })
}
