//! Upstream's conformance tests of the network (`e2e.test`, `[sig-network]` and `[Conformance]`) against Pointsman in a real cluster,
//! with its own EndpointSlices and no kube-proxy. It brings the cluster up, runs all of them, judges them by the list of what is not built
//! yet, writes `docs/conformance.md`, and leaves nothing behind but the tests' own log and reports.

mod page;
mod report;
mod suite;
mod verdict;

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::interrupt::Interrupt;
use crate::nodes::{AGNHOST, Options, Proxy, RealCluster, Slices};
use crate::tools::repository;
use page::About;
use verdict::Verdict;

/// Images of upstream's that the tests ask for beside its test image. They want a shell, `dig` and `getent` of the first and do not ask the
/// second anything, so the test image stands in for both.
const STAND_INS: [&str; 2] = [
    "registry.k8s.io/e2e-test-images/glibc-dns-testing:2.1.1",
    "registry.k8s.io/e2e-test-images/nginx:1.27.0-2",
];

/// Runs the tests; an error if one failed that should pass, or passed that is known to fail. With `kube_proxy` they run against kube-proxy,
/// all must pass, and the page stays as it is.
pub fn run(kube_proxy: bool) -> Result<()> {
    let interrupt = Interrupt::watch()?;
    let folder = folder()?;
    let cluster = bring_up(kube_proxy)?;
    let specs = cluster.explained(suite::run(&cluster, &folder, &interrupt))?;
    let known = if kube_proxy { &[][..] } else { verdict::KNOWN };
    let verdict = Verdict::of(&specs, known);
    let judged = cluster.explained(verdict.judge());
    let text = page::write(&About::look(&cluster)?, &verdict);
    cluster.down()?;
    println!("\n{text}");
    if !kube_proxy {
        let path = repository().join("docs/conformance.md");
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        println!("written to {}", path.display());
    }
    judged
}

/// A cluster with the chart installed, or with kube-proxy, in which DNS works.
fn bring_up(kube_proxy: bool) -> Result<RealCluster> {
    let (slices, proxy) =
        if kube_proxy { (Slices::Consume, Proxy::KubeProxy) } else { (Slices::Manage, Proxy::Pointsman) };
    println!("bringing a cluster up");
    let cluster = RealCluster::up(Options { slices, proxy })?;
    for name in STAND_INS {
        cluster.tag_image(AGNHOST, name)?;
    }
    if proxy == Proxy::Pointsman {
        println!("installing the chart");
        cluster.explained(cluster.install(&[]))?;
    }
    let dns = ["rollout", "status", "--timeout=120s", "-n", "kube-system", "deployment", "coredns"];
    cluster.explained(cluster.kubectl(&dns))?;
    Ok(cluster)
}

/// An empty folder for what the tests leave.
fn folder() -> Result<PathBuf> {
    let folder = repository().join("target/conformance");
    if folder.exists() {
        // What an earlier run has left would be mistaken for this one's.
        std::fs::remove_dir_all(&folder).with_context(|| format!("empty {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    Ok(folder)
}
