//! Which process runs a task: each holds a lock of its own in the data directory, and the system lets go of it when
//! the process is gone, however it went.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use crate::{actors::identity, files};

/// Most processes that run tasks on one data directory at once.
const MOST: u32 = 64;

/// A process that runs tasks.
#[derive(Debug)]
pub struct Runner {
    /// What its tasks know it by.
    pub(super) name: String,
    /// What those are called that are gone; nobody takes their places before [`settle`](Self::settle).
    pub(super) gone: Vec<String>,
    /// Held for as long as it lives.
    lock: File,
    others: Vec<File>,
}

impl Runner {
    /// This process, as one that runs tasks of `data_dir`.
    ///
    /// # Errors
    /// Whatever the system says; [`io::ErrorKind::ResourceBusy`] if all places are taken.
    pub fn claim(data_dir: &Path) -> io::Result<Self> {
        let folder = data_dir.join("tasks");
        files::private_dir(&folder)?;
        let place = identity::of_data_dir(data_dir)?;
        let (mut own, mut gone, mut others) = (None, Vec::new(), Vec::new());
        for n in 0..MOST {
            let path = folder.join(format!("{n}.lock"));
            // Beyond its own place only those count that somebody has had.
            if own.is_some() && !fs::exists(&path)? {
                break;
            }
            let lock = files::open_lock(&path)?;
            if !files::try_lock(&lock)? {
                continue;
            }
            gone.push(format!("{place}/{n}"));
            match own {
                None => own = Some((format!("{place}/{n}"), lock)),
                Some(_) => others.push(lock),
            }
        }
        let (name, lock) = own.ok_or(io::ErrorKind::ResourceBusy)?;
        Ok(Self { name, gone, lock, others })
    }

    /// The same, once nothing of those who are gone is left.
    pub(super) fn settle(self) -> (String, File) {
        drop(self.others);
        (self.name, self.lock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_lives_is_never_taken_for_gone_and_whoever_is_gone_is_found() {
        let home = tempfile::tempdir().unwrap();
        let (one, lock) = Runner::claim(home.path()).unwrap().settle();
        let other = Runner::claim(home.path()).unwrap();
        assert_ne!(other.name, one);
        assert_eq!(other.gone, std::slice::from_ref(&other.name), "the first one lives");
        let (second, second_lock) = other.settle();
        drop((lock, second_lock));
        let next = Runner::claim(home.path()).unwrap();
        assert_eq!(next.name, one);
        assert_eq!(next.gone, [one, second]);
        let beside = Runner::claim(home.path()).unwrap();
        assert_eq!(
            beside.gone,
            std::slice::from_ref(&beside.name),
            "what the next one is about to end is left to it"
        );
    }

    #[test]
    fn another_data_directory_is_another_name() {
        let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [one, other] = homes.each_ref().map(|home| Runner::claim(home.path()).unwrap().name);
        assert_ne!(one, other);
    }
}
