//! Runs upstream's test program beside the control plane and waits for its end. It starts that program and nothing else.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::interrupt::Interrupt;
use crate::nodes::RealCluster;
use crate::process::Launch;
use crate::tools::Tool;

use super::report::{self, Spec};

/// For all tests one after the other. They take 10 minutes on two processors; a machine that does other things as well takes longer.
const LIMIT: &str = "60m";

/// Runs all tests, one after the other: the program alone does not run them side by side, and what they measure would suffer.
pub(super) fn run(cluster: &RealCluster, folder: &Path, interrupt: &Interrupt) -> Result<Vec<Spec>> {
    let report = folder.join("report.json");
    let mut program = launch(cluster, folder, &report)?.start(folder)?;
    println!("running the tests; what they do: {}", program.log_path().display());
    let begun = Instant::now();
    let status = loop {
        interrupt.check()?;
        if let Some(status) = program.ended()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    println!("they took {:.0} s", begun.elapsed().as_secs_f64());
    let json = std::fs::read(&report)
        .with_context(|| format!("the tests left no report ({status}):\n{}", program.log_tail(20)))?;
    let specs = report::read(&json)?;
    let failed = specs.iter().any(|spec| spec.outcome != report::Outcome::Passed);
    ensure!(
        status.success() || failed,
        "the tests ended with {status}, though none has failed:\n{}",
        program.log_tail(20)
    );
    Ok(specs)
}

fn launch(cluster: &RealCluster, folder: &Path, report: &Path) -> Result<Launch> {
    let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
    Ok(Launch::new("e2e", Tool::E2eTest.path()?)
        .arg(flag("kubeconfig", cluster.control_plane().admin()))
        .arg(flag("kubectl-path", &Tool::Kubectl.path()?))
        .args(["--provider=skeleton", "--disable-log-dump"])
        .args([r"--ginkgo.focus=\[sig-network\].*\[Conformance\]", "--ginkgo.no-color"])
        .arg(format!("--ginkgo.timeout={LIMIT}"))
        // The same in the form that build servers read, for them.
        .arg(flag("ginkgo.junit-report", &folder.join("junit.xml")))
        .arg(flag("ginkgo.json-report", report))
        // kubectl keeps its caches there.
        .env("HOME", cluster.control_plane().folder())
        .netns(Some(cluster.place_of_control_plane())))
}
