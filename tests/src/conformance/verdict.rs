//! Judges how the tests ended by the list of those that are known to fail. The list names each one and says why; it is wrong, and the run
//! with it, when one of them passes or is gone.

use anyhow::{Result, bail};

use super::report::{Outcome, Spec};

const AFFINITY: &str = "It needs client IP affinity, which is not built yet: the Service is proxied without it, and each node's status says \
                        `AffinityNotSupported`.";

const MIRRORING: &str = "It needs mirroring of Endpoints into EndpointSlices, which is not built yet. Write EndpointSlices for Services \
                         without a selector.";

const MANAGED_BY: &str = "It asks that the label `endpointslice.kubernetes.io/managed-by` say `endpointslice-controller.k8s.io`, the name of \
                          kube-controller-manager's controller. Pointsman's slices carry its own, so that neither controller takes the \
                          other's for its own.";

/// What is known to fail, and why.
pub(super) const KNOWN: &[(&str, &str)] = &[
    (
        "[sig-network] EndpointSlice should create and delete EndpointSlices for a Service with a selector that matches no pods [Conformance]",
        MANAGED_BY,
    ),
    (
        "[sig-network] EndpointSliceMirroring should mirror a custom Endpoints resource through create update and delete [Conformance]",
        MIRRORING,
    ),
    (
        "[sig-network] Services should be able to switch session affinity for NodePort service [LinuxOnly] [Conformance]",
        AFFINITY,
    ),
    (
        "[sig-network] Services should be able to switch session affinity for service with type clusterIP [LinuxOnly] [Conformance]",
        AFFINITY,
    ),
    (
        "[sig-network] Services should have session affinity work for NodePort service [LinuxOnly] [Conformance]",
        AFFINITY,
    ),
    (
        "[sig-network] Services should have session affinity work for service with type clusterIP [LinuxOnly] [Conformance]",
        AFFINITY,
    ),
];

/// The tests, sorted by what is to be said of them.
#[derive(Debug, Default)]
pub(super) struct Verdict<'a> {
    /// Passed, as they should.
    pub passed: Vec<&'a Spec>,
    /// Failed, and known to: with the reason.
    pub known: Vec<(&'a Spec, &'static str)>,
    /// Failed, and should have passed: with what they said.
    pub failed: Vec<(&'a Spec, &'a str)>,
    /// Passed, though known to fail.
    pub surprises: Vec<&'a Spec>,
    /// Known to fail, but there is no such test.
    pub gone: Vec<&'static str>,
}

impl<'a> Verdict<'a> {
    /// Sorts the tests.
    pub(super) fn of(specs: &'a [Spec], known: &'static [(&'static str, &'static str)]) -> Self {
        let mut verdict = Self::default();
        for spec in specs {
            let reason = known.iter().find(|(name, _)| *name == spec.name).map(|(_, reason)| *reason);
            match (&spec.outcome, reason) {
                (Outcome::Passed, None) => verdict.passed.push(spec),
                (Outcome::Passed, Some(_)) => verdict.surprises.push(spec),
                (Outcome::Failed(_), Some(reason)) => verdict.known.push((spec, reason)),
                (Outcome::Failed(said), None) => verdict.failed.push((spec, said)),
            }
        }
        let names = known.iter().map(|(name, _)| *name);
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
        let failed = self.failed.iter().map(|(spec, said)| format!("should pass: {} ({said})", spec.name));
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

    const LIST: &[(&str, &str)] = &[("sticks", "not built")];

    fn spec(name: &str, failed: bool) -> Spec {
        let outcome = if failed { Outcome::Failed("failed: no".into()) } else { Outcome::Passed };
        Spec { name: name.into(), outcome, took: Duration::ZERO }
    }

    #[test]
    fn the_list_must_be_true_both_ways() {
        // What ran, with whether it failed; and the error's text, empty where all is as known.
        let table: [(&[(&str, bool)], &str); 5] = [
            (&[("answers", false), ("sticks", true)], ""),
            (&[("answers", true), ("sticks", true)], "should pass: answers (failed: no)"),
            (&[("answers", false), ("sticks", false)], "passes, take it off the list: sticks"),
            (&[("answers", false)], "there is no such test: sticks"),
            (
                &[("answers", true), ("sticks", false)],
                "should pass: answers (failed: no)\npasses, take it off the list: sticks",
            ),
        ];
        for (ran, expected) in table {
            let specs: Vec<Spec> = ran.iter().map(|(name, failed)| spec(name, *failed)).collect();
            let verdict = Verdict::of(&specs, LIST);
            let error = verdict.judge().err().map(|error| error.to_string()).unwrap_or_default();
            assert_eq!(error, expected, "{ran:?}");
            assert_eq!(verdict.is_as_known(), expected.is_empty(), "{ran:?}");
            let passed = ran.iter().filter(|(_, failed)| !failed).count();
            assert_eq!(verdict.score(), (passed, ran.len()), "{ran:?}");
        }
    }
}
