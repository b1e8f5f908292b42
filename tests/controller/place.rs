//! A namespace of one trial: what it puts there, and what the controller is expected to make of it. It waits, and compares.

use std::collections::BTreeMap;
use std::fmt::Debug;

use anyhow::{Context, Result, ensure};
use pointsman_tests::audit::{Mark, Record};
use pointsman_tests::wait;
use serde_json::{Value, json};

use crate::objects::{self, Pod};
use crate::request::{create, delete, get, merge};
use crate::text::{self, list};
use crate::world::{LIMIT, World};

/// A namespace.
pub struct Place<'w> {
    /// Its cluster.
    pub world: &'w World,
    /// Its name.
    pub name: String,
}

impl<'w> Place<'w> {
    /// Makes it.
    pub fn create(world: &'w World, name: &str) -> Result<Self> {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        world.must(&create("/api/v1/namespaces", object))?;
        Ok(Self { world, name: name.to_owned() })
    }

    /// Makes an object of a kind, by its short word.
    pub fn add(&self, kind: &str, object: Value) -> Result<Value> {
        self.world.must(&create(&format!("{kind}@{}", self.name), object))
    }

    /// Makes a Service; see [`objects::service`].
    pub fn service(&self, name: &str, spec: &Value) -> Result<Value> {
        self.add("service", objects::service(name, spec))
    }

    /// Makes Pods.
    pub fn pods(&self, pods: &[Pod]) -> Result<()> {
        self.world.many(pods.iter().map(|pod| pod.requests(&self.name)).collect())
    }

    /// Reports what has become of a Pod.
    pub fn report(&self, pod: &Pod) -> Result<()> {
        self.patch("pod", &format!("{}/status", pod.name()), pod.status())
    }

    /// Removes Pods for good, as their kubelets would.
    pub fn end(&self, pods: &[Pod]) -> Result<()> {
        let end = |pod: &Pod| vec![delete(&format!("pod@{}/{}?gracePeriodSeconds=0", self.name, pod.name()))];
        self.world.many(pods.iter().map(end).collect())
    }

    /// Reads an object.
    pub fn get(&self, kind: &str, name: &str) -> Result<Value> {
        self.world.must(&get(&format!("{kind}@{}/{name}", self.name)))
    }

    /// Patches an object.
    pub fn patch(&self, kind: &str, name: &str, patch: Value) -> Result<()> {
        self.world.must(&merge(&format!("{kind}@{}/{name}", self.name), patch)).map(drop)
    }

    /// Deletes an object.
    pub fn delete(&self, kind: &str, name: &str) -> Result<()> {
        self.world.must(&delete(&format!("{kind}@{}/{name}", self.name))).map(drop)
    }

    /// The slices of a Service, in order of name.
    pub fn slices(&self, service: &str) -> Result<Vec<Value>> {
        let selector = format!("kubernetes.io%2Fservice-name%3D{service}");
        let found = self.world.must(&get(&format!("slice@{}?labelSelector={selector}", self.name)))?;
        Ok(list(&found["items"]).cloned().collect())
    }

    /// The name of the only slice of a Service.
    pub fn only_slice(&self, service: &str) -> Result<String> {
        let slices = self.slices(service)?;
        ensure!(slices.len() == 1, "one slice of {service}, not {}", slices.len());
        Ok(text::text(&slices[0]["metadata"]["name"]).to_owned())
    }

    /// All plans and shards, by name.
    pub fn plans(&self) -> Result<BTreeMap<String, Value>> {
        let found = self.world.must(&get(&format!("spp@{}", self.name)))?;
        let named = |plan: &Value| (text::text(&plan["metadata"]["name"]).to_owned(), plan.clone());
        Ok(list(&found["items"]).map(named).collect())
    }

    /// Waits until the slices of a Service are these, in any order.
    pub fn expect_slices(&self, service: &str, expected: &[&str]) -> Result<()> {
        let mut expected: Vec<String> = expected.iter().map(|&line| line.to_owned()).collect();
        expected.sort();
        eventually(&format!("the slices of {service}"), &expected, || {
            let mut found: Vec<String> = self.slices(service)?.iter().map(text::slice).collect();
            found.sort();
            Ok(found)
        })
    }

    /// Waits until the plan of a Service leads to these groups, or is not there.
    pub fn expect_plan(&self, service: &str, expected: Option<&[&str]>) -> Result<()> {
        let expected: Option<Vec<String>> =
            expected.map(|lines| lines.iter().map(|&line| line.to_owned()).collect());
        eventually(&format!("the plan of {service}"), &expected, || {
            Ok(self.plans()?.get(service).map(text::plan))
        })
    }

    /// Waits until the controller has nothing to write here.
    pub fn silence(&self) -> Result<()> {
        self.world.silence(|record| record.namespace == self.name)
    }

    /// What the controller tried to write here since then, once it has nothing more to write. Events are not counted.
    pub fn records_since(&self, mark: Mark) -> Result<Vec<Record>> {
        self.silence()?;
        let mut records = self.world.writes_since(mark)?;
        records.retain(|record| record.namespace == self.name && record.resource != "events");
        Ok(records)
    }

    /// The same as lines without the namespace, in order.
    pub fn writes_since(&self, mark: Mark) -> Result<Vec<String>> {
        let prefix = format!("{}/", self.name);
        Ok(self.records_since(mark)?.iter().map(|record| text::write(record).replace(&prefix, "")).collect())
    }

    /// Sees that exactly this was written since then.
    pub fn expect_writes(&self, mark: Mark, expected: &[String]) -> Result<()> {
        let found = self.writes_since(mark)?;
        ensure!(found == expected, "written was {found:#?}, expected {expected:#?}");
        Ok(())
    }

    /// Waits for an Event about an object here, and gives its text.
    pub fn event(&self, about: &str, reason: &str) -> Result<String> {
        wait::for_value(&format!("an Event {reason} about {about}"), LIMIT, || {
            let events = self.world.must(&get(&format!("event@{}", self.name)))?;
            let it = list(&events["items"]).find(|event| {
                event["reason"] == reason
                    && event["regarding"]["name"] == about
                    && event["reportingController"] == "pointsman-controller"
            });
            Ok(it.map(|event| text::text(&event["note"]).to_owned()))
        })
    }
}

/// Looks until it sees what is expected; an error shows the last look.
pub fn eventually<T: PartialEq + Debug>(
    what: &str,
    expected: &T,
    mut look: impl FnMut() -> Result<T>,
) -> Result<()> {
    let mut last = None;
    let waited = wait::until(what, LIMIT, || {
        let now = look()?;
        let is_there = now == *expected;
        last = Some(now);
        Ok(is_there)
    });
    waited.with_context(|| format!("{what}: expected {expected:#?}, found {last:#?}"))
}
