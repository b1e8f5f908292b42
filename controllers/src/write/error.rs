//! What can go wrong with a write, and what that means for the next try.

use std::time::Duration;

use kube::core::Status;

use crate::metrics::Operation;
use crate::reason;

/// Why a write did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The API server said no.
    #[error("{operation} {kind} {name}: {}", .status.message)]
    Refused {
        /// What was tried.
        operation: Operation,
        /// On which kind.
        kind: &'static str,
        /// On which object.
        name: String,
        /// What the API server answered.
        status: Box<Status>,
    },
    /// The API server could not be reached, or its answer could not be read.
    #[error("{operation} {kind} {name}: {}", reason::of(.source))]
    Unreachable {
        /// What was tried.
        operation: Operation,
        /// On which kind.
        kind: &'static str,
        /// On which object.
        name: String,
        /// Why.
        source: Box<kube::Error>,
    },
    /// The API server did not answer.
    #[error("{operation} {kind} {name}: no answer within {limit:?}")]
    Timeout {
        /// What was tried.
        operation: Operation,
        /// On which kind.
        kind: &'static str,
        /// On which object.
        name: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The API server stored something else.
    #[error(
        "the API server stored another {kind} {name} than was written: its definition of the kind is older than this \
         controller, or an admission webhook changes it"
    )]
    Altered {
        /// The kind.
        kind: &'static str,
        /// The object.
        name: String,
    },
    /// A Service that the watch says is gone is there: it was created again, and the watch will tell.
    #[error("delete what Service {name} left behind: it is there again")]
    Returned {
        /// The Service.
        name: String,
    },
    /// The time for which this replica leads was over before the request was sent.
    #[error("{operation} {kind} {name}: not sent, this replica no longer leads")]
    NotLeading {
        /// What was to be done.
        operation: Operation,
        /// On which kind.
        kind: &'static str,
        /// On which object.
        name: String,
    },
    /// The object is deleted, and held by finalizers.
    #[error(
        "delete {kind} {name}: held by the finalizers {finalizers}; they must be removed by who set them"
    )]
    Held {
        /// The kind.
        kind: &'static str,
        /// The object.
        name: String,
        /// Which.
        finalizers: String,
    },
}

/// What an error means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The object is not there.
    Absent,
    /// What we know is older than what is stored, or another replica's matter by now: the watch will tell.
    Stale,
    /// An object of that name is there.
    Taken,
    /// The namespace is being deleted: nothing is missing there any more.
    NamespaceGone,
    /// The object is not acceptable, and will not be at the next try either.
    Invalid,
    /// The API server stored something else than was written.
    Altered,
    /// Anything else: worth another try.
    Failed,
}

impl Class {
    /// The class as it stands in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Stale => "stale",
            Self::Taken => "taken",
            Self::NamespaceGone => "namespace_gone",
            Self::Invalid => "invalid",
            Self::Altered => "altered",
            Self::Failed => "failed",
        }
    }
}

impl WriteError {
    /// The error of a request.
    pub fn api(operation: Operation, kind: &'static str, name: &str, source: kube::Error) -> Self {
        let name = name.to_owned();
        match source {
            kube::Error::Api(status) => Self::Refused { operation, kind, name, status },
            source => Self::Unreachable { operation, kind, name, source: Box::new(source) },
        }
    }

    /// Whether it befell an EndpointSlice.
    pub fn is_about_slices(&self) -> bool {
        match self {
            Self::Refused { kind, .. }
            | Self::Unreachable { kind, .. }
            | Self::Timeout { kind, .. }
            | Self::Altered { kind, .. }
            | Self::NotLeading { kind, .. }
            | Self::Held { kind, .. } => *kind == "EndpointSlice",
            Self::Returned { .. } => false,
        }
    }

    /// What it means.
    pub fn class(&self) -> Class {
        match self {
            Self::Refused { operation, status, .. } => classify(*operation, status),
            Self::Altered { .. } => Class::Altered,
            Self::Returned { .. } | Self::NotLeading { .. } => Class::Stale,
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Held { .. } => Class::Failed,
        }
    }
}

fn classify(operation: Operation, status: &Status) -> Class {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let of_namespace = status.details.as_ref().is_some_and(|details| details.kind == "namespaces");
    match status.code {
        // Since Kubernetes 1.17 the cause says so; a status without causes has only its text.
        403 if causes.clone().any(|cause| cause.reason == "NamespaceTerminating") => Class::NamespaceGone,
        // A namespace that is gone altogether answers a creation with "not found".
        404 if operation == Operation::Create && of_namespace => Class::NamespaceGone,
        404 => Class::Absent,
        409 if status.reason == "AlreadyExists" => Class::Taken,
        409 => Class::Stale,
        422 => Class::Invalid,
        _ => Class::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_mean_what_they_mean() {
        let cases = [
            (Operation::Create, 403, "Forbidden", "NamespaceTerminating", Class::NamespaceGone),
            (Operation::Create, 403, "Forbidden", "", Class::Failed),
            (Operation::Create, 404, "NotFound", "namespaces", Class::NamespaceGone),
            (Operation::Create, 404, "NotFound", "", Class::Absent),
            (Operation::Update, 404, "NotFound", "", Class::Absent),
            (Operation::Delete, 404, "NotFound", "", Class::Absent),
            (Operation::Create, 409, "AlreadyExists", "", Class::Taken),
            (Operation::Update, 409, "Conflict", "", Class::Stale),
            (Operation::Delete, 409, "Conflict", "", Class::Stale),
            (Operation::Create, 422, "Invalid", "FieldValueInvalid", Class::Invalid),
            (Operation::Update, 429, "TooManyRequests", "", Class::Failed),
            (Operation::Update, 500, "InternalError", "", Class::Failed),
        ];
        for (operation, code, reason, cause, expected) in cases {
            let status: Status = serde_json::from_value(serde_json::json!({
                "code": code, "reason": reason, "details": {"kind": cause, "causes": [{"reason": cause}]},
            }))
            .unwrap();
            assert_eq!(classify(operation, &status), expected, "{operation} {code} {reason} {cause}");
        }
    }
}
