//! Long-running child processes: started with a log file, optionally in a network namespace, and gone when their owner or the whole
//! program is. It ends only what it started, by pid.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rustix::process::{Pid, kill_process};

pub use rustix::process::Signal;

use crate::netns::Netns;
use crate::wait;

/// What to start, and how.
#[derive(Debug)]
pub struct Launch {
    name: String,
    program: PathBuf,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    netns: Option<PathBuf>,
}

/// A running child. It is killed when this value is dropped, and by the kernel when this program dies in any way.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Launch {
    /// A program under a name for messages and for its log file.
    pub fn new(name: &str, program: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), program: program.into(), args: vec![], envs: vec![], netns: None }
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.envs.push((name.as_ref().into(), value.as_ref().into()));
        self
    }

    /// Runs it inside a network namespace; `None` stays in ours.
    pub fn netns(mut self, netns: Option<&Netns>) -> Self {
        self.netns = netns.map(Netns::path);
        self
    }

    /// Starts it. Both of its outputs are appended to `NAME.log` in `log_folder`.
    pub fn start(&self, log_folder: &Path) -> Result<Process> {
        let log = log_folder.join(format!("{}.log", self.name));
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("open the log {}", log.display()))?;
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = spawn(command).with_context(|| format!("start {}", self.name))?;
        Ok(Process { name: self.name.clone(), child, log })
    }

    /// `nsenter` and `setpriv` replace themselves by what they start, so the child's pid is the program's own.
    fn command(&self) -> Command {
        let mut words: Vec<OsString> = vec![];
        if let Some(path) = &self.netns {
            let mut net = OsString::from("--net=");
            net.push(path);
            words.extend(["nsenter".into(), net, "--".into()]);
        }
        words.extend(["setpriv", "--pdeathsig", "KILL", "--"].map(OsString::from));
        words.push(self.program.clone().into());
        words.extend(self.args.iter().cloned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).envs(self.envs.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Process {
    /// The name that it was launched under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The path of its log file.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// What it has printed, in this run and in earlier ones of the same name and folder.
    pub fn log(&self) -> Result<String> {
        let bytes =
            std::fs::read(&self.log).with_context(|| format!("read the log {}", self.log.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The last lines of its log, for an error message.
    pub fn log_tail(&self, lines: usize) -> String {
        let text = self.log().unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("look after {}", self.name))
    }

    /// An error with the end of its log if it has ended; to be asked while one waits for something that it should do.
    pub fn still_runs(&mut self) -> Result<()> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => Err(anyhow!("{} ended with {status}:\n{}", self.name, self.log_tail(20))),
        }
    }

    /// Waits for it to end by itself.
    pub fn wait_for_end(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("{} (pid {}) to end", self.name, self.pid());
        wait::for_value(&what, limit, || self.ended())
    }

    /// Sends it a signal, for instance `Signal::STOP` and `Signal::CONT`.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        // Once it is reaped its pid may be somebody else's.
        self.still_runs()?;
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).context("a pid out of range")?;
        kill_process(pid, signal).with_context(|| format!("send {signal:?} to {}", self.name))
    }

    /// Asks it to end, as an operator would, and waits for that.
    pub fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait_for_end(limit)
    }

    /// Ends it as [`Process::terminate`] does; an error with the end of its log if it ends badly.
    pub fn stop(mut self, limit: Duration) -> Result<()> {
        let status = self.terminate(limit)?;
        ensure!(status.success(), "{} ended with {status}:\n{}", self.name, self.log_tail(20));
        Ok(())
    }

    /// Kills it without a chance to tidy up, as a crash would.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().with_context(|| format!("kill {}", self.name))?;
        self.child.wait().map(drop).with_context(|| format!("wait for {}", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended already, which is what is wanted.
        let _ = self.kill();
    }
}

type Reply = Sender<std::io::Result<Child>>;

/// Spawns on one thread that lives as long as the program: the kernel sends the parent-death signal when the *thread* that forked ends,
/// so a child started by a test's own thread would die with that test and take a shared control plane along.
fn spawn(command: Command) -> Result<Child> {
    static SPAWNER: OnceLock<Mutex<Sender<(Command, Reply)>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (requests, queue) = channel::<(Command, Reply)>();
        std::thread::spawn(move || {
            for (mut command, reply) in queue {
                let _ = reply.send(command.spawn());
            }
        });
        Mutex::new(requests)
    });
    let (reply, answer) = channel();
    spawner
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, reply))
        .map_err(|_| anyhow!("the spawning thread is gone"))?;
    Ok(answer.recv().context("the spawning thread gave no answer")??)
}
