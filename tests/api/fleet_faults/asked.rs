//! How often the store is asked for what: round trips on the only way to it; the README has the same figures.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant},
};

use portcullis::store::RevocationTarget;

use crate::{
    fleet::fleet_with,
    nodes::{Node, counted, proxy::Proxy},
    support::{
        app::TestApp,
        auth::{PASSWORD, Pair},
        block_on, pause,
        rpc::Rpc,
    },
};

/// How often each thing is done: what servers ask by themselves meanwhile is taken off, and what is left of it must not
/// matter.
const TIMES: u32 = 30;
/// How long servers are left alone to see what they ask by themselves.
const ALONE: Duration = Duration::from_secs(3);

/// The only way to a Redis, and how often it is asked.
struct Asked {
    node: Node,
    way: Proxy,
}

impl Asked {
    /// Questions so far, but for looks whether a connection is good.
    fn so_far(&self) -> f64 {
        let looks = counted::calls(&self.node).get("ping").copied().unwrap_or(0);
        self.way.questions() as f64 - looks as f64
    }

    /// Questions a second.
    fn alone(&self) -> f64 {
        let (before, began) = (self.so_far(), Instant::now());
        pause(ALONE);
        (self.so_far() - before) / began.elapsed().as_secs_f64()
    }

    /// Questions of one such work.
    fn by(&self, alone: f64, mut work: impl FnMut(u32)) -> f64 {
        // Slices that nobody uses any more have gone back by then: one question each.
        pause(ALONE);
        let (before, began) = (self.so_far(), Instant::now());
        (0..TIMES).for_each(&mut work);
        (self.so_far() - before - alone * began.elapsed().as_secs_f64()) / f64::from(TIMES)
    }
}

#[test]
fn the_store_is_asked_as_often_as_the_readme_says() {
    let node = Node::start("save \"\"", &[]);
    let asked = Asked { way: Proxy::to(node.port), node };
    let [app]: [TestApp; 1] = fleet_with(&format!("redis://127.0.0.1:{}", asked.way.port), |settings| {
        // What goes into the fleet's log goes there by the clock, not by the call.
        settings.audit.sinks = vec!["file".into()];
    });
    app.person("ann", &["user"]);
    let connection = RefCell::new(app.connect());
    let weather = |rpc: Rpc| assert_eq!(rpc.on(&mut connection.borrow_mut()).status, 200);
    let known = app.token("ada", "user");
    // Slices grow with demand: here they become long enough.
    (0..500).for_each(|_| weather(Rpc::weather().bearer(&known)));
    let tokens: Vec<String> = (0..TIMES).map(|n| app.token(&format!("ada-{n}"), "user")).collect();
    let keys: Vec<String> =
        (0..TIMES).map(|n| app.key(&format!("service-{n}"), &["weather:read"]).0).collect();
    let stores = app.stores();
    let pair = Cell::new(Some(Pair::of(&app.login("ann", PASSWORD))));
    let alone = asked.alone();
    let of = |work: &mut dyn FnMut(u32)| asked.by(alone, work);

    let figures = [
        (
            "50 calls of a principal that is known",
            // Slices are renewed every five seconds, however many calls there are.
            (0, 1),
            of(&mut |_| (0..50).for_each(|_| weather(Rpc::weather().bearer(&known)))),
        ),
        (
            "a principal's first call",
            (1, 0),
            of(&mut |n| weather(Rpc::weather().bearer(&tokens[n as usize]))),
        ),
        ("a key's first call", (4, 0), of(&mut |n| weather(Rpc::weather().key(&keys[n as usize])))),
        ("a login", (8, 2), of(&mut |_| drop(Pair::of(&app.login("ann", PASSWORD))))),
        (
            "a refresh",
            // Of whoever has called seldom so far the slices are short.
            (4, 1),
            of(&mut |_| pair.set(pair.take().map(|pair| Pair::of(&app.refresh(&pair.refresh))))),
        ),
        (
            "a revocation",
            (3, 1),
            of(&mut |n| {
                let target = RevocationTarget::Jti(format!("gone-{n}"));
                block_on(app.tokens.revoke(target, Duration::from_secs(60))).unwrap();
            }),
        ),
    ];
    drop(stores);
    println!("round trips: alone {alone:.1} a second; {figures:?}");
    // What a change makes a server ask once it hears of it comes on top, once for several changes in one look.
    for (what, (own, later), measured) in figures {
        let fits = f64::from(own) - 0.75..f64::from(own + later) + 0.75;
        assert!(
            fits.contains(&measured),
            "{what}: {measured:.2} questions, the README says {own} and {later}"
        );
    }
}
