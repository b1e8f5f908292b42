//! The way to the API server: finds it, and waits until it answers. Reads nothing of the cluster and writes nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tokio::sync::watch;

use crate::health::Health;
use crate::reason;

/// How long an answer is waited for, and how long after a failure it is tried again.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(1);

/// A host that swallows packets must not hold up an attempt for ever.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection on which nothing comes for so long is dead: the API server sends a bookmark on every quiet watch about once a minute.
/// Without this a watch would be silent for ever when somebody in between forgets the connection.
pub const WATCH_SILENCE: Duration = Duration::from_secs(75);

/// Why there is no way to the API server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig cannot be used.
    #[error("read the kubeconfig {0}: {1}")]
    Kubeconfig(String, String),
    /// Nothing says where it is.
    #[error("find the API server: {0}; give --kubeconfig, or run in a Pod with a ServiceAccount token")]
    NoCluster(kube::config::InClusterError),
    /// Its address or our credentials cannot be used.
    #[error("connect to the API server: {}", reason::of(.0))]
    Unusable(Box<kube::Error>),
}

/// A client of the API server, and the server's address. Does not talk to it yet. A connection on which nothing comes for `silence`
/// is given up.
///
/// # Errors
/// If the kubeconfig or the Pod's environment cannot be used.
pub async fn client(kubeconfig: Option<&Path>, silence: Duration) -> Result<(Client, String), ConnectError> {
    let mut config = match kubeconfig {
        Some(path) => {
            let unusable =
                |error| ConnectError::Kubeconfig(path.display().to_string(), without_content(&error));
            let kubeconfig = Kubeconfig::read_from(path).map_err(unusable)?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                .await
                .map_err(unusable)?
        }
        None => Config::incluster().map_err(ConnectError::NoCluster)?,
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(silence);
    config.reset_reader_on_write = true;
    let address = config.cluster_url.to_string();
    let client = Client::try_from(config).map_err(|error| ConnectError::Unusable(Box::new(error)))?;
    Ok((client, address))
}

/// What is wrong with a kubeconfig, without a word of it: the parser's own text quotes the lines around the place, and tokens stand there.
fn without_content(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(error) => match error.location() {
            Some(place) => format!("malformed at line {}, column {}", place.line(), place.column()),
            None => "malformed".to_owned(),
        },
        other => other.to_string(),
    }
}

/// Waits until the API server answers, and says in `health` why it does not. Who ended instead would be started again after
/// longer and longer pauses, and be late when the API server is back.
pub async fn wait(client: &Client, address: &str, health: &watch::Sender<Health>) {
    let mut told = String::new();
    loop {
        let problem = match tokio::time::timeout(ANSWER_LIMIT, client.apiserver_version()).await {
            Ok(Ok(version)) => {
                tracing::info!(address, version = version.git_version, "the API server answers");
                return;
            }
            Ok(Err(error)) => reason::of(&error),
            Err(_) => format!("no answer within {ANSWER_LIMIT:?}"),
        };
        let problem = format!("the API server at {address} is waited for: {problem}");
        if problem != told {
            tracing::warn!("{problem}");
            told.clone_from(&problem);
        }
        health.send_modify(|health| {
            health.alive = Instant::now();
            health.stalled = Some(problem);
        });
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, routing::get};
    use serde_json::json;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn an_api_server_that_is_away_is_waited_for_and_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let client = Client::try_from(Config::new(address.parse().unwrap())).unwrap();
        let (health, healthy) = watch::channel(Health::starting());
        let mut seen = healthy.clone();
        let waiting = tokio::spawn(async move { wait(&client, &address, &health).await });

        // The first who calls is turned away.
        drop(listener.accept().await.unwrap());
        seen.changed().await.unwrap();
        let told = seen.borrow_and_update().ready().unwrap_err();
        assert!(
            told.starts_with("stalled: the API server at http://127.0.0.1:")
                && told.contains(" is waited for: "),
            "{told}"
        );
        assert!(!waiting.is_finished());

        let info = json!({"major": "1", "minor": "37", "gitVersion": "v1.37.1", "gitCommit": "", "gitTreeState": "",
            "buildDate": "", "goVersion": "", "compiler": "", "platform": ""});
        let router = Router::new().route("/version", get(move || async move { info.to_string() }));
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap().unwrap();
        server.abort();
    }

    #[test]
    fn a_malformed_kubeconfig_is_told_of_and_not_quoted() {
        let cases = [
            ("users: [{name: a, user: {token: SECRET}}\nclusters: 3\n", "malformed at line 2, column 9"),
            ("users:\n- name: a\n  user: {token: [SECRET]}\n", "malformed at line 3, column 17"),
            ("users:\n- name: a\n  user: SECRET\n", "malformed at line 3, column 9"),
            ("users: SECRET\n", "malformed at line 1, column 8"),
        ];
        for (text, expected) in cases {
            assert_eq!(without_content(&Kubeconfig::from_yaml(text).unwrap_err()), expected, "{text}");
        }
    }
}
