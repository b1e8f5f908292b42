//! Changes by others are told, our own are not, and a flood is told as lost.

use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Result, ensure};
use pointsman_crds::IpFamily;
use pointsman_dataplane::nftables::schema::SetId;
use pointsman_dataplane::nftables::table::{Key, Value};
use pointsman_dataplane::nftables::transaction::Transaction;
use pointsman_node_agent::nftables::{Nftables, Touch, Watch};

use crate::Case;
use crate::fixture::{creation, nodes, table};
use crate::round_trip::written;

pub const CASES: &[Case] = &[
    ("changes of our table by others are told, our own and other tables' are not", told),
    ("more notifications than fit are told as lost", lost),
];

/// Long enough for a notification that is on its way.
const SOON: Duration = Duration::from_millis(300);

fn told() -> Result<()> {
    let (namespace, mut kernel) = written(&table(&nodes()[0], IpFamily::IPv4))?;
    kernel.commit(IpFamily::IPv6, &creation(&table(&nodes()[0], IpFamily::IPv6)))?;
    let port = kernel.port();
    let mut watch = namespace.enter(|| Watch::open(port))??;
    let (sender, touches) = channel();
    std::thread::spawn(move || while sender.send(watch.wait()).is_ok() {});
    let quiet = || matches!(touches.recv_timeout(SOON), Err(RecvTimeoutError::Timeout));

    let mut change = Transaction::default();
    change.set(SetId::NoEndpointNodePorts, Key::point(&[6, 0, 0, 0, 1, 2, 0, 0]), Value::default(), false);
    kernel.commit(IpFamily::IPv4, &change)?;
    ensure!(quiet(), "our own change was told");
    namespace.nft(&["add table ip others; add chain ip others pointsman; add table inet pointsman"], "")?;
    ensure!(quiet(), "another table's change was told");
    for (command, expected) in [
        ("add element ip pointsman no-endpoint-nodeports { udp . 9 }", Touch::Table(IpFamily::IPv4)),
        ("flush chain ip6 pointsman lb-1", Touch::Table(IpFamily::IPv6)),
        ("add chain ip pointsman own", Touch::Table(IpFamily::IPv4)),
        ("delete table ip pointsman", Touch::Table(IpFamily::IPv4)),
    ] {
        namespace.nft(&[command], "")?;
        let touch = touches.recv_timeout(SOON * 10)??;
        ensure!(touch == expected, "{command}: told {touch:?}");
        ensure!(quiet(), "{command}: told twice");
    }
    Ok(())
}

fn lost() -> Result<()> {
    let (namespace, mut kernel) = written(&table(&nodes()[0], IpFamily::IPv4))?;
    // It watches for what another port does: here, everything that this test's own socket does.
    let mut watch = namespace.enter(|| Watch::open(0))??;
    let keys = (0..200_000u32).map(|number| Key::point(&number.to_be_bytes()));
    let elements: BTreeMap<Key, Value> = keys.map(|key| (key, Value::default())).collect();
    let flood =
        Transaction { add: BTreeMap::from([(SetId::ClusterIps, elements)]), ..Transaction::default() };
    kernel.commit(IpFamily::IPv4, &flood)?;
    ensure!(watch.wait()? == Touch::Lost, "a flood was not told as lost");
    Ok(())
}
