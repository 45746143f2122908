//! What every backend promises of the stations' reports.

use portcullis::{
    domain::Timestamp,
    store::{ChangeKind, MOST_REPORTS, Report, Stores},
};

use super::{Backend, backends, sqlite, wait};

fn report(city: &str, hundredths: i32, at: u64) -> Report {
    Report { city: city.into(), hundredths, condition: "Rain, 'heavy'".into(), at: Timestamp::from_secs(at) }
}

fn put(stores: &Stores, report: &Report, oldest: u64) -> Report {
    wait(stores.reports.report(report, Timestamp::from_secs(oldest))).unwrap()
}

fn all(stores: &Stores, oldest: u64) -> Vec<Report> {
    let mut reports = wait(stores.reports.reports(Timestamp::from_secs(oldest))).unwrap();
    reports.sort();
    reports
}

#[test]
fn the_latest_report_of_a_city_is_kept_in_whatever_case_it_is_written() {
    for Backend { name, stores, .. } in backends() {
        let (oslo, again, rome) =
            (report("Oslo", -350, 10), report("OSLO", 2_230, 20), report("Roma", 0, 15));
        for one in [&oslo, &rome, &again] {
            assert_eq!(put(&stores, one, 0), *one, "{name}");
        }
        assert_eq!(all(&stores, 0), [again.clone(), rome.clone()], "{name}");
        assert_eq!(put(&stores, &report("oslo", 1, 17), 0), again, "{name}: told what is kept");
        assert_eq!(all(&stores, 0), [again.clone(), rome.clone()], "{name}: an older one changes nothing");
        assert_eq!(all(&stores, 15), std::slice::from_ref(&again), "{name}");

        let told: Vec<_> =
            wait(stores.feed.changes_after(0)).unwrap().into_iter().map(|row| row.what).collect();
        assert_eq!(told, [oslo, rome, again].map(ChangeKind::Weather), "{name}: told as often as it changed");
    }
}

#[test]
fn old_reports_leave_the_store_with_the_next_one() {
    for Backend { name, stores, .. } in backends() {
        for n in 0..100 {
            put(&stores, &report(&format!("c{n}"), n, 10 + u64::try_from(n).unwrap()), 0);
        }
        put(&stores, &report("new", 1, 500), 59);
        assert_eq!(all(&stores, 0).len(), 51, "{name}: those of 59 and before are gone");
    }
}

#[test]
fn one_city_more_than_there_may_be_takes_the_place_of_the_oldest() {
    for Backend { name, stores, .. } in backends() {
        let most = i32::try_from(MOST_REPORTS).unwrap();
        let at = |n: i32| if n == 7 { 100 } else { 101 };
        let reports: Vec<_> = (1..most).map(|n| report(&format!("c{n}"), n, at(n))).collect();
        let now = Timestamp::from_secs(1);
        for some in reports.chunks(500) {
            let asked = some.iter().map(|one| stores.reports.report(one, now));
            assert_eq!(wait(futures_util::future::try_join_all(asked)).unwrap(), some, "{name}");
        }
        put(&stores, &report("ahead", 0, 900), 1);
        put(&stores, &report("C8", -8, 102), 1);
        assert_eq!(all(&stores, 1).len() as u64, MOST_REPORTS, "{name}: one that is there already");
        for (city, gone) in [("one more", "ahead"), ("and one", "c7")] {
            assert!(all(&stores, 1).iter().any(|kept| kept.city == gone), "{name}: {gone}");
            let new = report(city, 1, 103);
            assert_eq!(put(&stores, &new, 1), new, "{name}");
            let kept = all(&stores, 1);
            assert!(kept.contains(&new) && !kept.iter().any(|kept| kept.city == gone), "{name}: {gone}");
            assert_eq!(kept.len() as u64, MOST_REPORTS, "{name}");
        }
    }
}

#[test]
fn a_report_that_is_dated_far_ahead_gives_way() {
    for Backend { name, stores, .. } in backends() {
        for (ahead, stays) in [(5, true), (6, false)] {
            let (kept, new) = (report("Oslo", 1, 100 + ahead), report("OSLO", 2, 100));
            put(&stores, &kept, 0);
            let left = if stays { kept } else { new.clone() };
            assert_eq!(put(&stores, &new, 0), left, "{name}: {ahead}");
            assert_eq!(all(&stores, 0), [left], "{name}: {ahead}");
        }
    }
}

#[test]
fn a_report_survives_reopening_and_is_seen_by_another_process() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (sqlite(dir.path()), sqlite(dir.path()));
    let mut watch = other.feed.watch(0);
    assert_eq!(watch.poll().unwrap(), []);
    let oslo = report("Oslo \"ø\"", -1, 10);
    assert_eq!(put(&one, &oslo, 0), oslo);
    drop(one);
    let told = super::next(&mut *watch, std::time::Duration::from_millis(500));
    assert_eq!(told, [ChangeKind::Weather(oslo.clone())]);
    drop(other);
    assert_eq!(all(&sqlite(dir.path()), 0), [oslo]);
}
