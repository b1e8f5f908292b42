//! Ctrl-C and SIGTERM as something to ask about, so that an interrupted program still takes its cluster down. It ends the program itself
//! only when it is asked twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

/// Whether somebody wants the program to end.
#[derive(Debug, Clone)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on, for the life of the program.
    pub fn watch() -> Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&asked);
        let runtime = Builder::new_current_thread().enable_all().build().context("listen for signals")?;
        let (mut interrupts, mut terminations) = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        std::thread::spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = interrupts.recv() => {}
                        _ = terminations.recv() => {}
                    }
                    if flag.swap(true, Ordering::Relaxed) {
                        // The children die with us; names of namespaces are left for the next run to remove.
                        std::process::exit(130);
                    }
                }
            });
        });
        Ok(Self(asked))
    }

    /// An error if somebody asked.
    pub fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("it was interrupted");
        }
        Ok(())
    }

    /// Waits until somebody asks.
    pub fn wait(&self) {
        while self.check().is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
