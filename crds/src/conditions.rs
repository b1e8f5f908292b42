//! The words of status: condition types and reasons of a `NodeProxyPlan`, each with what it means to an operator.
//! `docs/operations.md` lists the same words; a test holds both together.

use std::fmt;

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])+ $word:ident,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[doc = $doc])+ $word,)+ }

        impl $name {
            /// Every word, in order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$word,)+];

            /// The word as it stands in a status.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$word => stringify!($word),)+ }
            }

            /// What the word means.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$word => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// The condition types of a `NodeProxyPlan`.
    ConditionType {
        /// The active mode carries this plan, all of it but what is refused (kstatus).
        Ready,
        /// A change is on its way into the kernel (kstatus).
        Reconciling,
        /// No progress without somebody's help (kstatus).
        Stalled,
        /// The last transaction and its read-back agreed.
        Programmed,
        /// The kernel was found to differ from the plan, and is not repaired yet.
        Drifted,
        /// Another proxy or another owner of the table is at work on this node.
        Conflict,
        /// The agent's heartbeat is younger than ten minutes; written by the controller.
        AgentAlive,
    }
}

words! {
    /// The reasons that stand beside conditions of a `NodeProxyPlan`.
    ConditionReason {
        /// The kernel holds the plan.
        Programmed,
        /// The first whole plan is not in the kernel yet.
        Starting,
        /// A change is being written.
        Applying,
        /// The kernel refused a transaction; the message has its error. It is retried.
        KernelRefused,
        /// The kernel lacks something that this mode needs; the message names it.
        KernelLacksFeature,
        /// The process lacks CAP_NET_ADMIN.
        MissingPrivilege,
        /// Another process owns the table `pointsman`.
        TableOwned,
        /// A kube-proxy is active on this node.
        KubeProxyActive,
        /// The API server cannot be reached; the last plan stays in force.
        ApiUnreachable,
        /// The plan, its kind or the permission to read it is gone; the last plan stays in force.
        PlanGone,
        /// The stored kind is older than the agent: upgrade the CRDs first.
        SchemaOutdated,
        /// The plan asks for a mode that this agent does not offer.
        ModeNotSupported,
        /// The plan is paused: nothing is written until it is resumed.
        Paused,
        /// The kernel differs from the plan, and `drift: Observe` forbids repair.
        DriftObserved,
        /// The kernel differs from the plan; repair failed and is retried.
        RepairFailed,
        /// Nothing to report.
        None,
        /// The agent's heartbeat came in time.
        HeartbeatSeen,
        /// The agent's heartbeat is older than ten minutes.
        HeartbeatMissed,
    }
}

words! {
    /// Why an entry was refused: by the controller in a `ServiceProxyPlan`, by an agent in its `NodeProxyPlan`.
    RefusalReason {
        /// The endpoint is in 127.0.0.0/8 or is ::1 (CVE-2021-25737).
        EndpointInLoopback,
        /// The endpoint is in 169.254.0.0/16 or fe80::/10 (CVE-2021-25737).
        EndpointInLinkLocal,
        /// The endpoint is a multicast or broadcast address.
        EndpointInMulticast,
        /// The endpoint is 0.0.0.0 or ::.
        EndpointUnspecified,
        /// The endpoint is an IPv4 address written as IPv6 (::ffff:a.b.c.d).
        EndpointV4Mapped,
        /// The endpoint lies inside a Service CIDR: traffic would loop.
        EndpointInServiceCidr,
        /// The frontend's address can carry no Service: loopback, link-local, multicast, unspecified or v4-mapped.
        FrontendAddressInvalid,
        /// The external IP lies outside the cluster's allow list (CVE-2020-8554).
        ExternalIpNotAllowed,
        /// Another Service, the older one, holds this address and port.
        FrontendConflict,
        /// A name in the plan is no DNS label.
        NameInvalid,
        /// An address, port or range in the object cannot be read.
        Malformed,
        /// The plan's parts contradict one another; the message says how.
        PlanInconsistent,
        /// Client IP affinity is not offered yet: the Service is proxied without it.
        AffinityNotSupported,
        /// `externalTrafficPolicy: Local` is not offered yet: the external frontends are not programmed.
        ExternalPolicyLocalNotSupported,
        /// Load balancer source ranges are not offered yet: the load balancer's addresses are not programmed.
        SourceRangesNotSupported,
        /// The Service has more endpoints than one frontend can choose from (65,535).
        TooManyEndpoints,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_explained_to_operators() {
        let page = include_str!("../../docs/operations.md");
        let types = ConditionType::ALL.iter().map(|word| word.as_str());
        let reasons = ConditionReason::ALL.iter().map(|word| word.as_str());
        let refusals = RefusalReason::ALL.iter().map(|word| word.as_str());
        for word in types.chain(reasons).chain(refusals) {
            assert!(page.contains(&format!("`{word}`")), "docs/operations.md does not explain {word}");
        }
    }

    #[test]
    fn a_word_reads_as_it_is_named_and_has_a_meaning() {
        assert_eq!(ConditionType::AgentAlive.to_string(), "AgentAlive");
        assert_eq!(ConditionReason::KernelRefused.as_str(), "KernelRefused");
        assert!(RefusalReason::ExternalIpNotAllowed.meaning().contains("CVE-2020-8554"));
        for reason in ConditionReason::ALL {
            assert!(!reason.meaning().is_empty(), "{reason} has no meaning");
        }
    }
}
