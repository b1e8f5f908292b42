//! `pointsman-controller status`: whether every node carries its plan, as a table. It reads Nodes and their plans, and changes nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use pointsman_crds::conditions::ConditionType;
use pointsman_crds::names::LABEL_OS;
use pointsman_crds::{NodeProxyPlan, NodeProxyPlanStatus};

use crate::args::StatusArgs;
use crate::connect::{self, ConnectError};
use crate::reason;

/// How long an answer is waited for, and how long it takes to ask again.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(2);
/// The most of a message that stands in the table.
const MESSAGE_LIMIT: usize = 120;

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// There is no way to the API server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It does not answer, or refuses.
    #[error("list {0} at {1}: {2}")]
    List(&'static str, String, String),
}

/// What became of one Node's plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The Node.
    pub node: String,
    /// Whether its kernel carries its plan, of the generation that is stored.
    pub ready: bool,
    /// The mode that is active.
    pub mode: String,
    /// How many Services are in its kernel.
    pub services: String,
    /// Why it is ready or not.
    pub reason: String,
    /// The same in a sentence.
    pub message: String,
}

/// Looks until every node is ready or the time is over. Gives the last table, and whether every node was ready.
///
/// # Errors
/// If the API server cannot be asked within that time.
pub async fn status(args: &StatusArgs) -> Result<(String, bool), StatusError> {
    let (client, address) = connect::client(args.kubeconfig.as_deref(), ANSWER_LIMIT).await?;
    let until = Instant::now() + Duration::from(args.wait);
    loop {
        let found = look(&client, &address, args.selector.as_deref()).await;
        let is_last = Instant::now() + PAUSE >= until;
        match found {
            Ok(lines) if is_last || all_ready(&lines) => return Ok((table(&lines), all_ready(&lines))),
            Err(error) if is_last => return Err(error),
            Ok(_) | Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn look(client: &Client, address: &str, selector: Option<&str>) -> Result<Vec<Line>, StatusError> {
    let of_nodes =
        selector.map_or_else(ListParams::default, |selector| ListParams::default().labels(selector));
    let nodes = list::<Node>(client, "Nodes", address, &of_nodes).await?;
    let plans = list::<NodeProxyPlan>(client, "NodeProxyPlans", address, &ListParams::default()).await?;
    Ok(lines(&nodes, plans))
}

async fn list<K>(
    client: &Client,
    what: &'static str,
    address: &str,
    params: &ListParams,
) -> Result<Vec<K>, StatusError>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let failed = |why: String| StatusError::List(what, address.to_owned(), why);
    let answer = tokio::time::timeout(ANSWER_LIMIT, Api::<K>::all(client.clone()).list(params)).await;
    let list = answer.map_err(|_| failed(format!("no answer within {ANSWER_LIMIT:?}")))?;
    Ok(list.map_err(|error| failed(reason::of(&error)))?.items)
}

/// A line for each Node that runs Linux; agents run nowhere else.
pub fn lines(nodes: &[Node], plans: Vec<NodeProxyPlan>) -> Vec<Line> {
    let plans: BTreeMap<String, NodeProxyPlan> =
        plans.into_iter().map(|plan| (plan.name_any(), plan)).collect();
    let is_linux = |node: &&Node| node.labels().get(LABEL_OS).is_none_or(|os| os == "linux");
    let mut lines: Vec<Line> = nodes
        .iter()
        .filter(is_linux)
        .map(|node| line(node.name_any(), plans.get(&node.name_any())))
        .collect();
    lines.sort_by(|a, b| a.node.cmp(&b.node));
    lines
}

fn line(node: String, plan: Option<&NodeProxyPlan>) -> Line {
    let none = NodeProxyPlanStatus::default();
    let status = plan.and_then(|plan| plan.status.as_ref()).unwrap_or(&none);
    let condition =
        |kind: ConditionType| status.conditions.iter().find(|condition| condition.type_ == kind.as_str());
    let asked = plan.and_then(|plan| plan.metadata.generation);
    let (ready, reason, message) = match (plan, condition(ConditionType::Ready)) {
        (None, _) => (false, "-", "the node has no plan yet: is the controller running?".to_owned()),
        (Some(_), None) => (false, "-", "no agent has told of this node yet".to_owned()),
        (Some(_), Some(_)) if status.observed_generation != asked => {
            let asked = asked.unwrap_or_default();
            (false, "-", format!("the agent has not seen generation {asked} of the plan yet"))
        }
        (Some(_), Some(ready)) => (ready.status == "True", ready.reason.as_str(), ready.message.clone()),
    };
    let silent = condition(ConditionType::AgentAlive).filter(|alive| alive.status == "False");
    let (ready, reason, message) = match silent {
        Some(silent) => (false, silent.reason.as_str(), silent.message.clone()),
        None => (ready, reason, message),
    };
    let mode = status.mode.and_then(|mode| serde_json::to_value(mode).ok());
    Line {
        node,
        ready,
        mode: mode.as_ref().and_then(serde_json::Value::as_str).unwrap_or("-").to_owned(),
        services: status.programmed.as_ref().map_or("-".to_owned(), |done| done.services.to_string()),
        reason: reason.to_owned(),
        message: message.chars().take(MESSAGE_LIMIT).collect(),
    }
}

/// A cluster without nodes has none that is not ready, and carries nothing all the same.
fn all_ready(lines: &[Line]) -> bool {
    !lines.is_empty() && lines.iter().all(|line| line.ready)
}

/// The lines under their headings, and a sentence.
pub fn table(lines: &[Line]) -> String {
    let rows = std::iter::once(["NODE", "READY", "MODE", "SERVICES", "REASON", "MESSAGE"].map(str::to_owned))
        .chain(lines.iter().map(|line| {
            let ready = if line.ready { "True" } else { "False" };
            let Line { node, mode, services, reason, message, .. } = line.clone();
            [node, ready.to_owned(), mode, services, reason, message]
        }));
    let rows: Vec<[String; 6]> = rows.collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..5).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let padded = row.iter().zip(&widths).map(|(word, width)| format!("{word:width$}   "));
        text.extend(padded);
        text.push_str(&row[5]);
        text.push('\n');
    }
    let ready = lines.iter().filter(|line| line.ready).count();
    text + &format!("{ready} of {} nodes carry their plan\n", lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node(name: &str, os: &str) -> Node {
        serde_json::from_value(json!({"metadata": {"name": name, "labels": {"kubernetes.io/os": os}}}))
            .unwrap()
    }

    fn plan(observed: i64, conditions: &[(&str, &str, &str)]) -> NodeProxyPlan {
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(kind, status, reason)| {
                json!({"type": kind, "status": status, "reason": reason, "message": "a sentence",
                    "lastTransitionTime": "2026-03-04T05:06:07Z"})
            })
            .collect();
        serde_json::from_value(json!({
            "apiVersion": "pointsman.dev/v1alpha1", "kind": "NodeProxyPlan",
            "metadata": {"name": "north", "generation": 3}, "spec": {"node": {"uid": "1"}},
            "status": {"observedGeneration": observed, "mode": "nftables", "conditions": conditions}
        }))
        .unwrap()
    }

    #[test]
    fn a_node_is_ready_when_its_living_agent_says_so_of_the_stored_plan() {
        let ready = ("Ready", "True", "Programmed");
        let cases = [
            (Some(plan(3, &[ready])), true, "Programmed", "a sentence"),
            (
                Some(plan(3, &[ready, ("AgentAlive", "True", "HeartbeatSeen")])),
                true,
                "Programmed",
                "a sentence",
            ),
            (
                Some(plan(3, &[ready, ("AgentAlive", "False", "HeartbeatMissed")])),
                false,
                "HeartbeatMissed",
                "a sentence",
            ),
            (Some(plan(2, &[ready])), false, "-", "the agent has not seen generation 3 of the plan yet"),
            (Some(plan(3, &[("Ready", "False", "KernelRefused")])), false, "KernelRefused", "a sentence"),
            (Some(plan(3, &[])), false, "-", "no agent has told of this node yet"),
            (None, false, "-", "the node has no plan yet: is the controller running?"),
        ];
        for (plan, ready, reason, message) in cases {
            let told = lines(&[node("north", "linux")], plan.clone().into_iter().collect());
            assert_eq!(told.len(), 1);
            let found = (told[0].ready, told[0].reason.as_str(), told[0].message.as_str());
            assert_eq!(found, (ready, reason, message), "{plan:?}");
            assert_eq!(all_ready(&told), ready);
        }
    }

    #[test]
    fn nodes_without_linux_do_not_count_and_no_nodes_are_not_ready() {
        let told = lines(&[node("south", "linux"), node("far", "windows"), node("north", "linux")], vec![]);
        let names: Vec<&str> = told.iter().map(|line| line.node.as_str()).collect();
        assert_eq!(names, ["north", "south"]);
        assert!(!all_ready(&[]));
    }

    #[test]
    fn the_table_reads_well() {
        let told = lines(
            &[node("north", "linux"), node("b", "linux")],
            vec![plan(3, &[("Ready", "True", "Programmed")])],
        );
        let expected = "\
NODE    READY   MODE       SERVICES   REASON       MESSAGE
b       False   -          -          -            the node has no plan yet: is the controller running?
north   True    nftables   -          Programmed   a sentence
1 of 2 nodes carry their plan
";
        assert_eq!(table(&told), expected);
    }
}
