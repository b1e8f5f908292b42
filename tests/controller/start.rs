//! The beginning: the first writes in a cluster, and flags and surroundings that a controller cannot work with.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use pointsman_tests::audit::Record;
use pointsman_tests::command::run;
use pointsman_tests::privilege::{Needs, trial};
use pointsman_tests::tools::own_binary;
use serde_json::json;

use crate::binary::{Controller, free_port};
use crate::place::{Place, eventually};
use crate::request::get;
use crate::text;
use crate::world::{FIRST, World};

/// Arguments, and what the sentence must say.
const BAD: &[(&str, &[&str])] = &[
    ("run --mode=ebpf", &["ebpf", "--mode"]),
    ("run --endpoint-slices=Auto", &["Auto", "--endpoint-slices"]),
    ("run --masquerade-bit=32", &["32", "--masquerade-bit"]),
    ("run --allowed-external-ips=everywhere", &["everywhere", "--allowed-external-ips"]),
    ("run --verify-period=soon", &["soon", "--verify-period"]),
    ("run --health-address=here", &["here", "--health-address"]),
    ("run --detect-local-mode=ClusterCIDR", &["--detect-local-mode=ClusterCIDR needs --cluster-cidrs"]),
    (
        "run --detect-local-mode=BridgeInterface",
        &["--detect-local-mode=BridgeInterface needs --pod-interface"],
    ),
    ("run --pod-interface=cni0", &["--pod-interface goes with --detect-local-mode"]),
    ("run --node-port-addresses=home", &["--node-port-addresses", "home", "192.0.2.0/24"]),
    ("run --proxy-name=-", &["--proxy-name", "no label value"]),
    ("run --log-level=loud=er=x", &["log"]),
    ("run --kubeconfig=/nonexistent/file", &["read the kubeconfig /nonexistent/file"]),
    ("run", &["find the API server", "--kubeconfig"]),
    ("plan -f /nonexistent/file", &["/nonexistent/file"]),
    ("walk", &["walk"]),
];

/// One trial a line.
pub fn trials() -> Vec<Trial> {
    let trial_of = |(line, words): &(&'static str, &'static [&'static str])| {
        let (line, words) = (*line, *words);
        trial(format!("start: {line}"), Needs::Nothing, move || is_told(line, words))
    };
    BAD.iter().map(trial_of).collect()
}

/// One sentence, and an end that is a failure. What clap says of a flag may be followed by how it is used.
fn is_told(line: &str, words: &[&str]) -> Result<()> {
    let mut command = std::process::Command::new(own_binary("pointsman-controller")?);
    command.args(line.split(' ')).env_remove("KUBERNETES_SERVICE_HOST").env_remove("KUBECONFIG");
    let outcome = run(&mut command)?;
    ensure!(outcome.status.code().is_some_and(|code| code > 0), "it ended with {}", outcome.status);
    ensure!(outcome.stdout.is_empty(), "on standard output: {}", outcome.stdout);
    let said = outcome.stderr.trim();
    let (sentence, rest) = said.split_once('\n').unwrap_or((said, ""));
    ensure!(rest.is_empty() || sentence.starts_with("error: "), "more than a sentence: {said}");
    for word in words {
        ensure!(sentence.contains(word), "{word:?} in {sentence:?}");
    }
    Ok(())
}

/// An agent takes its Node's plan as the word that all Services' plans are there.
pub fn services_first(world: &World) -> Result<()> {
    let place = Place { world, name: FIRST.0.to_owned() };
    for number in 0..FIRST.1 {
        place.expect_plan(&format!("web-{number}"), Some(&[]))?;
    }
    eventually("a Node's plan", &200, || Ok(world.ask(&get("npp/north"))?.code))?;
    let writes = world.writes_since(world.dawn)?;
    let made = |resource: &str| -> Vec<usize> {
        let is_it = |record: &Record| record.verb == "create" && record.resource == resource;
        writes.iter().enumerate().filter(|(_, record)| is_it(record)).map(|(at, _)| at).collect()
    };
    let first_node = *made("nodeproxyplans").first().context("a Node's plan")?;
    let mut services = made("serviceproxyplans");
    services.retain(|at| writes[*at].namespace == FIRST.0);
    ensure!(services.len() == FIRST.1, "{:#?}", writes.iter().map(text::write).collect::<Vec<_>>());
    ensure!(
        services.iter().all(|at| *at < first_node),
        "a Node's plan came at {first_node}, Services' at {services:?}"
    );
    Ok(())
}

/// Nobody answers at the address: it says so once, is not ready, waits, and can be ended meanwhile.
pub fn no_apiserver(world: &World) -> Result<()> {
    let server = format!("https://127.0.0.1:{}", free_port()?);
    let text = std::fs::read_to_string(world.kubeconfig())?.replace(world.control_plane.server(), &server);
    let kubeconfig = world.control_plane.folder().join("nobody.kubeconfig");
    std::fs::write(&kubeconfig, text)?;
    let mut controller = Controller::start(world, &kubeconfig, &[])?;
    let (code, said) = controller.wait_for("is waited for")?;
    ensure!(code == 503 && said.contains(&server), "{code} {said}");
    // It tries again meanwhile.
    std::thread::sleep(Duration::from_secs(3));
    controller.still_runs()?;
    let log = controller.log()?;
    ensure!(log.lines().filter(|line| line.contains(&server)).count() == 1, "one sentence: {log}");
    controller.stop()
}

/// Somebody else listens on its port.
pub fn taken_port(world: &World) -> Result<()> {
    let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let flag = format!("--health-address={}", holder.local_addr()?);
    let mut command = std::process::Command::new(own_binary("pointsman-controller")?);
    let outcome = run(command.arg("run").arg("--kubeconfig").arg(world.kubeconfig()).arg(flag))?;
    ensure!(outcome.status.code() == Some(1), "it ended with {}", outcome.status);
    let said = outcome.stderr.lines().last().unwrap_or_default();
    let sentence = format!("pointsman-controller: listen on {} for health", holder.local_addr()?);
    ensure!(said.starts_with(&sentence), "{}", outcome.stderr);
    Ok(())
}

/// An account without any role.
pub fn no_permission(world: &World) -> Result<()> {
    let place = Place::create(world, "nobody")?;
    place.add(
        "account",
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody"}}),
    )?;
    let token = world.control_plane.create_token("nobody", "nobody", None)?;
    let kubeconfig = world.control_plane.kubeconfig_for("nobody-token", &token)?;
    let mark = world.mark()?;
    let mut controller = Controller::start(world, &kubeconfig, &[])?;
    std::thread::sleep(Duration::from_secs(3));
    let (code, said) = controller.ready().context("an answer of /readyz")?;
    ensure!(code == 503 && !said.is_empty(), "{code} {said}");
    controller.still_runs()?;
    let log = controller.log()?;
    ensure!(log.contains("forbidden") || log.contains("cannot"), "the log says why: {log}");
    let user = "system:serviceaccount:nobody:nobody";
    let requests = world.control_plane.audit().since(mark)?;
    let accepted = requests.iter().filter(|it| it.user == user && it.is_write() && it.code < 300).count();
    ensure!(accepted == 0, "{accepted} writes");
    // Neither a storm of requests nor of words.
    let asked = requests.iter().filter(|it| it.user == user).count();
    ensure!((1..200).contains(&asked), "{asked} requests in 3 s");
    ensure!(log.lines().count() < 100, "{} lines in 3 s", log.lines().count());
    controller.stop()
}
