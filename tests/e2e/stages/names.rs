//! The cluster's DNS, asked by the Service's addresses over UDP and TCP from a pod on each node: what it says of each kind of Service.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::account::Account;
use crate::plans;
use crate::world::{CLIENTS, World};

/// A question: a name, a type of record, and the answers.
type Question = (&'static str, &'static str, BTreeSet<String>);

/// The addresses of the Service `kube-dns`.
const SERVERS: [&str; 2] = ["10.96.0.10", "fd00:96::a"];

/// Plays it.
pub fn play(world: &World, account: &mut Account) -> Result<()> {
    let questions = questions(world)?;
    let mut wrong = vec![];
    let mut asked = 0;
    for client in CLIENTS {
        for server in SERVERS {
            for transport in ["+notcp", "+tcp"] {
                for (name, kind, expected) in &questions {
                    let answer = ask(world, client, server, transport, name, kind)?;
                    asked += 1;
                    if answer != *expected {
                        wrong.push(format!(
                            "{client} @{server} {transport} {name} {kind}: {answer:?}, not {expected:?}"
                        ));
                    }
                }
            }
        }
    }
    let claim = format!(
        "{asked} questions from both nodes, by both addresses, over UDP and TCP: names of ClusterIP, headless and ExternalName Services"
    );
    account.claim(wrong.is_empty(), &claim, || wrong.join("; "))?;
    for (name, of) in
        [("web", "a ClusterIP"), ("web-headless:8080", "a headless"), ("elsewhere", "an ExternalName")]
    {
        let url = format!("http://{name}/hostname");
        let said =
            world.cluster.exec(&format!("default/{}", CLIENTS[0]), &["curl", "-s", "-m", "5", &url])?;
        account.claim(said.starts_with("web-"), &format!("a pod fetches {url}, {of} Service"), || {
            said.clone()
        })?;
    }
    plans::are_in_step(world, account)
}

fn questions(world: &World) -> Result<Vec<Question>> {
    let addresses = world.cluster_addresses("web")?;
    let texts = |wanted: fn(&std::net::IpAddr) -> bool, of: &[std::net::IpAddr]| -> BTreeSet<String> {
        of.iter().filter(|address| wanted(address)).map(ToString::to_string).collect()
    };
    let (v4, v6) = (std::net::IpAddr::is_ipv4, std::net::IpAddr::is_ipv6);
    let pods: Vec<_> = world.pods("default", "app=web")?.into_iter().flat_map(|pod| pod.addresses).collect();
    let web = "web.default.svc.cluster.local";
    let headless = "web-headless.default.svc.cluster.local";
    let elsewhere = "elsewhere.default.svc.cluster.local";
    let through = |of: BTreeSet<String>| of.into_iter().chain([format!("{web}.")]).collect();
    Ok(vec![
        (web, "A", texts(v4, &addresses)),
        (web, "AAAA", texts(v6, &addresses)),
        (headless, "A", texts(v4, &pods)),
        (headless, "AAAA", texts(v6, &pods)),
        (elsewhere, "CNAME", BTreeSet::from([format!("{web}.")])),
        (elsewhere, "A", through(texts(v4, &addresses))),
        ("nobody.default.svc.cluster.local", "A", BTreeSet::new()),
    ])
}

fn ask(
    world: &World,
    client: &str,
    server: &str,
    transport: &str,
    name: &str,
    kind: &str,
) -> Result<BTreeSet<String>> {
    let at = format!("@{server}");
    let argv = ["dig", "+short", "+tries=1", "+time=2", transport, &at, name, kind];
    // A server that does not answer is an error of dig, so that silence is no empty answer.
    let said = world.cluster.exec(&format!("default/{client}"), &argv)?;
    Ok(said.lines().map(str::to_owned).collect())
}
