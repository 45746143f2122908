//! Secrets that development generates for itself and keeps.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{TryRng, rngs::SysRng};
use zeroize::Zeroizing;

use crate::{
    domain::{SigningSecret, WeakSecret},
    error::{Code, Coded},
    files,
};

/// Random bytes of a generated secret.
const SECRET_BYTES: usize = 64;
/// Longest file that is read as one.
const MOST_BYTES: u64 = 4096;

/// The signing key in `<data_dir>/keys/jwt.secret`, made at the first call: 64 random bytes as base64url.
///
/// The file has mode 0600 in a folder of mode 0700. Of several processes that start at once, one makes
/// it and all use it.
///
/// # Errors
/// [`GeneratedError`] if it can be neither read nor made, or if others could have read or changed it.
pub fn jwt_secret(data_dir: &Path) -> Result<SigningSecret, GeneratedError> {
    let folder = data_dir.join("keys");
    let place = folder.join("jwt.secret");
    let unusable = |cause| GeneratedError::Unusable { path: place.clone(), cause };
    files::private_dir(&folder).map_err(unusable)?;
    if !files::is_private(&fs::symlink_metadata(&folder).map_err(unusable)?) {
        return Err(GeneratedError::Exposed { path: folder });
    }
    if let Err(fault) = fs::symlink_metadata(&place) {
        match fault.kind() {
            io::ErrorKind::NotFound => make(&place).map_err(unusable)?,
            _ => return Err(unusable(fault)),
        }
    }
    read(&place)
}

fn read(place: &Path) -> Result<SigningSecret, GeneratedError> {
    let path = || place.to_path_buf();
    let unusable = |cause| GeneratedError::Unusable { path: path(), cause };
    if !fs::symlink_metadata(place).map_err(unusable)?.is_file() {
        return Err(unusable(io::Error::other("it is not a plain file")));
    }
    let file = File::open(place).map_err(unusable)?;
    if !files::is_private(&file.metadata().map_err(unusable)?) {
        return Err(GeneratedError::Exposed { path: path() });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MOST_BYTES).read_to_string(&mut text).map_err(unusable)?;
    text.trim_end().parse().map_err(|why| GeneratedError::Weak { path: path(), why })
}

/// Puts a new secret in its place, unless there is one by then.
fn make(place: &Path) -> io::Result<()> {
    let mut bytes = Zeroizing::new([0_u8; SECRET_BYTES]);
    SysRng.try_fill_bytes(bytes.as_mut_slice()).map_err(io::Error::other)?;
    let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
    files::place_once(place, text.as_bytes())
}

/// Why there is no generated secret.
#[derive(Debug, thiserror::Error)]
pub enum GeneratedError {
    /// It can be neither read nor made.
    #[error("{} cannot be used", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// Others could have read or changed it, so it is no secret any more.
    #[error("others can reach {}: run chmod go-rwx on it and replace the secret", .path.display())]
    Exposed {
        /// The file or its folder.
        path: PathBuf,
    },
    /// Somebody put a weak one there.
    #[error("the secret in {} {why}", .path.display())]
    Weak {
        /// The file.
        path: PathBuf,
        /// What is weak about it.
        why: WeakSecret,
    },
}

impl Coded for GeneratedError {
    fn code(&self) -> Code {
        Code::Internal
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_made_once_and_reused() {
        let data = tempfile::tempdir().unwrap();
        let first = jwt_secret(data.path()).unwrap();
        assert_eq!(first.expose().len(), 86);
        assert_eq!(jwt_secret(data.path()).unwrap().expose(), first.expose());

        let place = data.path().join("keys/jwt.secret");
        assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(place.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(place.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");

        let other = tempfile::tempdir().unwrap();
        assert_ne!(jwt_secret(other.path()).unwrap().expose(), first.expose());
    }

    #[test]
    fn all_who_start_at_once_get_the_same() {
        let data = tempfile::tempdir().unwrap();
        let gate = std::sync::Barrier::new(16);
        let secrets: Vec<Vec<u8>> = std::thread::scope(|scope| {
            let start = || {
                gate.wait();
                jwt_secret(data.path()).unwrap().expose().to_vec()
            };
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(secrets.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn one_that_others_can_reach_is_refused() {
        let data = tempfile::tempdir().unwrap();
        jwt_secret(data.path()).unwrap();
        let place = data.path().join("keys/jwt.secret");
        for (path, mode, back) in [(place.clone(), 0o640, 0o600), (data.path().join("keys"), 0o755, 0o700)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(jwt_secret(data.path()), Err(GeneratedError::Exposed { .. })), "{mode:o}");
            fs::set_permissions(&path, fs::Permissions::from_mode(back)).unwrap();
        }
        assert!(jwt_secret(data.path()).is_ok());
    }

    #[test]
    fn a_weak_or_foreign_file_in_its_place_is_refused() {
        let data = tempfile::tempdir().unwrap();
        jwt_secret(data.path()).unwrap();
        let place = data.path().join("keys/jwt.secret");
        fs::write(&place, "changeme").unwrap();
        let refused = jwt_secret(data.path()).unwrap_err();
        assert!(matches!(refused, GeneratedError::Weak { why: WeakSecret::Short, .. }));
        assert!(!refused.to_string().contains("changeme"));

        fs::remove_file(&place).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &place).unwrap();
        assert!(matches!(jwt_secret(data.path()), Err(GeneratedError::Unusable { .. })));
    }
}
