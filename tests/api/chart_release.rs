//! The chart's life as a release of the real helm on a real API server: installed, upgraded with its kinds, rolled back, uninstalled and
//! installed again. No node is there: what pods do is not looked at.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use pointsman_tests::chart::Chart;
use pointsman_tests::command::{Outcome, run};
use pointsman_tests::control_plane::ControlPlane;
use pointsman_tests::privilege::{Needs, trial};
use pointsman_tests::tools::{Tool, repository};
use pointsman_tests::wait;
use serde_json::Value;

use crate::chart_values::objects;
use crate::samples;

const NAMESPACE: &str = "pointsman-system";
/// A policy works, and ceases to, about a second after it was stored.
const POLICY_LIMIT: Duration = Duration::from_secs(20);
/// A sentence of a kind, and what stands in its place in the chart of an older version.
const SENTENCE: (&str, &str) = ("How one node proxies", "In an older version: how one node proxies");
const CLUSTER_INFO: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: cluster-info, namespace: kube-public}
data:
  kubeconfig: |
    apiVersion: v1
    kind: Config
    clusters: [{name: "", cluster: {server: "https://192.0.2.7:7443"}}]
"#;
/// Everything that the release owns and an uninstall takes away.
const OWNED: &str = "deployment,daemonset,poddisruptionbudget,serviceaccount,clusterrole,clusterrolebinding,role,rolebinding,\
validatingadmissionpolicy,validatingadmissionpolicybinding";

/// The one trial; its steps build on each other.
pub fn trials() -> Vec<Trial> {
    vec![trial("chart: a release from its installation to its end", Needs::Nothing, || {
        let release = Release { control_plane: ControlPlane::start()? };
        release.auto_needs_cluster_info().context("k8sServiceHost=auto without cluster-info")?;
        crate::chart_sets::are_taken(&release.control_plane).context("sets of values")?;
        release.is_installed().context("install")?;
        release.is_tested_by_a_pod().context("hooks")?;
        release.upgrades_with_its_kinds().context("upgrade")?;
        release.finds_the_api_server().context("k8sServiceHost=auto")?;
        release.is_rolled_back().context("rollback")?;
        release.leaves_kinds_and_plans().context("uninstall")?;
        release.is_installed_again().context("install again")?;
        release.goes_for_good().context("remove the kinds")
    })]
}

struct Release {
    control_plane: ControlPlane,
}

impl Release {
    fn helm(&self, verb: &str, chart: &Chart, flags: &[&str]) -> Result<Outcome> {
        let admin = self.control_plane.admin();
        let mut command = self.control_plane.client_command(Tool::Helm, admin)?;
        run(command.args([verb, "pointsman"]).args(chart.arguments()).args(flags))
    }

    /// Runs helm, which must have nothing to complain of: the API server's warnings are shown so.
    fn quiet_helm(&self, verb: &str, chart: &Chart, flags: &[&str]) -> Result<String> {
        let outcome = self.helm(verb, chart, flags)?;
        let complaints = outcome.stderr.clone();
        let said = outcome.success()?;
        ensure!(!complaints.to_lowercase().contains("warn"), "{complaints}");
        Ok(said)
    }

    fn auto_needs_cluster_info(&self) -> Result<()> {
        let chart = Chart::pointsman().set("k8sServiceHost", "auto");
        let outcome = self.helm("install", &chart, &["--create-namespace"])?;
        ensure!(!outcome.status.success() && outcome.stderr.contains("cluster-info"), "{}", outcome.stderr);
        ensure!(self.names(OWNED)?.is_empty(), "half of it is there: {}", self.names(OWNED)?);
        Ok(())
    }

    /// As an older version, which has the same kinds but for a sentence.
    fn is_installed(&self) -> Result<()> {
        let older = tempfile::tempdir()?;
        copy(&repository().join("charts/pointsman"), older.path())?;
        let kind = older.path().join("files/crds/nodeproxyplans.pointsman.dev.yaml");
        let text = std::fs::read_to_string(&kind)?;
        ensure!(text.contains(SENTENCE.0), "the kind has that sentence");
        std::fs::write(&kind, text.replace(SENTENCE.0, SENTENCE.1))?;
        let chart = Chart::new(older.path()).set("k8sServiceHost", "192.0.2.1").set("k8sServicePort", "6443");
        let notes = self.quiet_helm("install", &chart, &["--create-namespace"])?;
        for words in
            ["It reaches the API server at 192.0.2.1, port 6443.", "kubectl get nodeproxyplans", "helm test"]
        {
            ensure!(notes.contains(words), "the notes lack {words:?}: {notes}");
        }
        ensure!(!notes.contains("CAUTION"), "{notes}");
        ensure!(self.kind()?.contains(SENTENCE.1), "the older kind is not there");
        let expected = "clusterrole.rbac.authorization.k8s.io/pointsman-agent \
            clusterrole.rbac.authorization.k8s.io/pointsman-controller \
            clusterrole.rbac.authorization.k8s.io/pointsman-view \
            clusterrolebinding.rbac.authorization.k8s.io/pointsman-agent \
            clusterrolebinding.rbac.authorization.k8s.io/pointsman-controller \
            daemonset.apps/pointsman-agent deployment.apps/pointsman-controller \
            poddisruptionbudget.policy/pointsman-controller \
            role.rbac.authorization.k8s.io/pointsman-controller \
            rolebinding.rbac.authorization.k8s.io/pointsman-controller \
            serviceaccount/pointsman-agent serviceaccount/pointsman-controller \
            validatingadmissionpolicy.admissionregistration.k8s.io/pointsman-kinds \
            validatingadmissionpolicy.admissionregistration.k8s.io/pointsman-node-status \
            validatingadmissionpolicy.admissionregistration.k8s.io/pointsman-plans \
            validatingadmissionpolicybinding.admissionregistration.k8s.io/pointsman-kinds \
            validatingadmissionpolicybinding.admissionregistration.k8s.io/pointsman-node-status \
            validatingadmissionpolicybinding.admissionregistration.k8s.io/pointsman-plans";
        let found = self.names(OWNED)?;
        ensure!(found == expected, "{found}");
        Ok(())
    }

    fn is_tested_by_a_pod(&self) -> Result<()> {
        let hooks =
            objects(&self.control_plane.helm(&["get", "hooks", "pointsman", "--namespace", NAMESPACE])?)?;
        let mut kinds: Vec<&str> = hooks.iter().filter_map(|hook| hook["kind"].as_str()).collect();
        kinds.sort_unstable();
        ensure!(kinds == ["ClusterRole", "ClusterRoleBinding", "Pod", "ServiceAccount"], "{kinds:?}");
        for hook in &hooks {
            let annotations = &hook["metadata"]["annotations"];
            ensure!(annotations["helm.sh/hook"] == "test", "{hook}");
            ensure!(
                annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded",
                "{hook}"
            );
        }
        let pod = hooks.iter().find(|hook| hook["kind"] == "Pod").context("a Pod")?;
        ensure!(pod["spec"]["hostNetwork"].is_null(), "it would not ask by the Service: {pod}");
        crate::chart_sets::knows_its_flags(&pod["spec"]["containers"][0])?;
        let manifests = hooks.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n");
        let arguments = ["create", "--dry-run=server", "-f", "-"];
        let admin = self.control_plane.admin();
        self.control_plane.kubectl_outcome(admin, &arguments, &manifests)?.success().map(drop)
    }

    fn upgrades_with_its_kinds(&self) -> Result<()> {
        let chart = Chart::pointsman().set("proxy.sync.verifyPeriod", "1m");
        self.quiet_helm("upgrade", &chart, &["--reuse-values"])?;
        ensure!(!self.kind()?.contains(SENTENCE.1), "the kind is still the older one");
        let arguments = self.controller("args")?;
        ensure!(arguments.contains("--verify-period=1m"), "{arguments}");
        ensure!(self.controller("env")?.contains("192.0.2.1"), "the other values are lost");
        Ok(())
    }

    fn finds_the_api_server(&self) -> Result<()> {
        self.control_plane.apply(CLUSTER_INFO)?;
        let chart = Chart::pointsman().set("k8sServiceHost", "auto");
        self.quiet_helm("upgrade", &chart, &["--reset-values"])?;
        for workload in ["deployment/pointsman-controller", "daemonset/pointsman-agent"] {
            let environment = self.container(workload, "env")?;
            ensure!(
                environment.contains("192.0.2.7") && environment.contains("7443"),
                "{workload}: {environment}"
            );
        }
        Ok(())
    }

    /// To the second revision: the first has the older kind, and to it nobody goes back.
    fn is_rolled_back(&self) -> Result<()> {
        self.control_plane.helm(&["rollback", "pointsman", "2", "--namespace", NAMESPACE])?;
        let arguments = self.controller("args")?;
        ensure!(arguments.contains("--verify-period=1m"), "{arguments}");
        ensure!(self.controller("env")?.contains("192.0.2.1"), "not the environment of then");
        ensure!(!self.kind()?.contains(SENTENCE.1), "the kind went further back");
        Ok(())
    }

    fn leaves_kinds_and_plans(&self) -> Result<()> {
        let token = self.control_plane.create_token(NAMESPACE, "pointsman-controller", None)?;
        let kubeconfig = self.control_plane.kubeconfig_for("controller", &token)?;
        let plan = samples::node_plan("north").to_string();
        self.control_plane.kubectl_outcome(&kubeconfig, &["create", "-f", "-"], &plan)?.success()?;
        let said = self.control_plane.helm(&["uninstall", "pointsman", "--namespace", NAMESPACE])?;
        for kind in ["nodeproxyplans", "serviceproxyplans", "proxyprofiles"] {
            ensure!(
                said.contains(&format!("{kind}.pointsman.dev")),
                "helm does not say that {kind} stay: {said}"
            );
        }
        ensure!(self.names(OWNED)?.is_empty(), "left: {}", self.names(OWNED)?);
        let plans = self.control_plane.kubectl(&["get", "nodeproxyplans", "-o", "name"])?;
        ensure!(plans.trim() == "nodeproxyplan.pointsman.dev/north", "{plans}");
        Ok(())
    }

    fn is_installed_again(&self) -> Result<()> {
        let notes = self.quiet_helm("install", &Chart::pointsman(), &[])?;
        ensure!(notes.contains("CAUTION: k8sServiceHost is not set"), "{notes}");
        let told = Chart::pointsman().set("controller.extraArgs", "{--kubeconfig=/a}");
        for (name, is_enough) in [("RUST_BACKTRACE", false), ("POINTSMAN_KUBECONFIG", true)] {
            let chart = told.clone().set("agent.extraEnv[0].name", name);
            let notes = self.quiet_helm("upgrade", &chart, &["--dry-run=server"])?;
            ensure!(notes.contains("CAUTION") != is_enough, "{name}: {notes}");
        }
        let plans = self.control_plane.kubectl(&["get", "nodeproxyplans", "-o", "name"])?;
        ensure!(plans.trim() == "nodeproxyplan.pointsman.dev/north", "{plans}");
        ensure!(self.names(OWNED)?.contains("daemonset.apps/pointsman-agent"), "it is not there");
        Ok(())
    }

    /// The kinds go after the release and not before it.
    fn goes_for_good(&self) -> Result<()> {
        let (admin, delete) = (self.control_plane.admin(), ["delete", "crd", "nodeproxyplans.pointsman.dev"]);
        let dry = [&delete[..], &["--dry-run=server"]].concat();
        wait::until("the policy of the kinds to work", POLICY_LIMIT, || {
            let outcome = self.control_plane.kubectl_outcome(admin, &dry, "")?;
            Ok(outcome
                .stderr
                .contains("deleting nodeproxyplans.pointsman.dev would take every Service from every node"))
        })?;
        self.control_plane.helm(&["uninstall", "pointsman", "--namespace", NAMESPACE])?;
        wait::until("the policy of the kinds to be gone", POLICY_LIMIT, || {
            Ok(self.control_plane.kubectl_outcome(admin, &dry, "")?.status.success())
        })?;
        self.control_plane.kubectl(&delete).map(drop)
    }

    fn names(&self, kinds: &str) -> Result<String> {
        let selector = ["-l", "app.kubernetes.io/name=pointsman", "-o", "name", "-A", "--ignore-not-found"];
        let found = self.control_plane.kubectl(&[&["get", kinds], &selector[..]].concat())?;
        let mut names: Vec<&str> = found.lines().filter(|line| !line.is_empty()).collect();
        names.sort_unstable();
        Ok(names.join(" "))
    }

    fn kind(&self) -> Result<String> {
        self.control_plane.kubectl(&["get", "crd", "nodeproxyplans.pointsman.dev", "-o", "yaml"])
    }

    fn controller(&self, field: &str) -> Result<String> {
        self.container("deployment/pointsman-controller", field)
    }

    fn container(&self, workload: &str, field: &str) -> Result<String> {
        let path = format!("jsonpath={{.spec.template.spec.containers[0].{field}}}");
        self.control_plane.kubectl(&["get", workload, "-n", NAMESPACE, "-o", &path])
    }
}

/// Copies a folder with everything in it into one that exists.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
