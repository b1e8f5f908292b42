//! Who is to be looked at, and when again after a failure. Takes the time as an argument; knows no API server.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use pointsman_planner::model::Time;

/// The first and the longest wait after a failure.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Where a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In line.
    Ready,
    /// Being written. `again`: something changed meanwhile.
    Running { again: bool },
    /// After a failure, until then.
    Waiting(Instant),
}

#[derive(Debug)]
struct Entry {
    place: Place,
    failures: u32,
    /// The oldest change that the next look answers to; while it is under way, that it answers to.
    trigger: Option<Time>,
    /// The oldest change since it is under way.
    later: Option<Time>,
}

/// The older of two changes, where there are two.
fn older(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    a.into_iter().chain(b).min()
}

/// Keys that need to be looked at: each once at a time, in order of arrival, for ever until it succeeds.
pub struct Queue<K> {
    entries: BTreeMap<K, Entry>,
    ready: VecDeque<K>,
    waiting: BTreeSet<(Instant, K)>,
    failing: BTreeSet<K>,
    random: RandomState,
}

impl<K: Ord + Clone> Default for Queue<K> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            ready: VecDeque::new(),
            waiting: BTreeSet::new(),
            failing: BTreeSet::new(),
            random: RandomState::new(),
        }
    }
}

impl<K: Ord + Clone> Queue<K> {
    /// `key` needs to be looked at, because of a change at `trigger`. A change ends the wait after a failure.
    pub fn mark(&mut self, key: &K, trigger: Option<Time>) {
        let Some(entry) = self.entries.get_mut(key) else {
            self.entries
                .insert(key.clone(), Entry { place: Place::Ready, failures: 0, trigger, later: None });
            self.ready.push_back(key.clone());
            return;
        };
        match entry.place {
            Place::Ready => entry.trigger = older(entry.trigger, trigger),
            Place::Running { .. } => {
                entry.later = older(entry.later, trigger);
                entry.place = Place::Running { again: true };
            }
            Place::Waiting(until) => {
                entry.trigger = older(entry.trigger, trigger);
                entry.place = Place::Ready;
                self.waiting.remove(&(until, key.clone()));
                self.ready.push_back(key.clone());
            }
        }
    }

    /// The next key, and the oldest change that it answers to. It is running until it has succeeded or failed.
    pub fn take(&mut self, now: Instant) -> Option<(K, Option<Time>)> {
        while let Some((_, key)) = self.waiting.first().filter(|(until, _)| *until <= now).cloned() {
            self.mark(&key, None);
        }
        let key = self.ready.pop_front()?;
        let entry = self.entries.get_mut(&key)?;
        entry.place = Place::Running { again: false };
        Some((key, entry.trigger))
    }

    /// Nothing is missing for `key`.
    pub fn settled(&mut self, key: &K) {
        self.failing.remove(key);
        match self.entries.get(key).map(|entry| entry.place) {
            Some(Place::Running { again: true }) => self.written(key),
            Some(_) | None => drop(self.entries.remove(key)),
        }
    }

    /// `key` was written, and is to be looked at again at once. What that look finds answers to what has come since: a key
    /// that is never at rest would else call every change as old as the first.
    pub fn written(&mut self, key: &K) {
        self.failing.remove(key);
        if let Some(entry) = self.entries.get_mut(key) {
            entry.place = Place::Ready;
            entry.failures = 0;
            entry.trigger = entry.later.take();
            self.ready.push_front(key.clone());
        }
    }

    /// `key` could not be written. Returns how often in a row. It is looked at again after a while that doubles each time. If it
    /// `counts`, it is failing until it is written; if not, it is not failing, whatever it was before.
    pub fn failed(&mut self, key: &K, now: Instant, counts: bool) -> u32 {
        let Some(entry) = self.entries.get_mut(key) else { return 0 };
        match counts {
            true => self.failing.insert(key.clone()),
            false => self.failing.remove(key),
        };
        entry.failures = entry.failures.saturating_add(1);
        entry.trigger = older(entry.trigger, entry.later.take());
        if entry.place == (Place::Running { again: true }) && entry.failures == 1 {
            entry.place = Place::Ready;
            self.ready.push_back(key.clone());
            return entry.failures;
        }
        let doubled = FIRST_WAIT.saturating_mul(1 << (entry.failures - 1).min(16));
        // A spread of a quarter keeps thousands of failed keys from coming back in the same moment.
        let spread = (self.random.hash_one((entry.failures, now)) % 256) as f64 / 1024.0;
        let until = now + doubled.min(LONGEST_WAIT).mul_f64(1.0 - spread);
        entry.place = Place::Waiting(until);
        self.waiting.insert((until, key.clone()));
        entry.failures
    }

    /// When somebody's wait is over.
    pub fn next_due(&self) -> Option<Instant> {
        self.waiting.first().map(|(until, _)| *until)
    }

    /// Whether `key` is not settled.
    pub fn contains(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    /// How many are not settled.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many were not written at the last try, by a failure that counts.
    pub fn failing(&self) -> usize {
        self.failing.len()
    }

    /// Whether all are settled.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets everything but what is running.
    pub fn clear(&mut self) {
        self.ready.clear();
        self.waiting.clear();
        self.failing.clear();
        self.entries.retain(|_, entry| matches!(entry.place, Place::Running { .. }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_looked_at_once_at_a_time_and_again_if_it_changed_meanwhile() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.mark(&"a", Some(Time(7)));
        queue.mark(&"a", Some(Time(3)));
        queue.mark(&"b", None);
        assert_eq!(queue.take(now), Some(("a", Some(Time(3)))));
        queue.mark(&"a", None);
        assert_eq!(queue.take(now), Some(("b", None)));
        assert_eq!(queue.take(now), None);
        queue.settled(&"a");
        assert_eq!(queue.take(now), Some(("a", None)));
        queue.settled(&"a");
        queue.settled(&"b");
        assert!(queue.is_empty());
    }

    #[test]
    fn what_fails_is_tried_for_ever_with_longer_and_longer_waits() {
        let mut now = Instant::now();
        let mut queue = Queue::default();
        queue.mark(&"a", Some(Time(1)));
        let mut last = Duration::ZERO;
        for failure in 1..=20 {
            assert_eq!(queue.take(now), Some(("a", Some(Time(1)))), "failure {failure}");
            assert_eq!(queue.failed(&"a", now, true), failure);
            assert_eq!(queue.take(now), None);
            let wait = queue.next_due().unwrap() - now;
            assert!(wait <= LONGEST_WAIT && wait >= last.mul_f64(0.74), "{wait:?} after {last:?}");
            (last, now) = (wait, now + wait);
        }
        assert!(last >= LONGEST_WAIT.mul_f64(0.74));
    }

    #[test]
    fn each_write_answers_to_its_own_changes() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.mark(&"a", Some(Time(1)));
        assert_eq!(queue.take(now), Some(("a", Some(Time(1)))));
        queue.mark(&"a", Some(Time(9)));
        queue.mark(&"a", Some(Time(8)));
        queue.written(&"a");
        assert_eq!(queue.take(now), Some(("a", Some(Time(8)))));
        // A failed write has answered to nothing.
        queue.mark(&"a", Some(Time(20)));
        queue.failed(&"a", now, true);
        assert_eq!(queue.take(now), Some(("a", Some(Time(8)))));
        queue.written(&"a");
        assert_eq!(queue.take(now), Some(("a", None)));
    }

    #[test]
    fn a_change_ends_the_wait() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.mark(&"a", None);
        queue.take(now);
        queue.failed(&"a", now, true);
        queue.mark(&"a", None);
        assert_eq!(queue.take(now), Some(("a", None)));
        assert_eq!(queue.next_due(), None);
    }

    #[test]
    fn who_is_failing_stays_so_until_a_write_succeeds_or_is_only_late() {
        let now = Instant::now();
        // What becomes of the second try, and whether the key is failing then.
        type End = fn(&mut Queue<&str>, Instant);
        let table: [(&str, End, usize); 5] = [
            ("fails again", |queue, now| _ = queue.failed(&"a", now, true), 1),
            ("is late", |queue, now| _ = queue.failed(&"a", now, false), 0),
            ("is written", |queue, _| queue.written(&"a"), 0),
            ("is no longer wanted", |queue, _| queue.settled(&"a"), 0),
            ("is under way when the leader steps down", |queue, _| queue.clear(), 0),
        ];
        for (case, end, failing) in table {
            let mut queue = Queue::default();
            for key in ["a", "b"] {
                queue.mark(&key, None);
                queue.take(now);
                queue.failed(&key, now, key == "a");
                assert_eq!(queue.failing(), 1, "a failed, b was late: {key}");
            }
            // A change ends the wait, and the next try is under way: nothing is better yet.
            queue.mark(&"a", None);
            assert_eq!((queue.failing(), queue.take(now), queue.failing()), (1, Some(("a", None)), 1));
            end(&mut queue, now);
            assert_eq!(queue.failing(), failing, "a {case}");
        }
    }

    #[test]
    fn clearing_keeps_what_is_being_written() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.mark(&"running", None);
        queue.take(now);
        queue.mark(&"ready", None);
        queue.clear();
        assert_eq!((queue.len(), queue.take(now)), (1, None));
        queue.settled(&"running");
        assert!(queue.is_empty());
    }
}
