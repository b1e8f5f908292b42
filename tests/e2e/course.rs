//! What happens in which order, on which cluster. A stage that fails is written down; the next one begins when all is well again, and
//! when it does not become well the course is over.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::ValueEnum;
use pointsman_tests::nodes::{Options, Proxy, Slices};

use crate::account::Account;
use crate::figures::Figures;
use crate::stages::{cut, deployment, farewell, handover, install, leader, names, reboot, upgrade};
use crate::world::{CLIENTS, World};

/// A cluster and what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Course {
    /// Pointsman, which writes the EndpointSlices too.
    Manage,
    /// Pointsman, with the EndpointSlices of kube-controller-manager.
    Consume,
    /// kube-proxy, to compare with.
    KubeProxy,
}

/// A part of a course.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// From nothing to a cluster that works.
    Install,
    /// The cluster's DNS.
    Names,
    /// A Deployment under connections.
    Deployment,
    /// Upgrade, rollback and restarts under connections.
    Upgrade,
    /// A node switched off and on.
    Reboot,
    /// A node cut off from the API server.
    Cut,
    /// A leader that goes, and one whose node goes.
    Leader,
    /// The EndpointSlices change hands, to Pointsman and back.
    Handover,
    /// Uninstalled under connections, and cleaned up.
    Farewell,
}

impl Course {
    /// How the account calls it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Manage => "Pointsman with its own EndpointSlices",
            Self::Consume => "Pointsman with kube-controller-manager's EndpointSlices",
            Self::KubeProxy => "kube-proxy 1.37.1 in nftables mode, to compare with",
        }
    }

    fn options(self) -> Options {
        match self {
            Self::Manage => Options { slices: Slices::Manage, proxy: Proxy::Pointsman },
            Self::Consume => Options { slices: Slices::Consume, proxy: Proxy::Pointsman },
            Self::KubeProxy => Options { slices: Slices::Consume, proxy: Proxy::KubeProxy },
        }
    }

    /// Plays it: the stages that are wanted, on a cluster of its own that is gone afterwards.
    pub fn play(self, wanted: &[Stage], account: &mut Account, figures: &mut Figures) -> Result<()> {
        account.course(self.title())?;
        let mut world = World::build(self.options())?;
        account.say("etcd, the API server and its controllers run, both nodes are Ready, and so do the pods of the test.");
        let played = self.play_stages(&mut world, wanted, account, figures);
        if let Err(error) = played {
            account.fail("the course ended early", &error);
        }
        if !account.is_good() {
            account.say(&format!("What the cluster had to say is in {}", self.save_logs(&world)?.display()));
        }
        world.cluster.down()?;
        account
            .say("The cluster is down: no process, mount, namespace, control group or file of it is left.");
        Ok(())
    }

    /// Saves what could explain a failure, where the next course does not write.
    fn save_logs(self, world: &World) -> Result<PathBuf> {
        let saved = world.cluster.save_logs()?;
        let folder = saved.with_file_name(format!("logs-{self:?}").to_lowercase());
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
        }
        std::fs::rename(&saved, &folder).with_context(|| format!("move {}", saved.display()))?;
        Ok(folder)
    }

    fn play_stages(
        self,
        world: &mut World,
        wanted: &[Stage],
        account: &mut Account,
        figures: &mut Figures,
    ) -> Result<()> {
        for stage in Stage::value_variants() {
            // All else rests on it.
            let first = *stage == Stage::Install;
            let elsewhere = match self {
                Self::Manage => *stage == Stage::Handover,
                Self::Consume => false,
                Self::KubeProxy => *stage != Stage::Deployment,
            };
            if elsewhere || !first && !wanted.contains(stage) {
                continue;
            }
            if !first {
                settle(world).context("wait until all is well before the next stage")?;
            }
            account.stage(stage.title())?;
            if let Err(error) = stage.play(self, world, account, figures) {
                account.fail(stage.title(), &error);
                if first {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl Stage {
    fn title(self) -> &'static str {
        match self {
            Self::Install => "From nothing to `helm install --wait`, and everybody reaches everybody",
            Self::Names => "CoreDNS answers",
            Self::Deployment => "A Deployment is scaled, rolled and drained under continuous connections",
            Self::Upgrade => "Upgrade, rollback and restarts under continuous connections",
            Self::Reboot => "A node is switched off and on",
            Self::Cut => "A node is cut off from the API server for a minute",
            Self::Leader => "The leader goes, and then its successor's node",
            Self::Handover => "The EndpointSlices change hands under continuous connections",
            Self::Farewell => "Uninstalled under continuous connections, and cleaned up",
        }
    }

    fn play(
        self,
        course: Course,
        world: &mut World,
        account: &mut Account,
        figures: &mut Figures,
    ) -> Result<()> {
        match self {
            Self::Install => install::play(world, account),
            Self::Names => names::play(world, account),
            Self::Deployment => deployment::play(course, world, account, figures),
            Self::Upgrade => upgrade::play(world, account),
            Self::Reboot => reboot::play(world, account),
            Self::Cut => cut::play(world, account),
            Self::Leader => leader::play(world, account),
            Self::Handover => handover::play(world, account),
            Self::Farewell => farewell::play(world, account),
        }
    }
}

/// Waits until nodes, workload and proxy are as they should be between two stages.
fn settle(world: &World) -> Result<()> {
    world.cluster.wait_for_nodes()?;
    world.rolled_out("default", "deployment/web")?;
    world.rolled_out("kube-system", "deployment/coredns")?;
    for client in CLIENTS {
        world.cluster.kubectl(&["wait", "--for=condition=Ready", "--timeout=60s", "pod", client])?;
    }
    if world.has_pointsman() {
        world.own_rolled_out()?;
    }
    Ok(())
}
