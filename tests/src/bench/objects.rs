//! The Services of the bench and their EndpointSlices: numbered, with two endpoints each, written through the API. It reads nothing
//! back.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};

use super::ground::ENDPOINT_PORT;
use crate::control_plane::ControlPlane;

/// The namespace of all of them.
const NAMESPACE: &str = "bench";
/// Where Services listen; endpoints do elsewhere, so that a packet nobody translated is refused.
const PORT: u16 = 80;
/// Services that are written at the same time.
const IN_FLIGHT: usize = 64;
/// The first cluster IP and the first endpoint: the number counts on from there.
const FIRST_CLUSTER_IP: Ipv4Addr = Ipv4Addr::new(10, 96, 16, 0);
const FIRST_ENDPOINT: Ipv4Addr = Ipv4Addr::new(10, 244, 128, 0);
/// As many as there are addresses for.
pub const MOST: u32 = 16_000;

/// A Service of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered(pub u32);

impl Numbered {
    /// Where it listens.
    pub fn address(self) -> SocketAddr {
        (self.cluster_ip(), PORT).into()
    }

    /// Where its first endpoint listens.
    pub fn endpoint(self) -> SocketAddr {
        (self.endpoints()[0], ENDPOINT_PORT).into()
    }

    fn name(self) -> String {
        format!("service-{:05}", self.0)
    }

    fn cluster_ip(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(FIRST_CLUSTER_IP.to_bits() + self.0)
    }

    fn endpoints(self) -> [Ipv4Addr; 2] {
        [0, 1].map(|slot| Ipv4Addr::from_bits(FIRST_ENDPOINT.to_bits() + 2 * self.0 + slot))
    }

    fn service(self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": self.name() },
            "spec": {
                "clusterIP": self.cluster_ip(), "ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"],
                "ports": [{ "name": "http", "protocol": "TCP", "port": PORT, "targetPort": ENDPOINT_PORT }],
            },
        })
    }

    fn slice(self) -> Value {
        let endpoints = self.endpoints().map(|address| {
            let conditions = json!({ "ready": true, "serving": true, "terminating": false });
            json!({ "addresses": [address], "conditions": conditions, "nodeName": "elsewhere" })
        });
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": { "name": format!("{}-a", self.name()), "labels": {
                "kubernetes.io/service-name": self.name(),
                "endpointslice.kubernetes.io/managed-by": "bench.pointsman.dev",
            }},
            "addressType": "IPv4", "endpoints": endpoints,
            "ports": [{ "name": "http", "protocol": "TCP", "port": ENDPOINT_PORT }],
        })
    }

    /// Writes the Service and then its slice, as whoever makes slices must.
    pub async fn create(self, client: &Client) -> Result<()> {
        let service: Service = serde_json::from_value(self.service())?;
        let slice: EndpointSlice = serde_json::from_value(self.slice())?;
        let params = PostParams::default();
        let services: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);
        services
            .create(&params, &service)
            .await
            .with_context(|| format!("create the Service {}", self.name()))?;
        let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), NAMESPACE);
        slices
            .create(&params, &slice)
            .await
            .with_context(|| format!("create the slice of {}", self.name()))?;
        Ok(())
    }
}

/// Creates the Services 0 to `count`, and tells how long that took.
pub fn create_all(control_plane: &ControlPlane, count: u32) -> Result<Duration> {
    control_plane.with_client(control_plane.admin(), async |client| {
        let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": NAMESPACE } }))?;
        Api::all(client.clone())
            .create(&PostParams::default(), &namespace)
            .await
            .context("create a namespace")?;
        let start = Instant::now();
        stream::iter((0..count).map(Numbered))
            .map(|numbered| {
                let client = &client;
                async move { numbered.create(client).await }
            })
            .buffer_unordered(IN_FLIGHT)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(start.elapsed())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stay_in_their_ranges() {
        for (number, service, endpoint) in [
            (0, "10.96.16.0:80", "10.244.128.0:8080"),
            (300, "10.96.17.44:80", "10.244.130.88:8080"),
            (MOST - 1, "10.96.78.127:80", "10.244.252.254:8080"),
        ] {
            assert_eq!(Numbered(number).address().to_string(), service);
            assert_eq!(Numbered(number).endpoint().to_string(), endpoint);
        }
    }
}
