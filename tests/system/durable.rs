//! What durable means, as the kernel sees it: before a reply leaves, an `fdatasync` has covered its record.

use std::{collections::HashMap, fs};

use tokio::task::LocalSet;

use super::{home::Home, load::Load, output, server::Server, strace::Strace};

/// A system call, from the line on which it began to the line on which it returned.
struct Call<'a> {
    name: &'a str,
    /// All of its text but the result.
    text: String,
    began: usize,
    ended: usize,
    is_good: bool,
}

/// Every call of a trace; the last ones may have no end there.
fn calls(trace: &str) -> Vec<Call<'_>> {
    let (mut all, mut begun) = (Vec::new(), HashMap::new());
    for (at, line) in trace.lines().enumerate() {
        let mut words = line.splitn(3, ' ');
        let (Some(thread), Some(_time), Some(rest)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        if let Some(text) = rest.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, (at, text));
        } else if let Some(rest) = rest.strip_prefix("<... ") {
            let Some((began, text)) = begun.remove(thread) else { continue };
            let (_, rest) = rest.split_once(" resumed>").unwrap();
            all.extend(call(format!("{text}{rest}"), text, (began, at)));
        } else {
            all.extend(call(rest.to_owned(), rest, (at, at)));
        }
    }
    let open =
        begun.into_values().filter_map(|(began, text)| call(text.to_owned(), text, (began, usize::MAX)));
    all.extend(open);
    all
}

fn call<'a>(text: String, first: &'a str, (began, ended): (usize, usize)) -> Option<Call<'a>> {
    let (name, _) = first.split_once('(')?;
    let is_good = text.rsplit_once(" = ").is_some_and(|(_, result)| !result.starts_with('-'));
    Some(Call { name, text, began, ended, is_good })
}

impl Call<'_> {
    /// The first argument: what it is done to.
    fn target(&self) -> &str {
        self.text.split(['(', ',', ')']).nth(1).unwrap_or_default()
    }

    fn is_of_log(&self) -> bool {
        self.target().ends_with(".jsonl>")
    }

    fn is_sync(&self) -> bool {
        matches!(self.name, "fdatasync" | "fsync") && self.is_good
    }
}

#[tokio::test]
async fn before_each_200_leaves_an_fdatasync_has_covered_its_record() {
    let home = Home::for_load("durable");
    let server = Server::start(&home).await;
    let token = home.token("alice", "user").await;
    let trace = output::folder().join("durable.strace");
    let answered = LocalSet::new()
        .run_until(async {
            let strace = Strace::watch(&server, &trace);
            let load = Load::start(&server, 16, &[Some(token)]);
            load.until_answered(400).await;
            let seen = load.finish().await;
            strace.detach();
            assert_eq!((seen.broken.get(), seen.kinds.borrow().len()), (0, 1), "{:?}", seen.kinds);
            seen.answered.take()
        })
        .await;
    let trace = fs::read_to_string(&trace).unwrap();
    let calls = calls(&trace);
    let (log, rest): (Vec<_>, Vec<_>) = calls.iter().partition(|call| call.is_of_log());
    let (syncs, writes): (Vec<_>, Vec<_>) = log.into_iter().partition(|call| call.is_sync());
    let mut replies = 0;
    for id in &answered {
        let holds = |call: &&&Call<'_>| call.text.contains(id.as_str());
        let record = writes.iter().find(holds).unwrap_or_else(|| panic!("the record of {id} was written"));
        let reply = rest.iter().find(holds).unwrap_or_else(|| panic!("the reply to {id} was sent"));
        assert!(reply.text.contains("HTTP/1.1 200"), "{}", reply.text);
        let is_between = |sync: &&Call<'_>| {
            sync.target() == record.target() && sync.began > record.ended && sync.ended < reply.began
        };
        assert!(
            syncs.iter().any(is_between),
            "{id}: written on line {}, sent on line {}, and not made durable between them",
            record.ended + 1,
            reply.began + 1
        );
        replies += 1;
    }
    output::figure(&format!("{replies} replies of 200, each behind its own of {} fdatasyncs", syncs.len()));
    assert!(replies >= 400 && syncs.len() >= 25, "{replies} replies, {} syncs", syncs.len());
    server.stopped().await;
    home.audit_verifies().await;
}
