//! Judges how the tests ended by the list of those that are known to fail. The list names each one, what it says when it fails, and why; it
//! is wrong, and the run with it, when one of them passes, fails otherwise or is gone.

use anyhow::{Result, bail};

use super::report::{Outcome, Spec};

/// A test that is known to fail.
#[derive(Debug)]
pub(super) struct Known {
    /// Its whole name.
    name: &'static str,
    cause: &'static Cause,
}

/// What is not there yet, or will never be.
#[derive(Debug)]
struct Cause {
    /// How a test ends that fails for it, and what it says then or begins to say. One that asks for affinity and says that its Service
    /// cannot be reached has failed for another.
    says: &'static str,
    /// For readers of the page.
    why: &'static str,
}

const AFFINITY: &Cause = &Cause {
    // It says so only after it has had enough answers.
    says: "failed: Affinity should hold but didn't.",
    why: "It needs client IP affinity, which is not built yet: the Service is proxied without it, and each node's status says \
          `AffinityNotSupported`.",
};

const MIRRORING: &Cause = &Cause {
    says: "failed: Did not find matching EndpointSlice for ",
    why: "It needs mirroring of Endpoints into EndpointSlices, which is not built yet. Write EndpointSlices for Services without a \
          selector.",
};

/// What is known to fail.
pub(super) const KNOWN: &[Known] = &[
    Known {
        name: "[sig-network] EndpointSliceMirroring should mirror a custom Endpoints resource through create update and delete [Conformance]",
        cause: MIRRORING,
    },
    Known {
        name: "[sig-network] Services should be able to switch session affinity for NodePort service [LinuxOnly] [Conformance]",
        cause: AFFINITY,
    },
    Known {
        name: "[sig-network] Services should be able to switch session affinity for service with type clusterIP [LinuxOnly] [Conformance]",
        cause: AFFINITY,
    },
    Known {
        name: "[sig-network] Services should have session affinity work for NodePort service [LinuxOnly] [Conformance]",
        cause: AFFINITY,
    },
    Known {
        name: "[sig-network] Services should have session affinity work for service with type clusterIP [LinuxOnly] [Conformance]",
        cause: AFFINITY,
    },
];

/// The tests, sorted by what is to be said of them.
#[derive(Debug, Default)]
pub(super) struct Verdict<'a> {
    /// Passed, as they should.
    pub passed: Vec<&'a Spec>,
    /// Failed, and known to: with the reason.
    pub known: Vec<(&'a Spec, &'static str)>,
    /// Failed, and should have passed, or is known to fail for another cause: with what they said.
    pub failed: Vec<(&'a Spec, &'a str)>,
    /// Passed, though known to fail.
    pub surprises: Vec<&'a Spec>,
    /// Known to fail, but there is no such test.
    pub gone: Vec<&'static str>,
}

impl<'a> Verdict<'a> {
    /// Sorts the tests.
    pub(super) fn of(specs: &'a [Spec], known: &'static [Known]) -> Self {
        let mut verdict = Self::default();
        for spec in specs {
            let cause = known.iter().find(|known| known.name == spec.name).map(|known| known.cause);
            match (&spec.outcome, cause) {
                (Outcome::Passed, None) => verdict.passed.push(spec),
                (Outcome::Passed, Some(_)) => verdict.surprises.push(spec),
                (Outcome::Failed(said), Some(cause)) if said.starts_with(cause.says) => {
                    verdict.known.push((spec, cause.why));
                }
                (Outcome::Failed(said), _) => verdict.failed.push((spec, said)),
            }
        }
        let names = known.iter().map(|known| known.name);
        verdict.gone = names.filter(|name| specs.iter().all(|spec| spec.name != *name)).collect();
        verdict
    }

    /// Whether everything ended as it is known to.
    pub(super) fn is_as_known(&self) -> bool {
        self.failed.is_empty() && self.surprises.is_empty() && self.gone.is_empty()
    }

    /// How many passed, the surprises among them, and of how many.
    pub(super) fn score(&self) -> (usize, usize) {
        let passed = self.passed.len() + self.surprises.len();
        (passed, passed + self.known.len() + self.failed.len())
    }

    /// An error that names what did not end as it is known to.
    pub(super) fn judge(&self) -> Result<()> {
        if self.is_as_known() {
            return Ok(());
        }
        let failed =
            self.failed.iter().map(|(spec, said)| format!("should not fail so: {} ({said})", spec.name));
        let surprises =
            self.surprises.iter().map(|spec| format!("passes, take it off the list: {}", spec.name));
        let gone = self.gone.iter().map(|name| format!("there is no such test: {name}"));
        bail!("{}", failed.chain(surprises).chain(gone).collect::<Vec<_>>().join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIST: &[Known] =
        &[Known { name: "sticks", cause: &Cause { says: "failed: went", why: "not built" } }];

    /// What the test says at its end; nothing, if it passes.
    fn spec((name, said): &(&str, &str)) -> Spec {
        let outcome = if said.is_empty() { Outcome::Passed } else { Outcome::Failed((*said).into()) };
        Spec { name: (*name).into(), outcome, took: Duration::ZERO }
    }

    #[test]
    fn the_list_must_be_true_both_ways() {
        // What ran, with what it said; and the error's text, empty where all is as known.
        let table: [(&[(&str, &str)], &str); 7] = [
            (&[("answers", ""), ("sticks", "failed: went elsewhere")], ""),
            (
                &[("answers", "failed: went elsewhere"), ("sticks", "failed: went elsewhere")],
                "should not fail so: answers (failed: went elsewhere)",
            ),
            (
                &[("answers", ""), ("sticks", "failed: no route")],
                "should not fail so: sticks (failed: no route)",
            ),
            (
                &[("answers", ""), ("sticks", "timedout: went elsewhere")],
                "should not fail so: sticks (timedout: went elsewhere)",
            ),
            (&[("answers", ""), ("sticks", "")], "passes, take it off the list: sticks"),
            (&[("answers", "")], "there is no such test: sticks"),
            (
                &[("answers", "failed: no"), ("sticks", "")],
                "should not fail so: answers (failed: no)\npasses, take it off the list: sticks",
            ),
        ];
        for (ran, expected) in table {
            let specs: Vec<Spec> = ran.iter().map(spec).collect();
            let verdict = Verdict::of(&specs, LIST);
            let error = verdict.judge().err().map(|error| error.to_string()).unwrap_or_default();
            assert_eq!(error, expected, "{ran:?}");
            assert_eq!(verdict.is_as_known(), expected.is_empty(), "{ran:?}");
            let passed = ran.iter().filter(|(_, said)| said.is_empty()).count();
            assert_eq!(verdict.score(), (passed, ran.len()), "{ran:?}");
        }
    }

    #[test]
    fn a_service_that_cannot_be_reached_is_no_lack_of_affinity() {
        let table = [
            (
                MIRRORING,
                "Did not find matching EndpointSlice for endpointslicemirroring-5688/example-custom-endpoints: \
              timed out waiting for the condition",
                true,
            ),
            (AFFINITY, "Affinity should hold but didn't.", true),
            (AFFINITY, "Affinity shouldn't hold but did.", false),
            (AFFINITY, "Connection timed out or not enough responses.", false),
            (
                AFFINITY,
                "service is not reachable within 2m0s timeout on endpoint 10.96.0.7:80 over TCP protocol",
                false,
            ),
        ];
        for (cause, said, expected) in table {
            let names = KNOWN.iter().filter(|known| known.cause.says == cause.says).map(|known| known.name);
            let specs: Vec<Spec> = names.map(|name| spec(&(name, &format!("failed: {said}")))).collect();
            assert!(!specs.is_empty(), "{said}");
            let verdict = Verdict::of(&specs, KNOWN);
            let (known, failed) = if expected { (specs.len(), 0) } else { (0, specs.len()) };
            assert_eq!((verdict.known.len(), verdict.failed.len()), (known, failed), "{said}");
        }
    }
}
