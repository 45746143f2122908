//! The port [`Rings`] on Redis.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Redis, db::Db};
use crate::store::{Rings, StoreError, StoreFuture, rings};

impl Rings for Redis {
    fn secret<'a>(&'a self, name: &'a str) -> StoreFuture<'a, [u8; 32]> {
        let (name, known) = (name.to_owned(), self.0.rings.clone());
        self.ask(async move |db| {
            let secret = place(&db, &name, rings::fresh()?).await?;
            known.lock().insert(name, secret);
            Ok(secret)
        })
    }
}

/// The secret of that name: `fresh`, if there was none.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn place(db: &Db, name: &str, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
    let key = db.names.ring(name);
    let kept = db
        .settle(async |mut plan| {
            if let Some(kept) = plan.get(&key).await? {
                // Of another store it would be another secret.
                db.recognise(db.get(&db.names.generation()).await?.as_deref())?;
                return Ok((plan, kept));
            }
            // What moves the store has to find it.
            plan.then(["SADD", &plan.names().rings(), name]);
            plan.set(key.clone(), write(&fresh), None);
            Ok((plan, write(&fresh)))
        })
        .await?;
    read(&kept)
}

/// The secret of a text.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub(super) fn read(text: &str) -> Result<[u8; 32], StoreError> {
    let corrupt = || StoreError::Corrupt("a shared secret");
    STANDARD.decode(text).map_err(|_| corrupt())?.try_into().map_err(|_| corrupt())
}

/// The text of a secret.
pub(super) fn write(secret: &[u8; 32]) -> String {
    STANDARD.encode(secret)
}
