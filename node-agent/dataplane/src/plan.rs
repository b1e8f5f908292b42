//! One Service's plan as the agent holds it: base and shards put together. No parsing of text, no policy.

use std::fmt;
use std::sync::Arc;

use pointsman_crds::ServiceProxyPlanSpec;

/// Namespace and name of a Service. Cheap to clone; ordered by its text, `namespace/name`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey(Arc<str>);

impl ServiceKey {
    /// The key of the Service `name` in `namespace`.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self(format!("{namespace}/{name}").into())
    }

    /// The Service's namespace.
    pub fn namespace(&self) -> &str {
        self.0.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// The Service's name.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }

    /// `namespace/name`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A whole Service: its base plan, with the endpoint groups of its shards put in.
#[derive(Clone, Debug, PartialEq)]
pub struct ServicePlan {
    /// The Service.
    pub key: ServiceKey,
    /// The plan. `shards` is empty: their groups stand in `groups`.
    pub spec: ServiceProxyPlanSpec,
}

impl ServicePlan {
    /// Puts a base plan and all the shards that it names together; `shards` in the order in which the base names them.
    pub fn assemble(key: ServiceKey, base: &ServiceProxyPlanSpec, shards: &[&ServiceProxyPlanSpec]) -> Self {
        let mut spec = base.clone();
        spec.shards.clear();
        spec.groups.extend(shards.iter().flat_map(|shard| shard.groups.iter().cloned()));
        Self { key, spec }
    }
}
