//! Where the images of the cluster stand, as files, and what they are called. It makes none.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::tools::repository;

use super::Proxy;

/// Upstream's test image: `netexec` answers HTTP and UDP, and there is a shell with curl, dig, nc and ss.
pub const AGNHOST: &str = "registry.k8s.io/e2e-test-images/agnhost:2.66.1";

/// The archive of our own image for this machine's processor.
pub fn pointsman_image() -> Result<PathBuf> {
    let processor = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => bail!("there is no image for {other}"),
    };
    let path = repository().join(format!("target/image/pointsman-{processor}.tar"));
    if !path.is_file() {
        bail!("{} is not there: run `make image ARCH={processor}`", path.display());
    }
    Ok(path)
}

/// The archives that nodes start with.
pub(super) fn archives(proxy: Proxy) -> Result<Vec<PathBuf>> {
    let mut archives = vec![];
    for name in ["pause", "coredns", "agnhost"] {
        let path = repository().join(format!("target/tools/images/{name}.tar"));
        if !path.is_file() {
            bail!("{} is not there: run `tests/tools/images {name}`", path.display());
        }
        archives.push(path);
    }
    if proxy == Proxy::Pointsman {
        archives.push(pointsman_image()?);
    }
    Ok(archives)
}
