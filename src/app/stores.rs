//! Opens the store, and knows it again: with another one in its place revoked tokens would come back.

use std::{fs, io::ErrorKind, path::Path};

use sha2::{Digest, Sha256};

use super::AppError;
use crate::{
    files,
    settings::{Settings, StoreSettings, StoreUrl},
    store::{self, RedisUse, Stores},
};

/// The ring whose digest is the store's identity.
const IDENTITY_RING: &str = "store.identity";

/// Opens the configured store. The first time its identity is kept in `data_dir/keys/store.id`; later on
/// it must be the same one.
///
/// # Errors
/// [`AppError::OtherStore`] if the store is gone or is another one: it may lack revocations of tokens that
/// the signing key still vouches for. [`AppError::Store`] if it does not open.
pub async fn open_store(settings: &Settings) -> Result<Stores, AppError> {
    let folder = settings.data_dir.join("keys");
    let place = folder.join("store.id");
    let known = known(&place)?;
    let stores = match &settings.store.url {
        StoreUrl::Memory => return Ok(store::open("memory:")?),
        StoreUrl::Sqlite(file) if known.is_some() && !file.exists() => {
            return Err(AppError::OtherStore(place));
        }
        StoreUrl::Sqlite(file) => store::open(&format!("sqlite:{}", file.display()))?,
        StoreUrl::Redis(url) => store::open_shared(url.expose(), &redis_use(&settings.store))?,
    };
    let identity = identity(&stores).await?;
    if known.is_none() {
        files::private_dir(&folder).map_err(AppError::file(&folder))?;
        files::place_once(&place, format!("{identity}\n").as_bytes()).map_err(AppError::file(&place))?;
    }
    // Asked again where it was just placed: of two first starts with different stores only one may go on.
    if known.or(self::known(&place)?).is_some_and(|known| known.trim() == identity) {
        Ok(stores)
    } else {
        Err(AppError::OtherStore(place))
    }
}

fn redis_use(settings: &StoreSettings) -> RedisUse {
    let StoreSettings { key_prefix, connections, timeout, .. } = settings;
    RedisUse { prefix: key_prefix.clone(), connections: *connections, timeout: *timeout }
}

/// The identity that is kept in `place`; `None` before the first start.
fn known(place: &Path) -> Result<Option<String>, AppError> {
    match fs::read_to_string(place) {
        Ok(text) => Ok(Some(text)),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(AppError::File { path: place.into(), cause }),
    }
}

/// Sixteen hexadecimal characters that tell this store from any other, and nothing of the ring.
async fn identity(stores: &Stores) -> Result<String, AppError> {
    let secret = stores.rings.secret(IDENTITY_RING).await?;
    let digest = Sha256::digest(secret);
    Ok(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(data: &Path, file: &str) -> Settings {
        let mut settings = Settings::development(data).unwrap();
        settings.store.url = StoreUrl::Sqlite(data.join(file));
        settings
    }

    #[tokio::test]
    async fn the_same_store_is_known_again() {
        let data = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            open_store(&settings(data.path(), "a.db")).await.unwrap();
        }
        let kept = fs::read_to_string(data.path().join("keys/store.id")).unwrap();
        assert_eq!(kept.trim().len(), 16);
    }

    #[tokio::test]
    async fn another_store_or_none_or_an_empty_id_is_refused() {
        let data = tempfile::tempdir().unwrap();
        open_store(&settings(data.path(), "a.db")).await.unwrap();
        let refused = open_store(&settings(data.path(), "b.db")).await;
        assert!(matches!(refused, Err(AppError::OtherStore(_))), "one that is not there");
        assert!(!data.path().join("b.db").exists(), "it was made");

        let other = tempfile::tempdir().unwrap();
        open_store(&settings(other.path(), "b.db")).await.unwrap();
        let mut mixed = settings(data.path(), "a.db");
        mixed.store.url = StoreUrl::Sqlite(other.path().join("b.db"));
        assert!(matches!(open_store(&mixed).await, Err(AppError::OtherStore(_))), "one of somebody else");

        fs::write(data.path().join("keys/store.id"), "").unwrap();
        let refused = open_store(&settings(data.path(), "a.db")).await;
        assert!(matches!(refused, Err(AppError::OtherStore(_))), "an empty id");
    }

    #[tokio::test]
    async fn first_starts_at_once_agree_or_only_one_goes_on() {
        let data = tempfile::tempdir().unwrap();
        let same = settings(data.path(), "a.db");
        let (one, two) = tokio::join!(open_store(&same), open_store(&same));
        assert!(one.is_ok() && two.is_ok());

        let data = tempfile::tempdir().unwrap();
        let (a, b) = (settings(data.path(), "a.db"), settings(data.path(), "b.db"));
        let (one, two) = tokio::join!(open_store(&a), open_store(&b));
        assert!(one.is_ok() != two.is_ok(), "both or neither");
    }
}
