//! Trials of the control plane and of all that is built on it.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Node as CoreNode;
use kube::Api;
use kube::api::ListParams;
use pointsman_tests::chart::Chart;
use pointsman_tests::cluster::Cluster;
use pointsman_tests::control_plane::{ControlPlane, Settings};
use pointsman_tests::kube_proxy;
use pointsman_tests::topology::{CONTROL_PLANE, Topology};
use pointsman_tests::traffic::{Reply, Transport, ask};
use pointsman_tests::wait;
use pointsman_tests::workload::Workload;
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(10);

/// Tries all that suites ask of a control plane in a namespace.
pub fn control_plane() -> Result<()> {
    let topology = Topology::create(1)?;
    let address = IpAddr::V4(CONTROL_PLANE.0);
    let place = Some((&topology.control_plane, address));
    let control_plane = ControlPlane::start_with(Settings { place, ..Settings::default() })?;
    control_plane.apply(
        r#"{"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "agent", "namespace": "default"}}]}"#,
    )?;
    let token = control_plane.create_token("default", "agent", Some("node-1"))?;
    let kubeconfig = control_plane.kubeconfig_for("agent", &token)?;
    let who = control_plane.kubectl_outcome(&kubeconfig, &["auth", "whoami", "-o", "json"], "")?.success()?;
    ensure!(who.contains("system:serviceaccount:default:agent") && who.contains("node-1"), "it is {who}");

    // The node reaches the API server over the network; a service account without a role is refused, and the audit log tells both.
    let there = SocketAddr::new(address, 6443);
    topology.nodes[0].netns.enter(|| TcpStream::connect_timeout(&there, LIMIT))??;
    let mark = control_plane.audit().mark()?;
    let refused = control_plane.kubectl_outcome(&kubeconfig, &["create", "namespace", "of-the-agent"], "")?;
    ensure!(
        !refused.status.success() && refused.stderr.contains("Forbidden"),
        "it was told: {}",
        refused.stderr
    );
    wait::until("the refusal to stand in the audit log", LIMIT, || {
        let records = control_plane.audit().writes_since(mark)?;
        let ours = records.iter().find(|record| record.user == "system:serviceaccount:default:agent");
        Ok(ours.is_some_and(|record| (record.verb.as_str(), record.code) == ("create", 403)))
    })?;

    control_plane.kill_apiserver();
    control_plane.kill_etcd();
    control_plane.start_etcd()?;
    control_plane.start_apiserver()?;
    let nodes = control_plane.with_client(control_plane.admin(), async |client| {
        let nodes = Api::<CoreNode>::all(client).list(&ListParams::default()).await?;
        Ok(nodes.items.into_iter().filter_map(|node| node.metadata.name).collect::<Vec<_>>())
    })?;
    ensure!(nodes == ["node-1"], "after the restart there is {nodes:?}");
    Ok(())
}

/// Reads back what a kubelet would have written.
pub fn cluster() -> Result<()> {
    let mut cluster = Cluster::start(2, &Chart::pointsman())?;
    let web = Workload::new("default", "web-0").label("app", "web").port("http", Transport::Tcp, 8080);
    let pod = cluster.start_pod(1, web)?;
    let ready = |cluster: &Cluster| cluster.read("pod", "web-0", "/status/conditions/1/status");
    ensure!(ready(&cluster)? == "True" && cluster.read("pod", "web-0", "/spec/nodeName")? == "node-2");
    ensure!(cluster.read("pod", "web-0", "/status/podIPs/1/ip")? == pod.network.v6.to_string());
    ensure!(
        cluster.read("node", "node-2", "/status/addresses/1/address")?
            == cluster.topology.nodes[1].v6.to_string()
    );
    pod.report(&cluster.control_plane, false)?;
    ensure!(ready(&cluster)? == "False", "an unready pod is said to be ready");
    ensure!(cluster.read("pod", "web-0", "/metadata/deletionTimestamp")?.is_null());
    pod.terminate(&cluster.control_plane)?;
    ensure!(!cluster.read("pod", "web-0", "/metadata/deletionTimestamp")?.is_null(), "it is not terminating");
    pod.remove(&cluster.control_plane)?;
    ensure!(cluster.read("pod", "web-0", "").is_err(), "a removed pod is still there");
    let kinds =
        cluster.control_plane.kubectl(&["api-resources", "--api-group=pointsman.dev", "-o", "name"])?;
    ensure!(kinds.lines().count() == 3, "the kinds are {kinds}");
    Ok(())
}

/// The field's own proxy serves a Service in both families here: so topologies, pods and objects are what a proxy expects.
pub fn kube_proxy_serves() -> Result<()> {
    let mut cluster = Cluster::start(2, &Chart::pointsman())?;
    let web = Workload::new("default", "web-0").port("http", Transport::Tcp, 8080);
    let pod = cluster.start_pod(1, web)?;
    let _proxy = kube_proxy::start(&cluster.control_plane, &cluster.topology.nodes[0], Some("10ms"))?;
    let slice = |family: &str, address: IpAddr| {
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
            "metadata": { "name": format!("web-{}", family.to_lowercase()), "namespace": "default",
                          "labels": { "kubernetes.io/service-name": "web" } },
            "ports": [{ "port": 8080, "protocol": "TCP" }],
            "endpoints": [{ "addresses": [address.to_string()], "conditions": { "ready": true }, "nodeName": "node-2" }],
        })
    };
    let objects = json!({ "apiVersion": "v1", "kind": "List", "items": [
        { "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web", "namespace": "default" }, "spec": {
            "clusterIP": "10.96.7.7", "clusterIPs": ["10.96.7.7", "fd00:96::77"], "ipFamilyPolicy": "RequireDualStack",
            "ports": [{ "port": 80, "targetPort": 8080 }] } },
        slice("IPv4", pod.network.v4.into()), slice("IPv6", pod.network.v6.into()),
    ]});
    cluster.control_plane.apply(&objects.to_string())?;
    let node = &cluster.topology.nodes[0];
    for target in ["10.96.7.7:80", "[fd00:96::77]:80"] {
        let target: SocketAddr = target.parse()?;
        wait::until(&format!("an answer from {target}"), LIMIT, || {
            let reply = ask(&node.netns, Transport::Tcp, target, Duration::from_millis(200))?;
            Ok(matches!(reply, Reply::Answered(answer) if answer.name == "web-0"))
        })?;
    }
    Ok(())
}
