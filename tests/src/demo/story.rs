//! How the demo speaks: chapters, sentences, commands with what they printed, and claims that are checked. It prints and counts; it
//! does nothing.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::interrupt::Interrupt;

/// The teller.
#[derive(Debug)]
pub struct Story {
    begun: Instant,
    chapters: u32,
    claims: u32,
    interrupt: Interrupt,
    /// How long somebody looked around.
    waited: Duration,
}

impl Story {
    /// A story that begins now, and ends early when it is interrupted.
    pub fn begin(interrupt: Interrupt) -> Self {
        Self { begun: Instant::now(), chapters: 0, claims: 0, interrupt, waited: Duration::ZERO }
    }

    /// Opens the next chapter.
    pub fn chapter(&mut self, title: &str) -> Result<()> {
        self.interrupt.check()?;
        self.chapters += 1;
        println!("\n{}. {title}  [{:.1} s]", self.chapters, self.begun.elapsed().as_secs_f64());
        Ok(())
    }

    /// Says something that is no claim.
    pub fn say(&self, sentence: &str) {
        println!("   {sentence}");
    }

    /// Shows a command line that anybody with a kubeconfig could type, and what it printed.
    pub fn show(&self, command: &str, output: &str) {
        self.show_at("", command, output);
    }

    /// Shows a command line that was typed in a place, as root, and what it printed.
    pub fn show_at(&self, place: &str, command: &str, output: &str) {
        let prompt = if place.is_empty() { "$".to_owned() } else { format!("{place} #") };
        println!("     {prompt} {command}");
        for line in output.lines() {
            println!("     {line}");
        }
    }

    /// Says something that must be true; an error with what was seen instead if it is not.
    pub fn claim(&mut self, holds: bool, claim: &str, seen: impl FnOnce() -> String) -> Result<()> {
        self.interrupt.check()?;
        self.last_claim(holds, claim, seen)
    }

    /// The same, even for somebody who wants to leave.
    pub fn last_claim(&mut self, holds: bool, claim: &str, seen: impl FnOnce() -> String) -> Result<()> {
        if !holds {
            println!("   ✗ {claim}");
            bail!("expected: {claim}; seen: {}", seen());
        }
        self.claims += 1;
        println!("   ✓ {claim}");
        Ok(())
    }

    /// The last words.
    pub fn end(&self) {
        let seconds = (self.begun.elapsed() - self.waited).as_secs_f64();
        println!("\nAll {} claims held, in {seconds:.0} s.", self.claims);
    }

    /// Waits until somebody interrupts.
    pub fn wait_for_interrupt(&mut self) {
        let start = Instant::now();
        self.interrupt.wait();
        self.waited = start.elapsed();
    }
}
