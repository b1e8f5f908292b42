//! Real packets through real kernels: topologies of namespaces, the agent in the nodes, and who answered whom.

use std::process::ExitCode;

use libtest_mimic::Arguments;
use pointsman_tests::privilege::{Needs, trial};

mod agent;
mod agreement;
mod capture;
mod client;
mod flows;
// The generators of the dataplane's own property tests.
#[path = "../../node-agent/dataplane/tests/generate/mod.rs"]
mod generate;
mod listing;
mod named_plans;
mod observe;
mod plan;
mod rig;
mod sctp;
mod services;
mod settings;
mod stage;
mod transitions;
mod world;

fn main() -> ExitCode {
    let stage = stage::Stage::default();
    let mut trials = vec![trial(
        "an SCTP packet comes back from its bytes, and a damaged one does not",
        Needs::Nothing,
        sctp::checksum_is_checked,
    )];
    trials.push(trial(
        "random plans: the kernel's tables as read back do what the oracle says",
        Needs::Root,
        agreement::oracle_and_kernel,
    ));
    trials.push(trial(
        "from any plan to any other by changes: the tables are those of a fresh start",
        Needs::Root,
        transitions::by_changes,
    ));
    trials.push(trial(
        "from any plan to any other by a restart: the tables are those of a fresh start",
        Needs::Root,
        transitions::by_restarts,
    ));
    trials.extend(flows::trials(&stage));
    // The stage outlives the trials and goes before the program ends: its namespaces are removed on drop.
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
