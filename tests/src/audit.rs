//! The API server's audit log as typed records: who did what, seen from outside. It reads one file and judges nothing.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;

/// What the API server is told to log: every request that is complete, without bodies.
pub(crate) const POLICY: &str = r#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy",
  "omitStages": ["RequestReceived", "ResponseStarted"], "rules": [{"level": "Metadata"}]}"#;

/// In bytes, many times over: without bodies a line has one or two thousand.
const LONGEST_LINE: u64 = 65536;

/// The log of one control plane.
#[derive(Debug, Clone)]
pub struct Audit {
    path: PathBuf,
}

/// A place in the log: what comes later is new.
#[derive(Debug, Clone, Copy)]
pub struct Mark(u64);

/// One request that the API server answered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// Who asked, for instance `system:serviceaccount:pointsman-system:pointsman-agent`.
    pub user: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// The plural name of the kind, empty for requests about no object.
    pub resource: String,
    /// For instance `status`, else empty.
    pub subresource: String,
    /// The object's namespace, else empty.
    pub namespace: String,
    /// The object's name; empty for lists, and for creations whose request did not name it in its path.
    pub name: String,
    /// The HTTP status.
    pub code: u16,
}

impl Audit {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The end of the log now. A line that is just being written comes after it.
    pub fn mark(&self) -> Result<Mark> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Mark(0)),
            file => file.with_context(|| format!("open {}", self.path.display()))?,
        };
        let length = file.metadata().context("look at the audit log")?.len();
        let start = length.saturating_sub(LONGEST_LINE);
        file.seek(SeekFrom::Start(start)).context("find the end of the audit log")?;
        let mut bytes = Vec::new();
        file.take(length - start).read_to_end(&mut bytes).context("read the end of the audit log")?;
        let lines = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        Ok(Mark(start + u64::try_from(lines)?))
    }

    /// Every request that was completed since then. A line that is just being written belongs to the next reading.
    pub fn since(&self, mark: Mark) -> Result<Vec<Record>> {
        let mut file = File::open(&self.path).with_context(|| format!("open {}", self.path.display()))?;
        file.seek(SeekFrom::Start(mark.0)).context("find the mark in the audit log")?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).context("read the audit log")?;
        String::from_utf8_lossy(&bytes)
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(parse)
            .collect()
    }

    /// The requests since then that were meant to change something, whoever made them and however they were answered.
    pub fn writes_since(&self, mark: Mark) -> Result<Vec<Record>> {
        Ok(self.since(mark)?.into_iter().filter(Record::is_write).collect())
    }
}

impl Record {
    /// Whether it was meant to change something.
    pub fn is_write(&self) -> bool {
        ["create", "update", "patch", "delete", "deletecollection"].contains(&self.verb.as_str())
    }
}

fn parse(line: &str) -> Result<Record> {
    let event: Event = serde_json::from_str(line).with_context(|| format!("parse the audit line {line}"))?;
    let object = event.object_ref.unwrap_or_default();
    Ok(Record {
        user: event.user.username,
        verb: event.verb,
        resource: object.resource,
        subresource: object.subresource,
        namespace: object.namespace,
        name: object.name,
        code: event.response_status.map_or(0, |status| status.code),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    user: User,
    verb: String,
    object_ref: Option<ObjectRef>,
    response_status: Option<ResponseStatus>,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ObjectRef {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}
