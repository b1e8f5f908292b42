//! ServiceProxyPlans: the writes of one Service, in their order. The first that fails ends them.

use std::sync::Arc;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, Patch};
use pointsman_crds::names::{ANNOTATION_TRIGGER_TIME, LABEL_SERVICE};
use pointsman_crds::{ServiceProxyPlan, ServiceProxyPlanSpec, ServiceProxyPlanStatus};
use pointsman_planner::model::{Service, ServiceKey, Slice, Time};
use serde_json::{Value, json};

use super::{Ack, Batch, Class, Regarding, WriteError, Writer, item, merge, patch, post};
use crate::index::{self, Item, StoredPlan};
use crate::metrics::Operation;
use crate::next::PlanWrite;
use crate::object;

const KIND: &str = "ServiceProxyPlan";

impl Writer {
    /// Makes the writes of a Service that exists.
    pub async fn plans(&self, service: &Service, writes: Vec<PlanWrite>) -> Batch {
        let mut batch = Batch { acks: Vec::new(), taken: None, result: Ok(()) };
        let api: Api<ServiceProxyPlan> = Api::namespaced(self.client.clone(), &service.key.namespace);
        for write in writes {
            match self.plan(&api, service, write).await {
                Ok(ack) => batch.acks.push(ack),
                Err(error) => {
                    batch.result = Err(error);
                    break;
                }
            }
        }
        batch
    }

    /// Deletes what an absent Service has left behind, once the API server says that it is absent.
    pub async fn leftovers(
        &self,
        key: &ServiceKey,
        plans: Vec<Arc<StoredPlan>>,
        slices: Vec<Arc<Slice>>,
    ) -> Batch {
        let mut batch = Batch { acks: Vec::new(), taken: None, result: Ok(()) };
        batch.result = self.delete_leftovers(key, plans, slices, &mut batch.acks).await;
        batch
    }

    async fn delete_leftovers(
        &self,
        key: &ServiceKey,
        plans: Vec<Arc<StoredPlan>>,
        slices: Vec<Arc<Slice>>,
        acks: &mut Vec<Ack>,
    ) -> Result<(), WriteError> {
        if !self.is_gone(key).await? {
            return Err(WriteError::Returned { name: key.to_string() });
        }
        let api: Api<ServiceProxyPlan> = Api::namespaced(self.client.clone(), &key.namespace);
        for stored in plans {
            acks.push(self.delete_plan(&api, &key.namespace, &stored).await?);
        }
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &key.namespace);
        for stored in slices {
            acks.push(self.delete_slice(&api, key.namespace.clone(), &stored).await?);
        }
        Ok(())
    }

    async fn plan(
        &self,
        api: &Api<ServiceProxyPlan>,
        service: &Service,
        write: PlanWrite,
    ) -> Result<Ack, WriteError> {
        match write {
            PlanWrite::Create { name, spec, trigger } => {
                let plan = object::service_plan(service, &name, *spec, trigger);
                match self.request(Operation::Create, KIND, &name, api.create(&post(), &plan)).await {
                    // Somebody made it before us: from now on it is known, and brought into form.
                    Err(error) if error.class() == Class::Taken => {
                        let found = self.request(Operation::Get, KIND, &name, api.get(&name)).await?;
                        Ok(Ack::Plan(item(found)))
                    }
                    answer => compare(&plan.spec, answer?),
                }
            }
            PlanWrite::Update { stored, spec, trigger } => {
                let body = update(service, &stored, &spec, trigger);
                let params = patch();
                let request = api.patch(&stored.name, &params, &body);
                compare(&spec, self.request(Operation::Update, KIND, &stored.name, request).await?)
            }
            PlanWrite::Status { stored, refused, winners } => {
                let body = Patch::Merge(json!({
                    "metadata": precondition(&stored),
                    "status": ServiceProxyPlanStatus { refused: refused.clone() },
                }));
                let body = if refused.is_some() { body } else { without_refusals(&stored) };
                let params = patch();
                let request = api.patch_status(&stored.name, &params, &body);
                let answer = self.request(Operation::Status, KIND, &stored.name, request).await?;
                if let Some(refused) = &refused {
                    self.reporter.refused(&Regarding::service(&service.key, Some(&service.uid)), refused);
                }
                for winner in winners {
                    let note = format!(
                        "Service {} claims an address or node port of this Service, and is refused it",
                        service.key
                    );
                    let regarding = Regarding::service(&winner.key, Some(&winner.uid));
                    self.reporter.warn(regarding, "Plan", "FrontendConflict", &note);
                }
                let answer: Item<StoredPlan> = item(answer);
                match answer.value.as_ref().is_some_and(|stored| stored.refused == refused) {
                    true => Ok(Ack::Plan(answer)),
                    false => Err(WriteError::Altered { kind: KIND, name: answer.key.1 }),
                }
            }
            PlanWrite::Delete { stored } => self.delete_plan(api, &service.key.namespace, &stored).await,
        }
    }

    async fn delete_plan(
        &self,
        api: &Api<ServiceProxyPlan>,
        namespace: &str,
        stored: &StoredPlan,
    ) -> Result<Ack, WriteError> {
        self.delete(api, KIND, &stored.name, &stored.uid, &stored.resource_version).await?;
        Ok(Ack::PlanDeleted((namespace.to_owned(), stored.name.clone()), stored.uid.clone()))
    }
}

fn precondition(stored: &StoredPlan) -> Value {
    json!({"uid": stored.uid, "resourceVersion": stored.resource_version})
}

fn without_refusals(stored: &StoredPlan) -> Patch<Value> {
    Patch::Merge(json!({"metadata": precondition(stored), "status": {"refused": null}}))
}

fn update(
    service: &Service,
    stored: &StoredPlan,
    spec: &ServiceProxyPlanSpec,
    trigger: Option<Time>,
) -> Patch<Value> {
    let mut metadata = precondition(stored);
    if let Value::Object(fields) = &mut metadata {
        fields.insert("labels".to_owned(), json!({LABEL_SERVICE: service.key.name}));
        fields
            .insert("annotations".to_owned(), json!({ANNOTATION_TRIGGER_TIME: trigger.map(index::rfc3339)}));
        fields.insert("ownerReferences".to_owned(), json!([object::owned_by_service(service)]));
    }
    Patch::Merge(json!({"metadata": metadata, "spec": merge::diff_of(&stored.spec, spec)}))
}

fn compare(written: &ServiceProxyPlanSpec, answer: ServiceProxyPlan) -> Result<Ack, WriteError> {
    let stored: Item<StoredPlan> = item(answer);
    match stored.value.as_ref().is_some_and(|stored| stored.spec == *written) {
        true => Ok(Ack::Plan(stored)),
        false => Err(WriteError::Altered { kind: KIND, name: stored.key.1 }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::mandate::mandate;
    use crate::metrics::Metrics;
    use crate::next::SliceWrites;
    use crate::write::Reporter;
    use axum::Router;
    use axum::routing::{get, post as post_to};
    use kube::{Client, Config};
    use pointsman_crds::IpFamily;
    use pointsman_crds::names::LABEL_SLICE_SERVICE;
    use pointsman_planner::model::SliceContent;
    use pointsman_planner::slice::SliceWrite;

    /// A writer to an API server that knows the Service shop/web, and nothing else.
    async fn writer() -> Writer {
        let found = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": "web"}});
        let path = "/api/v1/namespaces/shop/services/web";
        writer_to(Router::new().route(path, get(move || async move { found.to_string() }))).await
    }

    async fn writer_to(router: Router) -> Writer {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let client = Client::try_from(Config::new(address.parse().unwrap())).unwrap();
        let (grantor, mandate) = mandate();
        grantor.grant_until(Duration::MAX);
        Writer::new(client.clone(), mandate, Reporter::new(client, "test"), Arc::new(Metrics::new().0))
    }

    #[tokio::test]
    async fn what_a_service_left_behind_stays_if_it_is_there_again_and_is_looked_at_later() {
        let batch = writer().await.leftovers(&ServiceKey::new("shop", "web"), Vec::new(), Vec::new()).await;
        assert!(batch.acks.is_empty(), "{batch:?}");
        // As a success it would be looked at again at once, and ask again and again until the watch has the news.
        assert_eq!(batch.result.unwrap_err().class(), Class::Stale);
    }

    #[tokio::test]
    async fn nothing_is_sent_once_the_mandate_is_over() {
        let mut writer = writer().await;
        let shop = ServiceKey::new("shop", "web");
        writer.is_gone(&shop).await.unwrap();
        let (grantor, over) = mandate();
        grantor.grant_until(Duration::from_nanos(1));
        writer.mandate = over;
        let error = writer.is_gone(&shop).await.unwrap_err();
        assert_eq!(error.to_string(), "get Service shop/web: not sent, this replica no longer leads");
        assert_eq!(
            error.class(),
            Class::Stale,
            "the next leader looks at everything: nobody need hear of it"
        );
    }

    #[tokio::test]
    async fn slices_that_are_stored_otherwise_are_acknowledged_and_the_next_are_written() {
        // It labels whatever it is given.
        let label = |body: String| async move {
            let mut slice: Value = serde_json::from_str(&body).unwrap();
            slice["metadata"]["labels"]["cost-centre"] = json!("x");
            slice.to_string()
        };
        let path = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices";
        let writer = writer_to(Router::new().route(path, post_to(label))).await;
        let service = Service { key: ServiceKey::new("shop", "web"), ..Service::default() };
        let content = SliceContent {
            family: IpFamily::IPv4,
            labels: [(LABEL_SLICE_SERVICE.to_owned(), "web".to_owned())].into(),
            trigger: None,
            ports: Vec::new(),
            endpoints: Vec::new(),
        };
        let create = |name: &str| SliceWrite::Create { name: name.to_owned(), content: content.clone() };
        let writes = vec![create("web-a"), create("web-b")];
        let batch = writer.slices(SliceWrites { service: Arc::new(service), writes }).await;
        assert_eq!(batch.acks.len(), 2, "{batch:?}");
        assert_eq!(batch.result.unwrap_err().class(), Class::Altered);
    }
}
