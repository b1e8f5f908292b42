//! Real packets through real kernels: topologies of namespaces, the agent in the nodes, and who answered whom.

use std::process::ExitCode;

use libtest_mimic::Arguments;
use pointsman_tests::privilege::{Needs, trial};

mod capture;
mod client;
mod flows;
mod plan;
mod sctp;
mod services;
mod settings;
mod stage;
mod world;

fn main() -> ExitCode {
    let stage = stage::Stage::default();
    let mut trials = vec![trial(
        "an SCTP packet comes back from its bytes, and a damaged one does not",
        Needs::Nothing,
        sctp::checksum_is_checked,
    )];
    trials.extend(flows::trials(&stage));
    // The stage outlives the trials and goes before the program ends: its namespaces are removed on drop.
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
