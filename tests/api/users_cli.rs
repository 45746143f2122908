//! The verbs about accounts, run beside a server that is up.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
    time::Duration,
};

use portcullis::{
    domain::Timestamp,
    settings::StoreUrl,
    store::{Family, FamilyAccess, MOST_FAMILIES},
};
use serde_json::{Value, json};

use super::support::{
    SOON,
    app::TestApp,
    auth::{PASSWORD, Pair, refused},
    block_on,
    rpc::Rpc,
    until,
};

const BOUND: Duration = Duration::from_secs(1);

impl TestApp {
    /// Runs a verb on the data of this server, with `input` on its standard input.
    pub(super) fn cli(&self, arguments: &[&str], input: &str) -> Output {
        let secret =
            std::str::from_utf8(self.settings.jwt.secret.as_ref().unwrap().expose()).unwrap().to_owned();
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(arguments)
            .args(["--settings", concat!(env!("CARGO_MANIFEST_DIR"), "/settings")])
            .env("PORTCULLIS__DATA_DIR", self.dir())
            .envs(self.redis().map(|url| ("PORTCULLIS__STORE__URL", url)))
            .env("JWT_SECRET_KEY", secret)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A verb that refuses does not read on.
        let _written = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// The URL of its Redis, if it has one.
    fn redis(&self) -> Option<String> {
        match &self.settings.store.url {
            StoreUrl::Redis(url) => Some(url.expose().to_owned()),
            _ => None,
        }
    }

    /// A verb that must succeed; gives what it printed.
    #[track_caller]
    pub(super) fn does(&self, arguments: &[&str], input: &str) -> String {
        let output = self.cli(arguments, input);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A verb that must be refused with exit code 1 and nothing printed; gives the reason.
    #[track_caller]
    pub(super) fn refuses(&self, arguments: &[&str], input: &str) -> String {
        let output = self.cli(arguments, input);
        assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// The accounts as `user list --json` prints them.
    fn listed(&self) -> Vec<Value> {
        self.does(&["user", "list", "--json"], "")
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[test]
fn an_account_that_is_added_logs_in_and_what_is_changed_acts_within_a_second() {
    let app = TestApp::start();
    let line = format!("{PASSWORD}\n");
    let shown = app.does(&["user", "add", "ann", "--password-stdin", "--json"], &line);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&shown["username"], &shown["roles"], &shown["active"]),
        (&json!("ann"), &json!(["user"]), &json!(true))
    );
    assert!(app.refuses(&["user", "add", "ann", "--password-stdin"], &line).contains("taken"));
    until("the account is known", BOUND, || app.users.find("ann").is_some());
    let pair = Pair::of(&app.login("ann", PASSWORD));
    let listing = || Rpc::call("list_users", json!({})).bearer(&pair.access).send(&app).status;
    assert_eq!(listing(), 403);

    app.does(&["user", "roles", "ann", "user", "admin"], "");
    until("the roles are known", BOUND, || app.users.find("ann").unwrap().roles.len() == 2);
    let wider = Pair::of(&app.login("ann", PASSWORD));
    Rpc::call("list_users", json!({})).bearer(&wider.access).send(&app).result();
    app.does(&["user", "disable", "ann"], "");
    until("it is disabled", BOUND, || Rpc::weather().bearer(&pair.access).send(&app).status == 401);
    app.does(&["user", "enable", "ann"], "");
    until("it is enabled", BOUND, || Rpc::weather().bearer(&pair.access).send(&app).status == 200);

    let new = "another horse battery staple";
    app.does(&["user", "passwd", "ann", "--password-stdin"], new);
    until("its tokens have ended", BOUND, || Rpc::weather().bearer(&pair.access).send(&app).status == 401);
    refused(&app.refresh(&wider.refresh), 401, "revoked_token");
    refused(&app.login("ann", PASSWORD), 401, "invalid_login");
    let pair = Pair::of(&app.login("ann", new));
    Rpc::weather().bearer(&pair.access).send(&app).result();

    for (event, count) in [("user.changed", 5), ("role.changed", 1)] {
        let filter = portcullis::actors::audit::Filter { event: Some(event.into()), ..Default::default() };
        let records = app.records(filter);
        let own = records.iter().filter(|record| record.outcome == "ok");
        assert_eq!(own.count(), count, "{event}");
        let text = serde_json::to_string(&records).unwrap();
        assert!(!text.contains(PASSWORD) && !text.contains(new) && !text.contains("argon2"), "{text}");
    }
}

#[test]
fn the_last_administrator_stays_and_what_makes_no_sense_is_refused() {
    let app = TestApp::start();
    assert_eq!(app.listed().iter().map(|user| &user["username"]).collect::<Vec<_>>(), [&json!("admin")]);
    for arguments in [&["user", "disable", "admin"][..], &["user", "roles", "admin", "user"]] {
        assert!(app.refuses(arguments, "").contains("last active administrator"), "{arguments:?}");
    }
    app.does(&["user", "add", "ann", "--role", "admin", "--password-stdin"], PASSWORD);
    app.does(&["user", "disable", "admin"], "");
    assert!(app.refuses(&["user", "disable", "ann"], "").contains("last active administrator"));
    assert!(app.refuses(&["user", "add", "bob", "--password-stdin"], "short\n").contains("12 to 128"));
    assert!(
        app.refuses(&["user", "add", "bob", "--role", "root", "--password-stdin"], PASSWORD).contains("root")
    );
    assert!(app.refuses(&["user", "roles", "ann", "root"], "").contains("unknown role"));
    assert!(app.refuses(&["user", "add", "bob"], PASSWORD).contains("--password-stdin"));
    for verb in ["disable", "enable", "passwd"] {
        assert!(app.refuses(&["user", verb, "nobody"], "").contains("no account nobody"), "{verb}");
    }
    assert_eq!(app.cli(&["user", "add", "no name", "--password-stdin"], PASSWORD).status.code(), Some(2));
    assert_eq!(app.cli(&["user", "roles", "ann"], "").status.code(), Some(2));
    assert_eq!(app.listed().len(), 2);
}

#[test]
fn the_first_start_in_development_makes_an_administrator_and_no_later_one_does() {
    let mut app = TestApp::start();
    let password = app.first_password.take().unwrap();
    let pair = Pair::of(&app.login("admin", &password));
    Rpc::call("list_users", json!({})).bearer(&pair.access).send(&app).result();
    let app = app.restart();
    assert_eq!(app.first_password, None);
    assert_eq!(app.login("admin", &password).status, 200);
}

#[test]
fn a_pair_from_the_command_line_is_refreshed_and_ends_with_its_user() {
    let app = TestApp::start();
    let text = app.does(&["token", "issue", "--user", "robot", "--role", "user", "--refresh"], "");
    let body: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("bearer"), &json!(1800)));
    let next = Pair::of(&app.refresh(body["refresh_token"].as_str().unwrap()));
    let served = Rpc::weather().bearer(&next.access).send(&app);
    served.result();
    assert_eq!(app.record_of(&served).principal.unwrap().client, "cli");
    app.does(&["token", "revoke", "--user", "robot"], "");
    until("it has ended", SOON, || Rpc::weather().bearer(&next.access).send(&app).status == 401);
    refused(&app.refresh(&next.refresh), 401, "revoked_token");
}

#[test]
fn one_pair_too_many_from_the_command_line_says_what_has_ended() {
    let app = TestApp::start();
    let issue = ["token", "issue", "--user", "robot", "--role", "user", "--refresh"];
    let body: Value = serde_json::from_str(&app.does(&issue, "")).unwrap();
    let (now, day) = (Timestamp::now(), Duration::from_secs(86_400));
    for n in 1..MOST_FAMILIES {
        let family = Family {
            id: format!("of-another-machine-{n}"),
            subject: "robot".parse().unwrap(),
            client: "cli".into(),
            roles: vec!["user".into()],
            permissions: Vec::new(),
            has_account: false,
            refresh: format!("refresh-{n}"),
            expires_at: now.plus(30 * day),
        };
        let access = FamilyAccess { jti: format!("access-{n}"), until: now.plus(day) };
        let room = block_on(app.stores().families.found(&family, &access, now)).unwrap();
        assert!(room.ended.is_empty());
    }
    let output = app.cli(&issue, "");
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("robot has more than 32 pairs"), "{said}");
    let revoked = app.awaited("token.revoked", "ok", SOON).detail.unwrap();
    assert_eq!(revoked["account"], json!("robot"));
    assert_eq!(revoked["ended"].as_array().map(Vec::len), Some(1), "{revoked}");
    let access = body["access_token"].as_str().unwrap();
    until("it has ended", SOON, || Rpc::weather().bearer(access).send(&app).status == 401);
    refused(&app.refresh(body["refresh_token"].as_str().unwrap()), 401, "revoked_token");
}

#[test]
fn explain_says_what_a_disabled_account_may_do_and_tokens_take_the_roles_of_accounts() {
    let app = TestApp::start();
    app.does(&["user", "add", "ann", "--role", "premium", "--password-stdin"], PASSWORD);
    let explain = ["policy", "explain", "--user", "ann", "--tool", "get_weather", "--json"];
    let said: Value = serde_json::from_str(&app.does(&explain, "")).unwrap();
    assert_eq!(said["allowed"], json!(true));
    let token = app.does(&["token", "issue", "--user", "ann"], "");
    let served = Rpc::weather().bearer(token.trim()).send(&app);
    assert_eq!(app.record_of(&served).principal.unwrap().roles, ["premium"]);
    app.does(&["user", "disable", "ann"], "");
    let said: Value = serde_json::from_str(&app.does(&explain, "")).unwrap();
    assert_eq!((&said["allowed"], &said["rule"]), (&json!(false), &json!("the account is disabled")));
}
