//! Events: what an operator sees with `kubectl describe`. Never in the way: an Event that cannot be written is logged.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter as KubeReporter};
use pointsman_crds::{ServiceRefusedList, names};
use pointsman_planner::model::ServiceKey;

/// The longest text of an Event, as the API server has it.
const NOTE_LENGTH: usize = 1000;

/// What an Event is about.
#[derive(Clone, Debug)]
pub struct Regarding(ObjectReference);

impl Regarding {
    /// A Service.
    pub fn service(key: &ServiceKey, uid: Option<&str>) -> Self {
        Self(ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Service".to_owned()),
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
            uid: uid.map(str::to_owned),
            ..ObjectReference::default()
        })
    }

    /// A Node.
    pub fn node(name: &str, uid: Option<&str>) -> Self {
        Self(ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(name.to_owned()),
            uid: uid.map(str::to_owned),
            ..ObjectReference::default()
        })
    }
}

/// Writes Events.
#[derive(Clone)]
pub struct Reporter {
    recorder: Recorder,
}

impl Reporter {
    /// Reports as the replica `identity`.
    pub fn new(client: Client, identity: &str) -> Self {
        let reporter =
            KubeReporter { controller: names::CONTROLLER.to_owned(), instance: Some(identity.to_owned()) };
        Self { recorder: Recorder::new(client, reporter) }
    }

    /// Warns that `action` met with `reason`. Does not wait for the API server.
    pub fn warn(&self, regarding: Regarding, action: &str, reason: &str, note: &str) {
        let event = Event {
            type_: EventType::Warning,
            reason: reason.to_owned(),
            note: Some(note.chars().take(NOTE_LENGTH).collect()),
            action: action.to_owned(),
            secondary: None,
        };
        let recorder = self.recorder.clone();
        tokio::spawn(async move {
            if let Err(error) = recorder.publish(&event, &regarding.0).await {
                tracing::warn!(reason = event.reason, %error, "an Event could not be written");
            }
        });
    }

    /// Tells what was refused, one Event a reason.
    pub fn refused(&self, regarding: &Regarding, refused: &ServiceRefusedList) {
        for group in refused.first.chunk_by(|a, b| a.reason == b.reason) {
            let Some(first) = group.first() else { continue };
            let entries: Vec<String> =
                group.iter().map(|one| format!("{} ({})", one.what, one.from)).collect();
            let note = format!("Not proxied: {}", entries.join("; "));
            self.warn(regarding.clone(), "Plan", &first.reason, &note);
        }
    }
}
