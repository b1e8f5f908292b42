//! Plans in YAML or JSON text, one or many documents a file. Knows the two kinds that an agent reads and refuses every other, with
//! the line on which the document stands.

use std::path::{Path, PathBuf};

use pointsman_crds::{NodeProxyPlan, ServiceProxyPlan};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A document that an agent reads.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// A node's plan.
    Node(Box<NodeProxyPlan>),
    /// A Service's plan, base or shard.
    Service(Box<ServiceProxyPlan>),
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file or directory itself.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A document in it.
    #[error("{}:{line}: {message}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// On which line, counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// What the files say together.
    #[error("{}: {message}", path.display())]
    Incomplete {
        /// Which directory.
        path: PathBuf,
        /// What is missing.
        message: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
}

/// Every document of a file, with the line on which it begins.
///
/// # Errors
/// Names the file, the line and what is wrong there.
pub fn parse(path: &Path, text: &str) -> Result<Vec<(usize, Document)>, Error> {
    let documents = split(text).into_iter().filter(|(_, text)| !is_blank(text));
    documents.map(|(line, text)| Ok((line, document(path, line, &text)?))).collect()
}

fn document(path: &Path, line: usize, text: &str) -> Result<Document, Error> {
    let kind: Kind = read(path, line, text)?;
    match (kind.api_version.as_str(), kind.kind.as_str()) {
        ("pointsman.dev/v1alpha1", "NodeProxyPlan") => Ok(Document::Node(Box::new(read(path, line, text)?))),
        ("pointsman.dev/v1alpha1", "ServiceProxyPlan") => {
            Ok(Document::Service(Box::new(read(path, line, text)?)))
        }
        (version, kind) => {
            let message = format!(
                "apiVersion {version:?}, kind {kind:?} is no plan: expected pointsman.dev/v1alpha1 with NodeProxyPlan or ServiceProxyPlan"
            );
            Err(Error::Malformed { path: path.to_owned(), line, message })
        }
    }
}

fn read<T: DeserializeOwned>(path: &Path, first: usize, text: &str) -> Result<T, Error> {
    serde_saphyr::from_str(text).map_err(|error| {
        let error = error.without_snippet();
        let within = error.location().map_or(1, |location| location.line() as usize);
        // It counts lines from the document's first, we count the file's.
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
        Error::Malformed { path: path.to_owned(), line: first + within.max(1) - 1, message }
    })
}

/// Documents and the lines on which they begin. A separator is a line `---`, alone or followed by a space.
fn split(text: &str) -> Vec<(usize, String)> {
    let mut documents = vec![(1, String::new())];
    for (index, line) in text.lines().enumerate() {
        if line == "---" || line.starts_with("--- ") {
            documents.push((index + 2, String::new()));
        } else if let Some((_, document)) = documents.last_mut() {
            document.push_str(line);
            document.push('\n');
        }
    }
    documents
}

fn is_blank(text: &str) -> bool {
    text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = "apiVersion: pointsman.dev/v1alpha1\nkind: NodeProxyPlan\nmetadata: {name: n}\nspec: {node: {uid: u}}\n";
    const SERVICE: &str = "apiVersion: pointsman.dev/v1alpha1\nkind: ServiceProxyPlan\nmetadata: {name: web, namespace: shop}\nspec:\n  serviceUID: u\n";

    #[test]
    fn documents_are_read_with_the_line_on_which_they_begin() {
        let text = format!("# a comment\n---\n{NODE}---\n\n---\n{SERVICE}");
        let documents = parse(Path::new("plan.yaml"), &text).unwrap();
        assert_eq!(documents.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 10]);
        assert!(
            matches!(&documents[0].1, Document::Node(node) if node.metadata.name.as_deref() == Some("n"))
        );
        assert!(matches!(&documents[1].1, Document::Service(plan) if plan.spec.service_uid == "u"));
    }

    #[test]
    fn json_is_read_too() {
        let text = r#"{"apiVersion": "pointsman.dev/v1alpha1", "kind": "ServiceProxyPlan", "metadata": {"name": "a"}, "spec": {"serviceUID": "u"}}"#;
        assert_eq!(parse(Path::new("plan.json"), text).unwrap().len(), 1);
    }

    #[test]
    fn what_is_wrong_is_told_with_file_and_line() {
        let cases = [
            (format!("{NODE}---\nkind: Pod\n"), "plan.yaml:6: apiVersion \"\", kind \"Pod\" is no plan"),
            (format!("{NODE}---\n{SERVICE}  clusterIPs: [nowhere]\n"), "plan.yaml:11: "),
            (format!("{NODE}  - : :\n"), "plan.yaml:5: "),
        ];
        for (text, expected) in cases {
            let message = parse(Path::new("plan.yaml"), &text).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
            assert!(!message.contains('\n'), "one line: {message}");
        }
    }
}
