//! The page `docs/benchmarks.md`: what was measured, on what, how, how far it can be trusted, and whether the targets are met. It takes
//! figures and gives text.

use std::fmt::Write;

use super::figures::{Change, Memory, Size, human};
use super::machine::Machine;
use super::{tables, targets};

/// The whole page.
pub fn write(machine: &Machine, load_at_end: f64, sizes: &[Size], changes: &[Change]) -> String {
    let mut page = String::from(
        "# Figures: Pointsman beside kube-proxy\n\n\
         Written by `make bench`; do not edit. Both proxies ran in nftables mode on the same machine, API server and objects, one after the other.\n\n",
    );
    page.push_str(&about(machine, load_at_end));
    if let Some(size) = sizes.iter().find(|size| size.services == targets::AT) {
        page.push_str(&targets::of(size));
    }
    for size in sizes {
        page.push_str(&of_size(size));
    }
    let _ = write!(
        page,
        "## A change of one endpoint\n\nThe agent's own code in a namespace of its own, 300 changes of each kind.\n\n{}\n",
        tables::of_changes(changes)
    );
    page.push_str(METHOD);
    page
}

fn about(machine: &Machine, load_at_end: f64) -> String {
    let Machine { processors, gigabytes, kernel, nft, kube_proxy, agent, date, load } = machine;
    format!(
        "| | |\n|---|---|\n| date | {date} |\n| machine | {processors}, {gigabytes} GB |\n| Linux | {kernel} |\n\
         | Pointsman | {agent}, the static program of the image |\n| kube-proxy and kube-apiserver | {kube_proxy} |\n| nft | {nft} |\n\
         | load in the minute before, and at the end | {load:.2}, {load_at_end:.2} |\n\n"
    )
}

fn of_size(size: &Size) -> String {
    let Size { services, created, planned, controller, .. } = size;
    format!(
        "## {services} Services × 2 endpoints\n\n{}\n\
         The bench wrote Services and EndpointSlices in {} (64 at a time). The controller's own cold pass, from the start of its process until all {services} plans and the nodes' were \
         acknowledged, took {}; at rest it then held {:.1} MB ({:.1} MB at the most).\n\n",
        tables::of_size(size),
        human(*created),
        human(*planned),
        Memory::megabytes(controller.resident),
        Memory::megabytes(controller.peak),
    )
}

const METHOD: &str = "\
## How it is measured

- A real etcd and kube-apiserver in a namespace, a namespace for each node, and one in which a single socket answers for every endpoint. A packet to a Service that nobody translates is refused there at once, so a Service's first answer is seen within about a millisecond.
- Each proxy has its own node and Node object. While one is measured the other does not run; the controller runs with the agent and stands still for kube-proxy. EndpointSlices are written by the bench (`--endpoint-slices=Consume`). Both recognise local traffic by the cluster's pod ranges; all else is default.
- Cold start: the kernel holds no rules and the agent no checkpoint; what the proxy reads (plans, or Services and slices) is stored. From the start of the process to the connect that succeeds last among 64 Services spread evenly, in order. Then every Service is asked once; one that does not answer at its first question counts instead.
- Added Service: from just before the Service is written (its slice follows when it is acknowledged) to the first successful connect from the node. 50 of them, so p99 is the slowest. Between two, the proxy rests (kube-proxy 1.1 s, so that its `minSyncPeriod` of 1 s does not hold up the first of the two events).
- Restart: SIGTERM, wait, start. In step is what the process's metric `kubeproxy_sync_proxy_rules_last_timestamp_seconds` says; the agent must have heard the API server too, not only its checkpoint. The writes are the kernel's own notices (nfnetlink), from 3 s before to 3 s after. A client connects to one Service after the other all the time. kube-proxy restarts into `minSyncPeriod` 10 ms.
- Memory: VmRSS and VmHWM of the process at rest; after a restart, 3 s after it is in step, the largest of all restarts. kube-proxy's `nft` children are not counted.
- First packet: the time of connect() (SYN to SYN-ACK) from the node, 3,000 to each target, from one processor: to pod and Services in turn, and to the two rulesets in turns of 100.
- Where several runs were made the median stands first, then the extremes.

## Limits

Two processors carry API server, etcd, proxy, client and the kernel's packet work together: ratios say more than seconds. veth has no network card's cost. kube-proxy's starts above 2,000 Services are single runs, because one takes up to a minute and a half. The nft program is Debian's; kube-proxy's image ships a newer one.
";
