//! Plans from a directory of YAML and JSON files: no cluster at all. The files together are one whole plan, or an error that names
//! file and line; then the last whole plan stays in force.

use std::collections::BTreeSet;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pointsman_crds::{NodeProxyPlan, ServiceProxyPlan};
use siphasher::sip::SipHasher13;
use tokio::task::spawn_blocking;

use super::Feed;
use super::assemble::Assembler;
use super::document::{self, Document, Error};
use super::record::PlanRecord;
use crate::mailbox::Mailbox;
use crate::plan::{Link, NodePlan, Plan, Revision, Services, Update};

/// How often the files' sizes and times are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// A directory (or one file) of plans.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
    node: Option<String>,
}

/// What is seen of a file without reading it.
type Glimpse = (PathBuf, Option<SystemTime>, u64);

impl Directory {
    /// The plans in `path`, for `node`; for the only node in there if it is absent.
    pub fn new(path: &Path, node: Option<&str>) -> Self {
        Self { path: path.to_owned(), node: node.map(str::to_owned) }
    }

    /// Reads the whole plan.
    ///
    /// # Errors
    /// Names the file and the line, or what is missing.
    pub fn load(&self) -> Result<Plan, Error> {
        let mut nodes = Vec::new();
        let mut services = Vec::new();
        let mut names = BTreeSet::new();
        let mut hasher = SipHasher13::new();
        for file in self.files()? {
            let unreadable = |source| Error::Unreadable { path: file.clone(), source };
            let text = std::fs::read_to_string(&file).map_err(unreadable)?;
            hasher.write(text.as_bytes());
            for (line, document) in document::parse(&file, &text)? {
                let malformed = |message| Error::Malformed { path: file.clone(), line, message };
                if !names.insert(name_of(&document).map_err(malformed)?) {
                    return Err(malformed("this object was described before".to_owned()));
                }
                match document {
                    Document::Node(node) => match node.spec.settings.problem() {
                        Some(problem) => return Err(malformed(format!("spec.{problem}"))),
                        None => nodes.push(*node),
                    },
                    Document::Service(service) => services.push(*service),
                }
            }
        }
        let node = Arc::new(NodePlan::new(self.choose(nodes)?));
        let services = self.assemble(&node, services)?;
        Ok(Plan { node, services, revision: Revision::new(&format!("dir-{:016x}", hasher.finish())) })
    }

    fn assemble(&self, node: &NodePlan, services: Vec<ServiceProxyPlan>) -> Result<ServiceMap, Error> {
        let mut assembler = Assembler::new(node.spec.settings.proxy_name.as_deref().unwrap_or_default());
        assembler.list_begins();
        services.into_iter().for_each(|service| assembler.apply(PlanRecord::from_object(service)));
        assembler.list_ends();
        if let Some(message) = assembler.incomplete().next() {
            return Err(self.incomplete(message));
        }
        match assembler.take().map(|update| update.services) {
            Some(Services::All(services)) => Ok(services),
            _ => Err(self.incomplete("the plans cannot be put together".to_owned())),
        }
    }

    fn choose(&self, mut nodes: Vec<NodeProxyPlan>) -> Result<NodeProxyPlan, Error> {
        let name = |node: &NodeProxyPlan| node.metadata.name.clone().unwrap_or_default();
        let names = nodes.iter().map(name).collect::<Vec<_>>().join(", ");
        let wanted = |node: &NodeProxyPlan| self.node.as_ref().is_none_or(|wanted| *wanted == name(node));
        let found: Vec<usize> = (0..nodes.len()).filter(|index| wanted(&nodes[*index])).collect();
        match (found.as_slice(), &self.node) {
            ([only], _) => Ok(nodes.swap_remove(*only)),
            ([], Some(node)) if nodes.is_empty() => {
                Err(self.incomplete(format!("there is no NodeProxyPlan, and none named {node}")))
            }
            ([], Some(node)) => {
                Err(self.incomplete(format!("there is no NodeProxyPlan named {node}, only {names}")))
            }
            ([], None) => Err(self.incomplete("there is no NodeProxyPlan".to_owned())),
            _ => Err(self.incomplete(format!("several nodes have a plan here, choose one: {names}"))),
        }
    }

    fn incomplete(&self, message: String) -> Error {
        Error::Incomplete { path: self.path.clone(), message }
    }

    fn files(&self) -> Result<Vec<PathBuf>, Error> {
        let unreadable = |source| Error::Unreadable { path: self.path.clone(), source };
        if std::fs::metadata(&self.path).map_err(unreadable)?.is_file() {
            return Ok(vec![self.path.clone()]);
        }
        let entries = std::fs::read_dir(&self.path).map_err(unreadable)?;
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(unreadable)?.path();
            let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            let kind = path.extension().and_then(|extension| extension.to_str());
            if !hidden && matches!(kind, Some("yaml" | "yml" | "json")) {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    fn glimpse(&self) -> Vec<Glimpse> {
        let look = |path: PathBuf| {
            let metadata = std::fs::metadata(&path).ok();
            let modified = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
            (path, modified, metadata.map_or(0, |metadata| metadata.len()))
        };
        self.files().unwrap_or_default().into_iter().map(look).collect()
    }
}

type ServiceMap =
    std::collections::BTreeMap<pointsman_dataplane::ServiceKey, Arc<pointsman_dataplane::ServicePlan>>;

/// Kind, namespace and name; or what is missing.
fn name_of(document: &Document) -> Result<(&'static str, String, String), String> {
    let (kind, metadata) = match document {
        Document::Node(node) => ("NodeProxyPlan", &node.metadata),
        Document::Service(service) => ("ServiceProxyPlan", &service.metadata),
    };
    let name = metadata.name.clone().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| format!("this {kind} has no metadata.name"))?;
    match (document, &metadata.namespace) {
        (Document::Service(_), None) => Err(format!("{kind} {name} has no metadata.namespace")),
        (_, namespace) => Ok((kind, namespace.clone().unwrap_or_default(), name)),
    }
}

impl Feed for Directory {
    async fn run(self, mailbox: Arc<Mailbox>) {
        let mut seen: Option<Vec<Glimpse>> = None;
        let mut told = None;
        loop {
            let directory = self.clone();
            let before = seen.take();
            let looked = spawn_blocking(move || {
                let now = directory.glimpse();
                let changed = before.as_ref() != Some(&now);
                (now, changed.then(|| directory.load()))
            });
            let Ok((now, loaded)) = looked.await else { return };
            seen = Some(now);
            match loaded {
                Some(Ok(plan)) if told.as_ref() != Some(&plan.revision) => {
                    told = Some(plan.revision.clone());
                    mailbox.post(whole(plan));
                }
                Some(Ok(_)) => mailbox.post(Update::link(Link::Live)),
                Some(Err(error)) => {
                    tracing::error!(%error, "the plan cannot be read; the last whole plan stays in force");
                    mailbox.post(Update::link(Link::Gone(error.to_string())));
                }
                None => {}
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn whole(plan: Plan) -> Update {
    Update {
        node: Some(plan.node),
        services: Services::All(plan.services),
        revision: Some(plan.revision),
        link: Some(Link::Live),
        ..Update::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = "apiVersion: pointsman.dev/v1alpha1\nkind: NodeProxyPlan\nmetadata: {name: NAME}\nspec: {node: {uid: u}}\n---\n";
    const SERVICE: &str = "apiVersion: pointsman.dev/v1alpha1\nkind: ServiceProxyPlan\nmetadata: {name: NAME, namespace: shop}\nspec: {serviceUID: u}\n---\n";

    fn load(files: &[(&str, String)], node: Option<&str>) -> Result<Plan, String> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        let path = directory.path().to_str().unwrap().to_owned();
        Directory::new(directory.path(), node).load().map_err(|error| error.to_string().replace(&path, "DIR"))
    }

    fn node(name: &str) -> String {
        NODE.replace("NAME", name)
    }

    fn service(name: &str) -> String {
        SERVICE.replace("NAME", name)
    }

    #[test]
    fn the_files_together_are_one_plan() {
        let files = [
            ("b.yaml", node("one") + &service("web")),
            ("a.yml", service("dns")),
            (".hidden.yaml", "[".to_owned()),
        ];
        let plan = load(&files, None).unwrap();
        assert_eq!(plan.node.name, "one");
        assert_eq!(
            plan.services.keys().map(|key| key.as_str()).collect::<Vec<_>>(),
            ["shop/dns", "shop/web"]
        );
        assert_eq!(plan.revision, load(&files, Some("one")).unwrap().revision, "equal files, equal revision");
    }

    #[test]
    fn what_is_missing_is_told() {
        let sharded = service("web").replace("serviceUID: u", "serviceUID: u, shards: [web.two]");
        let cases = [
            (vec![], None, "DIR: there is no NodeProxyPlan"),
            (
                vec![("a.yaml", node("one") + &node("two"))],
                None,
                "DIR: several nodes have a plan here, choose one: one, two",
            ),
            (
                vec![("a.yaml", node("one"))],
                Some("two"),
                "DIR: there is no NodeProxyPlan named two, only one",
            ),
            (
                vec![("a.yaml", node("one") + &sharded)],
                None,
                "DIR: ServiceProxyPlan shop/web names web.two, which is not there",
            ),
            (
                vec![("a.yaml", node("one")), ("b.yaml", node("one"))],
                None,
                "DIR/b.yaml:1: this object was described before",
            ),
            (
                vec![("a.yaml", node("one") + &service("web").replace(", namespace: shop", ""))],
                None,
                "DIR/a.yaml:6: ServiceProxyPlan web has no metadata.namespace",
            ),
            (vec![("a.json", "{".to_owned())], None, "DIR/a.json:"),
        ];
        for (files, node, expected) in cases {
            let message = load(&files, node).unwrap_err();
            assert!(message.starts_with(expected), "{message}");
        }
        let away = Directory::new(Path::new("/nowhere"), None).load().unwrap_err().to_string();
        assert!(away.starts_with("cannot read /nowhere: No such file"), "{away}");
    }
}
