//! Opens the store, and knows it again: with another one in its place revoked tokens would come back.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{AppError, tls};
use crate::{
    actors::keepsake,
    domain::Timestamp,
    files,
    settings::{Settings, StoreSettings, StoreUrl},
    store::{self, IDENTITY_RING, RedisTls, RedisUse, StoreError, Stores},
};

/// How long a Redis may take to answer while nobody waits for a server.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens the configured store. The first time its identity is kept in `data_dir/keys/store.id`; later on
/// it must be the same one, or one that an operator has let take its place: that gets what is known here to be revoked
/// before it is used.
///
/// # Errors
/// [`AppError::OtherStore`] if the store is gone or is another one: it may lack revocations of tokens that
/// the signing key still vouches for, and [`AppError::HalfCopied`] if it certainly does. [`AppError::Store`] if it does
/// not open.
pub async fn open_store(settings: &Settings) -> Result<Stores, AppError> {
    let opened = open_any_store(settings).await?;
    if opened.is_known() {
        return Ok(opened.stores);
    }
    match (&opened.stores.adoption, &opened.known) {
        (Some(adoption), Some(old)) if adoption.stands_in_for(old).await? => {
            let restored = opened.restore(settings).await?;
            opened.keep(settings)?;
            tracing::warn!(revocations = restored, "another store has taken the place of the one before");
            Ok(opened.stores)
        }
        _ => Err(AppError::OtherStore(opened.place)),
    }
}

/// A store that was opened, whether or not it is the right one.
pub struct AnyStore {
    /// The store.
    pub stores: Stores,
    /// Its identity; `None` for one that ends with the process.
    pub identity: Option<String>,
    /// The identity of the store that this data directory was used with before.
    pub known: Option<String>,
    place: PathBuf,
}

impl AnyStore {
    /// Whether it is the store that this data directory was used with.
    pub fn is_known(&self) -> bool {
        self.identity.is_none() || self.identity == self.known
    }

    /// Adds what is known here to be revoked, and says how much of it was missing.
    ///
    /// # Errors
    /// [`AppError`]: asking again is safe.
    pub async fn restore(&self, settings: &Settings) -> Result<u64, AppError> {
        restore_kept(settings, &self.stores).await
    }

    /// From now on it is the store of this data directory.
    ///
    /// # Errors
    /// [`AppError::File`].
    pub fn keep(&self, settings: &Settings) -> Result<(), AppError> {
        self.identity.as_ref().map_or(Ok(()), |identity| keep_identity(&settings.data_dir, identity))
    }
}

/// Opens the configured store, and does not ask whether it is the one of before.
///
/// # Errors
/// Those of [`open_store`], but for a Redis that is another one.
pub async fn open_any_store(settings: &Settings) -> Result<AnyStore, AppError> {
    let place = identity_file(&settings.data_dir);
    let known = known(&place)?;
    let stores = match &settings.store.url {
        StoreUrl::Memory => {
            let stores = store::open("memory:")?;
            return Ok(AnyStore { stores, identity: None, known: None, place });
        }
        StoreUrl::Sqlite(file) if known.is_some() && !file.exists() => {
            return Err(AppError::OtherStore(place));
        }
        StoreUrl::Sqlite(file) => store::open(&format!("sqlite:{}", file.display()))?,
        StoreUrl::Redis(url) => store::open_shared(url.expose(), &redis_use(&settings.store)?)?,
    };
    let identity = identity(&stores).await?;
    // After the secret was asked for, which a copy that begins now would see.
    if stores.moving.mark().await?.is_some() {
        return Err(AppError::HalfCopied);
    }
    if known.is_none() {
        let folder = settings.data_dir.join("keys");
        files::private_dir(&folder).map_err(AppError::file(&folder))?;
        files::place_once(&place, format!("{identity}\n").as_bytes()).map_err(AppError::file(&place))?;
    }
    // Asked again where it was just placed: of two first starts with different stores only one may go on.
    let known = known.or(self::known(&place)?);
    Ok(AnyStore { stores, identity: Some(identity), known, place })
}

/// Adds to the store what is kept in `data_dir` as revoked, and says how much of it was missing there. A store that has
/// gone back to an older copy of itself lacks some of it too.
///
/// # Errors
/// [`AppError::File`], [`AppError::Store`].
pub(super) async fn restore_kept(settings: &Settings, stores: &Stores) -> Result<u64, AppError> {
    let place = keepsake::place(&settings.data_dir);
    let known = keepsake::read(&place, Timestamp::now()).map_err(AppError::file(&place))?;
    Ok(stores.revocations.restore(&known).await?)
}

/// Where the identity of its store is kept.
fn identity_file(data_dir: &Path) -> PathBuf {
    data_dir.join("keys/store.id")
}

/// Keeps the identity of the store that is used from now on.
///
/// # Errors
/// [`AppError::File`].
pub(super) fn keep_identity(data_dir: &Path, identity: &str) -> Result<(), AppError> {
    let place = identity_file(data_dir);
    files::replace(&place, format!("{identity}\n").as_bytes()).map_err(AppError::file(&place))
}

/// Opens any store for a copy, which has time; one to copy from has to be there.
///
/// # Errors
/// [`AppError::Store`].
pub fn open_to_copy(settings: &Settings, url: &StoreUrl, is_source: bool) -> Result<Stores, AppError> {
    match url {
        StoreUrl::Memory => Ok(store::open("memory:")?),
        StoreUrl::Sqlite(file) if is_source && !file.exists() => {
            Err(StoreError::Config("names a file that is not there".into()).into())
        }
        StoreUrl::Sqlite(file) => Ok(store::open(&format!("sqlite:{}", file.display()))?),
        StoreUrl::Redis(url) => {
            let how = redis_use(&settings.store)?;
            let how = RedisUse { timeout: how.timeout.max(PATIENCE), ..how };
            Ok(store::open_shared(url.expose(), &how)?)
        }
    }
}

fn redis_use(settings: &StoreSettings) -> Result<RedisUse, AppError> {
    let StoreSettings { key_prefix, connections, timeout, .. } = settings;
    let ca = settings.ca_file.as_deref().map(|path| tls::pem("store.ca_file", path)).transpose()?;
    let client = match settings.client_files() {
        Some((certificate, key)) => Some((
            tls::pem("store.client_certificate", certificate)?,
            tls::private_pem("store.client_key_file", key)?,
        )),
        None => None,
    };
    let tls = RedisTls { ca, client };
    Ok(RedisUse { prefix: key_prefix.clone(), connections: *connections, timeout: *timeout, tls })
}

/// The identity that is kept in `place`; `None` before the first start.
fn known(place: &Path) -> Result<Option<String>, AppError> {
    match fs::read_to_string(place) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(AppError::File { path: place.into(), cause }),
    }
}

/// The identity of this store.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn identity(stores: &Stores) -> Result<String, StoreError> {
    Ok(store::identity(&stores.rings.secret(IDENTITY_RING).await?))
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
