//! Sets of ranges in the real kernel, which refuses what overlaps: from any ranges to any others by their difference alone, to the ends of
//! the address space.

use anyhow::{Context, Result, ensure};
use ipnet::IpNet;
use pointsman_crds::{IpFamily, NodeProxyPlanSpec};
use pointsman_dataplane::NodeFacts;
use pointsman_dataplane::dispatch::Dispatch;
use pointsman_dataplane::nftables::image::Image;
use pointsman_node_agent::nftables::{Kernel, Nftables};

use crate::Case;
use crate::namespace::Namespace;

pub const CASES: &[Case] = &[("ranges change into any others by their difference alone", any_to_any)];

const V4: [&str; 12] = [
    "",
    "10.0.0.0/8",
    "10.0.0.0/7",
    "10.0.0.0/9",
    "10.128.0.0/9",
    "10.0.0.0/16 10.2.0.0/16",
    "10.0.0.0/16 10.1.0.0/16 10.3.0.0/16",
    "9.0.0.0/8 11.0.0.0/8",
    "0.0.0.0/0",
    "0.0.0.0/1 255.255.255.255/32",
    "128.0.0.0/1",
    "0.0.0.0/32 10.0.0.1/32",
];
const V6: [&str; 6] = ["", "fd00::/64", "fd00::/63", "fd00::/65 fd00:0:0:1::/64", "::/0", "ff00::/8 ::/128"];

fn any_to_any() -> Result<()> {
    for (family, lists) in [(IpFamily::IPv4, V4.as_slice()), (IpFamily::IPv6, V6.as_slice())] {
        let namespace = Namespace::create()?;
        let mut kernel = namespace.enter(|| Kernel::open(true))??;
        let mut step = |ranges: &str, way: &str| -> Result<()> {
            let written = settle(&mut kernel, family, ranges).with_context(|| way.to_owned())?;
            let again = settle(&mut kernel, family, ranges).with_context(|| way.to_owned())?;
            ensure!(!again, "{way}: what was written reads back as something else (written: {written})");
            Ok(())
        };
        for from in lists {
            for to in lists {
                step(from, &format!("back to {from:?}"))?;
                step(to, &format!("{from:?} to {to:?}"))?;
            }
        }
    }
    Ok(())
}

/// Adopts the table for these ranges and writes the difference; whether there was one.
fn settle(kernel: &mut Kernel, family: IpFamily, ranges: &str) -> Result<bool> {
    let mut facts = NodeFacts::new("node-1", &NodeProxyPlanSpec::default());
    facts.service_cidrs = ranges.split_whitespace().map(str::parse).collect::<Result<Vec<IpNet>, _>>()?;
    facts.node_port_ranges.clone_from(&facts.service_cidrs);
    let observed = kernel.observe(family)?;
    let (_, batch) = Image::adopt(&Dispatch::new(facts), family, observed.as_ref());
    for transaction in [&batch.chains, &batch.change] {
        kernel.commit(family, transaction)?;
    }
    Ok(!batch.is_empty())
}
