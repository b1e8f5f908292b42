//! Real packets through real kernels: topologies of namespaces, the agent in the nodes, and who answered whom.

use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::Arguments;
use pointsman_tests::privilege::{Needs, trial};
use stage::Stage;

mod agent;
mod agreement;
mod capture;
mod client;
mod crowd;
mod drift;
mod flows;
// The generators of the dataplane's own property tests.
#[path = "../../node-agent/dataplane/tests/generate/mod.rs"]
mod generate;
mod ladder;
mod listing;
mod loss;
mod marks;
mod named_plans;
mod observe;
mod plan;
mod refusal;
mod restart;
mod rig;
mod rolling;
mod sctp;
mod services;
mod settings;
mod solo;
mod stage;
mod text;
mod transitions;
mod world;

/// What a trial does.
type Work = fn() -> Result<()>;
/// What a trial does in the world of the flows.
type WorkOnStage = fn(&Stage) -> Result<()>;

/// Trials beside the flows, the long ones first: flows fill the gaps.
#[rustfmt::skip]
const TRIALS: &[(&str, Work)] = &[
    ("drift: what foreign hands change is repaired and told, and theirs is left alone", drift::repaired),
    ("drift: an owner's tables cannot be changed by others", drift::prevented),
    ("drift: what was changed while nobody owned the tables is repaired at the start", drift::repaired_at_start),
    ("drift: with the policy Observe it is told and left as it is", drift::only_told),
    ("any to any: by changes, the tables are those of a fresh start", transitions::by_changes),
    ("any to any: by restarts, the tables are those of a fresh start", transitions::by_restarts),
    ("any to any: under traffic that both plans allow no packet is lost", loss::nothing_is_lost),
    ("any to any: up and down a ladder of endpoints every packet is translated", ladder::nothing_is_lost),
    ("agreement: tables of random plans, read back, do what the oracle says", agreement::oracle_and_kernel),
    ("restart: an unchanged plan costs an owner one transaction a family, with nothing in it", restart::of_an_owner),
    ("restart: an unchanged plan costs nothing where tables are not owned", restart::without_owner),
    ("refusal: without privileges nothing is written and the reason is told", refusal::without_privilege),
    ("refusal: nonsense in the plan directory leaves the last plan in force", refusal::nonsense),
    ("refusal: nonsense from the start is one sentence and an end", refusal::nonsense_at_start),
    ("text: render, the agent and nft's listing are one table", text::round_trip),
    ("text: cleanup leaves nothing of ours and everything else", text::cleanup),
];

/// Trials in the world of the flows.
const ON_STAGE: &[(&str, WorkOnStage)] = &[
    ("restart: no connection fails while the agent is away and comes back", restart::under_traffic),
    ("agent: no connection fails while endpoints come and go", rolling::under_traffic),
    ("mark: one bit is set and cleared, and no other is touched", marks::only_our_bit),
];

fn main() -> ExitCode {
    let stage = Stage::default();
    let checksum = "sctp: a packet comes back from its bytes, and a damaged one does not";
    let mut trials = vec![trial(checksum, Needs::Nothing, sctp::checksum_is_checked)];
    trials.extend(TRIALS.iter().map(|(name, work)| trial(*name, Needs::Root, *work)));
    trials.extend(flows::trials(&stage));
    for (name, work) in ON_STAGE {
        let stage = stage.clone();
        trials.push(trial(*name, Needs::Root, move || work(&stage)));
    }
    // The stage outlives the trials and goes before the program ends: its namespaces are removed on drop.
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
