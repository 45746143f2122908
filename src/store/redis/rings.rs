//! The port [`Rings`] on Redis.

use base64::{Engine, engine::general_purpose::STANDARD};
use deadpool_redis::redis;

use super::Redis;
use crate::store::{Rings, StoreError, StoreFuture, rings};

impl Rings for Redis {
    fn secret<'a>(&'a self, name: &'a str) -> StoreFuture<'a, [u8; 32]> {
        let name = name.to_owned();
        self.ask(async move |db| {
            let key = db.names.ring(&name);
            let mut questions = redis::pipe();
            questions.cmd("SET").arg(&key).arg(STANDARD.encode(rings::fresh()?)).arg("NX").ignore().get(&key);
            let (kept,): (String,) = db.together(&questions).await?;
            let corrupt = || StoreError::Corrupt("a shared secret");
            STANDARD.decode(kept).map_err(|_| corrupt())?.try_into().map_err(|_| corrupt())
        })
    }
}
