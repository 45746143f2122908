//! What works, and what it leaves behind.

use std::{
    fs,
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt, PermissionsExt},
    },
    time::{Duration, Instant},
};

use super::{Bed, MAX, beds, everything_in};
use crate::tools::files::{
    cancel::Caller,
    draft,
    fault::FileError,
    listing,
    path::{PathFault, RelPath},
    writing::{self, Draft},
};

#[test]
fn a_file_is_written_read_listed_and_deleted() {
    for bed in beds() {
        bed.write("sub/a.txt", "one").unwrap();
        assert_eq!(bed.read("sub/a.txt").unwrap(), b"one");
        bed.write("sub/a.txt", "two, longer").unwrap();
        assert_eq!(bed.read("sub/a.txt").unwrap(), b"two, longer");
        bed.write("b.json", "").unwrap();
        assert_eq!(bed.list(None).unwrap(), ["b.json", "sub/a.txt"]);
        assert_eq!(bed.list(Some("sub")).unwrap(), ["sub/a.txt"]);
        assert_eq!(everything_in(&bed.at("")), ["b.json", "sub/", "sub/a.txt"], "no draft is left");
        bed.delete("sub/a.txt").unwrap();
        assert_eq!(bed.delete("sub/a.txt"), Err(FileError::Missing));
        assert_eq!(bed.list(None).unwrap(), ["b.json"]);
    }
}

#[test]
fn a_file_may_be_as_large_as_the_limit_and_not_a_byte_larger() {
    for bed in beds() {
        let most = "x".repeat(MAX as usize);
        bed.write("a.txt", &most).unwrap();
        assert_eq!(bed.read("a.txt").unwrap().len() as u64, MAX);
        let large = Err(FileError::Large(MAX));
        assert_eq!(bed.write("a.txt", &format!("{most}x")), large);
        assert_eq!(bed.read("a.txt").unwrap().len() as u64, MAX, "the old text stands");
        fs::write(bed.at("b.txt"), format!("{most}x")).unwrap();
        assert_eq!(bed.read("b.txt"), Err(FileError::Large(MAX)));
    }
}

#[test]
fn what_is_missing_hidden_or_matched_by_no_pattern_is_told_the_same() {
    for bed in beds() {
        for path in ["image.png", ".env", ".hidden.txt", ".git/config.txt", "sub/.ssh/key.txt"] {
            fs::create_dir_all(bed.at(path).parent().unwrap()).unwrap();
            fs::write(bed.at(path), "x").unwrap();
        }
        for path in [
            "none.txt",
            "no/such/folder.txt",
            "image.png",
            ".env",
            ".hidden.txt",
            ".git/config.txt",
            "sub/.ssh/key.txt",
        ] {
            assert_eq!(bed.read(path), Err(FileError::Missing), "{path}");
            assert_eq!(bed.delete(path), Err(FileError::Missing), "{path}");
        }
        for path in ["none", ".git", "sub/.ssh", "image.png", "none.txt"] {
            assert_eq!(bed.list(Some(path)), Err(FileError::Missing), "{path}");
        }
        assert_eq!(bed.list(None).unwrap(), Vec::<String>::new());
        for path in ["image.png", ".env", ".new.txt", ".git/config.txt", "new.sh", "sub/.git/x.txt"] {
            assert!(matches!(bed.write(path, "y"), Err(FileError::Pattern(_))), "{path}");
        }
        assert_eq!(fs::read(bed.at(".env")).unwrap(), b"x");
    }
}

#[test]
fn folders_are_not_made_and_names_that_others_misread_are_not_written() {
    for bed in beds() {
        assert_eq!(bed.write("new/a.txt", "x"), Err(FileError::NoFolder));
        assert_eq!(bed.write("CON.txt", "x"), Err(PathFault::Unportable.into()));
        assert_eq!(bed.write("x:ads.txt", "x"), Err(PathFault::Unportable.into()));
        assert_eq!(bed.write("cafe\u{301}.txt", "x"), Err(PathFault::Decomposed.into()));
        // What is there already may be read and taken away.
        fs::write(bed.at("x:y.txt"), "there").unwrap();
        assert_eq!(bed.read("x:y.txt").unwrap(), b"there");
        bed.delete("x:y.txt").unwrap();
        assert_eq!(everything_in(&bed.at("")), ["sub/"]);
    }
}

#[test]
fn a_written_file_is_the_servers_alone_and_never_runs() {
    for bed in beds() {
        fs::write(bed.at("tool.txt"), "old").unwrap();
        fs::set_permissions(bed.at("tool.txt"), fs::Permissions::from_mode(0o6777)).unwrap();
        let old = fs::metadata(bed.at("tool.txt")).unwrap().ino();
        bed.write("tool.txt", "new").unwrap();
        bed.write("fresh.txt", "new").unwrap();
        for name in ["tool.txt", "fresh.txt"] {
            assert_eq!(fs::metadata(bed.at(name)).unwrap().mode() & 0o7777, 0o600, "{name}");
        }
        assert_ne!(fs::metadata(bed.at("tool.txt")).unwrap().ino(), old, "replaced, not written into");
    }
}

#[test]
fn whoever_reads_meanwhile_keeps_the_old_text_whole() {
    use std::io::Read;
    for bed in beds() {
        bed.write("a.txt", "old").unwrap();
        let mut open = fs::File::open(bed.at("a.txt")).unwrap();
        bed.write("a.txt", "new").unwrap();
        let mut text = String::new();
        open.read_to_string(&mut text).unwrap();
        assert_eq!(text, "old");
        let open = fs::File::open(bed.at("a.txt")).unwrap();
        bed.delete("a.txt").unwrap();
        drop(open);
    }
}

#[test]
fn a_call_that_was_given_up_changes_nothing() {
    for bed in beds() {
        bed.write("a.txt", "old").unwrap();
        let gone = Caller::default();
        let waits = gone.waits();
        drop(gone);
        let path = RelPath::parse("a.txt").unwrap();
        assert_eq!(writing::write(&bed.root, &path, b"new", &waits), Err(FileError::GivenUp));
        assert_eq!(writing::delete(&bed.root, &path, &waits), Err(FileError::GivenUp));
        assert_eq!(bed.read("a.txt").unwrap(), b"old");
        assert_eq!(everything_in(&bed.at("")), ["a.txt", "sub/"], "no draft is left");
    }
}

#[test]
fn a_draft_that_gets_no_place_goes_and_one_that_does_is_the_file() {
    for bed in beds() {
        let folder = bed.root.folder(None).unwrap();
        let draft = || Draft::write(folder.as_fd(), b"new").unwrap();
        drop(draft());
        assert_eq!(everything_in(&bed.at("")), ["sub/"]);
        assert_eq!(draft().place("sub"), Err(FileError::NotPlain), "a folder has that name by now");
        assert_eq!(everything_in(&bed.at("")), ["sub/"]);
        let taken = draft();
        let name = everything_in(&bed.at("")).remove(0);
        fs::remove_file(bed.at(&name)).unwrap();
        assert_eq!(taken.place("a.txt"), Ok(false), "somebody took the draft away");
        assert_eq!(draft().place("a.txt"), Ok(true));
        assert_eq!(everything_in(&bed.at("")), ["a.txt", "sub/"]);
    }
}

#[test]
fn drafts_of_a_crash_are_cleared_and_nothing_else_is() {
    for bed in beds() {
        let (dead, live) = (draft::fresh_name().unwrap(), draft::fresh_name().unwrap());
        fs::write(bed.at(&dead), "half").unwrap();
        fs::write(bed.at("sub").join(&dead), "half").unwrap();
        fs::write(bed.at(&live), "half").unwrap();
        fs::write(bed.at("a.txt"), "whole").unwrap();
        fs::write(bed.at(".portcullis-note"), "somebody's").unwrap();
        std::os::unix::fs::symlink(
            bed.outside("secret.txt"),
            bed.at("sub").join(draft::fresh_name().unwrap()),
        )
        .unwrap();
        let writer = fs::File::open(bed.at(&live)).unwrap();
        rustix::fs::flock(&writer, rustix::fs::FlockOperation::LockExclusive).unwrap();
        assert_eq!(bed.list(None).unwrap(), ["a.txt"]);
        assert_eq!(draft::clear(&bed.root).unwrap(), 2);
        let left = everything_in(&bed.at(""));
        assert!(left.contains(&live), "the one that is being written stays: {left:?}");
        assert!(!left.iter().any(|path| path.ends_with(&dead)), "{left:?}");
        assert_eq!(left.len(), 5, "{left:?}");
        bed.nothing_outside_changed();
    }
}

#[test]
fn a_listing_looks_at_so_many_names_and_no_more() {
    let [bed, _] = beds();
    for n in 0..=listing::LOOKED_AT {
        fs::File::create(bed.at(&format!("{n}"))).unwrap();
    }
    let mut seen = listing::Seen::default();
    let started = Instant::now();
    listing::list(&bed.root, None, &mut seen, &bed.waits).unwrap();
    assert!(seen.is_cut && seen.looked_at == listing::LOOKED_AT);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn many_and_deep_folders_need_no_more_descriptors_than_few() {
    for bed in beds() {
        let deep = vec!["d"; 40].join("/");
        fs::create_dir_all(bed.at(&deep)).unwrap();
        fs::write(bed.at(&deep).join("deep.txt"), "").unwrap();
        for n in 0..2_000 {
            fs::create_dir(bed.at(&format!("n{n}"))).unwrap();
        }
        fs::write(bed.at("n7/a.txt"), "").unwrap();
        assert_eq!(bed.list(None).unwrap(), ["n7/a.txt"], "what is too deep to be named is not listed");
        assert_eq!(draft::clear(&bed.root).unwrap(), 0);
    }
}

#[test]
fn of_two_that_write_one_file_one_wins_and_both_are_whole() {
    let [bed, _] = beds();
    let texts = ["a".repeat(30_000), "b".repeat(20_000)];
    let write = |bed: &Bed, text: &str| (0..40).for_each(|_| bed.write("a.txt", text).unwrap());
    write(&bed, &texts[0]);
    std::thread::scope(|scope| {
        for text in &texts {
            let bed = &bed;
            scope.spawn(move || write(bed, text));
        }
        for _ in 0..200 {
            let read = String::from_utf8(bed.read("a.txt").unwrap()).unwrap();
            assert!(texts.contains(&read), "{} bytes of neither", read.len());
        }
    });
    assert_eq!(everything_in(&bed.at("")), ["a.txt", "sub/"], "no draft is left");
}
