//! Somebody who may change the folder swaps what lies in it while we work: nothing outside is ever read, written
//! or deleted, and nothing waits.

use std::{
    fs,
    io::Write,
    os::unix::fs::symlink,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, linkat, mkdirat, mknodat, openat, renameat,
    renameat_with, symlinkat, unlinkat,
};

use super::{Bed, SECRET, beds};
use crate::tools::files::fault::FileError;

/// How often each deed is tried against each swap. The long version makes a million tries in all.
fn tries() -> u32 {
    if std::env::var_os("PORTCULLIS_FULL").is_some_and(|value| value != "0") { 110_000 } else { 400 }
}

/// Works while `swap` is done over and over by another thread, which must have come to it.
fn against(bed: &Bed, swap: impl Fn(&Bed) + Sync, work: impl FnOnce(&Bed)) {
    let (stop, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                swap(bed);
                swaps.fetch_add(1, Ordering::Relaxed);
            }
        });
        while swaps.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        // Also when the work panics, or the scope would wait for ever.
        let _stops = Stop(&stop);
        work(bed);
    });
    assert!(swaps.load(Ordering::Relaxed) > 0);
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn exchange(one: &Path, other: &Path) {
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
}

/// Reads, writes and deletes `path`, over and over; what is read is never the secret.
fn try_everything(bed: &Bed, path: &str) {
    let (mut read, mut refused) = (0, 0);
    // Few swaps leave the file there at the right moment; a test that met none of both has shown nothing.
    let met_both = |read, refused| read > 0 && refused > 0;
    for n in 0..100 * tries() {
        if n >= tries() && met_both(read, refused) {
            break;
        }
        match bed.read(path) {
            Ok(bytes) => {
                assert_ne!(bytes, SECRET.as_bytes(), "read {path} by {:?}", bed.root.way);
                read += 1;
            }
            Err(_refused) => refused += 1,
        }
        // Bringing a file to the disk takes far longer than a swap; one write in eight is as good a try.
        if n % 8 == 0 {
            drop(bed.write(path, "mine"));
        } else if n % 8 == 4 {
            drop(bed.delete(path));
        }
        drop(bed.list(None));
    }
    assert!(met_both(read, refused), "{path} by {:?}: {read} read, {refused} refused", bed.root.way);
    assert!(read + refused >= tries());
}

#[test]
fn a_folder_and_a_link_change_places() {
    for bed in beds() {
        symlink(bed.outside("inner"), bed.at(".swap")).unwrap();
        fs::write(bed.at("sub/secret.txt"), "inside").unwrap();
        let swap = |bed: &Bed| exchange(&bed.at("sub"), &bed.at(".swap"));
        against(&bed, swap, |bed| try_everything(bed, "sub/secret.txt"));
        bed.nothing_outside_changed();
    }
}

#[test]
fn a_file_and_a_link_change_places() {
    for bed in beds() {
        symlink(bed.outside("secret.txt"), bed.at(".swap")).unwrap();
        let swap = |bed: &Bed| {
            if fs::symlink_metadata(bed.at("a.txt")).is_err() {
                fs::write(bed.at("a.txt"), "inside").unwrap();
            }
            // Either may have been deleted or replaced by us in this very moment.
            let _done = renameat_with(CWD, bed.at("a.txt"), CWD, bed.at(".swap"), RenameFlags::EXCHANGE);
            if fs::symlink_metadata(bed.at(".swap")).is_err() {
                drop(symlink(bed.outside("secret.txt"), bed.at(".swap")));
            }
        };
        against(&bed, swap, |bed| try_everything(bed, "a.txt"));
        bed.nothing_outside_changed();
    }
}

#[test]
fn a_second_name_of_the_secret_comes_and_goes() {
    for bed in beds() {
        let swap = |bed: &Bed| {
            // Linked in, and taken away at once: whoever has it open by then sees one link and no name.
            drop(fs::hard_link(bed.outside("secret.txt"), bed.at("a.txt")));
            drop(fs::remove_file(bed.at("a.txt")));
            drop(fs::hard_link(bed.outside("secret.txt"), bed.at(".b")));
            drop(fs::rename(bed.at(".b"), bed.at("a.txt")));
            fs::write(bed.at(".c"), "inside").unwrap();
            drop(fs::rename(bed.at(".c"), bed.at("a.txt")));
        };
        against(&bed, swap, |bed| try_everything(bed, "a.txt"));
        bed.nothing_outside_changed();
    }
}

#[test]
fn pipes_and_folders_take_the_place_of_a_file() {
    for bed in beds() {
        let swap = |bed: &Bed| {
            let (place, mode) = (bed.at("a.txt"), Mode::RUSR | Mode::WUSR);
            drop(fs::remove_file(&place));
            let _done = mknodat(CWD, &place, FileType::Fifo, mode, 0);
            drop(fs::remove_file(&place));
            drop(fs::create_dir(&place));
            drop(fs::remove_dir(&place));
            drop(fs::write(bed.at(".c"), "inside").and_then(|()| fs::rename(bed.at(".c"), &place)));
        };
        against(&bed, swap, |bed| try_everything(bed, "a.txt"));
        bed.nothing_outside_changed();
    }
}

/// One thing that somebody in the folder may do. None of it goes through a link, so whatever changes outside was
/// not done here.
fn mischief(bed: &Bed, dice: &mut SmallRng) {
    let places = ["a.txt", "sub/a.txt", "sub", "b.json", ".x", "sub/b.json"];
    let mut place = || {
        let path = places[dice.random_range(0..places.len())];
        let (folder, name) =
            path.rsplit_once('/').map_or((None, path), |(folder, name)| (Some(folder), name));
        Some((bed.root.folder(folder).ok()?, name))
    };
    let (Some((one, name)), Some((other, new))) = (place(), place()) else { return };
    let (secret, inner) = (bed.outside("secret.txt"), bed.outside("inner"));
    let make = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
    let all = Mode::RUSR | Mode::WUSR | Mode::XUSR;
    // Whatever of it is not possible right now is not done.
    match dice.random_range(0..9) {
        0 => drop(openat(&one, name, make, all).map(|file| fs::File::from(file).write_all(b"inside"))),
        1 => drop(symlinkat(&secret, &one, name)),
        2 => drop(symlinkat(&inner, &one, name)),
        3 => drop(linkat(CWD, &secret, &one, name, AtFlags::empty())),
        4 => drop(unlinkat(&one, name, AtFlags::empty())),
        5 => drop(mkdirat(&one, name, all)),
        6 => drop(mknodat(&one, name, FileType::Fifo, all, 0)),
        7 => drop(renameat_with(&one, name, &other, new, RenameFlags::EXCHANGE)),
        _ => drop(renameat(&one, name, &other, new)),
    }
}

#[test]
fn sixty_four_rounds_of_any_mischief_reach_nothing_outside() {
    let rounds = if tries() > 1_000 { 2_048 } else { 64 };
    for round in 0..rounds {
        let bed = if round % 2 == 0 { Bed::new(super::Way::Kernel) } else { Bed::new(super::Way::Walk) };
        let seed = rand::random::<u64>();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut dice = SmallRng::seed_from_u64(seed);
                while !stop.load(Ordering::Relaxed) {
                    mischief(&bed, &mut dice);
                }
            });
            let _stops = Stop(&stop);
            let mut dice = SmallRng::seed_from_u64(!seed);
            for _ in 0..60 {
                let path =
                    ["a.txt", "sub/a.txt", "b.json", "sub/b.json", "sub/secret.txt"][dice.random_range(0..5)];
                match dice.random_range(0..8) {
                    0 => drop(bed.write(path, "mine")),
                    1 => drop(bed.delete(path)),
                    2 => drop(bed.list(None)),
                    _ => {
                        let read = bed.read(path);
                        assert!(
                            read.as_deref() != Ok(SECRET.as_bytes()),
                            "round {round}, seed {seed}: {path}"
                        );
                        assert!(!matches!(read, Err(FileError::System(_))), "seed {seed}: {read:?}");
                    }
                }
            }
        });
        bed.nothing_outside_changed();
    }
}
