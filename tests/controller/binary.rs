//! The controller's process: started with the chart's flags, asked over HTTP, ended by pid. It writes nothing to the API server.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pointsman_tests::process::{Launch, Process, Signal};
use pointsman_tests::tools::own_binary;
use pointsman_tests::wait;

use crate::world::World;

/// A Lease that was not given back runs out after 10 s.
const LEAD_LIMIT: Duration = Duration::from_secs(40);
/// Writes under way are waited for, then the Lease is given back.
const END_LIMIT: Duration = Duration::from_secs(15);

/// A controller that runs.
pub struct Controller {
    process: Process,
    health: u16,
    metrics: u16,
}

impl Controller {
    /// Starts one with the chart's flags and those given, and waits until it leads.
    pub fn leading(world: &World, flags: &[&str]) -> Result<Self> {
        let mut controller = Self::start(world, world.kubeconfig(), flags)?;
        controller.wait_for("ok: leading")?;
        Ok(controller)
    }

    /// Starts one as whoever `kubeconfig` says. Flags that are given stand for the chart's of the same name.
    pub fn start(world: &World, kubeconfig: &Path, flags: &[&str]) -> Result<Self> {
        let number = world.next_number();
        let name = format!("controller-{number}");
        let (health, metrics) = (free_port()?, free_port()?);
        let name_of = |flag: &str| flag.split('=').next().map(str::to_owned);
        let is_given = |flag: &&String| flags.iter().any(|given| name_of(given) == name_of(flag));
        let process = Launch::new(&name, own_binary("pointsman-controller")?)
            .args(["run", "--identity", &name, "--kubeconfig"])
            .arg(kubeconfig)
            .arg(format!("--health-address=127.0.0.1:{health}"))
            .arg(format!("--metrics-address=127.0.0.1:{metrics}"))
            .args(world.flags().iter().filter(|flag| !is_given(flag)))
            .args(flags)
            .start(world.control_plane.folder())?;
        Ok(Self { process, health, metrics })
    }

    /// What `/readyz` answers, status and text; nothing while nobody listens.
    pub fn ready(&self) -> Option<(u16, String)> {
        ask(self.health, "/readyz")
    }

    /// The value of a series of its metrics, by the series' name and labels as `/metrics` has them.
    pub fn metric(&self, series: &str) -> Option<i64> {
        let (_, text) = ask(self.metrics, "/metrics").filter(|(code, _)| *code == 200)?;
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }

    /// Waits until `/readyz` says these words.
    pub fn wait_for(&mut self, words: &str) -> Result<(u16, String)> {
        let mut last = None;
        let Self { process, health, .. } = self;
        wait::for_value(&format!("/readyz to say {words:?}"), LEAD_LIMIT, || {
            process.still_runs()?;
            last = ask(*health, "/readyz");
            Ok(last.clone().filter(|(_, text)| text.contains(words)))
        })
        .with_context(|| format!("the last answer was {last:?}; {}", self.process.log_tail(15)))
    }

    /// Asks it to end, and sees that it ends well.
    pub fn stop(self) -> Result<()> {
        self.process.stop(END_LIMIT)
    }

    /// Kills it, as a crash would.
    pub fn kill(mut self) -> Result<()> {
        self.process.kill()
    }

    /// Stops it where it stands, or lets it go on.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// An error if it has ended by itself.
    pub fn still_runs(&mut self) -> Result<()> {
        self.process.still_runs()
    }

    /// What it has logged.
    pub fn log(&self) -> Result<String> {
        self.process.log()
    }
}

/// A port of loopback that was free a moment ago.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    let port = listener.local_addr()?.port();
    ensure!(port > 0, "a port of its own");
    Ok(port)
}

/// A request of HTTP/1.0, which ends with the connection.
fn ask(port: u16, path: &str) -> Option<(u16, String)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let code = head.split(' ').nth(1)?.parse().ok()?;
    Some((code, body.trim().to_owned()))
}
