//! Secrets that development generates for itself and keeps.

mod pem;

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{TryRng, rngs::SysRng};
use zeroize::Zeroizing;

use crate::{
    domain::{Algorithm, PrivateKey, SigningSecret, UnfitKey, WeakSecret},
    error::{Code, Coded},
    files,
};

/// Random bytes of a generated secret.
const SECRET_BYTES: usize = 64;
/// Longest file that is read as one.
const MOST_BYTES: u64 = 4096;

/// The HS256 key in `<data_dir>/keys/jwt.secret`, made at the first call: 64 random bytes as base64url.
///
/// The file has mode 0600 in a folder of mode 0700. Of several processes that start at once, one makes
/// it and all use it.
///
/// # Errors
/// [`GeneratedError`] if it can be neither read nor made, or if others could have read or changed it.
pub fn jwt_secret(data_dir: &Path) -> Result<SigningSecret, GeneratedError> {
    let (place, text) = kept(data_dir, "jwt.secret", new_secret)?;
    text.trim_end().parse().map_err(|why| GeneratedError::Weak { path: place, why })
}

/// The private key for `algorithm` in `<data_dir>/keys/jwt.<algorithm>.pem`, made at the first call and kept
/// as [`jwt_secret`] is.
///
/// # Errors
/// [`GeneratedError`], as there; always for HS256, which has a secret instead.
pub fn private_key(data_dir: &Path, algorithm: Algorithm) -> Result<PrivateKey, GeneratedError> {
    let name = format!("jwt.{}.pem", algorithm.name().to_ascii_lowercase());
    let (place, text) = kept(data_dir, &name, || pem::generate(algorithm))?;
    PrivateKey::from_pem(algorithm, text.as_bytes()).map_err(|why| GeneratedError::Unfit { path: place, why })
}

/// The text of `<data_dir>/keys/<name>`, and where it is; one that `make` gives if there is none yet.
fn kept(
    data_dir: &Path,
    name: &str,
    make: impl FnOnce() -> io::Result<Zeroizing<String>>,
) -> Result<(PathBuf, Zeroizing<String>), GeneratedError> {
    let folder = data_dir.join("keys");
    let place = folder.join(name);
    let unusable = |cause| GeneratedError::Unusable { path: place.clone(), cause };
    files::private_dir(&folder).map_err(unusable)?;
    if !files::is_private(&fs::symlink_metadata(&folder).map_err(unusable)?) {
        return Err(GeneratedError::Exposed { path: folder });
    }
    if let Err(fault) = fs::symlink_metadata(&place) {
        match fault.kind() {
            io::ErrorKind::NotFound => {
                let text = make().map_err(unusable)?;
                files::place_once(&place, text.as_bytes()).map_err(unusable)?;
            }
            _ => return Err(unusable(fault)),
        }
    }
    let text = read(&place)?;
    Ok((place, text))
}

fn read(place: &Path) -> Result<Zeroizing<String>, GeneratedError> {
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
    Ok(text)
}

/// A new secret.
fn new_secret() -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0_u8; SECRET_BYTES]);
    SysRng.try_fill_bytes(bytes.as_mut_slice()).map_err(io::Error::other)?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice())))
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
    /// Somebody put something there that is no key.
    #[error("{} {why}", .path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: UnfitKey,
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
    fn a_private_key_is_made_once_for_each_algorithm_and_reused() {
        let data = tempfile::tempdir().unwrap();
        for (algorithm, name) in [
            (Algorithm::Es256, "jwt.es256.pem"),
            (Algorithm::EdDsa, "jwt.eddsa.pem"),
            (Algorithm::Rs256, "jwt.rs256.pem"),
        ] {
            let first = private_key(data.path(), algorithm).unwrap().public().thumbprint();
            assert_eq!(private_key(data.path(), algorithm).unwrap().public().thumbprint(), first);
            assert!(crate::domain::is_key_id(&first), "{first}");
            let place = data.path().join("keys").join(name);
            assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o600);

            fs::set_permissions(&place, fs::Permissions::from_mode(0o644)).unwrap();
            assert!(matches!(private_key(data.path(), algorithm), Err(GeneratedError::Exposed { .. })));
            fs::remove_file(&place).unwrap();
            assert_ne!(private_key(data.path(), algorithm).unwrap().public().thumbprint(), first);
            fs::write(&place, "-----BEGIN PRIVATE KEY-----").unwrap();
            assert!(matches!(private_key(data.path(), algorithm), Err(GeneratedError::Unfit { .. })));
        }
        assert!(private_key(data.path(), Algorithm::Hs256).is_err());
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
