//! A fleet in whose Redis a record does not read: that one opens nothing, and keeps nobody else out.

use std::time::Duration;

use portcullis::{domain::Timestamp, store::User};
use uuid::Uuid;

use super::{
    fleet::fleet_with,
    nodes::Node,
    support::{app::TestApp, block_on, rpc::Rpc, until},
};

/// How long what the feed tells may take.
const BOUND: Duration = Duration::from_secs(5);
/// What counts accounts that do not read.
const COUNTED: &str = "portcullis_store_unreadable_total{record=\"an account\"}";

fn status(app: &TestApp, credential: &str) -> u16 {
    Rpc::weather().bearer(credential).send(app).status
}

/// Tells everybody of a change; of one that is no row of ours so that all is read again.
fn tell(node: &Node, what: &str) {
    let id = node.ask("INCR portcullis:feed:last").unwrap();
    let at = Timestamp::now().micros().to_string();
    let id = format!("{}-0", &id[1..]);
    let add = "redis.call('XADD', KEYS[1], ARGV[1], 'at', ARGV[2], 'what', ARGV[3]) return 1";
    node.say(&["EVAL", add, "1", "portcullis:feed", &id, &at, what]);
}

#[test]
fn an_account_that_does_not_read_opens_nothing_and_keeps_nobody_else_out() {
    let node = Node::start("save \"\"", &[]);
    let [app] = fleet_with(&format!("redis://127.0.0.1:{}", node.port), |_| {});
    for name in ["ann", "bob", "eve"] {
        app.person(name, &["user"]);
    }
    let token = |name: &str| app.minted(name, &["user"], &[], "desk").0;
    let [ann, bob, eve] = ["ann", "bob", "eve"].map(token);
    let all = |app: &TestApp| [&ann, &bob, &eve].map(|token| status(app, token));
    assert_eq!(all(&app), [200, 200, 200]);

    // The row of a change names one that does not read by now.
    node.ask("SET portcullis:user:bob x");
    tell(&node, r#"{"kind":"user","what":"bob"}"#);
    until("it opens nothing", BOUND, || status(&app, &bob) == 401);
    assert_eq!(all(&app), [200, 401, 200]);
    until("it is counted", BOUND, || app.metric(COUNTED) >= 1.0);

    // All is read again, and one is gone.
    node.ask("DEL portcullis:user:eve");
    tell(&node, "anything");
    until("it opens nothing", BOUND, || status(&app, &eve) == 401);
    assert_eq!(all(&app), [200, 401, 401]);
    until("the server is ready", BOUND, || app.is_ready());

    let app = app.restart();
    assert_eq!(all(&app), [200, 401, 401], "one that starts now");
    // What is put right is good again.
    let eve_again = User {
        id: Uuid::now_v7(),
        username: "eve".parse().unwrap(),
        roles: vec!["user".into()],
        active: true,
        created_at: Timestamp::now(),
        last_login: None,
    };
    block_on(app.stores().users.put(&eve_again)).unwrap();
    until("it is known", BOUND, || status(&app, &eve) == 200);
}
