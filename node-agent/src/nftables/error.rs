//! What can go wrong between us and nf_tables, each in one sentence that says what to do or what was being done.

use std::io;

/// Why the kernel could not be asked, or said no.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No CAP_NET_ADMIN in this network namespace.
    #[error("changing nftables needs CAP_NET_ADMIN: run as root or add the capability to the container")]
    Privilege,
    /// Another living process owns the table.
    #[error(
        "table {table} is owned by another process (netlink port {}): stop the other agent on this node first",
        port.map_or_else(|| "unknown".to_owned(), |port| port.to_string())
    )]
    OwnedByAnother {
        /// Family and name.
        table: String,
        /// The owner's netlink port, which is often its pid.
        port: Option<u32>,
    },
    /// The kernel lacks something that no ruleset of ours can do without.
    #[error("this kernel cannot run nftables mode: {0}")]
    Unsupported(String),
    /// A message of a transaction was refused; nothing of the transaction was applied.
    #[error("{verb}: the kernel says {cause}{}", detail.as_ref().map_or_else(String::new, |text| format!(" ({text})")))]
    Refused {
        /// What the message would have done, and to what.
        verb: String,
        /// The kernel's own words, if it had any.
        detail: Option<String>,
        /// The errno.
        cause: io::Error,
    },
    /// The table was changed by others each time that it was read.
    #[error("table {table} could not be read whole: it was being changed during each of {attempts} attempts")]
    Restless {
        /// Family and name.
        table: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// The netlink socket itself failed.
    #[error("{verb} the netlink socket")]
    Socket {
        /// What was being done.
        verb: &'static str,
        /// The errno.
        source: io::Error,
    },
    /// The kernel sent what no kernel should send.
    #[error("an answer of nf_tables could not be read: {0}")]
    Malformed(String),
}
