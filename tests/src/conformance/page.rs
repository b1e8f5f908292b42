//! The page `docs/conformance.md`: which tests passed, which failed, and why. It takes a verdict and gives text.

use std::fmt::Write;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::Value;

use crate::nodes::{Proxy, RealCluster};

use super::report::Spec;
use super::verdict::Verdict;

/// What the tests ran on.
#[derive(Debug)]
pub(super) struct About {
    /// Whose proxy and slices.
    subject: String,
    kubernetes: String,
    kernel: String,
    date: String,
}

impl About {
    /// Looks.
    pub(super) fn look(cluster: &RealCluster) -> Result<Self> {
        let version: Value = serde_json::from_str(&cluster.kubectl(&["version", "-o", "json"])?)
            .context("read the API server's version")?;
        let kubernetes = version["serverVersion"]["gitVersion"].as_str().context("a version")?.to_owned();
        let subject = match cluster.options().proxy {
            Proxy::KubeProxy => {
                format!("kube-proxy {kubernetes} in nftables mode, kube-controller-manager's slices")
            }
            _ => format!(
                "Pointsman {}, nftables mode, its own slices, chart's defaults",
                env!("CARGO_PKG_VERSION")
            ),
        };
        let kernel =
            std::fs::read_to_string("/proc/sys/kernel/osrelease").context("read the kernel's release")?;
        let date = Timestamp::now().strftime("%F").to_string();
        Ok(Self { subject, kubernetes, kernel: kernel.trim().to_owned(), date })
    }
}

/// The whole page.
pub(super) fn write(about: &About, verdict: &Verdict<'_>) -> String {
    let About { subject, kubernetes, kernel, date } = about;
    let (passed, all) = verdict.score();
    let mut page = format!(
        "# Conformance\n\n\
         Written by `make conformance`; do not edit. Kubernetes' own tests of the network, `[sig-network]` and `[Conformance]`, all of them: \
         **{passed} of {all} passed**.\n\n\
         | | |\n|---|---|\n| date | {date} |\n| tests, API server, kubelets | Kubernetes {kubernetes} |\n| under test | {subject} |\n| Linux | {kernel} |\n\n"
    );
    unexpected(&mut page, verdict);
    if !verdict.known.is_empty() {
        page.push_str("## Failed, and known to\n\n| test | why |\n|---|---|\n");
        for (spec, reason) in &verdict.known {
            row(&mut page, spec, reason);
        }
        page.push('\n');
    }
    page.push_str("## Passed\n\n| test | time |\n|---|---|\n");
    for spec in &verdict.passed {
        row(&mut page, spec, &format!("{:.1} s", spec.took.as_secs_f64()));
    }
    page.push_str(METHOD);
    page
}

/// What makes the run fail.
fn unexpected(page: &mut String, verdict: &Verdict<'_>) {
    if verdict.is_as_known() {
        return;
    }
    page.push_str("## Not as expected\n\n| test | what happened |\n|---|---|\n");
    for (spec, said) in &verdict.failed {
        row(page, spec, said);
    }
    for spec in &verdict.surprises {
        row(page, spec, "passed, though known to fail");
    }
    for name in &verdict.gone {
        let _ = writeln!(page, "| {name} | known to fail, but there is no such test |");
    }
    page.push('\n');
}

/// A line of a table. The marks that all names share are left out.
fn row(page: &mut String, spec: &Spec, text: &str) {
    let name = spec.name.replace("[sig-network] ", "").replace(" [Conformance]", "");
    let _ = writeln!(page, "| {} | {} |", name.replace('|', "\\|"), text.replace('|', "\\|"));
}

const METHOD: &str = "\
\n## How it is run

`make conformance` brings up a cluster of two nodes on one machine (real etcd, API server, kube-controller-manager, scheduler, kubelets,
containerd, CoreDNS), without kube-proxy and without kube-controller-manager's two controllers of EndpointSlices, installs the chart with
`endpointSlices.mode=Manage`, and runs upstream's `e2e.test` of the same version, one test after the other. The list of tests that are
known to fail stands in the program, each with what it says then: the run fails when any other test fails, when one of them fails
otherwise, and when one of them passes. `make conformance ARGS=--kube-proxy` runs the same tests on the same ground against kube-proxy.
The images of the test pods are put together on the machine; they hold upstream's `agnhost`.
";
