//! Which process a number of a record means: numbers are given again, and a record outlives both its processes and the machine's run. It
//! signals only the very process that was written down.

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// A process, told from all others that have had its number or will have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pid: u32,
    /// When it began: clock ticks since the machine was started.
    started: u64,
    /// The machine's run, as the kernel names it. Numbers and ticks begin anew with each.
    boot: String,
}

impl Identity {
    /// That of a process that lives.
    pub(in crate::nodes) fn of(pid: u32) -> Result<Self> {
        let (_, started) = look(pid).with_context(|| format!("there is no process {pid}"))?;
        Ok(Self { pid, started, boot: boot()? })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it lives. One that nobody has waited for yet is dead, and so is one whose number somebody else has.
    pub fn is_alive(&self) -> bool {
        let same_run = boot().is_ok_and(|boot| boot == self.boot);
        let found = look(self.pid);
        same_run
            && found.is_some_and(|(state, started)| started == self.started && !matches!(state, 'Z' | 'X'))
    }

    /// Sends it a signal, and says whether it was there to get it.
    pub(in crate::nodes) fn signal(&self, signal: Signal) -> Result<bool> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("a pid out of range")?;
        // The descriptor comes first: from here on it stands for one process, whoever has the number when the signal is sent.
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(Errno::SRCH) => return Ok(false),
            opened => opened.with_context(|| format!("open process {}", self.pid))?,
        };
        if !self.is_alive() {
            return Ok(false);
        }
        match pidfd_send_signal(process, signal) {
            Err(Errno::SRCH) => Ok(false),
            sent => sent.map(|()| true).with_context(|| format!("send {signal:?} to process {}", self.pid)),
        }
    }

    #[cfg(test)]
    pub(super) fn of_another_start(self) -> Self {
        Self { started: self.started + 1, ..self }
    }
}

/// The state and the start of the process that has a number now.
fn look(pid: u32) -> Option<(char, u64)> {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(|stat| parse(&stat))
}

fn parse(stat: &str) -> Option<(char, u64)> {
    // The name, in parentheses, may hold anything; the state, field 3 of proc_pid_stat(5), follows it.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    // The start is field 22.
    let started = fields.nth(18)?.parse().ok()?;
    Some((state, started))
}

fn boot() -> Result<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").context("read the id of the boot")?;
    Ok(id.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;
    use std::time::Duration;

    use super::*;
    use crate::wait;

    #[test]
    fn the_name_of_a_process_may_hold_anything() {
        let rest = "S 1 7 7 0 -1 4194560 100 0 0 0 3 4 0 0 20 0 1 0 8412 2297856 100";
        let table = [
            (format!("7 (sleep) {rest}"), Some(('S', 8412))),
            (format!("7 (a b) Z 1 (c) {rest}"), Some(('S', 8412))),
            (format!("7 ()) ) {rest}"), Some(('S', 8412))),
            ("7 (sleep) S 1 7".to_owned(), None),
            (String::new(), None),
        ];
        for (stat, expected) in table {
            assert_eq!(parse(&stat), expected, "{stat}");
        }
    }

    #[test]
    fn only_the_process_that_was_written_down_is_signalled() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let right = Identity::of(child.id()).unwrap();
        let strangers = [right.clone().of_another_start(), Identity { boot: "another".into(), ..right }];
        let signalled =
            strangers.map(|stranger| stranger.is_alive() || stranger.signal(Signal::KILL).unwrap());
        // Time enough to die of a signal that was sent nevertheless.
        std::thread::sleep(Duration::from_millis(50));
        let unharmed = child.try_wait().unwrap().is_none() && right.is_alive();

        let told = right.signal(Signal::KILL).unwrap();
        let dead = wait::until("the child to be dead", Duration::from_secs(10), || Ok(!right.is_alive()));
        let status = child.wait().unwrap();
        assert_eq!(signalled, [false; 2]);
        assert!(unharmed && told);
        dead.unwrap();
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()));
        assert!(!right.signal(Signal::KILL).unwrap());
        assert!(Identity::of(child.id()).is_err());
    }
}
