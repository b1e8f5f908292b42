//! EndpointSlices: the writes of one Service, in their order. The first that fails ends them; one that is stored, but not as it
//! was written, does not.

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, Patch};
use pointsman_crds::names::{ANNOTATION_ENDPOINTS_TRIGGER_TIME, LABEL_SLICE_SERVICE};
use pointsman_planner::model::{Service, Slice, SliceContent};
use pointsman_planner::slice::SliceWrite;
use serde_json::json;

use super::{Ack, Batch, Class, WriteError, Writer, item, merge, patch, post};
use crate::index::{self, Item};
use crate::metrics::Operation;
use crate::next::SliceWrites;
use crate::object;

const KIND: &str = "EndpointSlice";

impl Writer {
    /// Makes the writes.
    pub async fn slices(&self, work: SliceWrites) -> Batch {
        let mut batch = Batch { acks: Vec::new(), taken: None, result: Ok(()) };
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &work.service.key.namespace);
        for write in work.writes {
            match self.slice(&api, &work.service, write, &mut batch).await {
                Ok(()) => {}
                // Else the slices after it would never be written.
                Err(error) if error.class() == Class::Altered => batch.result = Err(error),
                Err(error) => {
                    batch.result = Err(error);
                    break;
                }
            }
        }
        batch
    }

    async fn slice(
        &self,
        api: &Api<EndpointSlice>,
        service: &Service,
        write: SliceWrite,
        batch: &mut Batch,
    ) -> Result<(), WriteError> {
        match write {
            SliceWrite::Create { name, content } => {
                let slice = object::slice(service, &name, &content);
                match self.request(Operation::Create, KIND, &name, api.create(&post(), &slice)).await {
                    Ok(answer) => take(&content, answer, &mut batch.acks),
                    Err(error) if error.class() == Class::Taken => {
                        let found = self.look_at(api, service, &name, &mut batch.taken).await?;
                        batch.acks.extend(found);
                        Ok(())
                    }
                    Err(error) => Err(error),
                }
            }
            SliceWrite::Update { stored, content } => {
                let body = update(service, &stored, &content);
                let params = patch();
                let request = api.patch(&stored.name, &params, &body);
                let answer = self.request(Operation::Update, KIND, &stored.name, request).await?;
                take(&content, answer, &mut batch.acks)
            }
            SliceWrite::Delete { stored } => {
                batch.acks.push(self.delete_slice(api, service.key.namespace.clone(), &stored).await?);
                Ok(())
            }
        }
    }

    /// Deletes a slice of ours.
    pub(super) async fn delete_slice(
        &self,
        api: &Api<EndpointSlice>,
        namespace: String,
        stored: &Slice,
    ) -> Result<Ack, WriteError> {
        self.delete(api, KIND, &stored.name, &stored.uid, &stored.resource_version).await?;
        Ok(Ack::SliceDeleted((namespace, stored.name.clone()), stored.uid.clone()))
    }

    /// The name is taken: by a slice of ours that the watch has not shown yet, or by somebody else's.
    async fn look_at(
        &self,
        api: &Api<EndpointSlice>,
        service: &Service,
        name: &str,
        taken: &mut Option<String>,
    ) -> Result<Option<Ack>, WriteError> {
        let Some(found) = self.request(Operation::Get, KIND, name, api.get_opt(name)).await? else {
            return Ok(None);
        };
        let found: Item<Slice> = item(found);
        let is_ours = |slice: &Slice| {
            slice.is_ours() && slice.content.labels.get(LABEL_SLICE_SERVICE) == Some(&service.key.name)
        };
        if found.value.as_ref().is_some_and(is_ours) {
            return Ok(Some(Ack::Slice(found)));
        }
        *taken = Some(name.to_owned());
        Ok(None)
    }
}

fn update(service: &Service, stored: &Slice, content: &SliceContent) -> Patch<serde_json::Value> {
    Patch::Merge(json!({
        "metadata": {
            "uid": stored.uid,
            "resourceVersion": stored.resource_version,
            "labels": merge::diff_of(&stored.content.labels, &content.labels),
            "annotations": {ANNOTATION_ENDPOINTS_TRIGGER_TIME: content.trigger.map(index::rfc3339)},
            "ownerReferences": [object::owned_by_service(service)],
        },
        "ports": content.ports.iter().map(index::port).collect::<Vec<_>>(),
        "endpoints": content.endpoints.iter().map(index::endpoint).collect::<Vec<_>>(),
    }))
}

/// What is stored is what counts, also where it differs from what was written.
fn take(written: &SliceContent, answer: EndpointSlice, acks: &mut Vec<Ack>) -> Result<(), WriteError> {
    let stored: Item<Slice> = item(answer);
    let same = stored.value.as_ref().is_some_and(|stored| {
        !stored.altered
            && stored.content.labels == written.labels
            && stored.content.ports == written.ports
            && stored.content.endpoints == written.endpoints
    });
    let name = stored.key.1.clone();
    acks.push(Ack::Slice(stored));
    if same { Ok(()) } else { Err(WriteError::Altered { kind: KIND, name }) }
}
