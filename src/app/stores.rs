//! Opens the store, and knows it again: with another one in its place revoked tokens would come back.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
};

use sha2::{Digest, Sha256};

use super::AppError;
use crate::{
    settings::{Settings, StoreUrl},
    store::{self, Stores},
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
    let StoreUrl::Sqlite(file) = &settings.store.url else { return Ok(store::open("memory:")?) };
    let folder = settings.data_dir.join("keys");
    let place = folder.join("store.id");
    let known = match fs::read_to_string(&place) {
        Ok(text) => Some(text),
        Err(cause) if cause.kind() == ErrorKind::NotFound => None,
        Err(cause) => return Err(AppError::File { path: place, cause }),
    };
    if known.is_some() && !file.exists() {
        return Err(AppError::OtherStore(place));
    }
    let stores = store::open(&format!("sqlite:{}", file.display()))?;
    let identity = identity(&stores).await?;
    match known {
        Some(known) if known.trim() == identity => {}
        Some(_) => return Err(AppError::OtherStore(place)),
        None => {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(AppError::file(&folder))?;
            let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&place);
            file.and_then(|mut file| writeln!(file, "{identity}")).map_err(AppError::file(&place))?;
        }
    }
    Ok(stores)
}

/// Sixteen hexadecimal characters that tell this store from any other, and nothing of the ring.
async fn identity(stores: &Stores) -> Result<String, AppError> {
    let secret = stores.rings.secret(IDENTITY_RING).await?;
    let digest = Sha256::digest(secret);
    Ok(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}
