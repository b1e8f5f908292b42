//! When a status is written: at once when a condition changed, else seldom, and not in step with other nodes. Holds no clock.

use std::time::{Duration, Instant};

use pointsman_crds::DEFAULT_STATUS_PERIOD;
use siphasher::sip::SipHasher13;

/// The least time between any two writes: conditions that come and go must not cost a request each.
const FLOOR: Duration = Duration::from_secs(1);
/// A status is written at least this often, for its heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(300);
/// How much sooner a heartbeat may come: agents that were started together drift apart by it. Never later, because the controller
/// counts on it.
const HEARTBEAT_SPREAD: Duration = Duration::from_secs(60);
/// The first pause after a write that failed; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause after writes that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// When to write.
#[derive(Clone, Debug)]
pub struct Limit {
    /// This node's place among all nodes, from 0 to 1.
    place: f64,
    period: Duration,
    last: Option<Instant>,
    news: Option<(News, Instant)>,
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
    /// Nothing was written yet for the node `name`.
    pub fn new(name: &str) -> Self {
        let hash = SipHasher13::new().hash(name.as_bytes());
        // The upper 32 bits: a float holds them exactly.
        Self::at(f64::from((hash >> 32) as u32) / (f64::from(u32::MAX) + 1.0))
    }

    fn at(place: f64) -> Self {
        Self { place, period: DEFAULT_STATUS_PERIOD, last: None, news: None, failures: 0, failed_at: None }
    }

    /// The least time between two writes that change no condition.
    pub fn set_period(&mut self, period: Duration) {
        self.period = period;
    }

    /// There is something to write; `now` is when that became known.
    pub fn news(&mut self, news: News, now: Instant) {
        self.news = Some(self.news.map_or((news, now), |(known, since)| (known.max(news), since)));
    }

    /// It was written.
    pub fn written(&mut self, now: Instant) {
        *self = Self { period: self.period, last: Some(now), ..Self::at(self.place) };
    }

    /// It could not be written; what was to be written still is.
    pub fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.failed_at = Some(now);
        self.news(News::Condition, now);
    }

    /// When to write next; `None` if nothing was ever to be written.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        if let Some(failed) = self.failed_at {
            let doubled = FIRST_PAUSE.saturating_mul(1 << (self.failures - 1).min(16));
            return Some(failed + doubled.min(LONGEST_PAUSE));
        }
        let heartbeat = |last| last + HEARTBEAT - HEARTBEAT_SPREAD.mul_f64(self.place);
        let due = match (self.news, self.last) {
            (Some(_), None) => now,
            (Some((News::Condition, _)), Some(last)) => last + FLOOR,
            (Some((News::Detail, since)), Some(last)) => self.detail(since, last).min(heartbeat(last)),
            (None, Some(last)) => heartbeat(last),
            (None, None) => return None,
        };
        Some(due.max(now))
    }

    /// When a detail is written that is known since `since`. In a large cluster, which a longer period tells, one change of a
    /// Service is news to every node in the same moment: each waits for its place in the period. That comes on top of the rule,
    /// so that two writes are never closer, and nothing waits longer than one period.
    fn detail(&self, since: Instant, last: Instant) -> Instant {
        let is_spread = self.period > DEFAULT_STATUS_PERIOD;
        let wait = if is_spread { self.period.mul_f64(self.place) } else { Duration::ZERO };
        (last + self.period).max(since + wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn conditions_go_at_once_and_details_seldom() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut limit = Limit::at(0.5);
        assert_eq!(limit.due(at(0)), None);
        limit.news(News::Detail, at(0));
        assert_eq!(limit.due(at(0)), Some(at(0)), "the first one");
        limit.written(at(0));
        assert_eq!(limit.due(at(1)), Some(at(270)), "the heartbeat");
        limit.news(News::Detail, at(1));
        assert_eq!(limit.due(at(1)), Some(at(10)));
        limit.news(News::Condition, at(2));
        limit.news(News::Detail, at(2));
        assert_eq!(limit.due(at(2)), Some(at(2)));
        limit.written(at(2));
        limit.news(News::Condition, at(2));
        assert_eq!(limit.due(at(2)), Some(at(3)), "conditions that come and go");
        limit.written(at(3));
        limit.news(News::Detail, at(60));
        assert_eq!(limit.due(at(60)), Some(at(60)), "the period is over");
    }

    #[test]
    fn a_detail_waits_for_the_end_of_the_period_and_in_a_large_cluster_for_its_nodes_place() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        // The period, the place, since when there is news after a write at 0, when it is written.
        let cases = [
            (10, 0.0, 1, 10),
            (10, 0.9, 1, 10),
            (10, 0.9, 100, 100),
            (5, 0.9, 1, 5),
            (60, 0.0, 1, 60),
            (60, 0.0, 100, 100),
            (60, 0.5, 100, 130),
            (60, 0.75, 100, 145),
            (60, 0.5, 20, 60),
            (60, 0.5, 40, 70),
            // The heartbeat takes the news along.
            (240, 0.5, 200, 270),
            (240, 0.75, 100, 255),
        ];
        for (period, place, since, expected) in cases {
            let mut limit = Limit::at(place);
            limit.set_period(Duration::from_secs(period));
            limit.news(News::Condition, at(0));
            limit.written(at(0));
            limit.news(News::Detail, at(since));
            assert_eq!(
                limit.due(at(since)),
                Some(at(expected)),
                "{period} s, place {place}, news at {since}"
            );
            // More of it changes nothing.
            limit.news(News::Detail, at(expected));
            assert_eq!(
                limit.due(at(expected)),
                Some(at(expected)),
                "{period} s, place {place}, news at {since}"
            );
        }
    }

    #[test]
    fn five_thousand_nodes_write_spread_over_the_period_and_each_once_in_it() {
        let start = Instant::now();
        let mut by_second = [0_u32; 60];
        let mut beats = [0_u32; 60];
        for number in 0..5000 {
            let mut limit = Limit::new(&format!("node-{number}"));
            limit.set_period(MINUTE);
            limit.news(News::Condition, start);
            limit.written(start);
            beats[(start + HEARTBEAT - limit.due(start).unwrap()).as_secs() as usize] += 1;
            // From now on something changes all the time.
            let mut now = start + 2 * MINUTE;
            for round in 0..3 {
                limit.news(News::Detail, now);
                let due = limit.due(now).unwrap();
                assert!(
                    due <= now + MINUTE && (round == 0 || due == now + MINUTE),
                    "node {number}: {:?}",
                    due - now
                );
                if round == 0 {
                    by_second[(due - now).as_secs() as usize] += 1;
                }
                limit.written(due);
                now = due;
            }
        }
        for count in by_second.into_iter().chain(beats) {
            assert!((40..=130).contains(&count), "about 83 a second: {by_second:?}, heartbeats {beats:?}");
        }
    }

    #[test]
    fn a_nodes_place_follows_from_its_name() {
        assert_eq!(Limit::new("node-1").place, Limit::new("node-1").place);
        assert_ne!(Limit::new("node-1").place, Limit::new("node-2").place);
        assert!((0.0..1.0).contains(&Limit::new("").place));
    }

    #[test]
    fn a_failed_write_is_done_again_and_later_each_time() {
        let start = Instant::now();
        let mut limit = Limit::at(0.0);
        let mut now = start;
        let mut pauses = Vec::new();
        for _ in 0..9 {
            limit.failed(now);
            limit.news(News::Detail, now);
            let due = limit.due(now).unwrap();
            pauses.push(due.duration_since(now).as_millis());
            now = due;
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
        limit.written(now);
        assert_eq!(limit.due(now), Some(now + Duration::from_secs(300)));
    }
}
