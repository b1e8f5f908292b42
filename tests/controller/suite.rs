//! Who may use the cluster when: most trials side by side, some alone. It knows nothing of what they do.

use std::sync::{PoisonError, RwLock};

use anyhow::{Context, Result};

use crate::AloneWork;
use crate::binary::Controller;
use crate::world::World;

/// The cluster, made when the first trial wants it.
#[derive(Default)]
pub struct Suite {
    stage: RwLock<Option<Stage>>,
}

struct Stage {
    // The controller must be gone before its API server: fields drop in this order.
    controller: Option<Controller>,
    world: World,
}

impl Suite {
    /// Runs a trial beside others.
    pub fn beside_others(&self, work: impl Fn(&World) -> Result<()>) -> Result<()> {
        loop {
            let stage = self.stage.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(Stage { controller: Some(_), world }) = stage.as_ref() {
                return work(world);
            }
            drop(stage);
            prepare(&mut self.stage.write().unwrap_or_else(PoisonError::into_inner))?;
        }
    }

    /// Runs a trial while no other runs.
    pub fn alone(&self, work: &AloneWork) -> Result<()> {
        let mut stage = self.stage.write().unwrap_or_else(PoisonError::into_inner);
        let Stage { controller, world } = prepare(&mut stage)?;
        let before = controller.take().context("a controller")?;
        *controller = Some(work(world, before)?);
        Ok(())
    }
}

/// Makes the cluster if there is none, and starts a controller if a trial has left none.
fn prepare(stage: &mut Option<Stage>) -> Result<&mut Stage> {
    if stage.is_none() {
        *stage = Some(Stage { controller: None, world: World::start()? });
    }
    let stage = stage.as_mut().context("a cluster")?;
    if stage.controller.is_none() {
        stage.controller = Some(Controller::leading(&stage.world, &[])?);
    }
    Ok(stage)
}
