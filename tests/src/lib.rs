//! The harness of the suites, the demo and the benches: a real control plane, network namespaces that look like a cluster, and
//! processes in them. It may start programs and change namespaces of its own; it never touches the machine's own network, and no
//! process that it did not start.

pub mod audit;
pub mod bench;
pub mod certificates;
pub mod chart;
pub mod cluster;
pub mod command;
pub mod conformance;
pub mod control_plane;
pub mod demo;
pub mod interrupt;
pub mod kube_proxy;
pub mod kubeconfig;
pub mod netns;
pub mod nodes;
pub mod privilege;
pub mod process;
pub mod tools;
pub mod topology;
pub mod traffic;
pub mod wait;
pub mod workload;
