//! Renders the Helm chart with the real helm and installs what came out, as a GitOps tool would. It writes no manifest of its own.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::command::run;
use crate::control_plane::ControlPlane;
use crate::tools::{Tool, repository};

/// A chart with the values to render it with.
#[derive(Debug, Clone)]
pub struct Chart {
    path: PathBuf,
    release: String,
    namespace: String,
    values: Vec<(String, String)>,
    json: Vec<(String, String)>,
    files: Vec<PathBuf>,
}

impl Chart {
    /// Our chart with its default values, as release `pointsman` in namespace `pointsman-system`.
    pub fn pointsman() -> Self {
        Self::new(repository().join("charts/pointsman"))
    }

    /// Any chart.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            release: "pointsman".into(),
            namespace: "pointsman-system".into(),
            values: vec![],
            json: vec![],
            files: vec![],
        }
    }

    /// Sets one value, named as helm's `--set` names it.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.values.push((name.into(), value.into()));
        self
    }

    /// Sets one value to what JSON says, as helm's `--set-json` does.
    pub fn set_json(mut self, name: &str, json: &str) -> Self {
        self.json.push((name.into(), json.into()));
        self
    }

    /// As another release, in another namespace.
    pub fn release(self, release: &str, namespace: &str) -> Self {
        Self { release: release.into(), namespace: namespace.into(), ..self }
    }

    /// Takes values from a file, as helm's `--values` does; those that are set stand above them.
    pub fn values(mut self, file: impl Into<PathBuf>) -> Self {
        self.files.push(file.into());
        self
    }

    /// The arguments that say chart and values to helm.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments =
            vec![self.path.display().to_string(), "--namespace".into(), self.namespace.clone()];
        arguments.extend(self.files.iter().map(|file| format!("--values={}", file.display())));
        arguments.extend(self.values.iter().map(|(name, value)| format!("--set={name}={value}")));
        arguments.extend(self.json.iter().map(|(name, json)| format!("--set-json={name}={json}")));
        arguments
    }

    /// The namespace that the release is meant for.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The rendered manifests as YAML, without those of `helm test`. It needs no cluster.
    pub fn render(&self) -> Result<String> {
        self.template(&["--skip-tests"])
    }

    /// The rendered manifests with those of `helm test`.
    pub fn render_with_tests(&self) -> Result<String> {
        self.template(&[])
    }

    fn template(&self, flags: &[&str]) -> Result<String> {
        let mut command = Command::new(Tool::Helm.path()?);
        command.args(["template", &self.release]).args(flags).args(self.arguments());
        run(&mut command)?.success()
    }

    /// Renders it, makes its namespace, applies all and waits until the kinds are served. Deployments and the like are stored too; without
    /// kube-controller-manager nothing comes of them.
    pub fn install(&self, control_plane: &ControlPlane) -> Result<()> {
        let manifests = self.render()?;
        let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {}\n", self.namespace);
        control_plane.apply(&namespace)?;
        control_plane.apply(&manifests)?;
        let wait =
            ["wait", "--for=condition=Established", "--timeout=30s", "customresourcedefinitions", "--all"];
        control_plane.kubectl(&wait).map(drop)
    }
}
