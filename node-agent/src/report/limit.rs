//! When a status is written: at once when a condition changed, else seldom. Holds no clock.

use std::time::{Duration, Instant};

/// The least time between two writes that change no condition.
const INTERVAL: Duration = Duration::from_secs(10);
/// The least time between any two writes: conditions that come and go must not cost a request each.
const FLOOR: Duration = Duration::from_secs(1);
/// A status is written at least this often, for its heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(300);
/// The first pause after a write that failed; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause after writes that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// When to write.
#[derive(Clone, Debug, Default)]
pub struct Limit {
    last: Option<Instant>,
    news: Option<News>,
    failures: u32,
    failed_at: Option<Instant>,
}

/// What was not written yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum News {
    /// Counts, times, messages.
    Detail,
    /// A condition's status or reason.
    Condition,
}

impl Limit {
    /// There is something to write.
    pub fn news(&mut self, news: News) {
        self.news = self.news.max(Some(news));
    }

    /// It was written.
    pub fn written(&mut self, now: Instant) {
        *self = Self { last: Some(now), ..Self::default() };
    }

    /// It could not be written; what was to be written still is.
    pub fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.failed_at = Some(now);
        self.news(News::Condition);
    }

    /// When to write next; `None` if nothing was ever to be written.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        if let Some(failed) = self.failed_at {
            let doubled = FIRST_PAUSE.saturating_mul(1 << (self.failures - 1).min(16));
            return Some(failed + doubled.min(LONGEST_PAUSE));
        }
        match (self.news, self.last) {
            (Some(_), None) => Some(now),
            (Some(News::Condition), Some(last)) => Some((last + FLOOR).max(now)),
            (Some(News::Detail), Some(last)) => Some((last + INTERVAL).max(now)),
            (None, Some(last)) => Some((last + HEARTBEAT).max(now)),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_go_at_once_and_details_seldom() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut limit = Limit::default();
        assert_eq!(limit.due(at(0)), None);
        limit.news(News::Detail);
        assert_eq!(limit.due(at(0)), Some(at(0)), "the first one");
        limit.written(at(0));
        assert_eq!(limit.due(at(1)), Some(at(300)), "the heartbeat");
        limit.news(News::Detail);
        assert_eq!(limit.due(at(1)), Some(at(10)));
        limit.news(News::Condition);
        limit.news(News::Detail);
        assert_eq!(limit.due(at(2)), Some(at(2)));
        limit.written(at(2));
        limit.news(News::Condition);
        assert_eq!(limit.due(at(2)), Some(at(3)), "conditions that come and go");
        limit.written(at(3));
        limit.news(News::Detail);
        assert_eq!(limit.due(at(60)), Some(at(60)), "the interval is over");
    }

    #[test]
    fn a_failed_write_is_done_again_and_later_each_time() {
        let start = Instant::now();
        let mut limit = Limit::default();
        let mut now = start;
        let mut pauses = Vec::new();
        for _ in 0..9 {
            limit.failed(now);
            limit.news(News::Detail);
            let due = limit.due(now).unwrap();
            pauses.push(due.duration_since(now).as_millis());
            now = due;
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
        limit.written(now);
        assert_eq!(limit.due(now), Some(now + Duration::from_secs(300)));
    }
}
