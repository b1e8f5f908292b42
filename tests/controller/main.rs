//! The controller as a cluster sees it: the real binary with the chart's flags and the token of the chart's account, a real API server,
//! and the API server's audit log as the witness of what was written. It looks into no process.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::{Arguments, Trial};
use pointsman_tests::privilege::{Needs, trial};

mod binary;
mod consume;
mod crowd;
mod endpoints;
mod gone;
mod history;
mod lease;
mod nodes;
mod objects;
mod place;
mod refused;
mod request;
mod rest;
mod services;
mod slices;
mod stalled;
mod start;
mod suite;
mod text;
mod world;

use binary::Controller;
use suite::Suite;
use world::World;

/// A trial beside others, in namespaces of its own, under the one controller that manages slices.
type Work = fn(&World) -> Result<()>;
/// A trial that has the cluster for itself. It gets the controller, and leaves one that leads in the same mode.
type AloneWork = fn(&World, Controller) -> Result<Controller>;

#[rustfmt::skip]
const TRIALS: &[(&str, Work)] = &[
    ("crowd: 250 pods come and go in slices and shards, and at no moment is anything missing", crowd::comes_and_goes),
    ("crowd: another target port rewrites three slices and makes none", crowd::another_port),
    ("start: every Service has its plan before the first Node has", start::services_first),
    ("start: without an API server", start::no_apiserver),
    ("start: a port that somebody else has", start::taken_port),
    ("start: without permissions nothing is written, and /readyz says what is missing", start::no_permission),
    ("slices: labels are copied but for the reserved ones, and follow the Service", slices::labels),
    ("slices: their annotation tells the change that they answer to", slices::trigger_time),
    ("slices: one that is deleted comes back under the same name", slices::same_name_again),
    ("slices: what a foreign hand wrote into one is put right", slices::foreign_edit),
    ("slices: their endpoints' order is let be", slices::another_order),
    ("slices: a cluster IP's slices are not headless, and a headless one's are", slices::headless_label),
    ("slices: those of others count only for a Service without a selector", slices::hand_made),
    ("services: deleted and made again under the same name", services::made_again),
    ("services: an address that goes from one to the next is in one plan at most", services::address_moves),
    ("services: to ExternalName and back", services::external_name_and_back),
    ("services: another selector, and none", services::another_selector),
    ("services: a pod's labels, and its end", services::pod_changes),
    ("services: what a foreign hand wrote into a plan is put right", services::foreign_plan),
    ("gone: two Services are deleted with all that was made for them, and nothing is refused", gone::two_services),
    ("gone: a namespace that is deleted is no error", gone::namespace),
    ("refused: endpoints that no proxy may reach", refused::endpoints),
    ("refused: external IPs outside the allow list", refused::external_ip),
    ("refused: two Services with one external IP: the older has it, and both are told", refused::conflict),
    ("refused: what the API server will not take is told and tried again", refused::by_apiserver),
    ("nodes: a plan follows its Node from its making to its end", nodes::life),
    ("nodes: deleted and made again under the same name", nodes::made_again),
    ("nodes: a pod counts once its Node is there, and moves with its zone", nodes::endpoints_follow),
];

#[rustfmt::skip]
const ALONE: &[(&str, AloneWork)] = &[
    ("rest: a restart writes nothing", rest::restart),
    ("rest: a leader that goes is succeeded, and nothing is written", rest::leader_goes),
    ("rest: a leader that is killed is succeeded, and nothing is written", rest::leader_killed),
    ("rest: a leader that wakes up beside its successor writes nothing", rest::leader_frozen),
    ("rest: a leader that is stopped at work leaves the rest to its successor", rest::leader_frozen_at_work),
    ("rest: an API server that is killed and comes back makes nothing to write", rest::apiserver_killed),
    ("lease: a leader that died with its clock ahead is succeeded after the same time", lease::clock_ahead),
    ("lease: a leader that lives with its clock behind is left alone", lease::clock_behind),
    ("nodes: above 500 of them each plan has another status period, written once", nodes::crowd),
    ("refused: what is refused now is counted by reason", refused::counted),
    ("consume: plans are made from others' slices, and no slice is written", consume::only_plans),
    ("stalled: kinds of another version stop all writing until they are healed", stalled::until_healed),
];

fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    // Trials wait more than they work.
    arguments.test_threads.get_or_insert(8);
    let suite = Arc::new(Suite::default());
    let mut trials: Vec<Trial> = Vec::new();
    for (name, work) in TRIALS {
        let suite = Arc::clone(&suite);
        trials.push(trial(*name, Needs::Nothing, move || suite.beside_others(work)));
    }
    trials.extend(endpoints::trials(&suite));
    trials.extend(start::trials());
    for (name, work) in ALONE {
        let suite = Arc::clone(&suite);
        trials.push(trial(*name, Needs::Nothing, move || suite.alone(work)));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Not by `exit`, which would leave the control plane's folder behind.
    drop(suite);
    Ok(conclusion.exit_code())
}
