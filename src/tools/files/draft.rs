//! Files on their way to their place: how they are called, and how those of a crash are cleared away.

use std::os::fd::AsFd;

use rustix::{
    fs::{AtFlags, Dir, FileType, FlockOperation, OFlags, flock, fstat, unlinkat},
    io::Errno,
};

use super::{
    fault::FileError,
    path::{RelPath, is_hidden},
    root::Root,
    way::is_plain,
};

/// How a draft's name begins: with a dot, so that no pattern serves it and no listing shows it.
const BEGINNING: &str = ".portcullis-";
/// How it ends.
const END: &str = ".draft";
/// Random bytes in it, that nobody makes one in its place.
const RANDOM: usize = 16;
/// Most names that the clearing looks at.
const LOOKED_AT: u64 = 1_000_000;

/// The name of a new draft.
///
/// # Errors
/// [`FileError::System`] if there is no randomness.
pub(super) fn fresh_name() -> Result<String, FileError> {
    let mut bytes = [0_u8; RANDOM];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| FileError::System(Errno::IO))?;
    let middle: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{BEGINNING}{middle}{END}"))
}

/// Whether that is the name of a draft.
fn is_draft(name: &str) -> bool {
    let middle = name.strip_prefix(BEGINNING).and_then(|rest| rest.strip_suffix(END));
    let is_hex =
        |middle: &str| middle.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    middle.is_some_and(|middle| middle.len() == RANDOM * 2 && is_hex(middle))
}

/// Removes drafts that a crash has left below `root`, and says how many. One that a living process writes is
/// locked and stays.
///
/// # Errors
/// [`FileError`]; what cannot be entered is passed over.
pub(super) fn clear(root: &Root) -> Result<u64, FileError> {
    let mut folders: Vec<Option<String>> = vec![None];
    let (mut removed, mut looked_at) = (0, 0);
    while let Some(path) = folders.pop() {
        let Ok(folder) = root.folder(path.as_deref()) else { continue };
        let mut entries = Dir::read_from(&folder)?;
        while let Some(entry) = entries.read() {
            let entry = entry?;
            looked_at += 1;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if is_draft(name) {
                removed += u64::from(remove(root, &folder, name));
            } else if matches!(entry.file_type(), FileType::Directory | FileType::Unknown) && !is_hidden(name)
            {
                let inner = path.as_ref().map_or_else(|| name.to_owned(), |path| format!("{path}/{name}"));
                // Where no file can be written there are no drafts.
                folders.extend(RelPath::parse(&inner).is_ok().then_some(Some(inner)));
            }
        }
        if looked_at > LOOKED_AT {
            tracing::warn!("tools.files: too many files to look all of them over for drafts of a crash");
            break;
        }
    }
    Ok(removed)
}

/// Removes one draft, if it is one and nobody writes it.
fn remove(root: &Root, folder: impl AsFd, name: &str) -> bool {
    let Ok(file) = root.below(folder.as_fd(), name, OFlags::RDONLY) else { return false };
    let is_left = fstat(&file).is_ok_and(|seen| is_plain(&seen))
        && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
    is_left && unlinkat(folder, name, AtFlags::empty()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_is_known_by_its_whole_name() {
        let name = fresh_name().unwrap();
        assert!(is_draft(&name) && name != fresh_name().unwrap());
        for other in ["", ".portcullis-.draft", ".portcullis-x.draft", &name[1..], &format!("{name}x")] {
            assert!(!is_draft(other), "{other}");
        }
        assert!(!is_draft(&name.to_uppercase()));
    }
}
