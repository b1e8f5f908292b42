//! The last whole plan on disk, for a start without API server: lines of JSON in one file, a base and the changes since. Every batch
//! ends with a line that carries the checksum of the lines before it; what stands after the last good one was torn by a crash and
//! does not count. Rewritten when the changes outgrow the base.

use std::fs::{File, OpenOptions};
use std::hash::Hasher;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pointsman_crds::{NodeProxyPlanSpec, ServiceProxyPlanSpec};
use pointsman_dataplane::{ServiceKey, ServicePlan};
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use super::assemble::compact;
use crate::plan::{NodePlan, Plan, Revision, Services, Update};

/// The file's name in the state directory.
const FILE: &str = "plan.checkpoint";
/// The version of the file's format; a file of another one is not read.
const FORMAT: u32 = 1;
/// Changes may grow to the size of the base and this many bytes before the file is rewritten.
const SLACK: u64 = 256 * 1024;

/// Why a checkpoint cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system.
    #[error("cannot {verb} the checkpoint {}: {source}", path.display())]
    File {
        /// What was being done.
        verb: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Its contents.
    #[error("the checkpoint {} is not used: {message}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

/// The checkpoint of one state directory.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    file: Option<File>,
    base: u64,
    changes: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Line<N, S, K> {
    Format(u32),
    Node(N),
    Service(K, S),
    Gone(K),
    Commit { revision: Revision, sum: String },
}

type Written<'a> = Line<NodeLine<&'a str, &'a NodeProxyPlanSpec>, &'a ServiceProxyPlanSpec, &'a str>;
type Stored = Line<NodeLine<String, NodeProxyPlanSpec>, ServiceProxyPlanSpec, String>;

#[derive(Serialize, Deserialize)]
struct NodeLine<N, S> {
    name: N,
    generation: i64,
    spec: S,
}

impl Checkpoint {
    /// The checkpoint in `directory`, which is made if it is not there, for nobody else to read.
    ///
    /// # Errors
    /// Says why the directory cannot be made.
    pub fn new(directory: &Path) -> Result<Self, Error> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|source| Error::File {
            verb: "make the directory of",
            path: directory.to_owned(),
            source,
        })?;
        Ok(Self { path: directory.join(FILE), file: None, base: 0, changes: 0 })
    }

    /// Reads the last whole plan; `None` if there is none.
    ///
    /// # Errors
    /// Says what is wrong with the file.
    pub fn load(&self) -> Result<Option<Plan>, Error> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.error("open", source)),
        };
        self.read(BufReader::new(file)).map(Some)
    }

    /// Deletes the file; false if there was none.
    ///
    /// # Errors
    /// Says why it cannot be deleted.
    pub fn delete(&mut self) -> Result<bool, Error> {
        self.file = None;
        match std::fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(self.error("delete", source)),
        }
    }

    /// Where it stands.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what changed; `plan` is the whole of it, for when the file is rewritten.
    ///
    /// # Errors
    /// Says why it cannot be written; the file is then rewritten next time.
    pub fn write(&mut self, plan: &Plan, changed: &Update) -> Result<(), Error> {
        let outgrown = self.changes > self.base + SLACK;
        let result = match (self.file.take(), &changed.services) {
            (Some(file), Services::Changed(_)) if !outgrown => self.append(file, plan, changed),
            _ => self.rewrite(plan),
        };
        result.map_err(|source| self.error("write", source))
    }

    fn append(&mut self, file: File, plan: &Plan, update: &Update) -> io::Result<()> {
        let mut batch = Batch::new(file);
        if update.node.is_some() {
            batch.node(&plan.node)?;
        }
        if let Services::Changed(changed) = &update.services {
            for (key, plan) in changed {
                match plan {
                    Some(plan) => batch.line(&Line::Service(key.as_str(), &plan.spec))?,
                    None => batch.line(&Line::Gone(key.as_str()))?,
                }
            }
        }
        let (file, bytes) = batch.commit(&plan.revision)?;
        self.changes += bytes;
        self.file = Some(file);
        Ok(())
    }

    fn rewrite(&mut self, plan: &Plan) -> io::Result<()> {
        let draft = self.path.with_extension("draft");
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        let mut batch = Batch::new(file);
        batch.line(&Line::Format(FORMAT))?;
        batch.node(&plan.node)?;
        for (key, service) in &plan.services {
            batch.line(&Line::Service(key.as_str(), &service.spec))?;
        }
        let (file, bytes) = batch.commit(&plan.revision)?;
        std::fs::rename(&draft, &self.path)?;
        if let Some(directory) = self.path.parent() {
            File::open(directory)?.sync_all()?;
        }
        (self.file, self.base, self.changes) = (Some(file), bytes, 0);
        Ok(())
    }

    fn read(&self, mut reader: impl BufRead) -> Result<Plan, Error> {
        let damaged = |message: &str| Error::Damaged { path: self.path.clone(), message: message.to_owned() };
        let mut plan = None;
        let mut pending = Pending::default();
        let mut hasher = SipHasher13::new();
        let mut text = Vec::new();
        loop {
            text.clear();
            let length = reader.by_ref().read_until(b'\n', &mut text);
            if length.map_err(|source| self.error("read", source))? == 0 {
                break;
            }
            match serde_json::from_slice::<Stored>(&text) {
                Ok(Line::Format(FORMAT)) => pending.headed = true,
                Ok(Line::Format(_)) => return Err(damaged("another version of the agent wrote it")),
                Ok(Line::Commit { revision, sum }) => {
                    hasher.write(revision.as_str().as_bytes());
                    if sum != format!("{:016x}", hasher.finish()) {
                        break;
                    }
                    hasher = SipHasher13::new();
                    pending.settle(&mut plan, revision);
                    continue;
                }
                Ok(line) => pending.take(line),
                Err(_) => break,
            }
            hasher.write(&text);
        }
        plan.ok_or_else(|| damaged("its base is incomplete"))
    }

    fn error(&self, verb: &'static str, source: io::Error) -> Error {
        Error::File { verb, path: self.path.clone(), source }
    }
}

/// Lines that were read since the last commit.
#[derive(Default)]
struct Pending {
    headed: bool,
    node: Option<NodePlan>,
    services: Vec<(ServiceKey, Option<Arc<ServicePlan>>)>,
}

impl Pending {
    fn take(&mut self, line: Stored) {
        let key = |text: &str| {
            let (namespace, name) = text.split_once('/').unwrap_or(("", text));
            ServiceKey::new(namespace, name)
        };
        match line {
            Line::Node(NodeLine { name, generation, spec }) => {
                self.node = Some(NodePlan { name, generation, spec, conditions: Vec::new() });
            }
            Line::Service(service, mut spec) => {
                compact(&mut spec);
                let key = key(&service);
                self.services.push((key.clone(), Some(Arc::new(ServicePlan { key, spec }))));
            }
            Line::Gone(service) => self.services.push((key(&service), None)),
            Line::Format(_) | Line::Commit { .. } => {}
        }
    }

    fn settle(&mut self, plan: &mut Option<Plan>, revision: Revision) {
        let headed = std::mem::take(&mut self.headed);
        let node = self.node.take().map(Arc::new);
        match (&mut *plan, node) {
            (None, Some(node)) if headed => {
                *plan = Some(Plan {
                    node,
                    services: std::collections::BTreeMap::new(),
                    revision: Revision::default(),
                });
            }
            (Some(plan), Some(node)) => plan.node = node,
            _ => {}
        }
        let services = self.services.drain(..);
        let Some(plan) = plan else { return };
        for (key, service) in services {
            match service {
                Some(service) => drop(plan.services.insert(key, service)),
                None => drop(plan.services.remove(&key)),
            }
        }
        plan.revision = revision;
    }
}

/// Lines on their way to the file.
struct Batch {
    writer: BufWriter<File>,
    hasher: SipHasher13,
    bytes: u64,
    line: Vec<u8>,
}

impl Batch {
    fn new(file: File) -> Self {
        Self { writer: BufWriter::new(file), hasher: SipHasher13::new(), bytes: 0, line: Vec::new() }
    }

    fn node(&mut self, node: &NodePlan) -> io::Result<()> {
        self.line(&Line::Node(NodeLine { name: &node.name, generation: node.generation, spec: &node.spec }))
    }

    fn line(&mut self, line: &Written<'_>) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        self.line.push(b'\n');
        self.hasher.write(&self.line);
        self.bytes += self.line.len() as u64;
        self.writer.write_all(&self.line)
    }

    fn commit(mut self, revision: &Revision) -> io::Result<(File, u64)> {
        self.hasher.write(revision.as_str().as_bytes());
        let sum = format!("{:016x}", self.hasher.finish());
        self.line(&Line::Commit { revision: revision.clone(), sum })?;
        let file = self.writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_data()?;
        Ok((file, self.bytes))
    }
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
