//! Services, found by the labels of a Pod. It knows no Pods.

use std::collections::{BTreeMap, BTreeSet};

use pointsman_planner::model::{Labels, ServiceKey};
use pointsman_planner::slice::selects;

/// Where the selectors without any pair stand; no label has an empty key.
const EVERYTHING: (String, String) = (String::new(), String::new());

/// Selectors of one namespace: each Service stands under the first pair of its selector.
type Namespace = BTreeMap<(String, String), BTreeMap<String, Labels>>;

/// The selectors of all Services.
#[derive(Default)]
pub struct Selectors {
    namespaces: BTreeMap<String, Namespace>,
}

impl Selectors {
    /// The Services in `namespace` whose selector matches `labels`.
    pub fn matching(&self, namespace: &str, labels: &Labels) -> BTreeSet<ServiceKey> {
        let Some(selectors) = self.namespaces.get(namespace) else { return BTreeSet::new() };
        let pairs = labels.iter().map(|(label, value)| (label.clone(), value.clone())).chain([EVERYTHING]);
        let candidates = pairs.filter_map(|pair| selectors.get(&pair)).flatten();
        candidates
            .filter(|(_, selector)| selects(selector, labels))
            .map(|(name, _)| ServiceKey::new(namespace, name))
            .collect()
    }

    /// `service` selects by `selector` from now on.
    pub fn insert(&mut self, service: &ServiceKey, selector: &Labels) {
        let namespace = self.namespaces.entry(service.namespace.clone()).or_default();
        namespace.entry(place(selector)).or_default().insert(service.name.clone(), selector.clone());
    }

    /// `service`, which selected by `selector`, selects nothing any more.
    pub fn remove(&mut self, service: &ServiceKey, selector: &Labels) {
        let Some(namespace) = self.namespaces.get_mut(&service.namespace) else { return };
        if let Some(services) = namespace.get_mut(&place(selector)) {
            services.remove(&service.name);
            if services.is_empty() {
                namespace.remove(&place(selector));
            }
        }
        if namespace.is_empty() {
            self.namespaces.remove(&service.namespace);
        }
    }
}

fn place(selector: &Labels) -> (String, String) {
    selector.first_key_value().map_or(EVERYTHING, |(label, value)| (label.clone(), value.clone()))
}
