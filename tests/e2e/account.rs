//! How the account of a run is given: courses, stages, claims that are checked when they are printed, and what was shown. It prints and
//! counts; it does nothing.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use pointsman_tests::interrupt::Interrupt;

/// The account.
#[derive(Debug)]
pub struct Account {
    begun: Instant,
    course: String,
    stages: u32,
    claims: u32,
    failures: Vec<String>,
    /// How many of them are of earlier courses.
    earlier: usize,
    interrupt: Interrupt,
}

impl Account {
    /// An account that begins now.
    pub fn begin(interrupt: Interrupt) -> Self {
        let course = String::new();
        Self { begun: Instant::now(), course, stages: 0, claims: 0, failures: vec![], earlier: 0, interrupt }
    }

    /// Opens the course of the next cluster.
    pub fn course(&mut self, title: &str) -> Result<()> {
        self.interrupt.check()?;
        title.clone_into(&mut self.course);
        self.stages = 0;
        self.earlier = self.failures.len();
        println!("\n=== {title}");
        Ok(())
    }

    /// Opens the next stage.
    pub fn stage(&mut self, title: &str) -> Result<()> {
        self.interrupt.check()?;
        self.stages += 1;
        println!("\n{}. {title}  [{:.0} s]", self.stages, self.begun.elapsed().as_secs_f64());
        Ok(())
    }

    /// Says something that is no claim.
    pub fn say(&self, sentence: &str) {
        println!("   {sentence}");
    }

    /// Shows a command that anybody with a kubeconfig could type, and what it printed.
    pub fn show(&self, command: &str, output: &str) {
        println!("     $ {command}");
        for line in output.trim_end().lines() {
            println!("     {line}");
        }
    }

    /// Says something that must be true; an error with what was seen instead if it is not.
    pub fn claim(&mut self, holds: bool, claim: &str, seen: impl FnOnce() -> String) -> Result<()> {
        self.interrupt.check()?;
        if !holds {
            println!("   ✗ {claim}");
            bail!("expected: {claim}; seen: {}", seen());
        }
        self.held(claim);
        Ok(())
    }

    /// Says a claim that has been checked already: whoever gets here has waited for it and did not wait in vain.
    pub fn held(&mut self, claim: &str) {
        self.claims += 1;
        println!("   ✓ {claim}");
    }

    /// Writes down that something failed.
    pub fn fail(&mut self, what: &str, error: &anyhow::Error) {
        println!("   FAILED: {error:#}");
        self.failures.push(format!("{}: {what}: {error:#}", self.course));
    }

    /// Whether nothing has failed in this course.
    pub fn is_good(&self) -> bool {
        self.failures.len() == self.earlier
    }

    /// The last words, and whether all went well.
    pub fn end(&self) -> bool {
        println!();
        for failure in &self.failures {
            println!("FAILED: {failure}");
        }
        let seconds = self.begun.elapsed().as_secs_f64();
        println!("{} claims held, {} stages failed, in {seconds:.0} s.", self.claims, self.failures.len());
        self.failures.is_empty()
    }
}

/// A duration as the account prints it.
pub fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
