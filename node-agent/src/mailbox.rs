//! The way from the feed to the reconciler: updates that arrive while a commit runs are merged into one, so that load makes
//! batches larger and not queues longer. Holds no opinion about what passes.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::plan::Update;

/// One slot, many writers, one reader.
#[derive(Debug, Default)]
pub struct Mailbox {
    slot: Mutex<Slot>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Slot {
    update: Option<Update>,
    touched: bool,
    closed: bool,
}

/// Why a reader was woken.
#[derive(Debug, PartialEq)]
pub enum Wake {
    /// There is something new.
    Update(Box<Update>),
    /// Somebody else touched the kernel's tables.
    Touched,
    /// The time that the reader asked for has come.
    Due,
    /// The agent is to end.
    Closed,
}

impl Mailbox {
    /// Leaves an update.
    pub fn post(&self, update: Update) {
        let mut slot = self.lock();
        match &mut slot.update {
            Some(waiting) => waiting.merge(update),
            None => slot.update = Some(update),
        }
        self.news.notify_one();
    }

    /// Says that somebody else touched the kernel's tables.
    pub fn touched(&self) {
        self.lock().touched = true;
        self.news.notify_one();
    }

    /// Tells the reader to end, once it has read what waits.
    pub fn close(&self) {
        self.lock().closed = true;
        self.news.notify_one();
    }

    /// Waits until there is something to do, at most until `due`.
    pub fn wait(&self, due: Option<Instant>) -> Wake {
        let mut slot = self.lock();
        loop {
            if let Some(update) = slot.update.take() {
                return Wake::Update(Box::new(update));
            }
            if slot.closed {
                return Wake::Closed;
            }
            if std::mem::take(&mut slot.touched) {
                return Wake::Touched;
            }
            slot = match due.map(|due| due.saturating_duration_since(Instant::now())) {
                None => self.news.wait(slot).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return Wake::Due,
                Some(left) => self.news.wait_timeout(slot, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// Waits until `until` whatever arrives, but not beyond the end.
    pub fn pause(&self, until: Instant) {
        let mut slot = self.lock();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if slot.closed || left.is_zero() {
                return;
            }
            slot = self.news.wait_timeout(slot, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plan::{Link, Revision};

    #[test]
    fn what_waits_is_read_once_and_merged() {
        let mailbox = Mailbox::default();
        mailbox.post(Update { revision: Some(Revision::new("4")), ..Update::default() });
        mailbox.post(Update::link(Link::Away("no route".to_owned())));
        let Wake::Update(update) = mailbox.wait(None) else { panic!("an update waits") };
        assert_eq!(update.revision, Some(Revision::new("4")));
        assert_eq!(update.link, Some(Link::Away("no route".to_owned())));
        assert_eq!(mailbox.wait(Some(Instant::now())), Wake::Due);
    }

    #[test]
    fn closing_wakes_a_reader_that_waits_for_ever() {
        let mailbox = Mailbox::default();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| mailbox.wait(None));
            std::thread::sleep(Duration::from_millis(20));
            mailbox.close();
            assert_eq!(reader.join().unwrap(), Wake::Closed);
        });
    }
}
