//! Campaigns against an API server that knows one Lease, and is slow or silent when it is told to be. It looks at mandates and the Lease.

use std::sync::{Arc, Mutex};

use super::*;
use crate::mandate::{Mandate, mandate};
use axum::http::{Method, StatusCode};
use axum::{Router, routing::any};
use kube::Config;
use serde_json::{Value, json};

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/home/leases";

/// What is stored, for several API servers.
type Stored = Arc<Mutex<Value>>;

/// An API server that takes that long for each answer.
async fn apiserver(stored: &Stored, latency: Duration) -> Client {
    server(stored, latency, watch::channel(false).1).await
}

/// One that gives no answer any more once it is silent.
async fn server(stored: &Stored, latency: Duration, silent: watch::Receiver<bool>) -> Client {
    let state = Arc::clone(stored);
    let answer = any(move |method: Method, body: String| {
        let (state, silent) = (Arc::clone(&state), silent.clone());
        async move {
            tokio::time::sleep(latency / 2).await;
            if *silent.borrow() {
                std::future::pending::<()>().await;
            }
            let (code, answer) = answer(&mut state.lock().unwrap(), &method, &body);
            tokio::time::sleep(latency / 2).await;
            (code, answer.to_string())
        }
    });
    let router = Router::new().route(PATH, answer.clone()).route(&format!("{PATH}/lead"), answer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut config = Config::new(address.parse().unwrap());
    config.read_timeout = Some(ANSWER_LIMIT);
    Client::try_from(config).unwrap()
}

/// As the real one: a write must name the version that is stored.
fn answer(stored: &mut Value, method: &Method, body: &str) -> (StatusCode, Value) {
    let refusal = |code: StatusCode, reason: &str| {
        (code, json!({"kind": "Status", "status": "Failure", "code": code.as_u16(), "reason": reason}))
    };
    let version = stored["metadata"]["resourceVersion"].clone();
    match method.as_str() {
        "GET" if stored.is_null() => return refusal(StatusCode::NOT_FOUND, "NotFound"),
        "GET" => return (StatusCode::OK, stored.clone()),
        "POST" if stored.is_null() => {}
        "PUT" if !stored.is_null() => {}
        _ => return refusal(StatusCode::CONFLICT, "Conflict"),
    }
    let mut written: Value = serde_json::from_str(body).unwrap();
    if written["metadata"]["resourceVersion"] != version {
        return refusal(StatusCode::CONFLICT, "Conflict");
    }
    let next = version.as_str().map_or(1, |version| version.parse::<u32>().unwrap() + 1);
    written["metadata"]["resourceVersion"] = json!(next.to_string());
    *stored = written.clone();
    (StatusCode::OK, written)
}

/// A campaign that runs: its mandate, and how to stop and await it.
fn start(identity: &str, client: Client) -> (Mandate, impl AsyncFnOnce()) {
    let (grantor, mandate) = mandate();
    let (stop, stopped) = watch::channel(false);
    let candidate =
        Candidate { namespace: "home".to_owned(), name: "lead".to_owned(), identity: identity.to_owned() };
    let campaign = tokio::spawn(campaign(client, candidate, grantor, stopped));
    let end = async move || {
        stop.send_replace(true);
        campaign.await.unwrap();
    };
    (mandate, end)
}

async fn is_granted_within(mandate: &mut Mandate, limit: Duration) -> bool {
    let granted = async {
        while !mandate.is_granted() {
            mandate.changed().await;
        }
    };
    tokio::time::timeout(limit, granted).await.is_ok()
}

async fn ended(mandate: &mut Mandate) {
    while mandate.is_granted() {
        mandate.changed().await;
    }
}

#[tokio::test]
async fn an_api_server_that_is_slow_has_a_leader_who_lets_go_at_the_end() {
    let free = json!({"metadata": {"name": "lead", "resourceVersion": "7"}, "spec": {"leaseTransitions": 4}});
    for lease in [Value::Null, free] {
        let was = lease["spec"]["leaseTransitions"].as_i64().unwrap_or(0);
        let stored = Arc::new(Mutex::new(lease));
        let (mut mandate, end) = start("we", apiserver(&stored, Duration::from_secs(1)).await);
        assert!(is_granted_within(&mut mandate, Duration::from_secs(4)).await, "a look and a write");
        assert!(mandate.holds());
        assert_eq!(stored.lock().unwrap()["spec"]["holderIdentity"], "we");
        end().await;
        assert!(!mandate.holds());
        assert_eq!(stored.lock().unwrap()["spec"], json!({"leaseTransitions": was + 1}));
    }
}

#[tokio::test]
async fn who_finds_another_in_the_lease_leads_no_longer_and_leaves_it_alone() {
    let stored = Stored::default();
    let (mut mandate, end) = start("we", apiserver(&stored, Duration::ZERO).await);
    assert!(is_granted_within(&mut mandate, Duration::from_secs(4)).await);
    let usurped = json!({"metadata": {"name": "lead", "resourceVersion": "70"},
        "spec": {"holderIdentity": "x", "leaseDurationSeconds": 10}});
    *stored.lock().unwrap() = usurped.clone();
    // A renewal that is refused, and a look.
    tokio::time::timeout(RENEWAL + 4 * LOOK, ended(&mut mandate)).await.unwrap();
    end().await;
    assert_eq!(*stored.lock().unwrap(), usurped);
}

#[tokio::test]
async fn a_leader_that_gets_no_answer_has_ended_for_a_while_before_its_successor_begins() {
    let stored = Stored::default();
    let (silence, silent) = watch::channel(false);
    let (mut first, _runs) = start("first", server(&stored, Duration::ZERO, silent).await);
    assert!(is_granted_within(&mut first, Duration::from_secs(4)).await);
    let (mut second, end) = start("second", apiserver(&stored, Duration::ZERO).await);
    // Through several renewals.
    assert!(!is_granted_within(&mut second, 3 * RENEWAL).await);
    assert!(first.holds());
    silence.send_replace(true);
    let silent_since = since_boot();
    ended(&mut first).await;
    let ended = since_boot();
    assert!(ended - silent_since > Duration::from_millis(5500), "one answer that is missing ends nothing");
    assert!(
        is_granted_within(&mut second, Duration::from_secs(4)).await,
        "the successor does not wait much longer"
    );
    let pause = since_boot() - ended;
    assert!(pause > Duration::from_millis(1500), "{pause:?} between them");
    assert!(!first.holds() && second.holds());
    end().await;
}
