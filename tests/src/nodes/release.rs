//! The chart in the real cluster: installed, upgraded and removed with helm, as its users do.

use anyhow::Result;

use crate::tools::repository;

use super::{RealCluster, Slices};

/// The name of the release.
const RELEASE: &str = "pointsman";

/// The namespace of the release.
pub const NAMESPACE: &str = "pointsman-system";

impl RealCluster {
    /// What the chart must be told in this cluster, as `name=value` of helm's `--set`.
    pub fn base_values(&self) -> Vec<String> {
        let address = self.api_address();
        let mode = match self.options().slices {
            Slices::Manage => "Manage",
            Slices::Consume => "Consume",
        };
        vec![
            format!("k8sServiceHost={}", address.ip()),
            format!("k8sServicePort={}", address.port()),
            format!("endpointSlices.mode={mode}"),
        ]
    }

    /// Installs the chart, or upgrades it, with values over [`RealCluster::base_values`], and waits until all of it is ready.
    pub fn install(&self, values: &[(&str, &str)]) -> Result<String> {
        let chart = repository().join("charts/pointsman").display().to_string();
        let mut args: Vec<String> = ["upgrade", "--install", RELEASE, &chart, "--namespace", NAMESPACE]
            .map(String::from)
            .into_iter()
            .chain(["--create-namespace", "--wait", "--timeout=120s"].map(String::from))
            .collect();
        let more = values.iter().map(|(name, value)| format!("{name}={value}"));
        for value in self.base_values().into_iter().chain(more) {
            args.extend(["--set".to_owned(), value]);
        }
        self.helm(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Uninstalls the chart and waits until its objects are gone.
    pub fn uninstall(&self) -> Result<String> {
        self.helm(&["uninstall", RELEASE, "--namespace", NAMESPACE, "--wait", "--timeout=120s"])
    }
}
