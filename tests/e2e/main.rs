//! `make e2e`: the product on a real two-node cluster, from `helm install` to cleanup, asserted from outside. The program only reads its
//! arguments and plays the courses.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use pointsman_tests::interrupt::Interrupt;

mod account;
mod clients;
mod course;
mod faithful;
mod figures;
mod page;
mod plans;
mod pods;
mod reach;
mod stages;
mod world;

use account::Account;
use course::{Course, Stage};
use figures::Figures;

/// Plays what a cluster goes through on real kubelets, with Pointsman and, to compare, with kube-proxy. Needs root.
#[derive(Debug, Parser)]
#[command(name = "e2e")]
struct Arguments {
    /// Play only these clusters.
    #[arg(long, value_enum)]
    course: Vec<Course>,
    /// Play only these stages, and the first one, on which the others rest.
    #[arg(long, value_enum)]
    stage: Vec<Stage>,
}

fn main() -> ExitCode {
    play(&Arguments::parse()).unwrap_or_else(|error| {
        eprintln!("e2e: {error:#}");
        ExitCode::FAILURE
    })
}

fn play(arguments: &Arguments) -> Result<ExitCode> {
    let mut account = Account::begin(Interrupt::watch()?);
    let mut figures = Figures::default();
    let stages = wanted(&arguments.stage);
    for course in wanted(&arguments.course) {
        if let Err(error) = course.play(&stages, &mut account, &mut figures) {
            account.fail("the cluster", &error);
        }
    }
    figures.print();
    Ok(if account.end() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was named; all, if nothing was.
fn wanted<T: ValueEnum + Clone>(named: &[T]) -> Vec<T> {
    if named.is_empty() { T::value_variants().to_vec() } else { named.to_vec() }
}
