//! The way to the API server: the client, and one whole plan read at once for the commands that only look.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Client, Config};
use pointsman_crds::NodeProxyPlan;

use crate::args::PlanArgs;
use crate::chain;
use crate::feed::assemble::Assembler;
use crate::feed::directory::Directory;
use crate::feed::document;
use crate::feed::record::PlanRecord;
use crate::plan::{NodePlan, Plan, Services};

/// A host that swallows packets must not hold up an attempt for ever.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection on which nothing comes for so long is dead: the API server sends a bookmark on every quiet watch about once a
/// minute. Without this a plan would be as old as TCP is patient when a load balancer in between forgets the connection.
const SILENCE: Duration = Duration::from_secs(75);

/// Why there is no way, or no plan at its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kubeconfig.
    #[error("cannot use the kubeconfig {}: {why}", path.display())]
    Kubeconfig {
        /// Which file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// Neither file nor Pod.
    #[error("no plans to read: give --plan-dir or --kubeconfig, or run in a Pod of the cluster ({0})")]
    Nowhere(String),
    /// The client could not be made.
    #[error("cannot make a client of the API server: {0}")]
    Client(String),
    /// The node's name is not known.
    #[error("which node? Give --node-name, or set NODE_NAME")]
    NoNode,
    /// A request failed.
    #[error("cannot read {what}: {why}")]
    Request {
        /// What was asked for.
        what: String,
        /// Why there is no answer.
        why: String,
    },
    /// The plans there are not whole.
    #[error("the plan is not whole yet: {0}")]
    Incomplete(String),
    /// The plan directory.
    #[error(transparent)]
    Directory(#[from] document::Error),
}

/// A client for the kubeconfig, or for the Pod's own cluster, and the API server's address.
///
/// # Errors
/// Says what is wrong with the configuration; the API server is not asked for anything.
pub async fn client(kubeconfig: Option<&Path>) -> Result<(Client, String), Error> {
    let mut config = match kubeconfig {
        Some(path) => {
            let unusable = |error| Error::Kubeconfig { path: path.to_owned(), why: without_content(&error) };
            let file = Kubeconfig::read_from(path).map_err(unusable)?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(unusable)?
        }
        None => Config::incluster_env().map_err(|error| Error::Nowhere(chain(&error)))?,
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    let address = config.cluster_url.to_string();
    let client = Client::try_from(config).map_err(|error| Error::Client(chain(&error)))?;
    Ok((client, address))
}

/// What is wrong with a kubeconfig, without a word of it: the parser's own text quotes the lines around the place, and tokens stand there.
fn without_content(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(error) => match error.location() {
            Some(place) => format!("malformed at line {}, column {}", place.line(), place.column()),
            None => "malformed".to_owned(),
        },
        other => chain(other),
    }
}

/// The whole plan as it is now.
///
/// # Errors
/// Says what cannot be read, or what is missing.
pub async fn plan(args: &PlanArgs) -> Result<Plan, Error> {
    if let Some(directory) = &args.plan_dir {
        return Ok(Directory::new(directory, args.node.as_deref()).load()?);
    }
    let (client, _) = client(args.kubeconfig.as_deref()).await?;
    let name = args.node.as_deref().ok_or(Error::NoNode)?;
    let failed = |what: String| move |error: kube::Error| Error::Request { what, why: why(&error) };
    let nodes: Api<NodeProxyPlan> = Api::all(client.clone());
    let node = nodes.get(name).await.map_err(failed(format!("NodeProxyPlan {name}")))?;
    let node = Arc::new(NodePlan::new(node));
    let mut assembler = Assembler::new(node.spec.settings.proxy_name.as_deref().unwrap_or_default());
    assembler.list_begins();
    let services: Api<PlanRecord> = Api::all(client);
    let mut page = ListParams::default().limit(1000);
    loop {
        let list = services.list(&page).await.map_err(failed("ServiceProxyPlans".to_owned()))?;
        list.items.into_iter().for_each(|record| assembler.apply(record));
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => break,
        }
    }
    assembler.list_ends();
    if let Some(missing) = assembler.incomplete().next() {
        return Err(Error::Incomplete(missing));
    }
    let update = assembler.take().unwrap_or_default();
    let Services::All(services) = update.services else {
        return Err(Error::Incomplete("nothing is listed".to_owned()));
    };
    Ok(Plan { node, services, revision: update.revision.unwrap_or_default() })
}

fn why(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        other => chain(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_malformed_kubeconfig_is_told_of_and_not_quoted() {
        let cases = [
            ("users: [{name: a, user: {token: SECRET}}\nclusters: 3\n", "malformed at line 2, column 9"),
            ("users:\n- name: a\n  user: {token: [SECRET]}\n", "malformed at line 3, column 17"),
            ("users:\n- name: a\n  user: SECRET\n", "malformed at line 3, column 9"),
            ("users: SECRET\n", "malformed at line 1, column 8"),
            ("\"SECRET", "malformed"),
            ("SECRET: {a: b, a: c}\n", "malformed"),
            ("{}", "current context"),
        ];
        let folder = tempfile::tempdir().unwrap();
        for (text, expected) in cases {
            let path = folder.path().join("kubeconfig");
            std::fs::write(&path, text).unwrap();
            let Err(error) = client(Some(&path)).await else { panic!("{text}") };
            let told = crate::chain(&error);
            assert!(told.contains(expected) && told.contains(path.to_str().unwrap()), "{told}");
            assert!(!told.contains("SECRET") && !format!("{error:?}").contains("SECRET"), "{told}");
        }
    }
}
