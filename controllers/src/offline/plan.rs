//! `pointsman-controller plan`: the plans that the controller would write for a set of manifests, as YAML.

use std::io::Write;
use std::path::PathBuf;

use kube::Resource;
use pointsman_crds::{ProxySettings, ServiceProxyPlanStatus};
use pointsman_planner::model::{ServiceKey, Time};
use pointsman_planner::plan::Policy;
use serde::Serialize;

use super::manifests::{self, ManifestError};
use super::settle::Agreeing;
use crate::index::Index;
use crate::object;

/// Why no plans are printed.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The manifests cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The named Node is not among them.
    #[error("there is no Node {0} in the manifests")]
    NoSuchNode(String),
    /// A plan cannot be written as YAML.
    #[error("write {0} as YAML: {1}")]
    Yaml(String, String),
    /// The output cannot be written.
    #[error("write the plans: {0}")]
    Output(#[from] std::io::Error),
}

/// Reads `files`, plans, prints the plans to `out` and what is worth knowing to `notes`. With `node`, of all Nodes only this
/// one's plan is printed: the plans that its agent would see.
///
/// # Errors
/// If a file cannot be read or understood, or the Node is not there.
pub fn print_plans(
    files: &[PathBuf],
    node: Option<&str>,
    policy: Policy,
    settings: &ProxySettings,
    out: &mut impl Write,
    notes: &mut impl Write,
) -> Result<(), PlanError> {
    let mut index = Index::new(policy);
    for file in files {
        for kind in manifests::load(file, &mut index)? {
            writeln!(notes, "note: {}: {kind} is not used", file.display())?;
        }
    }
    if let Some(node) = node.filter(|&node| !index.nodes().contains_key(node)) {
        return Err(PlanError::NoSuchNode(node.to_owned()));
    }
    Agreeing::default().settle(&mut index, settings, Time::default());
    let keys: Vec<ServiceKey> = index.service_keys().cloned().collect();
    for key in &keys {
        explain(&index, key, notes)?;
    }
    for plan in index.node_plans().filter(|plan| node.is_none_or(|node| node == plan.name)) {
        print(&object::node_plan(&plan.name, plan.spec.clone()), out)?;
    }
    for key in &keys {
        let Some(service) = index.service(key) else { continue };
        for stored in index.plans_of(key) {
            let mut plan = object::service_plan(service, &stored.name, stored.spec.clone(), stored.trigger);
            plan.status =
                stored.refused.clone().map(|refused| ServiceProxyPlanStatus { refused: Some(refused) });
            print(&plan, out)?;
        }
    }
    Ok(())
}

/// Tells what a Service lacks, and what of it was refused.
fn explain(index: &Index, key: &ServiceKey, notes: &mut impl Write) -> std::io::Result<()> {
    let Some(service) = index.service(key) else { return Ok(()) };
    let plans = index.plans_of(key);
    if plans.is_empty() && !service.external_name {
        writeln!(
            notes,
            "note: Service {key} has no plan: it is headless, or its clusterIP is not written down"
        )?;
    }
    for refused in plans.iter().filter_map(|plan| plan.refused.as_ref()).flat_map(|list| &list.first) {
        writeln!(notes, "refused: {}: {} ({})", refused.from, refused.what, refused.reason)?;
    }
    let waiting = index.pods_of(service).into_iter().filter_map(|pod| pod.node.as_ref());
    let mut missing: Vec<&String> = waiting.filter(|node| !index.nodes().contains_key(*node)).collect();
    missing.sort();
    missing.dedup();
    for node in missing {
        writeln!(
            notes,
            "note: Pods of Service {key} run on Node {node}, which is not in the manifests: they are left out"
        )?;
    }
    Ok(())
}

fn print<K>(object: &K, out: &mut impl Write) -> Result<(), PlanError>
where
    K: Resource<DynamicType = ()> + Serialize,
{
    let name = || object.meta().name.clone().unwrap_or_default();
    let yaml = serde_saphyr::to_string(object).map_err(|error| PlanError::Yaml(name(), error.to_string()))?;
    writeln!(out, "---\n{}", yaml.trim_end())?;
    Ok(())
}
