//! Tokens: honest ones, and ones that nobody should ever take.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use portcullis::{
    actors::tokens::MintRequest,
    domain::Timestamp,
    store::{self, Stores, User},
};
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;

use super::{app::TestApp, block_on, output};

/// The header of our access tokens.
pub(crate) const HEADER: &str = r#"{"alg":"HS256","typ":"at+jwt"}"#;

impl TestApp {
    /// Makes or changes an account, as another process on the same store would.
    pub(crate) fn account(&self, name: &str, roles: &[&str], active: bool) {
        let stores = self.stores();
        let username = name.parse().unwrap();
        let known = block_on(stores.users.find(&username)).unwrap();
        let user = User {
            id: known.map_or_else(Uuid::now_v7, |known| known.id),
            username,
            roles: roles.iter().map(|&role| role.into()).collect(),
            active,
            created_at: Timestamp::now(),
            last_login: None,
        };
        block_on(stores.users.put(&user)).unwrap();
    }

    /// The server's store, opened once more, as by another process.
    pub(crate) fn stores(&self) -> Stores {
        store::open(&self.settings.store.url.to_string()).unwrap()
    }

    /// A token for `user` with one role, as the server itself would mint it.
    pub(crate) fn token(&self, user: &str, role: &str) -> String {
        self.minted(user, &[role], &[], "tests").0
    }

    /// A token with roles, permissions and a client; its id comes with it.
    pub(crate) fn minted(
        &self,
        user: &str,
        roles: &[&str],
        permissions: &[&str],
        client: &str,
    ) -> (String, String) {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let request = MintRequest {
            subject: user.parse().unwrap(),
            client: client.into(),
            roles: own(roles),
            permissions: own(permissions),
            ttl: Duration::from_secs(600),
        };
        let minted = self.keyring.mint(&request, Timestamp::now()).unwrap();
        output::secret(&minted.token);
        (minted.token, minted.claims.jti)
    }

    /// Good claims for a user that holds everything, to be bent.
    pub(crate) fn claims(&self) -> Value {
        let now = Timestamp::now().secs();
        json!({
            "iss": self.settings.jwt.issuer, "sub": "eve", "aud": self.settings.jwt.audience[0],
            "jti": format!("forged-{:x}", rand::random::<u64>()), "iat": now, "nbf": now, "exp": now + 600,
            "client_id": "tests", "type": "access", "username": "eve", "roles": ["admin"], "permissions": [],
        })
    }

    /// A token of these texts, signed with the server's own key: only what it says can be wrong.
    pub(crate) fn signed(&self, header: &str, claims: &str) -> String {
        sign(self.settings.jwt.secret.as_ref().unwrap().expose(), header, claims)
    }

    /// A token of our header and claims that `change` made.
    pub(crate) fn bent(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = self.claims();
        change(&mut claims);
        self.signed(HEADER, &claims.to_string())
    }
}

/// A token of these texts with an HMAC under `key`.
pub(crate) fn sign(key: &[u8], header: &str, claims: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message.as_bytes());
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
    output::secret(&token);
    token
}
