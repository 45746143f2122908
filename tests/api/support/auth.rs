//! `/auth/…` as a well-behaved client speaks to it, and accounts with passwords.

use std::sync::{Arc, OnceLock};

use portcullis::{
    actors::users::{HashCost, Hasher},
    domain::{Password, Timestamp},
    store::User,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    SOON,
    app::TestApp,
    block_on,
    http::{Connection, Reply},
    output, until,
};

/// The password of every account of the tests.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// A pair as it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Pair {
    /// The pair of an answer that gives one, its tokens noted as secrets.
    #[track_caller]
    pub(crate) fn of(reply: &Reply) -> Self {
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        let body = reply.json();
        assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("bearer"), &json!(1800)));
        assert_eq!(body.as_object().unwrap().len(), 4, "{body}");
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        let pair = Self { access: text("access_token"), refresh: text("refresh_token") };
        output::secret(&pair.access);
        output::secret(&pair.refresh);
        pair
    }
}

/// The digest of [`PASSWORD`] at the cost of the server, made once a process.
fn digest() -> &'static str {
    static DIGEST: OnceLock<String> = OnceLock::new();
    DIGEST.get_or_init(|| {
        let password: Password = PASSWORD.parse().unwrap();
        Arc::new(Hasher::new(HashCost::default()).unwrap()).hash(&password).unwrap()
    })
}

impl TestApp {
    /// An account that can log in with [`PASSWORD`], known to the server.
    pub(crate) fn person(&self, name: &str, roles: &[&str]) {
        let user = User {
            id: Uuid::now_v7(),
            username: name.parse().unwrap(),
            roles: roles.iter().map(|&role| role.into()).collect(),
            active: true,
            created_at: Timestamp::now(),
            last_login: None,
        };
        output::secret(PASSWORD);
        let stores = self.stores();
        assert!(block_on(stores.users.add(&user, digest(), false)).unwrap());
        until("the account is known", SOON, || self.users.find(name).is_some());
    }

    /// One POST with a JSON body.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        self.post_text(path, &body.to_string())
    }

    /// One POST with this body, said to be JSON.
    #[track_caller]
    pub(crate) fn post_text(&self, path: &str, body: &str) -> Reply {
        post_on(self.connect(), path, body)
    }

    /// A try to log in from another address of this machine.
    #[track_caller]
    pub(crate) fn login_from(&self, source: &str, name: &str, password: &str) -> Reply {
        let body = json!({ "username": name, "password": password });
        post_on(self.connect_from(source), "/auth/login", &body.to_string())
    }

    /// A try to log in.
    #[track_caller]
    pub(crate) fn login(&self, name: &str, password: &str) -> Reply {
        self.post("/auth/login", &json!({ "username": name, "password": password }))
    }

    /// A try to exchange a refresh token.
    #[track_caller]
    pub(crate) fn refresh(&self, token: &str) -> Reply {
        self.post("/auth/refresh", &json!({ "refresh_token": token }))
    }

    /// Ends the login of an access token.
    pub(crate) fn logout(&self, token: &str) -> Reply {
        let mut connection = self.connect();
        connection.send(format!(
            "POST /auth/logout HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
             content-length: 0\r\n\r\n"
        ));
        connection.reply()
    }
}

#[track_caller]
fn post_on(mut connection: Connection, path: &str, body: &str) -> Reply {
    connection.try_send(format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    ));
    connection.reply()
}

/// Asserts problem details of this class.
#[track_caller]
pub(crate) fn refused(reply: &Reply, status: u16, reason: &str) {
    assert_eq!((reply.status, &*reply.reason()), (status, reason), "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.json()["request_id"].as_str(), reply.header("x-request-id"));
}
