//! The types of the domain, parsed and compact. They know nothing of the API server's objects and decide nothing.

mod node;
mod pod;
mod service;
mod slice;

use std::collections::BTreeMap;
use std::fmt;

pub use node::Node;
pub use pod::{ContainerPort, Pod};
pub use service::{Preferred, Service, ServicePort, TargetPort};
pub use slice::{Slice, SliceContent, SliceEndpoint, SlicePort, TargetRef};

/// Labels, or a selector over labels.
pub type Labels = BTreeMap<String, String>;

/// A point in time: nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub i64);

/// The namespace and name of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ServiceKey {
    /// The key of the Service `name` in `namespace`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
