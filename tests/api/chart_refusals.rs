//! Values that the chart refuses, and the sentence that it has for each. None of them reaches a cluster, where a program would end on it,
//! an API server refuse half a release, or nodes do silently what nobody meant.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use pointsman_tests::chart::Chart;
use pointsman_tests::command::run;
use pointsman_tests::privilege::{Needs, trial};
use pointsman_tests::tools::own_binary;

use crate::chart_sets::knows_its_flags;
use crate::chart_values::{container, objects};

/// Values that somebody may mistype or set against each other, with `=` as helm's `--set` takes them and with `:=` as JSON, and what helm
/// says of them.
#[rustfmt::skip]
const REFUSED: &[(&str, &str)] = &[
    // Names and words.
    ("endpointSlices.mode=manage", "at '/endpointSlices/mode': value must be one of 'Manage', 'Consume'"),
    ("endpointSlice.mode=Manage", "additional properties 'endpointSlice' not allowed"),
    ("agent.nodeselector.a=b", "at '/agent': additional properties 'nodeselector' not allowed"),
    ("monitoring.serviceMonitor.enabled=true", "at '/monitoring': additional properties 'serviceMonitor' not allowed"),
    ("proxy.mode=ebpf", "at '/proxy/mode': value must be one of 'nftables', 'iptables', 'ipvs'"),
    ("proxy.mode=ipvs", "proxy.mode=ipvs: the agents of this version program nftables only"),
    ("proxy.ipFamilies={IPv4,IPv4}", "at '/proxy/ipFamilies': items at 0 and 1 are equal"),
    ("proxy.masquerade.bit=32", "at '/proxy/masquerade/bit': maximum: got 32, want 31"),
    ("agent.healthAddress=10256", "at '/agent/healthAddress': got number, want string"),
    // What was taken away by null.
    ("image=null", "at '': missing property 'image'"),
    ("agent=null", "at '': missing property 'agent'"),
    ("monitoring=null", "at '': missing property 'monitoring'"),
    ("logLevel=null", "at '': missing property 'logLevel'"),
    ("logFormat=null", "at '': missing property 'logFormat'"),
    ("endpointSlices.mode=null", "at '/endpointSlices': missing property 'mode'"),
    ("agent.maxUnavailable=null", "at '/agent': missing property 'maxUnavailable'"),
    ("agent.healthAddress=null", "at '/agent': missing property 'healthAddress'"),
    ("agent.stateDir=null", "at '/agent': missing property 'stateDir'"),
    ("controller.replicas=null", "at '/controller': missing property 'replicas'"),
    ("controller.podDisruptionBudget=null", "at '/controller': missing property 'podDisruptionBudget'"),
    ("proxy.masquerade.bit=null", "at '/proxy/masquerade': missing property 'bit'"),
    // The image.
    ("image.repository=foo:1.2", "image.repository=foo:1.2: the tag goes into image.tag"),
    ("image.repository=foo@sha256:12", "image.repository=foo@sha256:12: the digest goes into image.digest"),
    ("image.repository=foo/", "image.repository=foo/: no image's name; write small letters and digits, in parts between /"),
    ("image.repository=FOO//bar", "image.repository=FOO//bar: no image's name; write small letters"),
    ("image.repository=", "image.repository=: no image's name; write small letters"),
    ("image.tag=a b", "image.tag=a b: no tag; write letters, digits and the signs _ . -"),
    ("image.tag=0.1.0@sha256:12", "image.tag=0.1.0@sha256:12: the digest goes into image.digest"),
    ("image.digest=sha256:12", "image.digest=sha256:12: no digest; write sha256: and 64 digits"),
    ("imagePullSecrets[0].name=A b", "imagePullSecrets=A b: no name that an object can have; write small letters"),
    // The API server.
    ("k8sServiceHost=https://10.0.0.1:6443", "k8sServiceHost=https://10.0.0.1:6443: the address alone, such as 192.0.2.1; the port goes into k8sServicePort"),
    ("k8sServiceHost=[fd00::1]", "k8sServiceHost=[fd00::1]: an IPv6 address has no brackets here, such as 2001:db8::1"),
    ("k8sServiceHost=192.0.2.1:6443", "k8sServiceHost=192.0.2.1:6443: the address alone; the port goes into k8sServicePort"),
    ("k8sServiceHost=fd00::1:", "k8sServiceHost=fd00::1:: neither an address, such as 192.0.2.1 or 2001:db8::1, nor a host name"),
    ("k8sServiceHost=10.0.0.256", "k8sServiceHost=10.0.0.256: neither an address, such as 192.0.2.1"),
    ("k8sServiceHost=10.0.0.1.", "k8sServiceHost=10.0.0.1.: neither an address, such as 192.0.2.1"),
    ("k8sServiceHost=a..b", "k8sServiceHost=a..b: neither an address, such as 192.0.2.1"),
    ("k8sServiceHost=cp.2", "k8sServiceHost=cp.2: neither an address, such as 192.0.2.1"),
    ("k8sServiceHost=a b", "k8sServiceHost=a b: neither an address, such as 192.0.2.1"),
    ("k8sServiceHost=auto", "k8sServiceHost=auto: no ConfigMap cluster-info was found in namespace kube-public"),
    ("k8sServiceHost=auto,k8sServicePort=6443", "k8sServicePort: leave it empty with k8sServiceHost=auto"),
    ("k8sServicePort=6443", "k8sServicePort: it goes with k8sServiceHost only"),
    ("k8sServiceHost=192.0.2.1,k8sServicePort=70000", "k8sServicePort=70000: a port is a number from 1 to 65535"),
    ("k8sServiceHost=192.0.2.1,k8sServicePort=https", "k8sServicePort=https: a port is a number from 1 to 65535"),
    ("k8sServiceHost=192.0.2.1,k8sServicePort=0", "k8sServicePort=0: a port is a number from 1 to 65535"),
    // Logs, paths, amounts of nodes.
    ("logLevel=nonsense", "logLevel=nonsense: write error, warn, info, debug or trace, or directives"),
    ("logLevel=info\\,kube=loud", "logLevel=info,kube=loud: write error, warn, info, debug or trace, or directives"),
    ("agent.stateDir=../x", "agent.stateDir=../x: a path from the root without .. such as /var/lib/pointsman"),
    ("agent.stateDir=/var//lib", "agent.stateDir=/var//lib: a path from the root without .."),
    ("agent.stateDir=/", "agent.stateDir=/: a path from the root without .."),
    ("agent.stateDir=/var/../etc", "agent.stateDir=/var/../etc: a path from the root without .."),
    ("agent.maxUnavailable=0", "agent.maxUnavailable=0: write a number of at least 1, or a percentage from 1% to 100%"),
    ("agent.maxUnavailable=110%", "agent.maxUnavailable=110%: write a number of at least 1, or a percentage"),
    ("controller.podDisruptionBudget.maxUnavailable=0", "controller.podDisruptionBudget.maxUnavailable=0: write a number of at least 1"),
    ("agent.priorityClassName=Very High", "agent.priorityClassName=Very High: no name that an object can have"),
    // Where programs listen.
    ("agent.healthAddress=0.0.0.0:10267", "agent.healthAddress: port 10267 is that of controller.metricsAddress"),
    ("agent.healthAddress=0.0.0.0:0", "agent.healthAddress=0.0.0.0:0: write an address and a port from 1 to 65535"),
    ("agent.healthAddress=999.0:99999", "agent.healthAddress=999.0:99999: write an address and a port from 1 to 65535"),
    ("agent.healthAddress=0.0.0.0:65536", "agent.healthAddress=0.0.0.0:65536: write an address and a port from 1 to 65535"),
    ("agent.metricsAddress=::1:10249", "agent.metricsAddress=::1:10249: write an address and a port from 1 to 65535, such as 127.0.0.1:10300 or [::1]:10300"),
    ("controller.metricsAddress=[127.0.0.1]:1", "controller.metricsAddress=[127.0.0.1]:1: write an address and a port"),
    ("monitoring.podMonitor.enabled=true", "controller.metricsAddress=127.0.0.1:10267: Prometheus does not reach loopback"),
    ("monitoring.podMonitor.enabled=true,controller.metricsAddress=[0:0:0:0:0:0:0:1]:10267", "controller.metricsAddress=[0:0:0:0:0:0:0:1]:10267: Prometheus does not reach loopback"),
    // Proxying.
    ("proxy.sync.verifyPeriod=0s", "proxy.sync.verifyPeriod=0s: write a time from 1s to 8760h in whole milliseconds, such as 30s"),
    ("proxy.sync.verifyPeriod=999ms", "proxy.sync.verifyPeriod=999ms: write a time from 1s to 8760h"),
    ("proxy.sync.verifyPeriod=8760h1ms", "proxy.sync.verifyPeriod=8760h1ms: write a time from 1s to 8760h"),
    ("proxy.sync.verifyPeriod=soon", "proxy.sync.verifyPeriod=soon: write a time from 1s to 8760h"),
    ("proxy.sync.minPeriod=9000h", "proxy.sync.minPeriod=9000h: write a time from 0s to 8760h"),
    ("proxy.sync.minPeriod=0.5ms", "proxy.sync.minPeriod=0.5ms: write a time from 0s to 8760h in whole milliseconds"),
    ("proxy.detectLocal.mode=ClusterCIDR", "proxy.detectLocal.clusterCIDRs: mode ClusterCIDR needs the ranges"),
    ("proxy.detectLocal.clusterCIDRs={10.0.0.0/8}", "proxy.detectLocal.clusterCIDRs: it goes with mode ClusterCIDR only, not with NodeCIDR"),
    ("proxy.detectLocal.mode=ClusterCIDR,proxy.detectLocal.clusterCIDRs={10.0.0.0/8},proxy.ipFamilies={IPv6}", "proxy.detectLocal.clusterCIDRs: no range in it is of a family in proxy.ipFamilies, IPv6"),
    ("proxy.detectLocal.mode=BridgeInterface", "proxy.detectLocal.interface: mode BridgeInterface needs it"),
    ("proxy.detectLocal.interface=cni0", "proxy.detectLocal.interface: it goes with modes BridgeInterface and InterfaceNamePrefix only, not with NodeCIDR"),
    ("proxy.detectLocal.mode=BridgeInterface,proxy.detectLocal.interface=a b", "proxy.detectLocal.interface=a b: no interface's name; write up to 15 letters"),
    ("proxy.proxyName=-x", "proxy.proxyName=-x: no label's value; write up to 63 letters and digits"),
    ("proxy.nodePortAddresses={Primary,10.0.0.0/8}", "proxy.nodePortAddresses: Primary and All each stand alone"),
    ("proxy.nodePortAddresses={primary}", "proxy.nodePortAddresses: primary: write Primary"),
    ("proxy.nodePortAddresses={ALL}", "proxy.nodePortAddresses: ALL: write All"),
    ("proxy.nodePortAddresses={10.0.0.0/99}", "proxy.nodePortAddresses: 10.0.0.0/99 is no range; write an address and how many of its leading bits count"),
    ("proxy.nodePortAddresses={::::/3}", "proxy.nodePortAddresses: ::::/3 is no range; write an address"),
    ("proxy.nodePortAddresses={1:2:3:4:5:6:7:8:9/64}", "proxy.nodePortAddresses: 1:2:3:4:5:6:7:8:9/64 is no range; write an address"),
    ("proxy.nodePortAddresses={10.0.0.0/8},proxy.ipFamilies={IPv6}", "proxy.nodePortAddresses: no range in it is of a family in proxy.ipFamilies, IPv6"),
    ("externalIPs.allow={198.51.100.7}", "externalIPs.allow: 198.51.100.7 is no range; write an address and how many of its leading bits count"),
    ("externalIPs.allow={1.2.3.4/77}", "externalIPs.allow: 1.2.3.4/77 is no range; write an address"),
    ("externalIPs.allow={1.2.3/24}", "externalIPs.allow: 1.2.3/24 is no range; write an address"),
    // Flags and variables.
    ("agent.extraArgs={take-over}", "agent.extraArgs: take-over is no flag; write each flag as one word with its value, --flag=value"),
    ("agent.extraArgs={--take-over}", "agent.extraArgs: --take-over is the chart's own: set agent.takeOver"),
    ("agent.extraArgs={--health-address=0.0.0.0:1}", "agent.extraArgs: --health-address is the chart's own: set agent.healthAddress"),
    ("agent.extraArgs={--status-file=a,--status-file=b}", "agent.extraArgs: --status-file stands twice; leave one out"),
    ("controller.extraArgs={--mode=nftables}", "controller.extraArgs: --mode is the chart's own: set proxy.mode"),
    ("controller.extraArgs={--lease-name=a}", "controller.extraArgs: --lease-name is the chart's own: the controller may use no Lease but the chart's"),
    ("controller.extraArgs={--identity=a}", "controller.extraArgs: --identity is the chart's own: each replica has the name of its pod"),
    ("controller.extraArgs={--help}", "controller.extraArgs: --help is the chart's own: the program would do nothing else"),
    ("controller.extraEnv[0].name=POINTSMAN_LEASE_NAME", "controller.extraEnv: POINTSMAN_LEASE_NAME is the chart's own: the controller may use no Lease but the chart's"),
    ("controller.extraEnv[0].name=KUBERNETES_SERVICE_HOST", "controller.extraEnv: KUBERNETES_SERVICE_HOST is the chart's own: set k8sServiceHost"),
    ("agent.extraEnv[0].name=POINTSMAN_STATE_DIR", "agent.extraEnv: POINTSMAN_STATE_DIR is the chart's own: set agent.stateDir"),
    ("agent.extraEnv[0].name=NODE_NAME", "agent.extraEnv: NODE_NAME is the chart's own: it is the name of the pod's node"),
    ("agent.extraEnv[0].name=A B", "agent.extraEnv: \"A B\" is no variable's name; write letters, digits and the signs _ . -"),
    ("agent.extraEnv[0].name=..a", "agent.extraEnv: \"..a\" is no variable's name; write letters, digits"),
    ("agent.extraEnv[0].name=.", "agent.extraEnv: \".\" is no variable's name; write letters, digits"),
    ("agent.extraEnv[0].name=A,agent.extraEnv[1].name=A", "agent.extraEnv: A stands twice; leave one out"),
    ("agent.extraEnv:=[{\"name\": \"A\", \"value\": \"b\", \"valueFrom\": {\"fieldRef\": {}}}]", "agent.extraEnv: A has both value and valueFrom; leave one out"),
    // Volumes.
    ("agent.extraVolumes:=[{\"name\": \"state\", \"emptyDir\": {}}]", "agent.extraVolumes: there is another volume state; take another name"),
    ("agent.extraVolumes:=[{\"name\": \"A\", \"emptyDir\": {}}]", "agent.extraVolumes: \"A\" is no volume's name; write small letters"),
    ("controller.extraVolumes:=[{\"name\": \"a\"}]", "at '/controller/extraVolumes/0': minProperties: got 1, want 2"),
    ("controller.extraVolumeMounts:=[{\"name\": \"a\", \"mountPath\": \"/a\"}]", "controller.extraVolumeMounts: a is not in controller.extraVolumes; add it there"),
    ("agent.extraVolumeMounts:=[{\"name\": \"state\", \"mountPath\": \"/a\"}]", "agent.extraVolumeMounts: state is not in agent.extraVolumes; add it there"),
    ("agent.extraVolumes[0].name=a,agent.extraVolumes[0].emptyDir.medium=Memory,agent.extraVolumeMounts[0].name=a,agent.extraVolumeMounts[0].mountPath=/var/lib/pointsman", "agent.extraVolumeMounts: something else is mounted at /var/lib/pointsman; take another path"),
    ("agent.extraVolumes[0].name=a,agent.extraVolumes[0].emptyDir.medium=Memory,agent.extraVolumeMounts[0].name=a,agent.extraVolumeMounts[0].mountPath=/x,agent.stateDir=/x/", "agent.extraVolumeMounts: something else is mounted at /x; take another path"),
    ("agent.extraVolumes[0].name=a,agent.extraVolumes[0].emptyDir.medium=Memory,agent.extraVolumeMounts[0].name=a,agent.extraVolumeMounts[0].mountPath=/var/lib/pointsman/", "agent.extraVolumeMounts: something else is mounted at /var/lib/pointsman/; take another path"),
    ("controller.extraVolumeMounts:=[{\"name\": \"a\", \"mountPath\": \"a\"}]", "controller.extraVolumeMounts.mountPath=a: a path from the root without .."),
    // Labels and annotations.
    ("agent.podLabels.app\\.kubernetes\\.io/name=x", "agent.podLabels: the label app.kubernetes.io/name is the chart's own"),
    ("commonLabels.app\\.kubernetes\\.io/instance=x", "commonLabels: the label app.kubernetes.io/instance is the chart's own"),
    ("commonLabels.app\\.kubernetes\\.io/version=x", "commonLabels: the label app.kubernetes.io/version is the chart's own"),
    ("commonLabels.app\\.kubernetes\\.io/managed-by=x", "commonLabels: the label app.kubernetes.io/managed-by is the chart's own"),
    ("controller.podLabels.app\\.kubernetes\\.io/component=x", "controller.podLabels: the label app.kubernetes.io/component is the chart's own"),
    ("monitoring.dashboard.labels.helm\\.sh/chart=x", "monitoring.dashboard.labels: the label helm.sh/chart is the chart's own"),
    ("commonLabels.bad key!=y", "commonLabels: \"bad key!\" is no name of a label or an annotation; write letters and digits"),
    ("commonLabels.bad=-x-", "commonLabels.bad=-x-: no label's value; write up to 63 letters and digits"),
    ("commonLabels.foo=a b", "commonLabels.foo=a b: no label's value; write up to 63 letters and digits"),
    ("agent.nodeSelector.pool=a/b", "agent.nodeSelector.pool=a/b: no label's value; write up to 63 letters and digits"),
    ("commonLabels.Example\\.com/a=b", "commonLabels: \"Example.com/a\" is no name of a label or an annotation"),
    ("commonAnnotations.a b=c", "commonAnnotations: \"a b\" is no name of a label or an annotation; write letters and digits"),
    ("commonAnnotations.helm\\.sh/hook=test", "commonAnnotations: by the annotation helm.sh/hook helm would treat every object otherwise"),
    // Where pods go, and what they ask for.
    ("agent.tolerations:=[{\"operator\": \"Exists\", \"value\": \"x\"}]", "agent.tolerations: operator Exists goes without a value; leave \"x\" out, or write operator Equal"),
    ("agent.tolerations:=[{\"effect\": \"NoSchedule\"}]", "agent.tolerations: without a key the operator is Exists, not Equal; write operator Exists, or a key"),
    ("test.tolerations:=[{\"key\": \"a\", \"operator\": \"Exists\", \"tolerationSeconds\": 5}]", "test.tolerations: tolerationSeconds goes with effect NoExecute only"),
    ("controller.topologySpreadConstraints:=[{\"maxSkew\": 0, \"topologyKey\": \"a\", \"whenUnsatisfiable\": \"ScheduleAnyway\"}]", "at '/controller/topologySpreadConstraints/0/maxSkew': minimum: got 0, want 1"),
    ("controller.topologySpreadConstraints:=[{\"maxSkew\": 1, \"topologyKey\": \"a\", \"whenUnsatisfiable\": \"Sometimes\"}]", "at '/controller/topologySpreadConstraints/0/whenUnsatisfiable': value must be one of 'DoNotSchedule', 'ScheduleAnyway'"),
    ("controller.topologySpreadConstraints:=[{\"maxSkew\": 1, \"topologyKey\": \"a\", \"whenUnsatisfiable\": \"ScheduleAnyway\", \"typo\": 1}]", "at '/controller/topologySpreadConstraints/0': additional properties 'typo' not allowed"),
    ("controller.resources.requests.cpu=lots", "controller.resources.requests.cpu=lots: no amount; write a number with its unit, such as 100m or 128Mi"),
    ("controller.resources.requests.cpu=", "controller.resources.requests.cpu=: no amount; write a number with its unit"),
    ("test.resources.limits.memory=1 Gi", "test.resources.limits.memory=1 Gi: no amount; write a number with its unit"),
    // Monitoring.
    ("monitoring.podMonitor.interval=1.5s", "monitoring.podMonitor.interval=1.5s: write a time from 1s to 24h in whole milliseconds"),
    ("monitoring.podMonitor.interval=0s", "monitoring.podMonitor.interval=0s: write a time from 1s to 24h"),
    ("monitoring.prometheusRule.runbookBaseURL=docs", "monitoring.prometheusRule.runbookBaseURL=docs: no address of a web page; write it with https:// in front"),
];

/// Values that are as unusual and right.
#[rustfmt::skip]
const TAKEN: &[&str] = &[
    "k8sServiceHost=api", "k8sServiceHost=API.Example.com", "k8sServiceHost=2001:db8::1", "k8sServiceHost=::1", "k8sServiceHost=1:2:3:4:5:6:7:8",
    "image.repository=localhost:5000/a__b/c-d.e", "image.repository=a", "image.tag=v1.2_3-x",
    "agent.healthAddress=[::]:10256", "agent.metricsAddress=[2001:db8::7]:65535", "agent.stateDir=/srv/.state/a_b-c",
    "proxy.sync.verifyPeriod=1s", "proxy.sync.verifyPeriod=8760h", "proxy.sync.verifyPeriod=1m1.5s", "proxy.sync.minPeriod=0ms",
    "proxy.nodePortAddresses={0.0.0.0/0,::/0}", "externalIPs.allow={255.255.255.255/32,fd00::/128}", "externalIPs.allow={1:2:3:4:5:6:7::/112}",
    "agent.maxUnavailable=100%", "agent.maxUnavailable=300", "controller.replicas=0",
    "logLevel=off", "logLevel=info\\,kube_client::client=debug\\,hyper=warn",
    "controller.resources.requests.memory=1e9", "controller.resources.limits.cpu=0.5",
    "commonLabels.example\\.com/Team_a=", "proxy.proxyName=A.b_c", "monitoring.podMonitor.interval=1m30s",
    "agent.extraArgs={--plan-dir=/plans,--status-file=/a}", "agent.extraEnv[0].name=POINTSMAN_KUBECONFIG",
    "k8sServiceHost=api.example.com.", "k8sServiceHost=1cp", "k8sServiceHost=10.0.0.1cp", "logLevel=INFO", "logLevel=Info\\,kube=DEBUG",
    "commonLabels.app\\.kubernetes\\.io/part-of=x", "agent.podLabels.app\\.kubernetes\\.io/created-by=x", "commonAnnotations.Example\\.com/Team=x",
    "commonLabels.a=null", "agent.podLabels.a=null", "controller.podAnnotations.a=null", "agent.nodeSelector.a=null", "test.nodeSelector.a=null",
    "controller.resources.limits.cpu=null", "agent.resources.limits=null", "test.resources.requests.cpu=null",
    "agent.affinity.nodeAffinity=null", "controller.affinity:={\"nodeAffinity\": null, \"podAffinity\": {\"a\": null}}",
    "controller.priorityClassName=null", "agent.priorityClassName=null", "test.priorityClassName=null",
    "agent.tolerations:=[{\"key\": \"a\", \"operator\": \"\", \"value\": \"b\", \"effect\": \"\"}]",
    "agent.extraEnv[0].name=spring.main-name", "agent.extraEnv[0].name=.a", "controller.extraEnv[0].name=NODE_NAME",
    "agent.stateDir=/srv/a/",
    "agent.extraVolumes[0].name=a,agent.extraVolumes[0].emptyDir.medium=Memory,agent.extraVolumeMounts[0].name=a,agent.extraVolumeMounts[0].mountPath=/etc/ssl/certs/",
];

/// Flags of the programs that the chart has no values for.
const FREE_FLAGS: &[&str] = &["kubeconfig", "plan-dir", "status-file"];

/// All trials of what is refused, and of what is not.
pub fn trials() -> Vec<Trial> {
    let own = |program| move || refuses_its_own_flags(program);
    let mut trials = vec![
        trial(
            "chart: what it sets itself the controller is not told again",
            Needs::Nothing,
            own("controller"),
        ),
        trial("chart: what it sets itself the agent is not told again", Needs::Nothing, own("agent")),
    ];
    for value in TAKEN {
        trials.push(trial(format!("chart: {value} is taken"), Needs::Nothing, || is_taken(value)));
    }
    for (value, says) in REFUSED {
        let name = format!("chart: {value} is refused");
        trials.push(trial(name, Needs::Nothing, move || is_refused(value, says)));
    }
    trials
}

fn is_refused(value: &str, says: &str) -> Result<()> {
    let refusal = with(value)?.render().err().context("it was taken")?.to_string();
    ensure!(refusal.contains(says), "{refusal}");
    // What goes wrong inside a template is told with the template's own words.
    ensure!(!refusal.contains("executing \""), "{refusal}");
    Ok(())
}

/// By the programs too. What was taken away by null is not said to the API server.
fn is_taken(value: &str) -> Result<()> {
    let manifests = with(value)?.set("crds.install", "false").render_with_tests()?;
    ensure!(!manifests.contains(": null"), "{manifests}");
    let objects = objects(&manifests)?;
    ["Deployment", "DaemonSet"].iter().try_for_each(|kind| knows_its_flags(container(&objects, kind)?))
}

/// Every flag that `run` has, but for those that the chart leaves free.
fn refuses_its_own_flags(program: &str) -> Result<()> {
    let help = run(Command::new(own_binary(&format!("pointsman-{program}"))?).args(["run", "--help"]))?;
    let help = help.success()?;
    let words = help.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let flags: BTreeSet<&str> = words.filter_map(|word| word.strip_prefix("--")).collect();
    ensure!(flags.contains("log-level") && flags.contains("kubeconfig"), "no flags in {help}");
    for flag in flags {
        let chart = Chart::pointsman().set(&format!("{program}.extraArgs"), &format!("{{--{flag}=a}}"));
        let rendered = chart.render().err().map(|refusal| refusal.to_string());
        let is_refused = rendered.is_some_and(|refusal| refusal.contains("is the chart's own"));
        ensure!(is_refused != FREE_FLAGS.contains(&flag), "--{flag} is refused: {is_refused}");
    }
    Ok(())
}

fn with(value: &str) -> Result<Chart> {
    let (name, given) = value.split_once('=').context("name=value")?;
    Ok(match name.strip_suffix(':') {
        Some(name) => Chart::pointsman().set_json(name, given),
        None => Chart::pointsman().set(name, given),
    })
}
