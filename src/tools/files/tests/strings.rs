//! Random strings as paths: whatever they are, nothing outside the folder is opened, changed or shown.

use proptest::prelude::*;
use rustix::fs::inotify;

use super::{Bed, SECRET};
use crate::tools::files::way::Way;

/// Pieces of which attacks are made, and plain ones.
fn piece() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "..",
        ".",
        "/",
        "//",
        "\\",
        "a",
        "sub",
        "a.txt",
        "secret.txt",
        "outside",
        "root-evil",
        "~",
        "%2e%2e",
        "%00",
        "\0",
        "\n",
        "file://",
        "C:",
        "CON",
        " ",
        "…",
        "\u{202e}",
        "．．",
        "／",
        "proc/self/root",
        "x.txt",
        ".txt",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => ".{0,8}", 1 => "[a-z./]{1,12}"]
}

fn path() -> impl Strategy<Value = String> {
    let joined = prop::collection::vec(piece(), 0..8);
    (joined, prop::bool::ANY).prop_map(|(pieces, slashes)| pieces.join(if slashes { "/" } else { "" }))
}

#[test]
fn no_string_opens_anything_outside() {
    for way in [Way::Kernel, Way::Walk] {
        let bed = Bed::new(way);
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
        let all = inotify::WatchFlags::ALL_EVENTS;
        for folder in ["outside", "outside/inner", "root-evil"] {
            inotify::add_watch(&watch, bed.home.path().join(folder), all).unwrap();
        }
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
            cases: if std::env::var_os("PORTCULLIS_FULL").is_some() { 100_000 } else { 2_000 },
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        runner
            .run(&path(), |path| {
                if let Ok(bytes) = bed.read(&path) {
                    prop_assert_ne!(bytes, SECRET.as_bytes());
                }
                // Whatever comes of it: what matters is what it touches.
                drop((bed.write(&path, "mine"), bed.list(Some(&path)), bed.delete(&path)));
                Ok(())
            })
            .unwrap();
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4_096];
        let mut events = inotify::Reader::new(&watch, &mut buffer);
        let event = events.next().map(|event| format!("{event:?}"));
        assert_eq!(event, Err(rustix::io::Errno::AGAIN), "something outside was opened, by {way:?}");
        // The watch does see: this is what it would have said.
        bed.nothing_outside_changed();
        assert!(events.next().is_ok(), "the watch is blind");
    }
}
