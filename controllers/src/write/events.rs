//! Events: what an operator sees with `kubectl describe`. Never in the way: an Event that cannot be written is logged.

use std::collections::BTreeMap;

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
        for (reason, note) in notes(refused) {
            self.warn(regarding.clone(), "Plan", reason, &note);
        }
    }
}

/// What was refused, by reason.
fn notes(refused: &ServiceRefusedList) -> BTreeMap<&str, String> {
    let mut notes: BTreeMap<&str, String> = BTreeMap::new();
    for one in &refused.first {
        let note = notes.entry(&one.reason).or_default();
        note.push_str(if note.is_empty() { "Not proxied: " } else { "; " });
        note.push_str(&format!("{} ({})", one.what, one.from));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_crds::ServiceRefused;

    #[test]
    fn there_is_one_event_a_reason_whatever_the_order_of_entries() {
        let one = |what: &str, reason: &str| ServiceRefused {
            what: what.to_owned(),
            reason: reason.to_owned(),
            from: "s".to_owned(),
        };
        let first = vec![one("1", "A"), one("2", "B"), one("3", "A")];
        let refused = ServiceRefusedList { count: 3, first };
        let found = notes(&refused);
        let expected = [("A", "Not proxied: 1 (s); 3 (s)"), ("B", "Not proxied: 2 (s)")];
        assert_eq!(found, expected.map(|(reason, note)| (reason, note.to_owned())).into());
    }
}
