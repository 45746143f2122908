//! Every class of refusal, provoked once over HTTP: the list of classes drives this, so a new one without its
//! provocation fails.

use std::{fs, time::Duration};

use portcullis::{domain::Timestamp, error::Code};
use serde_json::{Value, json};

use super::support::{
    SOON,
    app::TestApp,
    auth::{PASSWORD, Pair},
    http::Reply,
    keys::{DAY, made, request},
    rpc::{META_VERSION, Rpc},
    tokens::HEADER,
    tools, until,
};

/// Provoked elsewhere, because no request alone can: the class, and what is missing for it.
const NOT_HERE: &[(Code, &str)] = &[
    (Code::MissingCapability, "no tool asks its caller anything yet (issue 5)"),
    // Whether an idle connection still gets an answer is a race with its end: tests/api/surroundings.rs has it.
    (Code::ShuttingDown, "a stopping server closes most connections instead"),
];

/// What a request must show to be refused for this class alone.
fn provoked(app: &TestApp, code: Code) -> Option<Reply> {
    let token = app.token("ada", "user");
    let good = || Rpc::weather().bearer(&token);
    let bent = |change: &dyn Fn(&mut Value)| Rpc::weather().bearer(&app.bent(|claims| change(claims)));
    let past = Timestamp::now().secs() - 600;
    let rpc = match code {
        Code::MalformedCredential => Rpc::weather().header("authorization", "Basic YTpi"),
        Code::ParseError => good().raw("{"),
        Code::InvalidRequest => good().raw("[]"),
        Code::HeaderMismatch => good().replace("mcp-name", "list_users"),
        Code::UnsupportedVersion => good()
            .replace("mcp-protocol-version", "1999-01-01")
            .meta(|meta| meta[META_VERSION] = json!("1999-01-01")),
        Code::UnknownMethod => Rpc::new("tools/forget", json!({})).bearer(&token),
        Code::NotFound => return Some(app.get("/nothing")),
        Code::MethodNotAllowed => good().verb("PUT"),
        Code::NotAcceptable => good().replace("accept", "text/html"),
        Code::UnknownTool => Rpc::call("nothing", json!({})).bearer(&token),
        Code::UnknownResource => {
            Rpc::new("resources/read", json!({ "uri": "x:y" })).header("mcp-name", "x:y").bearer(&token)
        }
        Code::UnknownPrompt => {
            Rpc::new("prompts/get", json!({ "name": "nothing" })).header("mcp-name", "nothing").bearer(&token)
        }
        Code::InvalidParams => Rpc::list().bearer(&token).edit(|body| body["params"]["cursor"] = json!("x")),
        Code::MissingCredential => Rpc::weather(),
        Code::InvalidToken => Rpc::weather().bearer("a.b.c"),
        Code::ExpiredToken => bent(&|claims| {
            for (name, secs) in [("iat", past), ("nbf", past), ("exp", past + 60)] {
                claims[name] = json!(secs);
            }
        }),
        Code::WrongTokenType => {
            let refresh = app.claims();
            let mut refresh = refresh.as_object().unwrap().clone();
            refresh.insert("type".into(), json!("refresh"));
            Rpc::weather().bearer(&app.signed(HEADER, &Value::from(refresh).to_string()))
        }
        Code::WrongAudience => bent(&|claims| claims["aud"] = json!("https://elsewhere.example/mcp")),
        Code::UnknownIssuer => bent(&|claims| claims["iss"] = json!("https://elsewhere.example")),
        Code::InvalidApiKey => Rpc::weather().key(&format!("mcp_{}", "A".repeat(43))),
        Code::RotationNotDue => return Some(rotate(app, &app.key("ada", &["weather:read"]).0)),
        Code::InvalidLogin => return Some(app.login("nobody", PASSWORD)),
        Code::Forbidden => Rpc::call("list_users", json!({})).bearer(&token),
        Code::OriginForbidden => good().header("origin", "https://evil.example"),
        Code::HostForbidden => good().replace("host", "evil.example"),
        Code::BodyTooLarge => good().raw(vec![b' '; 4 * 1024 * 1024 + 1]),
        Code::UnsupportedMediaType => good().replace("content-type", "text/plain"),
        Code::HeadersTooLarge => good().header("x-padding", "x".repeat(20_000)),
        Code::RevokedToken | Code::AlreadyRotated | Code::InsufficientScope => {
            return Some(prepared(app, code));
        }
        Code::Internal => Rpc::call("panics", json!({})).bearer(&token),
        Code::RequestTimeout
        | Code::RateLimited
        | Code::Overloaded
        | Code::StoreUnavailable
        | Code::AuditUnavailable => return Some(broken(code)),
        Code::MissingCapability | Code::ShuttingDown => return None,
    };
    Some(rpc.send(app))
}

/// The classes that something must have happened for before.
fn prepared(app: &TestApp, code: Code) -> Reply {
    let rpc = match code {
        Code::RevokedToken => {
            app.person("gone", &["user"]);
            let pair = Pair::of(&app.login("gone", PASSWORD));
            assert_eq!(app.logout(&pair.access).status, 204);
            Rpc::weather().bearer(&pair.access)
        }
        Code::InsufficientScope => {
            app.account("narrow", &["user"], true);
            until("the account is known", SOON, || app.users.find("narrow").is_some());
            Rpc::weather().bearer(&app.minted("narrow", &[], &["files:read"], "tests").0)
        }
        _ => {
            let at = Timestamp::now().minus(80 * DAY);
            let (key, _) = made(&app.stores(), request("ada", &["weather:read"]), at);
            assert_eq!(rotate(app, &key).status, 201);
            return rotate(app, &key);
        }
    };
    rpc.send(app)
}

/// The classes that a server of their own is needed for: one that is slow, small, or loses what it needs.
fn broken(code: Code) -> Reply {
    let app = TestApp::with(
        |settings| {
            if matches!(code, Code::RequestTimeout | Code::Overloaded) {
                settings.server.request_timeout = Duration::from_secs(1);
            }
            if code == Code::RateLimited {
                settings.limits.ip.capacity = 1;
                settings.limits.ip.refill_per_second = 0.001;
            }
        },
        tools::all().1,
    );
    let token = app.token("ada", "user");
    let good = || Rpc::weather().bearer(&token);
    let mut idle = app.connect();
    good().on(&mut idle).result();
    match code {
        Code::RequestTimeout => {
            idle.send([&good().head()[..], b"content-length: 10\r\n\r\n{"].concat());
            return idle.reply();
        }
        Code::Overloaded => {
            app.person("ann", &["user"]);
            let file = app.settings.store.url.to_string();
            let store = rusqlite::Connection::open(file.strip_prefix("sqlite:").unwrap()).unwrap();
            store.execute_batch("BEGIN IMMEDIATE").unwrap();
            return app.login("ann", PASSWORD);
        }
        Code::StoreUnavailable => {
            fs::rename(app.dir().join("portcullis.db"), app.dir().join("aside.db")).unwrap();
        }
        Code::AuditUnavailable => {
            fs::rename(app.dir().join("audit"), app.dir().join("aside")).unwrap();
            fs::write(app.dir().join("audit"), "").unwrap();
        }
        _ => {}
    }
    let mut reply = None;
    until("it is refused", SOON, || {
        reply = Some(good().on(&mut idle));
        reply.as_ref().is_some_and(|reply| reply.status != 200)
    });
    if code == Code::AuditUnavailable {
        fs::remove_file(app.dir().join("audit")).unwrap();
        fs::rename(app.dir().join("aside"), app.dir().join("audit")).unwrap();
        until("all is well", SOON, || app.is_ready());
    }
    reply.unwrap()
}

fn rotate(app: &TestApp, key: &str) -> Reply {
    let mut connection = app.connect();
    connection.send(format!(
        "POST /auth/key/rotate HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\nx-api-key: {key}\r\n\r\n"
    ));
    connection.reply()
}

#[test]
fn every_class_of_refusal_is_provoked_and_says_its_word() {
    let app = TestApp::with(super::support::app::without_limits, tools::all().1);
    for code in Code::ALL {
        let Some(reply) = provoked(&app, code) else {
            assert!(NOT_HERE.iter().any(|(known, _)| *known == code), "{code:?} is not provoked");
            continue;
        };
        assert_eq!(reply.reason(), code.reason(), "{code:?}: {}", reply.text());
        let body = reply.json();
        let id = body["request_id"].as_str().or(body["error"]["data"]["requestId"].as_str());
        assert!(id.is_some() && id == reply.header("x-request-id"), "{code:?}: {body}");
        assert!(reply.header("set-cookie").is_none() && reply.header("server").is_none(), "{code:?}");
    }
}
