//! Runs short-lived programs to their end: argv and standard input only, never a shell. What they printed comes back whole.

use std::io::Write;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

/// How a program ended, and what it printed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The program and its arguments, as a person would read them.
    pub said: String,
    /// The exit status.
    pub status: ExitStatus,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
}

impl Outcome {
    /// Standard output if the program succeeded; else an error with what it complained of.
    pub fn success(self) -> Result<String> {
        if !self.status.success() {
            bail!("{} ended with {}: {}{}", self.said, self.status, self.stderr, self.stdout);
        }
        Ok(self.stdout)
    }
}

/// Runs a program to its end without input.
pub fn run(command: &mut Command) -> Result<Outcome> {
    run_with_input(command, "")
}

/// Runs a program to its end, with `input` as its standard input.
pub fn run_with_input(command: &mut Command, input: &str) -> Result<Outcome> {
    let said = describe(command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {said}"))?;
    let stdin = child.stdin.take();
    // A thread of its own feeds the input: a program that prints much before it has read all would block us else.
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(input.as_bytes())));
        child.wait_with_output()
    })
    .with_context(|| format!("run {said}"))?;
    Ok(Outcome {
        said,
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// The program and its arguments in one line.
pub fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
