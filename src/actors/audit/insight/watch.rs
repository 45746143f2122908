//! Sliding windows: who is in the middle of a pattern, and who has to be told about.

use std::{borrow::Cow, collections::HashMap};

use super::{
    pattern::{Finding, Pattern, WINDOW},
    sign::{Offender, Sign, What},
};
use crate::domain::Timestamp;

/// Most offenders that one pattern is followed of. Beyond it those go first who have been quiet for a
/// window, then those with the fewest hits and of these the oldest: a crowd of passers-by hides somebody
/// only if three thousand new ones come between his first two hits.
pub(super) const MOST_CASES: usize = 4_096;
/// Most alerts of one pattern within a window: with a crowd of attackers the log is not to be filled by
/// telling of each. Whoever goes on is told when there is room again.
pub(super) const MOST_ALERTS: usize = 64;

/// Follows every offender through every pattern.
#[derive(Debug, Default)]
pub(super) struct Watch {
    patterns: [Cases; Pattern::ALL.len()],
}

#[derive(Debug, Default)]
struct Cases {
    open: HashMap<Offender, Case>,
    /// Who has reached the threshold since it was last asked.
    due: Vec<Offender>,
    /// When the last alerts were raised.
    raised: Vec<Timestamp>,
}

/// One offender in one pattern.
#[derive(Debug, Default)]
struct Case {
    /// The newest hits, at most as many as make the pattern; none once it is told.
    hits: Vec<Hit>,
    /// When the newest was.
    last: Timestamp,
    /// Whether it is told, and lasts.
    told: bool,
    /// Whether it stands among those that are due.
    due: bool,
}

#[derive(Debug)]
struct Hit {
    at: Timestamp,
    count: u64,
    /// Where only different ones count.
    tool: Option<Cow<'static, str>>,
}

impl Case {
    fn hit(&mut self, hit: Hit, most: u64) {
        if hit.at > self.last.plus(WINDOW) {
            *self = Self::default();
        }
        self.last = self.last.max(hit.at);
        if self.told {
            return;
        }
        let since = self.last.minus(WINDOW);
        self.hits.retain(|old| old.at >= since && (hit.tool.is_none() || old.tool != hit.tool));
        if hit.at >= since {
            self.hits.push(hit);
        }
        if self.hits.len() as u64 > most {
            self.hits.remove(0);
        }
    }

    fn count(&self) -> u64 {
        self.hits.iter().map(|hit| hit.count).fold(0, u64::saturating_add)
    }
}

impl Watch {
    /// Follows one sign.
    pub(super) fn see(&mut self, sign: &Sign) {
        let Some((pattern, whose, count)) = Pattern::hit(sign) else { return };
        let tool = match &sign.what {
            What::Denied { tool } => tool.clone(),
            _ => None,
        };
        let Some(cases) = self.patterns.get_mut(pattern as usize) else { return };
        if cases.open.len() >= MOST_CASES && !cases.open.contains_key(&whose) {
            cases.make_room(sign.time);
        }
        let case = cases.open.entry(whose.clone()).or_default();
        case.hit(Hit { at: sign.time, count, tool }, pattern.threshold());
        if !case.told && !case.due && case.count() >= pattern.threshold() {
            case.due = true;
            cases.due.push(whose);
        }
    }

    /// An alert about `finding` was raised at `at`: it is not told again while it lasts.
    pub(super) fn told(&mut self, finding: &Finding, at: Timestamp) {
        let Some(cases) = self.patterns.get_mut(finding.pattern as usize) else { return };
        if cases.open.len() >= MOST_CASES {
            cases.make_room(at);
        }
        let case = cases.open.entry(finding.subject.clone()).or_default();
        if at.plus(WINDOW) >= case.last {
            case.told = true;
            case.last = case.last.max(at);
            case.hits = Vec::new();
        }
    }

    /// What has to be told at `now`; each is [told](Self::told) once it could be written down.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (pattern, cases) in Pattern::ALL.into_iter().zip(&mut self.patterns) {
            cases.raised.retain(|at| at.plus(WINDOW) > now);
            for subject in std::mem::take(&mut cases.due) {
                let Some(case) = cases.open.get_mut(&subject) else { continue };
                let (count, was_due) = (case.count(), std::mem::take(&mut case.due));
                // What was read from the log after a start may be long over.
                let lasts = was_due && case.last.plus(WINDOW) >= now && count >= pattern.threshold();
                if lasts && cases.raised.len() < MOST_ALERTS {
                    cases.raised.push(now);
                    findings.push(Finding { pattern, subject, count, window_seconds: WINDOW.as_secs() });
                }
            }
        }
        findings
    }

    /// Whether what `finding` tells of still lasts at `now`.
    pub(super) fn lasts(&self, finding: &Finding, now: Timestamp) -> bool {
        let cases = self.patterns.get(finding.pattern as usize);
        let case = cases.and_then(|cases| cases.open.get(&finding.subject));
        case.is_some_and(|case| case.told && case.last.plus(WINDOW) >= now)
    }

    /// How many offenders are followed, over all patterns.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.patterns.iter().map(|cases| cases.open.len()).sum()
    }
}

impl Cases {
    fn make_room(&mut self, now: Timestamp) {
        self.open.retain(|_, case| case.last.plus(WINDOW) >= now);
        let Some(surplus) = self.open.len().checked_sub(MOST_CASES / 4 * 3) else { return };
        let mut ranks: Vec<_> = self.open.values().map(Case::rank).collect();
        let (_, last, _) = ranks.select_nth_unstable(surplus);
        let last = *last;
        self.open.retain(|_, case| case.rank() > last);
        self.open.shrink_to(MOST_CASES);
    }
}

impl Case {
    /// Who is let go first comes first.
    fn rank(&self) -> (bool, u64, Timestamp) {
        (self.told, self.count(), self.last)
    }
}

#[cfg(test)]
impl Watch {
    /// How much memory it takes, texts included.
    pub(super) fn heap_bytes(&self) -> usize {
        self.patterns.iter().map(Cases::heap_bytes).sum()
    }
}

#[cfg(test)]
impl Cases {
    fn heap_bytes(&self) -> usize {
        // A map is full at seven places of eight, and has a byte for each.
        let places = (self.open.capacity() * 8 / 7).next_power_of_two() * (size_of::<(Offender, Case)>() + 1);
        let text = |hit: &Hit| hit.tool.as_ref().map_or(0, |tool| tool.len());
        let hits =
            |case: &Case| case.hits.capacity() * size_of::<Hit>() + case.hits.iter().map(text).sum::<usize>();
        let open: usize = self.open.iter().map(|(who, case)| who.heap_bytes() + hits(case)).sum();
        let due = self.due.capacity() * size_of::<Offender>();
        places + open + due + self.raised.capacity() * size_of::<Timestamp>()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::actors::audit::insight::pattern::{DENIED_TOOLS, FAILURES, REFUSALS};

    const START: Timestamp = Timestamp::from_secs(1_795_391_999);

    fn at(secs: u64) -> Timestamp {
        START.plus(Duration::from_secs(secs))
    }

    fn failed(ip: &str, time: Timestamp) -> Sign {
        let address = Some(ip.parse().unwrap());
        Sign { time, address, principal: None, what: What::Failed { guess: true } }
    }

    fn denied(tool: &str, time: Timestamp) -> Sign {
        let what = What::Denied { tool: Some(Cow::Owned(tool.into())) };
        Sign { time, address: None, principal: Some("mallory".parse().unwrap()), what }
    }

    fn limited(count: u64, time: Timestamp) -> Sign {
        let principal = Some("mallory".parse().unwrap());
        Sign { time, address: None, principal, what: What::Limited { count } }
    }

    /// What is told of these signs, each told as soon as it is due.
    fn told(signs: impl IntoIterator<Item = Sign>) -> Vec<(Pattern, String, u64)> {
        let (mut watch, mut all) = (Watch::default(), Vec::new());
        for sign in signs {
            watch.see(&sign);
            for finding in watch.due(sign.time) {
                watch.told(&finding, sign.time);
                all.push((finding.pattern, finding.subject.to_string(), finding.count));
            }
        }
        all
    }

    #[test]
    fn ten_failures_within_five_minutes_are_told_and_nine_are_not() {
        let every = |secs: u64, count: u64| (0..count).map(move |n| failed("203.0.113.7", at(n * secs)));
        assert_eq!(told(every(1, FAILURES - 1)), []);
        let once = [(Pattern::RepeatedAuthFailures, "203.0.113.7".to_owned(), 10)];
        assert_eq!(told(every(1, FAILURES)), once);
        // The tenth exactly five minutes after the first, and one second later.
        let spread =
            |last: u64| (0..9).map(|n| n * 30).chain([last]).map(|secs| failed("203.0.113.7", at(secs)));
        assert_eq!(told(spread(300)), once);
        assert_eq!(told(spread(301)), []);
    }

    #[test]
    fn a_pattern_is_told_once_while_it_lasts_and_again_after_a_quiet_window() {
        let lasting = (0..1_000).map(|n| failed("203.0.113.7", at(n * 20)));
        assert_eq!(told(lasting).len(), 1);
        let burst = |from: u64| (0..10).map(move |n| failed("203.0.113.7", at(from + n)));
        assert_eq!(told(burst(0).chain(burst(309))).len(), 1, "300 s after the last one it still lasts");
        assert_eq!(told(burst(0).chain(burst(310))).len(), 2, "301 s after the last one it was quiet");
    }

    #[test]
    fn five_different_tools_are_told_and_one_tool_often_is_not() {
        let tools = |count: u64| (0..count).map(|n| denied(&format!("tool{n}"), at(n)));
        assert_eq!(told(tools(DENIED_TOOLS - 1)), []);
        assert_eq!(told(tools(DENIED_TOOLS)), [(Pattern::DeniedToolsProbed, "mallory".to_owned(), 5)]);
        assert_eq!(told((0..100).map(|n| denied("tool", at(n)))), []);
        assert_eq!(told((0..100).map(|n| denied(["a", "b", "c", "d"][n as usize % 4], at(n)))), []);
        let resource = |n| Sign { what: What::Denied { tool: None }, ..denied("", at(n)) };
        assert_eq!(told((0..100).map(resource)), [], "what is no tool");
        // The first is five minutes and a second ago; asked for again, it counts again.
        let late = |again: bool| {
            let first = (0..4).map(|n| denied(&format!("tool{n}"), at(n)));
            first.chain(again.then(|| denied("tool0", at(100)))).chain([denied("tool4", at(301))])
        };
        assert_eq!(told(late(false)), []);
        assert_eq!(told(late(true)).len(), 1);
    }

    #[test]
    fn twenty_refusals_are_told_however_many_records_they_stand_in() {
        assert_eq!(told([limited(REFUSALS - 1, at(0))]), []);
        assert_eq!(
            told([limited(REFUSALS, at(0))]),
            [(Pattern::RepeatedLimitRefusals, "mallory".to_owned(), 20)]
        );
        assert_eq!(told((0..20).map(|n| limited(1, at(n)))).len(), 1);
        assert_eq!(told([limited(19, at(0)), limited(1, at(301))]), []);
        assert_eq!(told([limited(19, at(0)), limited(1, at(300))]).len(), 1);
    }

    #[test]
    fn an_ipv6_subscriber_is_one_and_a_request_without_a_credential_is_no_guess() {
        let subscriber = (0..10).map(|n| failed(&format!("2001:db8:1:2:{n}::1"), at(n)));
        assert_eq!(told(subscriber), [(Pattern::RepeatedAuthFailures, "2001:db8:1:2::/64".to_owned(), 10)]);
        let others = (0..10).map(|n| failed(&format!("2001:db8:1:{n}::1"), at(n)));
        assert_eq!(told(others), []);
        let mut first = failed("203.0.113.7", at(0));
        first.what = What::Failed { guess: false };
        assert_eq!(told((0..100).map(|_| first.clone())), []);
    }

    #[test]
    fn a_million_addresses_are_followed_in_bounded_memory_and_hide_nobody_who_insists() {
        let mut watch = Watch::default();
        let mut found = Vec::new();
        let full = std::env::var_os("PORTCULLIS_FULL").is_some_and(|value| value != "0" && !value.is_empty());
        for n in 0..if full { 1_000_000 } else { 100_000_u32 } {
            // Four thousand a second, and among them one that guesses every 250 ms.
            let time = START.plus(Duration::from_micros(u64::from(n) * 250));
            let ip = std::net::Ipv4Addr::from_bits(0x0a00_0000 + n).to_string();
            watch.see(&failed(&ip, time));
            if n % 1_000 == 500 {
                watch.see(&failed("203.0.113.7", time));
            }
            assert!(watch.len() <= MOST_CASES);
            if n % 1_000 == 999 {
                let due = watch.due(time);
                due.iter().for_each(|finding| watch.told(finding, time));
                found.extend(due);
            }
        }
        assert_eq!(found.len(), 1, "told once, and not forgotten that it was");
        assert_eq!(found[0].subject.to_string(), "203.0.113.7");
    }

    #[test]
    fn a_crowd_of_attackers_is_told_of_up_to_a_limit_and_the_rest_when_there_is_room() {
        let mut watch = Watch::default();
        let crowd = |time: Timestamp, watch: &mut Watch| {
            let who = (0..200).map(|n| format!("198.51.100.{n}"));
            who.for_each(|ip| (0..10).for_each(|_| watch.see(&failed(&ip, time))));
            let due = watch.due(time);
            due.iter().for_each(|finding| watch.told(finding, time));
            due.len()
        };
        assert_eq!(crowd(at(0), &mut watch), MOST_ALERTS);
        assert_eq!(crowd(at(1), &mut watch), 0);
        assert_eq!(crowd(at(300), &mut watch), MOST_ALERTS, "others than the first ones");
    }
}
