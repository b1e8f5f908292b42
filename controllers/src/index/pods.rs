//! The Pods, found by label and by Node. It knows no Services.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pointsman_planner::model::{Labels, Pod};
use pointsman_planner::slice::selects;

use super::Key;

/// A namespace's Pods.
#[derive(Default)]
struct Namespace {
    pods: BTreeMap<Arc<str>, Pod>,
    // `key=value` → names; an equals sign cannot stand in a label's key.
    by_label: BTreeMap<String, BTreeSet<Arc<str>>>,
}

/// Every Pod that can be an endpoint.
#[derive(Default)]
pub struct Pods {
    namespaces: BTreeMap<String, Namespace>,
    by_node: BTreeMap<String, BTreeSet<Key>>,
}

impl Pods {
    /// The Pods in `namespace` that `selector` matches, in order of name. Looks only at the rarest of its labels.
    pub fn matching(&self, namespace: &str, selector: &Labels) -> Vec<&Pod> {
        let Some(namespace) = self.namespaces.get(namespace) else { return Vec::new() };
        if selector.is_empty() {
            return namespace.pods.values().collect();
        }
        let mut rarest: Option<&BTreeSet<Arc<str>>> = None;
        for (label, value) in selector {
            let Some(names) = namespace.by_label.get(&posting(label, value)) else { return Vec::new() };
            if rarest.is_none_or(|known| names.len() < known.len()) {
                rarest = Some(names);
            }
        }
        let pods = rarest.into_iter().flatten().filter_map(|name| namespace.pods.get(name));
        pods.filter(|pod| selects(selector, &pod.labels)).collect()
    }

    /// The Pods on the Node `name`.
    pub fn on_node(&self, name: &str) -> impl Iterator<Item = &Pod> {
        self.by_node.get(name).into_iter().flatten().filter_map(|key| self.get(key))
    }

    /// The Pod of this key.
    pub fn get(&self, key: &Key) -> Option<&Pod> {
        self.namespaces.get(&key.0)?.pods.get(key.1.as_str())
    }

    /// Takes a Pod; returns what it replaces.
    pub fn insert(&mut self, key: &Key, pod: Pod) -> Option<Pod> {
        let before = self.remove(key);
        let name: Arc<str> = Arc::from(key.1.as_str());
        if let Some(node) = &pod.node {
            self.by_node.entry(node.clone()).or_default().insert(key.clone());
        }
        let namespace = self.namespaces.entry(key.0.clone()).or_default();
        for (label, value) in &pod.labels {
            namespace.by_label.entry(posting(label, value)).or_default().insert(Arc::clone(&name));
        }
        namespace.pods.insert(name, pod);
        before
    }

    /// Forgets a Pod.
    pub fn remove(&mut self, key: &Key) -> Option<Pod> {
        let namespace = self.namespaces.get_mut(&key.0)?;
        let pod = namespace.pods.remove(key.1.as_str())?;
        for (label, value) in &pod.labels {
            take_from(&mut namespace.by_label, &posting(label, value), key.1.as_str());
        }
        if namespace.pods.is_empty() {
            self.namespaces.remove(&key.0);
        }
        if let Some(node) = &pod.node {
            take_from(&mut self.by_node, node, key);
        }
        Some(pod)
    }

    /// Every key, in order.
    pub fn keys(&self) -> Vec<Key> {
        let in_namespace = |(namespace, pods): (&String, &Namespace)| {
            pods.pods.keys().map(|name| (namespace.clone(), name.to_string())).collect::<Vec<_>>()
        };
        self.namespaces.iter().flat_map(in_namespace).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.namespaces.values().map(|namespace| namespace.pods.len()).sum()
    }
}

fn posting(label: &str, value: &str) -> String {
    format!("{label}={value}")
}

fn take_from<T, Q>(sets: &mut BTreeMap<String, BTreeSet<T>>, key: &str, member: &Q)
where
    T: Ord + std::borrow::Borrow<Q>,
    Q: Ord + ?Sized,
{
    if let Some(set) = sets.get_mut(key) {
        set.remove(member);
        if set.is_empty() {
            sets.remove(key);
        }
    }
}
