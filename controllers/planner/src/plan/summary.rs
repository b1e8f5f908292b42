//! A Service's ports in the words of `kubectl get services`. For people; no program reads it.

use pointsman_crds::PlanPort;

/// The ports, as `kubectl get services` prints them: `80/TCP,443:30443/TCP`.
pub fn ports(ports: &[PlanPort]) -> String {
    let one = |port: &PlanPort| match port.node_port {
        Some(node_port) => format!("{}:{node_port}/{}", port.port, port.protocol),
        None => format!("{}/{}", port.port, port.protocol),
    };
    ports.iter().map(one).collect::<Vec<_>>().join(",")
}
