//! What comes back from disk: what was written whole, and never half of anything.

use super::*;

fn service(name: &str, uid: &str) -> (ServiceKey, Arc<ServicePlan>) {
    let key = ServiceKey::new("shop", name);
    let spec = ServiceProxyPlanSpec { service_uid: uid.to_owned(), ..Default::default() };
    (key.clone(), Arc::new(ServicePlan { key, spec }))
}

fn plan(revision: &str, services: &[(&str, &str)]) -> Plan {
    let node = NodePlan {
        name: "node-7".to_owned(),
        generation: 4,
        spec: NodeProxyPlanSpec::default(),
        conditions: Vec::new(),
    };
    let services = services.iter().map(|(name, uid)| service(name, uid)).collect();
    Plan { node: Arc::new(node), services, revision: Revision::new(revision) }
}

/// Writes `to` as the change from `from`.
fn step(checkpoint: &mut Checkpoint, from: &Plan, to: &Plan) {
    let changed = from.clone().absorb(Services::All(to.services.clone()));
    let update = Update { services: Services::Changed(changed), ..Update::default() };
    checkpoint.write(to, &update).unwrap();
}

#[test]
fn what_was_written_in_steps_is_read_as_a_whole() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("deep/state");
    let mut checkpoint = Checkpoint::new(&state).unwrap();
    assert_eq!(checkpoint.load().unwrap(), None);
    let steps = [
        plan("5", &[("web", "a"), ("dns", "b")]),
        plan("6", &[("web", "c"), ("dns", "b")]),
        plan("7", &[("web", "c")]),
        plan("4", &[("web", "c"), ("new", "d")]),
    ];
    let mut before = plan("0", &[]);
    for after in steps {
        step(&mut checkpoint, &before, &after);
        assert_eq!(Checkpoint::new(&state).unwrap().load().unwrap().as_ref(), Some(&after));
        before = after;
    }
    assert!(checkpoint.changes > 0 && checkpoint.base > 0, "changes were appended");
    assert!(checkpoint.delete().unwrap());
    assert_eq!(checkpoint.load().unwrap(), None);
    assert!(!checkpoint.delete().unwrap());
}

#[test]
fn a_torn_or_altered_tail_does_not_count() {
    let directory = tempfile::tempdir().unwrap();
    let mut checkpoint = Checkpoint::new(directory.path()).unwrap();
    let (first, second) = (plan("5", &[("web", "a")]), plan("6", &[("web", "b"), ("dns", "c")]));
    step(&mut checkpoint, &plan("0", &[]), &first);
    let base = std::fs::metadata(checkpoint.path()).unwrap().len() as usize;
    step(&mut checkpoint, &first, &second);
    let whole = std::fs::read(checkpoint.path()).unwrap();
    for length in base..whole.len() - 1 {
        std::fs::write(checkpoint.path(), &whole[..length]).unwrap();
        assert_eq!(checkpoint.load().unwrap().as_ref(), Some(&first), "torn after {length} bytes");
    }
    for place in base..whole.len() - 1 {
        let mut altered = whole.clone();
        altered[place] ^= 1;
        std::fs::write(checkpoint.path(), &altered).unwrap();
        assert_eq!(checkpoint.load().unwrap().as_ref(), Some(&first), "altered at {place}");
    }
    std::fs::write(checkpoint.path(), &whole).unwrap();
    assert_eq!(checkpoint.load().unwrap(), Some(second));
}

#[test]
fn a_damaged_base_is_an_error_and_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let mut checkpoint = Checkpoint::new(directory.path()).unwrap();
    for (text, expected) in
        [("", "base is incomplete"), ("{\"format\":9}\n", "another version"), ("x", "base is incomplete")]
    {
        std::fs::write(checkpoint.path(), text).unwrap();
        let message = checkpoint.load().unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    step(&mut checkpoint, &plan("0", &[]), &plan("5", &[("web", "a")]));
    assert_eq!(checkpoint.load().unwrap(), Some(plan("5", &[("web", "a")])));
}

#[test]
fn changes_that_outgrow_the_base_are_folded_into_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut checkpoint = Checkpoint::new(directory.path()).unwrap();
    let long = "u".repeat(60_000);
    let mut before = plan("0", &[]);
    let mut largest = 0;
    for round in 0..20 {
        let after = plan(&round.to_string(), &[("web", &format!("{long}{round}"))]);
        step(&mut checkpoint, &before, &after);
        largest = largest.max(std::fs::metadata(checkpoint.path()).unwrap().len());
        assert_eq!(checkpoint.load().unwrap().as_ref(), Some(&after));
        before = after;
    }
    assert!(largest < 3 * 60_000 + 2 * SLACK, "{largest} bytes for a plan of 60,000");
}
