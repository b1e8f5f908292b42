//! What a table says about itself, in the comment of one element: which plan it carries, and the fingerprint that it has with it. Who finds
//! another fingerprint than the plan's knows that the plan changed; who finds the same one, and differences, knows that it was
//! somebody else. Text in and out, no opinion.

use std::fmt;

use super::schema::{SetId, revision_key};
use super::table::Observed;

/// Longest revision that is written, in bytes: with the fingerprint it fits into a comment.
const REVISION_LENGTH: usize = 96;

/// What a table says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// How far the plan reaches that the table carries.
    pub revision: String,
    /// The fingerprint of what it then holds; `None` if the table does not say.
    pub digest: Option<u64>,
}

impl Stamp {
    /// A table with this fingerprint, for a plan that reaches so far.
    pub fn new(revision: &str, digest: u64) -> Self {
        let end = revision.floor_char_boundary(REVISION_LENGTH);
        Self { revision: revision.get(..end).unwrap_or(revision).to_owned(), digest: Some(digest) }
    }

    /// The stamp of a table that was read.
    pub fn of(observed: &Observed) -> Option<Self> {
        let element = observed.table.sets.get(&SetId::Revision)?.get(&revision_key())?;
        element.comment.as_deref().map(Self::parse)
    }

    /// Whatever a comment says: of a text without fingerprint all is revision.
    fn parse(text: &str) -> Self {
        let parts = text.rsplit_once(' ').and_then(|(revision, digest)| {
            Some((revision, u64::from_str_radix(digest, 16).ok().filter(|_| digest.len() == 16)?))
        });
        match parts {
            Some((revision, digest)) => Self { revision: revision.to_owned(), digest: Some(digest) },
            None => Self { revision: text.to_owned(), digest: None },
        }
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.digest {
            Some(digest) => write!(f, "{} {digest:016x}", self.revision),
            None => f.write_str(&self.revision),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written_and_anything_else_is_a_revision() {
        let stamp = Stamp::new("88412", 0x5f1c);
        assert_eq!(stamp.to_string(), "88412 0000000000005f1c");
        assert_eq!(Stamp::parse(&stamp.to_string()), stamp);
        for text in ["88412", "", "88412 5f1c", "by hand"] {
            assert_eq!(Stamp::parse(text), Stamp { revision: text.to_owned(), digest: None });
        }
        assert!(Stamp::new(&"9".repeat(300), u64::MAX).to_string().len() <= 127);
    }
}
