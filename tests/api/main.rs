//! What the kinds, the roles, the policies and the chart do on a real API server. Every trial shares one control plane, and works in
//! objects of its own names.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::Arguments;

mod allowed;
mod bad_objects;
mod chart;
mod chart_monitoring;
mod chart_refusals;
mod chart_release;
mod chart_sets;
mod chart_values;
mod forbidden;
mod gitops;
mod good_objects;
mod reading;
mod request;
mod samples;
mod suite;

fn main() -> Result<ExitCode> {
    let arguments = Arguments::from_args();
    let suite = Arc::new(suite::Suite::start()?);
    let tables = [
        good_objects::trials(&suite),
        bad_objects::trials(&suite),
        reading::trials(&suite),
        forbidden::trials(&suite),
        allowed::trials(&suite),
        chart::trials(&suite),
        chart_values::trials(),
        chart_sets::trials(),
        chart_refusals::trials(),
        chart_release::trials(),
        chart_monitoring::trials(),
        gitops::trials(),
    ];
    let conclusion = libtest_mimic::run(&arguments, tables.into_iter().flatten().collect());
    // Not by `exit`, which would leave the control plane's folder behind.
    drop(suite);
    Ok(conclusion.exit_code())
}
