//! API keys, as an operator would make them.

use std::time::Duration;

use portcullis::{
    actors::api_keys::KeyRequest,
    domain::{ApiKey, ApiKeySecret, KeyId, KeyState, Timestamp},
    store::{KeyRotation, RotateOutcome, Stores},
};

use super::{app::TestApp, block_on, output};

/// A day.
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// What a key of `owner` with these permissions is to be, for 90 days.
pub(crate) fn request(owner: &str, permissions: &[&str]) -> KeyRequest {
    KeyRequest {
        owner: owner.parse().unwrap(),
        name: "build server".parse().unwrap(),
        permissions: permissions.iter().map(|&name| name.into()).collect(),
        life: 90 * DAY,
        cidrs: Vec::new(),
        created_by: "tests".into(),
    }
}

/// Makes a key in a store, as of `at`; its text, noted as a secret, and what is known of it.
pub(crate) fn made(stores: &Stores, request: KeyRequest, at: Timestamp) -> (String, ApiKey) {
    let (secret, key) = request.mint(at).unwrap();
    output::secret(secret.expose());
    block_on(stores.keys.insert(&secret.digest(), &key)).unwrap();
    (secret.expose().to_owned(), key)
}

/// Rotates a key in a store, as an operator does.
pub(crate) fn rotated(stores: &Stores, of: KeyId, grace: Duration) -> (String, ApiKey) {
    let secret = ApiKeySecret::generate().unwrap();
    output::secret(secret.expose());
    let rotation = KeyRotation {
        of,
        newest: true,
        successor: KeyId::new(),
        digest: secret.digest(),
        by: Some("tests".into()),
        at: Timestamp::now(),
        grace,
    };
    match block_on(stores.keys.rotate(&rotation)).unwrap() {
        RotateOutcome::Done { successor, .. } => (secret.expose().to_owned(), *successor),
        refused => panic!("{refused:?}"),
    }
}

impl TestApp {
    /// A key of `owner`, made now by another process on the same store.
    pub(crate) fn key(&self, owner: &str, permissions: &[&str]) -> (String, ApiKey) {
        made(&self.stores(), request(owner, permissions), Timestamp::now())
    }

    /// Brings a key into a state, as another process would.
    pub(crate) fn set_key(&self, id: KeyId, state: KeyState) {
        assert_eq!(block_on(self.stores().keys.set_state(id, state)).unwrap().unwrap().state, state);
    }

    /// What the store knows of a key.
    pub(crate) fn key_now(&self, id: KeyId) -> ApiKey {
        block_on(self.stores().keys.show(id)).unwrap().unwrap()
    }
}
