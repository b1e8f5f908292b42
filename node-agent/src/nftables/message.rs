//! Netlink messages as bytes: a batch as nf_tables wants it, and the parts of what the kernel sends. No socket here.

use netlink_bindings::builtin::NlmsgerrAttrs;
use netlink_bindings::consts::{NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP_INTR, NLM_F_REQUEST};
use pointsman_crds::IpFamily;

/// `NFNL_MSG_BATCH_BEGIN`.
const BATCH_BEGIN: u16 = 0x10;
/// `NFNL_MSG_BATCH_END`.
const BATCH_END: u16 = 0x11;
/// `NFNL_SUBSYS_NFTABLES`, where a message's type has its subsystem.
const SUBSYSTEM: u16 = 10 << 8;
/// `NLMSG_ERROR`: an acknowledgement or a refusal.
const ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
const DONE: u16 = 3;
/// Length of `struct nlmsghdr`.
pub const HEADER: usize = 16;
/// Length of `struct nfgenmsg`, which every message of netfilter begins with.
pub const FAMILY_HEADER: usize = 4;

/// What a message asks for or tells: `NFT_MSG_…` of the kernel's `nf_tables.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    NewTable = 0,
    GetTable = 1,
    DelTable = 2,
    NewChain = 3,
    GetChain = 4,
    DelChain = 5,
    NewRule = 6,
    GetRule = 7,
    DelRule = 8,
    NewSet = 9,
    GetSet = 10,
    NewElements = 12,
    GetElements = 13,
    DelElements = 14,
    NewGeneration = 15,
    GetGeneration = 16,
}

impl Kind {
    const ALL: [Self; 16] = [
        Self::NewTable,
        Self::GetTable,
        Self::DelTable,
        Self::NewChain,
        Self::GetChain,
        Self::DelChain,
        Self::NewRule,
        Self::GetRule,
        Self::DelRule,
        Self::NewSet,
        Self::GetSet,
        Self::NewElements,
        Self::GetElements,
        Self::DelElements,
        Self::NewGeneration,
        Self::GetGeneration,
    ];
}

/// `NFPROTO_…`.
pub fn family_number(family: IpFamily) -> u8 {
    match family {
        IpFamily::IPv4 => 2,
        IpFamily::IPv6 => 10,
    }
}

/// The family of this `NFPROTO_…`, if we have tables in it.
pub fn family_of(number: u8) -> Option<IpFamily> {
    [IpFamily::IPv4, IpFamily::IPv6].into_iter().find(|family| family_number(*family) == number)
}

/// One request outside of a batch: a question.
pub fn request(kind: Kind, flags: i32, family: u8, attributes: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes, SUBSYSTEM | kind as u16, flags, 1, [family, 0, 0, 0], attributes);
    bytes
}

/// A transaction that is being written. Messages are numbered from 1, which is the begin message.
#[derive(Debug)]
pub struct Batch {
    bytes: Vec<u8>,
    number: u32,
    last: usize,
}

impl Batch {
    /// An empty transaction.
    pub fn begin() -> Self {
        let mut batch = Self { bytes: Vec::new(), number: 0, last: 0 };
        batch.bound(BATCH_BEGIN);
        batch
    }

    /// Adds an operation.
    pub fn message(
        &mut self,
        kind: Kind,
        flags: i32,
        family: IpFamily,
        attributes: impl FnOnce(&mut Vec<u8>),
    ) {
        self.number += 1;
        self.last = self.bytes.len();
        let family = [family_number(family), 0, 0, 0];
        write(&mut self.bytes, SUBSYSTEM | kind as u16, flags, self.number, family, attributes);
    }

    /// The number of the last message.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The whole transaction. Only its last operation asks for an acknowledgement: the kernel answers after all is
    /// committed, and refusals are sent unasked. (Begin and end could not be acknowledged before kernel 6.10.)
    pub fn end(mut self) -> Vec<u8> {
        if let Some(flags) = self.bytes.get_mut(self.last + 6..self.last + 8) {
            let asked = u16::from_ne_bytes([flags[0], flags[1]]) | short(NLM_F_ACK);
            flags.copy_from_slice(&asked.to_ne_bytes());
        }
        self.bound(BATCH_END);
        self.bytes
    }

    fn bound(&mut self, kind: u16) {
        self.number += 1;
        let [high, low] = (SUBSYSTEM >> 8).to_be_bytes();
        write(&mut self.bytes, kind, 0, self.number, [0, 0, high, low], |_| ());
    }
}

fn write(
    bytes: &mut Vec<u8>,
    kind: u16,
    flags: i32,
    number: u32,
    family: [u8; FAMILY_HEADER],
    attributes: impl FnOnce(&mut Vec<u8>),
) {
    let start = bytes.len();
    bytes.extend([0; 4]);
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(short(flags | NLM_F_REQUEST).to_ne_bytes());
    bytes.extend(number.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(family);
    attributes(bytes);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let length = u32::try_from(bytes.len() - start).unwrap_or(u32::MAX);
    bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
}

/// The library has the flags of a `u16` field as `i32`.
fn short(flags: i32) -> u16 {
    u16::try_from(flags).unwrap_or_default()
}

/// A message as it was received or written.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    kind: u16,
    flags: u16,
    /// Its number in the batch.
    pub number: u32,
    /// What follows the header.
    payload: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Message<'a> {
    /// The messages in these bytes, as far as they are whole.
    pub fn all(mut bytes: &'a [u8]) -> impl Iterator<Item = Self> {
        std::iter::from_fn(move || {
            let word = |at: usize| {
                bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_ne_bytes)
            };
            let half = |at: usize| {
                bytes.get(at..at + 2).and_then(|half| half.try_into().ok()).map(u16::from_ne_bytes)
            };
            let length = usize::try_from(word(0)?).ok()?;
            let message = Self {
                kind: half(4)?,
                flags: half(6)?,
                number: word(8)?,
                payload: bytes.get(HEADER..length)?,
                whole: bytes.get(..length)?,
            };
            bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
            Some(message)
        })
    }

    /// What it is about, if it is one of nf_tables and one that we know.
    pub fn kind(&self) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| self.kind == SUBSYSTEM | *kind as u16)
    }

    /// Whether it is from nf_tables at all.
    pub fn is_nf_tables(&self) -> bool {
        self.kind & 0xff00 == SUBSYSTEM
    }

    /// All its bytes, the header included: what the kernel's offsets count in.
    pub fn whole(&self) -> &'a [u8] {
        self.whole
    }

    /// `NFPROTO_…`.
    pub fn family(&self) -> u8 {
        self.payload.first().copied().unwrap_or_default()
    }

    /// The attributes.
    pub fn attributes(&self) -> &'a [u8] {
        self.payload.get(FAMILY_HEADER..).unwrap_or_default()
    }

    /// Whether the kernel says that what it dumps has changed meanwhile.
    pub fn is_interrupted(&self) -> bool {
        self.flags & short(NLM_F_DUMP_INTR) != 0
    }

    /// The kernel's answer to one of our messages: an errno (0: acknowledged) and what it says about it.
    pub fn answer(&self) -> Option<Answer> {
        if self.kind != ERROR && self.kind != DONE {
            return None;
        }
        let errno = self.payload.first_chunk().map(|word| -i32::from_ne_bytes(*word))?;
        let mut answer = Answer { number: self.number, errno, text: None, offset: None };
        if self.flags & short(NLM_F_ACK_TLVS) == 0 {
            return Some(answer);
        }
        let echoed = match (self.kind == ERROR, self.flags & short(NLM_F_CAPPED) != 0) {
            (false, _) => 0,
            (true, true) => HEADER,
            (true, false) => {
                Message::all(self.payload.get(4..)?).next().map(|echo| HEADER + echo.payload.len())?
            }
        };
        let attributes = NlmsgerrAttrs::new(self.payload.get(4 + echoed.next_multiple_of(4)..)?);
        answer.text = attributes.get_msg().ok().map(|text| text.to_string_lossy().into_owned());
        answer.offset = attributes.get_offset().ok().and_then(|offset| usize::try_from(offset).ok());
        Some(answer)
    }
}

/// What the kernel says about one of our messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The message's number.
    pub number: u32,
    /// 0 if it was done.
    pub errno: i32,
    /// The kernel's own words.
    pub text: Option<String>,
    /// Where in the message the attribute begins that it did not like.
    pub offset: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_bounded_and_only_its_last_operation_is_acknowledged() {
        let mut batch = Batch::begin();
        batch.message(Kind::NewTable, 0, IpFamily::IPv4, |bytes| bytes.extend([5, 0, 1, 0, b'x']));
        batch.message(Kind::DelChain, 0x400, IpFamily::IPv6, |_| ());
        let bytes = batch.end();
        let seen: Vec<_> = Message::all(&bytes)
            .map(|message| {
                (message.kind, message.flags, message.number, message.family(), message.whole().len())
            })
            .collect();
        assert_eq!(
            seen,
            [(0x10, 1, 1, 0, 20), (0xa00, 1, 2, 2, 28), (0xa05, 0x405, 3, 10, 20), (0x11, 1, 4, 0, 20)]
        );
        assert_eq!(seen.iter().map(|message| message.4).sum::<usize>(), bytes.len());
    }

    #[test]
    fn an_answer_is_read_with_what_the_kernel_says_about_it() {
        let header = [20u32.to_ne_bytes(), [0; 4], 7u32.to_ne_bytes(), [0; 4]].concat();
        let said = [&[9, 0, 1, 0][..], b"nope\0", &[0; 3], &[8, 0, 2, 0], &24u32.to_ne_bytes()].concat();
        let error = |errno: i32| [&(-errno).to_ne_bytes()[..], &header].concat();
        let message = |kind: u16, flags: u16, payload: &[u8]| {
            let length = u32::try_from(HEADER + payload.len()).unwrap();
            let parts: [&[u8]; 6] = [
                &length.to_ne_bytes(),
                &kind.to_ne_bytes(),
                &flags.to_ne_bytes(),
                &7u32.to_ne_bytes(),
                &[0; 4],
                payload,
            ];
            parts.concat()
        };
        let answer = |errno, text: Option<&str>, offset| {
            Some(Answer { number: 7, errno, text: text.map(str::to_owned), offset })
        };
        for (bytes, expected) in [
            (message(ERROR, 0x100, &error(0)), answer(0, None, None)),
            (message(ERROR, 0x300, &[error(17), said.clone()].concat()), answer(17, Some("nope"), Some(24))),
            (
                message(ERROR, 0x200, &[error(17), vec![0; 4], said.clone()].concat()),
                answer(17, Some("nope"), Some(24)),
            ),
            (message(DONE, 0x202, &[vec![0; 4], said].concat()), answer(0, Some("nope"), Some(24))),
            (message(ERROR, 0x300, &[1, 2]), None),
            (message(SUBSYSTEM, 0, &error(1)), None),
        ] {
            let read = Message::all(&bytes).next().and_then(|message| message.answer());
            assert_eq!(read, expected);
        }
        assert_eq!(Message::all(&[1, 2, 3]).count(), 0);
    }
}
