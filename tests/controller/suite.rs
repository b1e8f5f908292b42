//! Who may use the cluster when: most trials side by side, some alone. It knows nothing of what they do.

use std::sync::{PoisonError, RwLock};

use anyhow::{Context, Result, anyhow};

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
        self.prepare()?;
        let stage = self.stage.read().unwrap_or_else(PoisonError::into_inner);
        work(&stage.as_ref().context("a cluster")?.world)
    }

    /// Runs a trial while no other runs. Whatever it leaves behind, a controller runs afterwards.
    pub fn alone(&self, work: &AloneWork) -> Result<()> {
        self.prepare()?;
        let mut stage = self.stage.write().unwrap_or_else(PoisonError::into_inner);
        let Stage { controller, world } = stage.as_mut().context("a cluster")?;
        let before = controller.take().map_or_else(|| Controller::leading(world, &[]), Ok)?;
        *controller = Some(work(world, before)?);
        Ok(())
    }

    fn prepare(&self) -> Result<()> {
        let mut stage = self.stage.write().unwrap_or_else(PoisonError::into_inner);
        if stage.is_none() {
            let world = World::start()?;
            *stage = Some(Stage { controller: None, world });
        }
        let stage = stage.as_mut().ok_or_else(|| anyhow!("no cluster"))?;
        if stage.controller.is_none() {
            stage.controller = Some(Controller::leading(&stage.world, &[])?);
        }
        Ok(())
    }
}
