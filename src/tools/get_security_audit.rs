//! `get_security_audit`: what the audit log says about attacks, over the last hour, day or week.

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Call, Hints, LocalFuture, Spec, Tool, ToolError, clean};
use crate::{
    actors::{
        audit::insight::{self, Insight, Range, Review, Violation},
        kit::ActorError,
    },
    error::Coded,
};

/// Who knows what the log says; the insight does, tests bring their own.
pub trait Reviewer: Send + Sync {
    /// What happened in `range`.
    ///
    /// # Errors
    /// [`ActorError`] if there is no answer now.
    fn review(&self, range: Range) -> LocalFuture<'_, Result<Review, ActorError>>;
}

impl Reviewer for Insight {
    fn review(&self, range: Range) -> LocalFuture<'_, Result<Review, ActorError>> {
        Box::pin(Self::review(self, range))
    }
}

/// `get_security_audit`.
pub struct GetSecurityAudit {
    /// Who knows.
    pub reviewer: Arc<dyn Reviewer>,
}

/// How far back to look.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RangeArgs {
    /// The last hour, day (the default) or week.
    #[serde(default)]
    time_range: TimeRange,
}

/// A range of time that ends now.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
enum TimeRange {
    #[serde(rename = "1h")]
    Hour,
    #[default]
    #[serde(rename = "24h")]
    Day,
    #[serde(rename = "7d")]
    Week,
}

impl From<TimeRange> for Range {
    fn from(range: TimeRange) -> Self {
        match range {
            TimeRange::Hour => Self::Hour,
            TimeRange::Day => Self::Day,
            TimeRange::Week => Self::Week,
        }
    }
}

/// What happened in the range.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SecurityAudit {
    /// The range that was asked for.
    time_range: TimeRange,
    /// Where it begins, RFC 3339 in UTC: whole minutes for 1h, whole hours for 24h and 7d, so that it covers at
    /// least what was asked for. It ends now.
    #[schemars(extend("format" = "date-time"))]
    from: String,
    /// Whether everything in the range is counted; false while the log is still being read after a start, and while
    /// what other servers count cannot be read.
    complete: bool,
    /// Where several servers share one store: whose counts these are.
    #[serde(skip_serializing_if = "Option::is_none")]
    fleet: Option<Fleet>,
    /// How often what happened in the whole range.
    totals: Totals,
    /// The same over time, oldest first: 61 minutes for 1h, 25 hours for 24h, 169 hours for 7d; the last one is
    /// still running.
    #[schemars(length(max = 169))]
    series: Vec<Point>,
    /// The worst offenders, at most 10 addresses and 10 principals for each violation, most first.
    #[schemars(length(max = 60))]
    offenders: Vec<Offender>,
    /// The patterns that were told in the range, newest first, at most 10.
    #[schemars(length(max = 10))]
    unusual: Vec<Unusual>,
    /// Every `alert.raised` record in the range, those of patterns included, newest first, at most 10.
    #[schemars(length(max = 10))]
    alerts: Vec<Alert>,
}

/// The servers that share one store.
#[derive(Debug, Serialize, JsonSchema)]
struct Fleet {
    /// How many have their counts in this answer, this one included.
    servers: usize,
    /// Whether the others' counts could be read; if not, the answer is of this server alone.
    reached: bool,
}

/// How often what happened.
#[derive(Debug, Serialize, JsonSchema)]
struct Totals {
    /// `auth.failed` records: credentials that did not hold, or were missing.
    failed_authentications: u64,
    /// `tool.denied` records.
    permission_denials: u64,
    /// Requests over a limit, as the `rate.limited` records count them.
    rate_limit_violations: u64,
    /// Unusual patterns that were found.
    unusual: u64,
}

impl From<insight::Totals> for Totals {
    fn from(totals: insight::Totals) -> Self {
        Self {
            failed_authentications: totals.failed_authentications,
            permission_denials: totals.permission_denials,
            rate_limit_violations: totals.rate_limit_violations,
            unusual: totals.unusual,
        }
    }
}

/// One minute or hour.
#[derive(Debug, Serialize, JsonSchema)]
struct Point {
    /// When it begins, RFC 3339 in UTC.
    #[schemars(extend("format" = "date-time"))]
    start: String,
    /// How often what happened in it.
    #[serde(flatten)]
    totals: Totals,
}

/// Somebody who violated something.
#[derive(Debug, Serialize, JsonSchema)]
struct Offender {
    /// What: `failed_authentications`, `permission_denials` or `rate_limit_violations`.
    violation: &'static str,
    /// What `subject` is: `address` or `principal`.
    kind: &'static str,
    /// An address (IPv6 as its /64) or a principal's id.
    subject: String,
    /// How often at least.
    count: u64,
    /// Whether that is the exact number: with more than 64 at once in a minute or hour the small ones blur.
    exact: bool,
}

/// A pattern that was told.
#[derive(Debug, Serialize, JsonSchema)]
struct Unusual {
    /// Which: `repeated_auth_failures` (10 from one address), `denied_tools_probed` (5 different ones by one
    /// principal), `repeated_limit_refusals` (20 of one principal), each within 5 minutes.
    pattern: &'static str,
    /// What `subject` is: `address` or `principal`.
    kind: &'static str,
    /// An address (IPv6 as its /64) or a principal's id.
    subject: String,
    /// How many hits there were when it was told.
    count: u64,
    /// Within how many seconds hits count together.
    window_seconds: u64,
    /// When it was told, RFC 3339 in UTC.
    #[schemars(extend("format" = "date-time"))]
    time: String,
    /// Whether it still lasts: there was a hit within the last window.
    active: bool,
    /// Where several servers share one store: the one that told it. Each looks for patterns in its own log.
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
}

/// An `alert.raised` record.
#[derive(Debug, Serialize, JsonSchema)]
struct Alert {
    /// When it was raised, RFC 3339 in UTC.
    #[schemars(extend("format" = "date-time"))]
    time: String,
    /// Why: a pattern's name, or what was found about the log itself, such as `chain_broken`.
    reason: String,
    /// What more the record says, as JSON text of at most 256 characters; null if nothing.
    detail: Option<String>,
    /// Where several servers share one store: the one that recorded it.
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
}

impl Tool for GetSecurityAudit {
    const SPEC: Spec = Spec {
        name: "get_security_audit",
        title: "Get the security audit",
        about: "Says what the audit log knows of attacks on this server over the last hour, day or week: failed \
                authentications, permission denials, limit violations, the worst offenders, unusual patterns and \
                alerts.",
        needs: "metrics:view",
        hints: Hints::READ,
        cost: 1,
        deadline: Duration::from_secs(5),
    };
    type Args = RangeArgs;
    type Output = SecurityAudit;

    async fn call(&self, args: RangeArgs, _: &Call<'_>) -> Result<SecurityAudit, ToolError> {
        let review = self.reviewer.review(args.time_range.into()).await.map_err(unavailable)?;
        Ok(shown(args.time_range, review))
    }
}

/// The ranges of time that there are views of.
pub(crate) const RANGES: [&str; 3] = ["1h", "24h", "7d"];

/// What the tool answers for `range`, as JSON.
///
/// # Errors
/// [`ToolError::NotFound`] for a range that is none.
pub(crate) async fn review(reviewer: &dyn Reviewer, range: &str) -> Result<String, ToolError> {
    let ranges = [TimeRange::Hour, TimeRange::Day, TimeRange::Week];
    let known = RANGES.iter().zip(ranges).find(|(name, _)| **name == range);
    let (_, range) = known.ok_or_else(|| ToolError::NotFound("there is no such range".into()))?;
    let review = reviewer.review(range.into()).await.map_err(unavailable)?;
    serde_json::to_string(&shown(range, review)).map_err(|_| ToolError::Output)
}

fn unavailable(error: ActorError) -> ToolError {
    ToolError::Unavailable { code: error.code(), retry_after: error.retry_after().unwrap_or_default() }
}

/// Names in it were chosen by others, so each is made fit to be shown.
fn shown(time_range: TimeRange, review: Review) -> SecurityAudit {
    let point = |(start, totals): (crate::domain::Timestamp, insight::Totals)| Point {
        start: start.to_string(),
        totals: totals.into(),
    };
    let offender = |offence: insight::Offence| Offender {
        violation: named(offence.violation),
        kind: offence.who.kind(),
        subject: clean(&offence.who.to_string()),
        count: offence.count,
        exact: offence.exact,
    };
    let unusual = |unusual: insight::Unusual| Unusual {
        pattern: unusual.finding.pattern.name(),
        kind: unusual.finding.subject.kind(),
        subject: clean(&unusual.finding.subject.to_string()),
        count: unusual.finding.count,
        window_seconds: unusual.finding.window_seconds,
        time: unusual.time.to_string(),
        active: unusual.lasts,
        server: unusual.server.as_deref().map(clean),
    };
    let alert = |note: insight::Note| Alert {
        time: note.time.to_string(),
        reason: clean(&note.reason),
        detail: note.detail.map(|detail| clean(&detail)),
        server: note.server.as_deref().map(clean),
    };
    let fleet = review.fleet.map(|view| Fleet { servers: view.servers, reached: view.reached });
    SecurityAudit {
        time_range,
        from: review.from.to_string(),
        complete: review.complete,
        fleet,
        totals: review.totals.into(),
        series: review.series.into_iter().map(point).collect(),
        offenders: review.offences.into_iter().map(offender).collect(),
        unusual: review.unusual.into_iter().map(unusual).collect(),
        alerts: review.alerts.into_iter().map(alert).collect(),
    }
}

const fn named(violation: Violation) -> &'static str {
    match violation {
        Violation::FailedAuthentication => "failed_authentications",
        Violation::PermissionDenial => "permission_denials",
        Violation::RateLimit => "rate_limit_violations",
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use serde_json::{Value, json};

    use super::*;
    use crate::{domain::Catalogue, domain::Timestamp, policy::permit_for_tests, tools::Registry};

    /// Answers with a hostile past; `None` does not answer.
    struct Past(Option<Review>);

    impl Reviewer for Past {
        fn review(&self, _: Range) -> LocalFuture<'_, Result<Review, ActorError>> {
            Box::pin(ready(self.0.clone().ok_or(ActorError::Stopped("insight"))))
        }
    }

    fn past() -> Review {
        let time = Timestamp::from_secs(3_600);
        let totals = insight::Totals { failed_authentications: 10, unusual: 1, ..Default::default() };
        let address = insight::Offender::Address("203.0.113.7".parse().unwrap());
        let pattern = insight::Pattern::RepeatedAuthFailures;
        let finding = insight::Finding { pattern, subject: address.clone(), count: 10, window_seconds: 300 };
        let violation = Violation::FailedAuthentication;
        Review {
            from: time,
            complete: true,
            totals,
            series: vec![(time, totals)],
            offences: vec![insight::Offence { violation, who: address, count: 10, exact: true }],
            unusual: vec![insight::Unusual { finding, time, lasts: true, server: None }],
            alerts: vec![insight::Note {
                time,
                reason: "chain_broken".into(),
                detail: Some("{\"x\":\"\u{202e}\u{1b}[2J\"}".into()),
                server: None,
            }],
            fleet: None,
        }
    }

    async fn call(past: Option<Review>, arguments: Value) -> Result<Value, ToolError> {
        let tool = GetSecurityAudit { reviewer: Arc::new(Past(past)) };
        let registry = Registry::new(vec![Box::new(tool)], &Catalogue::new::<&str>(&[]).unwrap()).unwrap();
        let text = arguments.to_string();
        let tree = crate::protocol::Tree::of_text(&text).unwrap();
        let produced =
            registry.find("get_security_audit").unwrap().run(&tree, &Call::new(&permit_for_tests())).await?;
        Ok(serde_json::from_str(produced.output().unwrap()).unwrap())
    }

    #[tokio::test]
    async fn the_answer_has_the_contracts_members_and_shows_foreign_text_harmless() {
        let answer = call(Some(past()), json!({ "time_range": "1h" })).await.unwrap();
        let hour = "1970-01-01T01:00:00.000000Z";
        assert_eq!(
            answer,
            json!({
                "time_range": "1h", "from": hour, "complete": true,
                "totals": { "failed_authentications": 10, "permission_denials": 0, "rate_limit_violations": 0, "unusual": 1 },
                "series": [{ "start": hour, "failed_authentications": 10, "permission_denials": 0,
                             "rate_limit_violations": 0, "unusual": 1 }],
                "offenders": [{ "violation": "failed_authentications", "kind": "address", "subject": "203.0.113.7",
                                "count": 10, "exact": true }],
                "unusual": [{ "pattern": "repeated_auth_failures", "kind": "address", "subject": "203.0.113.7",
                              "count": 10, "window_seconds": 300, "time": hour, "active": true }],
                "alerts": [{ "time": hour, "reason": "chain_broken", "detail": "{\"x\":\"\\u{202e}\\u{1b}[2J\"}" }]
            })
        );
    }

    #[tokio::test]
    async fn a_day_is_the_default_and_nothing_else_is_taken() {
        assert_eq!(call(Some(past()), json!({})).await.unwrap()["time_range"], "24h");
        assert_eq!(call(Some(past()), json!({ "time_range": "7d" })).await.unwrap()["time_range"], "7d");
        for wrong in [json!({ "time_range": "2h" }), json!({ "time_range": 1 }), json!({ "range": "1h" })] {
            assert!(matches!(call(Some(past()), wrong).await, Err(ToolError::Arguments(_))));
        }
    }

    #[tokio::test]
    async fn an_insight_that_does_not_answer_is_told_so() {
        let error = call(None, json!({})).await.unwrap_err();
        assert!(error.to_string().starts_with("temporarily unavailable (overloaded)"), "{error}");
    }
}
