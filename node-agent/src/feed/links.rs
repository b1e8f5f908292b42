//! Whether plans come, kept apart for the two kinds that are watched: that one of them can be read says nothing about the other. Holds
//! no clock and tells nobody.

use std::time::Duration;

use tokio::time::Instant;

use crate::plan::Link;

/// A watch that resumes says nothing: with no failure for so long, the API server is there.
const QUIET: Duration = Duration::from_secs(30);

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The node's own plan.
    Node,
    /// The service plans.
    Services,
}

impl Source {
    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Node => "NodeProxyPlan",
            Self::Services => "ServiceProxyPlans",
        }
    }
}

/// The way of both kinds.
#[derive(Debug, Default)]
pub struct Links {
    ways: [Way; 2],
}

#[derive(Debug, Default)]
struct Way {
    link: Link,
    last_failure: Option<Instant>,
}

impl Links {
    /// A request failed. It is made again, and as long as it fails this is said again.
    pub fn failed(&mut self, source: Source, link: Link, now: Instant) {
        *self.way(source) = Way { link, last_failure: Some(now) };
    }

    /// The object is gone: only its return changes that.
    pub fn gone(&mut self, source: Source, why: String) {
        *self.way(source) = Way { link: Link::Gone(why), last_failure: None };
    }

    /// Something came.
    pub fn works(&mut self, source: Source) {
        *self.way(source) = Way::default();
    }

    /// When a kind is taken for readable again, if it does not fail before.
    pub fn quiet_at(&self) -> Option<Instant> {
        self.ways.iter().filter_map(Way::quiet_at).min()
    }

    /// What has not failed for long enough is readable again.
    pub fn settle(&mut self, now: Instant) {
        for way in self.ways.iter_mut().filter(|way| way.quiet_at().is_some_and(|at| at <= now)) {
            *way = Way::default();
        }
    }

    /// Where plans come from, the worst of both.
    pub fn told(&self) -> Link {
        let grave = self.ways.iter().find(|way| matches!(way.link, Link::Gone(_)));
        let bad = || self.ways.iter().find(|way| way.link != Link::Live);
        grave.or_else(bad).map_or(Link::Live, |way| way.link.clone())
    }

    fn way(&mut self, source: Source) -> &mut Way {
        match source {
            Source::Node => &mut self.ways[0],
            Source::Services => &mut self.ways[1],
        }
    }
}

impl Way {
    fn quiet_at(&self) -> Option<Instant> {
        self.last_failure.map(|last| last + QUIET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_kind_says_does_not_hide_what_ails_the_other() {
        let start = Instant::now();
        let away = || Link::Away("no route".to_owned());
        let gone = || Link::Gone("deleted".to_owned());
        let mut links = Links::default();
        assert_eq!((links.told(), links.quiet_at()), (Link::Live, None));
        links.gone(Source::Node, "deleted".to_owned());
        links.works(Source::Services);
        assert_eq!(
            (links.told(), links.quiet_at()),
            (gone(), None),
            "an event about Services brings no node's plan"
        );
        links.failed(Source::Services, away(), start);
        assert_eq!((links.told(), links.quiet_at()), (gone(), Some(start + QUIET)), "the gravest");
        links.works(Source::Node);
        assert_eq!(links.told(), away());
        links.settle(start + QUIET - Duration::from_millis(1));
        assert_eq!(links.told(), away());
        links.settle(start + QUIET);
        assert_eq!((links.told(), links.quiet_at()), (Link::Live, None));
    }

    #[test]
    fn silence_does_not_bring_back_what_was_deleted() {
        let start = Instant::now();
        let mut links = Links::default();
        links.gone(Source::Node, "deleted".to_owned());
        links.settle(start + QUIET * 10);
        assert_eq!(links.told(), Link::Gone("deleted".to_owned()));
    }
}
