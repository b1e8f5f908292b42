//! The command lines of etcd and kube-apiserver, and the ports they get. It starts nothing.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::certificates::Certificates;
use crate::control_plane::SERVICE_CIDRS;
use crate::process::Launch;
use crate::tools::Tool;

/// Where the two listen.
pub(super) struct Ports {
    etcd: u16,
    etcd_peer: u16,
    /// The port of the API server.
    pub(super) apiserver: u16,
}

/// In a namespace of its own the customary ports; else ports that were free a moment ago, held together while they are found, so that
/// all differ.
pub(super) fn ports(own_namespace: bool) -> Result<Ports> {
    if own_namespace {
        return Ok(Ports { etcd: 2379, etcd_peer: 2380, apiserver: 6443 });
    }
    let held = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let mut found = held.iter().map(|listener| match listener {
        Ok(listener) => Ok(listener.local_addr()?.port()),
        Err(error) => bail!("find a free port: {error}"),
    });
    let mut next = || found.next().context("three ports")?;
    Ok(Ports { etcd: next()?, etcd_peer: next()?, apiserver: next()? })
}

/// etcd on loopback, with plain HTTP and without waiting for the disk.
pub(super) fn etcd(folder: &Path, ports: &Ports) -> Result<Launch> {
    let client = format!("http://127.0.0.1:{}", ports.etcd);
    let peer = format!("http://127.0.0.1:{}", ports.etcd_peer);
    Ok(Launch::new("etcd", Tool::Etcd.path()?)
        .arg("--data-dir")
        .arg(folder.join("etcd"))
        .arg(format!("--listen-client-urls={client}"))
        .arg(format!("--advertise-client-urls={client}"))
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--initial-cluster=default={peer}"))
        .args(["--unsafe-no-fsync", "--log-level=warn"]))
}

/// The flags of kube-apiserver that say whether there are real kubelets: whom it lets in, and how it speaks to them.
pub(super) fn admission(kubelets: bool, certificates: &Certificates) -> Vec<String> {
    if !kubelets {
        // Nothing makes service accounts in new namespaces here: pods would wait for theirs for ever.
        return vec!["--authorization-mode=RBAC".into(), "--disable-admission-plugins=ServiceAccount".into()];
    }
    vec![
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        format!("--kubelet-client-certificate={}", certificates.admin.certificate.display()),
        format!("--kubelet-client-key={}", certificates.admin.key.display()),
        "--kubelet-preferred-address-types=InternalIP".into(),
    ]
}

/// kube-apiserver with tokens, dual-stack services and an audit log.
pub(super) fn apiserver(
    folder: &Path,
    ports: &Ports,
    address: IpAddr,
    certificates: &Certificates,
) -> Result<Launch> {
    // The address stands in the endpoints of `kubernetes.default`, where loopback is not allowed; nobody uses it there.
    let advertised = if address.is_loopback() { "192.0.2.1".to_owned() } else { address.to_string() };
    let path = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
    Ok(Launch::new("kube-apiserver", Tool::KubeApiserver.path()?)
        .arg(format!("--etcd-servers=http://127.0.0.1:{}", ports.etcd))
        .arg(format!("--bind-address={address}"))
        .arg(format!("--advertise-address={advertised}"))
        .arg(format!("--secure-port={}", ports.apiserver))
        .arg(path("cert-dir", folder))
        .arg(path("tls-cert-file", &certificates.server.certificate))
        .arg(path("tls-private-key-file", &certificates.server.key))
        .arg(path("client-ca-file", &certificates.authority))
        .arg(path("service-account-key-file", &certificates.token_public_key))
        .arg(path("service-account-signing-key-file", &certificates.token_key))
        .arg("--service-account-issuer=https://kubernetes.default.svc")
        .arg(format!("--service-cluster-ip-range={}", SERVICE_CIDRS.join(",")))
        .args(["--anonymous-auth=false", "--allow-privileged=true"])
        .arg(path("audit-policy-file", &folder.join("audit-policy.json")))
        .arg(path("audit-log-path", &folder.join("audit.log")))
        // In megabytes: a rotated file would hide what was written.
        .arg("--audit-log-maxsize=100000"))
}
