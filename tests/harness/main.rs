//! Trials of the harness itself: what the other suites rest on. They use the chart, but none of our programs.

use std::process::ExitCode;

use libtest_mimic::Arguments;
use pointsman_tests::privilege::{Needs, trial};

mod child;
mod cluster;
mod network;

fn main() -> ExitCode {
    if child::is_the_parent_that_dies() {
        return child::start_a_child_and_wait();
    }
    let trials = vec![
        trial(
            "every place of a topology reaches every other in both families",
            Needs::Root,
            network::everybody_talks,
        ),
        trial(
            "asking tells a refusal, an unreachable place and silence apart",
            Needs::Root,
            network::not_answered,
        ),
        trial(
            "a dropped pod and a dropped topology leave no namespace",
            Needs::Root,
            network::nothing_is_left,
        ),
        trial(
            "a control plane in a namespace serves nodes, bounds tokens, audits and restarts",
            Needs::Root,
            cluster::control_plane,
        ),
        trial(
            "a cluster has nodes, kinds, identities and pods that are reported as a kubelet would",
            Needs::Root,
            cluster::cluster,
        ),
        trial(
            "kube-proxy serves a Service of such a cluster in both families",
            Needs::Root,
            cluster::kube_proxy_serves,
        ),
        trial("a child stops, goes on and ends as it is told", Needs::Nothing, child::signals),
        trial("a child dies with a harness that is killed", Needs::Nothing, child::child_dies_too),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
