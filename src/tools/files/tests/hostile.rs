//! Links, devices, pipes, mounts, sizes: what lies in the folder and is not what it looks like.

use std::{
    fs,
    io::Write,
    os::{
        fd::AsFd,
        unix::{fs::symlink, net::UnixListener},
    },
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, Stat, fstat, mknodat},
    io::Errno,
};

use super::{MAX, beds, everything_in};
use crate::tools::{
    ToolError,
    files::{
        fault::FileError,
        patterns::Patterns,
        root::{Root, is_alone},
        way::{Way, is_plain},
        writing::{Draft, settled},
    },
};

#[test]
fn no_link_is_followed_wherever_it_stands_and_wherever_it_leads() {
    for bed in beds() {
        symlink(bed.outside("secret.txt"), bed.at("absolute.txt")).unwrap();
        symlink("../outside/secret.txt", bed.at("relative.txt")).unwrap();
        symlink("plain.txt", bed.at("inside.txt")).unwrap();
        symlink("nowhere", bed.at("dangling.txt")).unwrap();
        symlink("loop.txt", bed.at("loop.txt")).unwrap();
        symlink(bed.outside(""), bed.at("folder")).unwrap();
        symlink("sub", bed.at("same")).unwrap();
        symlink("/proc/self/cwd", bed.at("magic")).unwrap();
        fs::write(bed.at("plain.txt"), "plain").unwrap();
        symlink(bed.outside("secret.txt"), bed.at("chain0.txt")).unwrap();
        for n in 1..=41 {
            symlink(format!("chain{}.txt", n - 1), bed.at(&format!("chain{n}.txt"))).unwrap();
        }
        for path in [
            "absolute.txt",
            "relative.txt",
            "inside.txt",
            "dangling.txt",
            "loop.txt",
            "chain1.txt",
            "chain41.txt",
            "folder/secret.txt",
            "folder/inner/secret.txt",
            "folder/new.txt",
            "same/new.txt",
            "magic/Cargo.txt",
        ] {
            bed.refuses(path, &FileError::NotPlain);
        }
        for path in ["folder", "same", "magic", "folder/inner"] {
            assert_eq!(bed.list(Some(path)), Err(FileError::Missing), "{path}");
        }
        assert_eq!(bed.list(None).unwrap(), ["plain.txt"]);
        assert!(fs::symlink_metadata(bed.at("absolute.txt")).unwrap().is_symlink(), "and stays a link");
        assert_eq!(fs::read(bed.at("plain.txt")).unwrap(), b"plain");
        bed.nothing_outside_changed();
    }
}

#[test]
fn a_file_with_a_second_name_is_not_touched() {
    for bed in beds() {
        fs::hard_link(bed.outside("secret.txt"), bed.at("hard.txt")).unwrap();
        fs::write(bed.at("one.txt"), "x").unwrap();
        fs::hard_link(bed.at("one.txt"), bed.at("two.txt")).unwrap();
        for path in ["hard.txt", "one.txt", "two.txt"] {
            bed.refuses(path, &FileError::NotPlain);
        }
        assert!(bed.list(None).unwrap().is_empty());
        bed.nothing_outside_changed();
        fs::remove_file(bed.at("two.txt")).unwrap();
        assert_eq!(bed.read("one.txt").unwrap(), b"x", "once it is alone it is a file like any other");
    }
}

#[test]
fn a_file_of_elsewhere_whose_name_here_is_gone_is_told_from_one_of_ours() {
    for bed in beds() {
        let folder = bed.root.folder(None).unwrap();
        let is_alone = |seen: &Stat| is_alone(folder.as_fd(), "a.txt", seen).unwrap();
        fs::hard_link(bed.outside("secret.txt"), bed.at("a.txt")).unwrap();
        let open = bed.root.below(folder.as_fd(), "a.txt", OFlags::RDONLY).unwrap();
        assert!(!is_alone(&fstat(&open).unwrap()), "two names");
        // What somebody may do once we have it open: of the open file alone nothing can be told any more.
        fs::remove_file(bed.at("a.txt")).unwrap();
        let seen = fstat(&open).unwrap();
        assert!(is_plain(&seen) && seen.st_nlink == 1);
        assert!(!is_alone(&seen), "no name here");
        fs::write(bed.at("a.txt"), "ours").unwrap();
        assert!(!is_alone(&seen), "the name of another file");
        let ours = fstat(bed.root.below(folder.as_fd(), "a.txt", OFlags::RDONLY).unwrap()).unwrap();
        assert!(is_alone(&ours));
    }
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    for bed in beds() {
        let mode = Mode::RUSR | Mode::WUSR;
        mknodat(CWD, bed.at("pipe.txt"), FileType::Fifo, mode, 0).unwrap();
        let _socket = UnixListener::bind(bed.at("socket.txt")).unwrap();
        fs::create_dir(bed.at("folder.txt")).unwrap();
        let mut paths = vec!["pipe.txt", "socket.txt", "folder.txt"];
        // /dev/zero and /dev/tty by their numbers; only root may make them, and only on some file systems.
        for (name, number) in [("zero.txt", (1, 5)), ("tty.txt", (5, 0))] {
            let device = rustix::fs::makedev(number.0, number.1);
            match mknodat(CWD, bed.at(name), FileType::CharacterDevice, mode, device) {
                Ok(()) => paths.push(name),
                Err(errno) => assert!(matches!(errno, Errno::PERM | Errno::ACCESS), "{errno}"),
            }
        }
        for path in paths {
            let started = Instant::now();
            bed.refuses(path, &FileError::NotPlain);
            assert!(started.elapsed() < Duration::from_secs(1), "{path}: {:?}", started.elapsed());
            assert!(fs::symlink_metadata(bed.at(path)).is_ok(), "{path} is gone");
        }
        assert!(bed.list(None).unwrap().is_empty());
        // A file in a folder's place.
        fs::write(bed.at("file.txt"), "").unwrap();
        assert_eq!(bed.read("file.txt/x.txt"), Err(FileError::Missing));
        assert_eq!(bed.write("file.txt/x.txt", ""), Err(FileError::NoFolder));
        assert_eq!(bed.list(Some("file.txt")), Err(FileError::Missing));
    }
}

#[test]
fn another_mount_below_a_root_is_not_entered() {
    for way in [Way::Kernel, Way::Walk] {
        let patterns = Patterns::new(&["**".to_owned()]).unwrap();
        let mut root = Root::open(Path::new("/"), patterns, MAX).unwrap();
        root.way = way;
        for path in ["proc/version", "proc/self/root/etc/passwd", "proc/self/fd/0", "sys/kernel/notes"] {
            let path = crate::tools::files::path::RelPath::parse(path).unwrap();
            assert_eq!(root.file(&path).unwrap_err(), FileError::NotPlain, "{path:?} by {way:?}");
        }
        // The way itself works: this one is on the root's own mount, and there on every Linux.
        assert!(root.folder(Some("etc")).is_ok(), "{way:?}");
    }
}

#[test]
fn a_huge_or_growing_file_is_not_read_into_memory() {
    for bed in beds() {
        let sparse = fs::File::create(bed.at("sparse.txt")).unwrap();
        sparse.set_len(10 << 30).unwrap();
        let started = Instant::now();
        assert_eq!(bed.read("sparse.txt"), Err(FileError::Large(MAX)));
        assert!(started.elapsed() < Duration::from_secs(1));

        let mut growing = fs::File::create(bed.at("growing.txt")).unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    growing.write_all(&[b'x'; 4_096]).unwrap();
                    if growing.metadata().unwrap().len() > 2 * MAX {
                        growing.set_len(0).unwrap();
                        std::io::Seek::rewind(&mut growing).unwrap();
                    }
                }
            });
            let (mut read, mut refused) = (0, 0);
            let deadline = Instant::now() + Duration::from_secs(20);
            while (read == 0 || refused == 0 || read + refused < 500) && Instant::now() < deadline {
                match bed.read("growing.txt") {
                    Ok(bytes) => read += usize::from(bytes.len() as u64 <= MAX),
                    Err(FileError::Large(MAX)) => refused += 1,
                    Err(other) => panic!("{other}"),
                }
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(read > 0 && refused > 0, "{read} read, {refused} refused");
        });
    }
}

#[test]
fn a_sibling_whose_name_begins_alike_is_outside() {
    for bed in beds() {
        for path in ["../root-evil/x.txt", "../outside/secret.txt", "sub/../../outside/secret.txt"] {
            assert!(matches!(bed.read(path), Err(FileError::Path(_))), "{path}");
            assert!(matches!(bed.write(path, "x"), Err(FileError::Path(_))), "{path}");
            assert!(matches!(bed.delete(path), Err(FileError::Path(_))), "{path}");
        }
        // Even without the check of the path, there is no way up.
        let folder = bed.root.folder(None).unwrap();
        for path in ["..", "../outside", "sub/../../outside", "/etc", "sub/.."] {
            let opened = bed.root.way.open(folder.as_fd(), path, rustix::fs::OFlags::PATH);
            let below = path == "sub/.." && opened.is_ok();
            assert!(opened.is_err() || below, "{path} by {:?}", bed.root.way);
        }
        bed.nothing_outside_changed();
    }
}

#[test]
fn a_failed_write_leaves_the_old_text_and_no_draft() {
    for bed in beds() {
        bed.write("a.txt", "old").unwrap();
        let folder = bed.root.folder(None).unwrap();
        // No user, not even root, puts a file in the place of a folder.
        let draft = Draft::write(folder.as_fd(), b"new").unwrap();
        assert_eq!(everything_in(&bed.at("")).len(), 3, "the draft is there");
        assert_eq!(draft.place("sub"), Err(FileError::NotPlain));
        assert_eq!(everything_in(&bed.at("")), ["a.txt", "sub/"]);
        // One that is written and never placed, as after a call that was given up.
        drop(Draft::write(folder.as_fd(), b"new").unwrap());
        assert_eq!(everything_in(&bed.at("")), ["a.txt", "sub/"]);
        // Nor is anything made in a folder that is gone.
        let gone = bed.root.folder(Some("sub")).unwrap();
        fs::remove_dir(bed.at("sub")).unwrap();
        assert!(matches!(Draft::write(gone.as_fd(), b"new"), Err(FileError::Missing)));
        assert_eq!(fs::read_to_string(bed.at("a.txt")).unwrap(), "old");
        assert_eq!(everything_in(&bed.at("")), ["a.txt"]);
    }
}

#[test]
fn a_change_that_the_disk_does_not_vouch_for_is_told_as_one() {
    for unknown in [Errno::INVAL, Errno::NOTSUP, Errno::NOSYS] {
        assert_eq!(settled(Err(unknown)), Ok(()), "{unknown}");
    }
    assert_eq!(settled(Ok(())), Ok(()));
    for fault in [Errno::IO, Errno::NOSPC, Errno::DQUOT, Errno::ACCESS] {
        let error = settled(Err(fault)).unwrap_err();
        assert_eq!(error, FileError::Unsettled(fault));
        let ToolError::Refused(text) = error.into() else { panic!("{fault} is told otherwise") };
        assert!(text.starts_with("it was changed") && !text.contains("nothing was changed"), "{text}");
    }
}
