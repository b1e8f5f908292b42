//! Schema fragments for values that Rust parses and the API server must refuse when they are wrong. No logic.

use schemars::{Schema, SchemaGenerator, json_schema};

use crate::names::CONDITION_MESSAGE_LIMIT;

/// An IP address in text; CEL's `isIP` refuses zones, leading zeros and v4-mapped addresses, as Kubernetes does (KEP-4858).
pub fn ip(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "minLength": 2, "maxLength": 45,
        "x-kubernetes-validations": [{"rule": "isIP(self)", "message": "must be an IPv4 or IPv6 address"}]
    })
}

fn list(max: u32, items: &Schema) -> Schema {
    json_schema!({"type": "array", "maxItems": max, "items": items})
}

/// At most 64 addresses.
pub fn ips(generator: &mut SchemaGenerator) -> Schema {
    list(64, &ip(generator))
}

/// At most two addresses, one a family.
pub fn cluster_ips(generator: &mut SchemaGenerator) -> Schema {
    list(2, &ip(generator))
}

/// At most 256 ranges in CIDR notation, their host bits zero.
pub fn cidrs(_: &mut SchemaGenerator) -> Schema {
    let cidr = json_schema!({
        "type": "string", "minLength": 3, "maxLength": 49,
        "x-kubernetes-validations": [{
            "rule": "isCIDR(self) && cidr(self) == cidr(self).masked()",
            "message": "must be a range in CIDR notation with no host bits set, such as 10.244.0.0/16"
        }]
    });
    list(256, &cidr)
}

/// A Go duration without sign, of whole units. Bounded, because what Go and Rust cannot hold would be stored and never be read.
pub fn duration(_: &mut SchemaGenerator) -> Schema {
    duration_where(
        "duration(self) <= duration('8760h')",
        "must be a duration of at most one year (8760h), such as 30s",
    )
}

/// A duration of at least a second: the kernel is read back no more often.
pub fn verify_period(_: &mut SchemaGenerator) -> Schema {
    duration_where(
        "duration(self) >= duration('1s') && duration(self) <= duration('8760h')",
        "must be a duration from 1s to one year (8760h), such as 30s",
    )
}

/// A duration in the bounds of `settings::STATUS_PERIODS`.
pub fn status_period(_: &mut SchemaGenerator) -> Schema {
    duration_where(
        "duration(self) >= duration('1s') && duration(self) <= duration('4m')",
        "must be a duration from 1s to 4m, such as 30s",
    )
}

fn duration_where(rule: &str, message: &str) -> Schema {
    json_schema!({
        "type": "string", "maxLength": 32, "pattern": "^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$",
        "x-kubernetes-validations": [{"rule": rule, "message": message}]
    })
}

/// A DNS label (RFC 1123), or nothing: the name of a Service port may be empty when it is the only one.
pub fn port_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 63, "pattern": "^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$"})
}

/// The name of an object: a DNS subdomain (RFC 1123).
pub fn object_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "minLength": 1, "maxLength": 253,
        "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
    })
}

/// At most 16 zones (label values).
pub fn zones(generator: &mut SchemaGenerator) -> Schema {
    list(16, &zone(generator))
}

/// A zone: a label value.
pub fn zone(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 63})
}

/// At most 16 node names.
pub fn node_names(generator: &mut SchemaGenerator) -> Schema {
    list(16, &object_name(generator))
}

/// The names of a Service's shards.
pub fn shards(generator: &mut SchemaGenerator) -> Schema {
    list(4096, &object_name(generator))
}

/// A Linux interface name or the beginning of one: 15 bytes, no slash, no space.
pub fn interface(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": 15, "pattern": "^[A-Za-z0-9_.:@-]+$"})
}

/// A label selector. The API server's own type leaves all checks to its Go code; a selector that nobody can read must not be stored.
pub fn label_selector(_: &mut SchemaGenerator) -> Schema {
    let value = json_schema!({"type": "string", "maxLength": 63, "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"});
    json_schema!({
        "type": "object",
        "properties": {
            "matchLabels": {
                "description": "Labels that a node must have, with these values.",
                "type": "object", "maxProperties": 32, "additionalProperties": value
            },
            "matchExpressions": {
                "description": "What must hold of a node's labels, all of it.",
                "type": "array", "maxItems": 32,
                "items": {
                    "description": "What must hold of one label.",
                    "type": "object", "required": ["key", "operator"],
                    "properties": {
                        "key": {
                            "description": "The label's key.", "type": "string", "minLength": 1, "maxLength": 317,
                            "pattern": "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
                        },
                        "operator": {
                            "description": "In and NotIn compare the label's value with the values given, Exists and DoesNotExist ask for the label alone.",
                            "type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"]
                        },
                        "values": {
                            "description": "For In and NotIn: the values.", "type": "array", "maxItems": 64, "items": value
                        }
                    },
                    "x-kubernetes-validations": [{
                        "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
                        "message": "values is required for the operators In and NotIn, and goes with them only",
                        "fieldPath": ".values"
                    }]
                }
            }
        }
    })
}

/// Conditions, a map by type: the agent and the controller each own theirs. Bounded more tightly than Kubernetes' own (32 KiB a
/// message), because there is such a list for every node.
pub fn conditions(_: &mut SchemaGenerator) -> Schema {
    let word = "^[A-Z][A-Za-z0-9]*$";
    json_schema!({
        "type": "array", "maxItems": 16,
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "description": "One thing that is known about the object.",
            "type": "object", "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {"description": "What is said, in one word.", "type": "string", "minLength": 1, "maxLength": 64, "pattern": word},
                "status": {"description": "Whether it holds.", "type": "string", "enum": ["True", "False", "Unknown"]},
                "reason": {"description": "Why, in one word.", "type": "string", "minLength": 1, "maxLength": 64, "pattern": word},
                "message": {"description": "The same in a sentence.", "type": "string", "maxLength": CONDITION_MESSAGE_LIMIT},
                "lastTransitionTime": {"description": "When the status changed last.", "type": "string", "format": "date-time"},
                "observedGeneration": {
                    "description": "The generation of the object that this answers to.",
                    "type": "integer", "format": "int64", "minimum": 0
                }
            }
        }
    })
}
