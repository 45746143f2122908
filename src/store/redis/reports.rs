//! The port [`Reports`] on Redis.

use deadpool_redis::redis;

use super::{Redis, plan::Plan, records};
use crate::{
    domain::Timestamp,
    store::{ChangeKind, MOST_AHEAD, MOST_REPORTS, Report, Reports, StoreError, StoreFuture},
};

/// What a record that does not read is.
pub(super) const WHAT: &str = "a weather report";
/// Most reports that are dropped at a time: the next one drops more.
const STEP: usize = 256;

impl Reports for Redis {
    fn report<'a>(&'a self, report: &'a Report, oldest: Timestamp) -> StoreFuture<'a, Report> {
        let report = report.clone();
        self.ask(async move |db| db.settle(async |plan| self::report(plan, &report, oldest).await).await)
    }

    fn reports(&self, oldest: Timestamp) -> StoreFuture<'_, Vec<Report>> {
        self.ask(async move |db| {
            let texts: Vec<String> = db.ask(redis::cmd("HVALS").arg(db.names.reports())).await?;
            let reports = texts.iter().map(|text| records::read(text, WHAT));
            let mut reports: Vec<Report> = reports.collect::<Result<_, _>>()?;
            reports.retain(|kept| kept.at > oldest);
            Ok(reports)
        })
    }
}

async fn report<'a>(
    mut plan: Plan<'a>,
    new: &Report,
    oldest: Timestamp,
) -> Result<(Plan<'a>, Report), StoreError> {
    let (table, ages, key) = (plan.names().reports(), plan.names().reports_by_age(), new.key());
    let known = plan.get_field(&table, &key).await?;
    let known: Option<Report> = known.map(|text| records::read(&text, WHAT)).transpose()?;
    let old = plan.db().due(&ages, oldest, STEP).await?;
    for city in &old {
        forget(&mut plan, &table, &ages, city).await?;
    }
    match known.filter(|kept| kept.at > oldest) {
        Some(known) if known.outlasts(new) => return Ok((plan, known)),
        Some(_) => {}
        None => make_room(&mut plan, (&table, &ages), new.at, old.len()).await?,
    }
    plan.then(["HSET", &table, &key, &records::write(new, WHAT)?]);
    plan.then(["ZADD", &ages, &new.at.micros().to_string(), &key]);
    plan.tell(&ChangeKind::Weather(new.clone()))?;
    Ok((plan, new.clone()))
}

/// For one more report, made now, when `gone` go anyway: first goes what is dated ahead, then the oldest.
async fn make_room(
    plan: &mut Plan<'_>,
    (table, ages): (&str, &str),
    now: Timestamp,
    gone: usize,
) -> Result<(), StoreError> {
    let mut questions = redis::pipe();
    let ahead = format!("({}", now.plus(MOST_AHEAD).micros());
    questions.cmd("ZCARD").arg(ages);
    questions.cmd("ZRANGEBYSCORE").arg(ages).arg(ahead).arg("+inf").arg("LIMIT").arg(0).arg(1);
    questions.cmd("ZRANGE").arg(ages).arg(gone).arg(gone);
    let (all, ahead, oldest): (u64, Vec<String>, Vec<String>) = plan.db().together(&questions).await?;
    if all.saturating_sub(gone as u64) >= MOST_REPORTS
        && let Some(city) = ahead.first().or_else(|| oldest.first())
    {
        forget(plan, table, ages, city).await?;
    }
    Ok(())
}

/// Drops the report of a city, unless a new one comes meanwhile.
async fn forget(plan: &mut Plan<'_>, table: &str, ages: &str, city: &str) -> Result<(), StoreError> {
    plan.get_field(table, city).await?;
    plan.then(["HDEL", table, city]);
    plan.then(["ZREM", ages, city]);
    Ok(())
}
