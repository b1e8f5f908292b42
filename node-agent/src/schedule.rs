//! When the reconciler acts: batches, periods and backoff. Holds no clock: `now` is an argument.

use std::time::{Duration, Instant};

/// The shortest time between a verdict's change and the deletion of the slots that it left: a packet may have read the verdict
/// before, and look up its slot after.
const SWEEP_AFTER: Duration = Duration::from_secs(1);
/// The first pause after a failure; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The pause while another agent owns a table: it may end at any moment.
const BLOCKED_PAUSE: Duration = Duration::from_millis(500);
/// The least time between two read-backs, however often others touch the tables: two who repair each other's work must not do nothing else.
const READ_BACK_PAUSE: Duration = Duration::from_secs(1);
/// No period is longer, whatever a plan says.
const LONGEST_PERIOD: Duration = Duration::from_secs(24 * 3600);

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Write what changed.
    Commit,
    /// Delete what became stale.
    Sweep,
    /// Read the kernel back.
    Verify,
}

/// When to do what.
#[derive(Clone, Debug)]
pub struct Schedule {
    min_period: Duration,
    verify_period: Duration,
    changed_at: Option<Instant>,
    last_commit: Option<Instant>,
    sweep_at: Option<Instant>,
    verify_at: Option<Instant>,
    last_verify: Option<Instant>,
    failure: Option<Failure>,
}

#[derive(Clone, Copy, Debug)]
struct Failure {
    retry_at: Instant,
    pause: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self::new()
    }
}

impl Schedule {
    /// Nothing to do yet.
    pub fn new() -> Self {
        Self {
            min_period: Duration::ZERO,
            verify_period: Duration::from_secs(30),
            changed_at: None,
            last_commit: None,
            sweep_at: None,
            verify_at: None,
            last_verify: None,
            failure: None,
        }
    }

    /// The least time between two commits, and the time between two read-backs.
    pub fn set_periods(&mut self, min_period: Duration, verify_period: Duration) {
        self.min_period = min_period.min(LONGEST_PERIOD);
        self.verify_period = verify_period.clamp(Duration::from_secs(1), LONGEST_PERIOD);
    }

    /// There is something to write.
    pub fn changed(&mut self, now: Instant) {
        self.changed_at.get_or_insert(now);
    }

    /// Nothing is to be written until something changes.
    pub fn hold(&mut self) {
        (self.changed_at, self.sweep_at, self.verify_at, self.failure) = (None, None, None, None);
    }

    /// Everything that changed is in the kernel.
    pub fn committed(&mut self, now: Instant) {
        (self.changed_at, self.failure) = (None, None);
        self.last_commit = Some(now);
        self.verify_at.get_or_insert(now + self.verify_period);
    }

    /// A write or a read failed: it is done again, later each time.
    pub fn failed(&mut self, now: Instant) {
        let pause = self.failure.map_or(FIRST_PAUSE, |failure| (failure.pause * 2).min(LONGEST_PAUSE));
        self.failure = Some(Failure { retry_at: now + pause, pause });
        self.changed(now);
    }

    /// Another agent owns a table: it is asked for again and again, never less often.
    pub fn blocked(&mut self, now: Instant) {
        self.failure = Some(Failure { retry_at: now + BLOCKED_PAUSE, pause: FIRST_PAUSE });
        self.changed(now);
    }

    /// Slots are stale: they go at least a second from now.
    pub fn stale(&mut self, now: Instant) {
        self.sweep_at.get_or_insert(now + SWEEP_AFTER);
    }

    /// The kernel was read back.
    pub fn verified(&mut self, now: Instant) {
        self.verify_at = Some(now + self.verify_period);
        self.last_verify = Some(now);
    }

    /// Somebody touched the tables: they are read back at once, unless that was done just now.
    pub fn touched(&mut self, now: Instant) {
        if let Some(planned) = self.verify_at {
            let soonest = self.last_verify.map_or(now, |last| now.max(last + READ_BACK_PAUSE));
            self.verify_at = Some(planned.min(soonest));
        }
    }

    /// When there is something to do next.
    pub fn due(&self) -> Option<Instant> {
        [self.commit_at(), self.sweep_at, self.verify_at].into_iter().flatten().min()
    }

    /// What is to be done now, the most urgent first: what changed. But changes that never end must not keep stale slots and read-backs
    /// waiting for ever.
    pub fn next(&mut self, now: Instant) -> Option<Act> {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let waited = |at: Option<Instant>, patience| is_due(at.map(|at| at + patience));
        if waited(self.sweep_at, SWEEP_AFTER) {
            self.sweep_at = None;
            Some(Act::Sweep)
        } else if waited(self.verify_at, self.verify_period) {
            self.verify_at = None;
            Some(Act::Verify)
        } else if is_due(self.commit_at()) {
            Some(Act::Commit)
        } else if is_due(self.sweep_at) {
            self.sweep_at = None;
            Some(Act::Sweep)
        } else if is_due(self.verify_at) {
            self.verify_at = None;
            Some(Act::Verify)
        } else {
            None
        }
    }

    fn commit_at(&self) -> Option<Instant> {
        let periodic = self.last_commit.map(|last| last + self.min_period);
        let retry = self.failure.map(|failure| failure.retry_at);
        self.changed_at.map(|changed| [periodic, retry].into_iter().flatten().fold(changed, Instant::max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn a_change_is_written_at_once_and_then_no_more_often_than_asked() {
        let start = Instant::now();
        let mut schedule = Schedule::new();
        schedule.set_periods(Duration::from_millis(500), Duration::from_secs(30));
        assert_eq!((schedule.due(), schedule.next(start)), (None, None));
        schedule.changed(start);
        assert_eq!(schedule.next(start), Some(Act::Commit));
        schedule.committed(at(start, 1));
        schedule.changed(at(start, 2));
        assert_eq!(schedule.due(), Some(at(start, 501)));
        assert_eq!(schedule.next(at(start, 500)), None);
        assert_eq!(schedule.next(at(start, 501)), Some(Act::Commit));
    }

    #[test]
    fn failures_are_retried_for_ever_and_ever_later() {
        let start = Instant::now();
        let mut schedule = Schedule::new();
        let mut now = start;
        let mut pauses = Vec::new();
        for _ in 0..12 {
            schedule.failed(now);
            let due = schedule.due().unwrap();
            pauses.push(due.duration_since(now).as_millis());
            now = due;
            assert_eq!(schedule.next(now), Some(Act::Commit));
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 15000, 15000, 15000, 15000]);
        schedule.committed(now);
        schedule.changed(now);
        assert_eq!(schedule.next(now), Some(Act::Commit), "a success forgets the pauses");
    }

    #[test]
    fn stale_slots_go_a_second_after_the_first_of_them_and_read_backs_come_in_their_period() {
        let start = Instant::now();
        let mut schedule = Schedule::new();
        schedule.set_periods(Duration::ZERO, Duration::from_secs(10));
        schedule.committed(start);
        schedule.stale(start);
        schedule.stale(at(start, 900));
        assert_eq!(schedule.next(at(start, 999)), None);
        assert_eq!(schedule.next(at(start, 1000)), Some(Act::Sweep));
        assert_eq!(schedule.next(at(start, 1000)), None);
        assert_eq!(schedule.next(at(start, 10_000)), Some(Act::Verify));
        assert_eq!(schedule.next(at(start, 10_000)), None);
        schedule.verified(at(start, 10_000));
        schedule.touched(at(start, 10_001));
        assert_eq!(schedule.next(at(start, 10_999)), None, "it was read back just now");
        assert_eq!(schedule.next(at(start, 11_000)), Some(Act::Verify));
        schedule.verified(at(start, 11_000));
        schedule.touched(at(start, 15_000));
        assert_eq!(schedule.next(at(start, 15_000)), Some(Act::Verify), "at once");
    }

    #[test]
    fn changes_that_never_end_keep_nothing_waiting_for_ever() {
        let start = Instant::now();
        let mut schedule = Schedule::new();
        schedule.set_periods(Duration::ZERO, Duration::from_secs(10));
        schedule.committed(start);
        schedule.stale(start);
        let mut done = Vec::new();
        for millis in (0..21_000).step_by(500) {
            let now = at(start, millis);
            schedule.changed(now);
            match schedule.next(now) {
                Some(Act::Commit) => schedule.committed(now),
                act => done.push((millis, act)),
            }
        }
        assert_eq!(done, [(2000, Some(Act::Sweep)), (20_000, Some(Act::Verify))]);
    }

    #[test]
    fn an_owner_that_is_in_the_way_is_asked_for_twice_a_second_and_no_period_overflows() {
        let start = Instant::now();
        let mut schedule = Schedule::new();
        schedule.set_periods(Duration::MAX, Duration::MAX);
        for second in 0..20 {
            schedule.blocked(at(start, second * 1000));
            assert_eq!(schedule.due(), Some(at(start, second * 1000 + 500)));
        }
        schedule.committed(start);
        schedule.changed(start);
        assert_eq!(schedule.due(), Some(start + LONGEST_PERIOD));
    }

    #[test]
    fn what_is_held_waits_for_the_next_change() {
        let start = Instant::now();
        let mut schedule = Schedule::new();
        schedule.failed(start);
        schedule.stale(start);
        schedule.hold();
        schedule.touched(start);
        assert_eq!(schedule.due(), None);
    }
}
