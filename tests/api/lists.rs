//! Whoever sees a tool in the list may call it, and whoever may call it sees it: one decision for both.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use portcullis::{
    domain::{Catalogue, Principal, PrincipalKind, Recorded},
    house::Views,
    policy::{self, CallTool, RoleRule, Roles},
    protocol::Revision,
    tools::{
        AnyTool, Call, Hints, LocalFuture, Produced, Registry, Schema, SchemaError, Spec, Tool, ToolError,
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::support::{
    app::{TestApp, without_limits},
    rpc::Rpc,
    tools::{self, Dawdles},
};

/// Permissions of the generated tools and roles.
const PERMISSIONS: [&str; 9] = [
    "admin:users",
    "files:delete",
    "files:read",
    "files:write",
    "metrics:view",
    "weather:read",
    "weather:write",
    "tickets:close",
    "tickets:open",
];
/// Patterns that stand in roles.
const PATTERNS: [&str; 5] = ["*", "files:*", "tickets:*", "weather:*", "admin:*"];
/// Roles that may be declared; tokens name others too.
const ROLES: [&str; 4] = ["a", "b", "c", "d"];

/// A tool of which only name and permission count.
struct Named(&'static Spec);

impl AnyTool for Named {
    fn spec(&self) -> &'static Spec {
        self.0
    }

    fn input(&self) -> Result<Schema, SchemaError> {
        AnyTool::input(&Dawdles)
    }

    fn output(&self) -> Result<Option<Schema>, SchemaError> {
        AnyTool::output(&Dawdles)
    }

    fn call<'a>(&'a self, _: &'a str, _: &'a Call<'a>) -> LocalFuture<'a, Result<Produced, ToolError>> {
        Box::pin(async { Produced::of(&json!({ "done": true })) })
    }
}

/// A tool of that number and permission; leaked, since facts about tools are static.
fn tool(number: usize, needs: &'static str) -> Box<dyn AnyTool> {
    let name = Box::leak(format!("tool_{number:03}").into_boxed_str());
    let spec = Spec { name, needs, hints: Hints::READ, deadline: Duration::from_secs(1), ..Dawdles::SPEC };
    Box::new(Named(Box::leak(Box::new(spec))))
}

fn words(from: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop::sample::select(from), 0..=most)
        .prop_map(|words| words.into_iter().map(str::to_owned).collect())
}

/// Rules of some roles; each inherits only from those before it, so that they can be worked out.
fn rules() -> impl Strategy<Value = BTreeMap<Box<str>, RoleRule>> {
    let one = (
        words(&PERMISSIONS, 3),
        prop::option::weighted(0.3, prop::sample::select(&PATTERNS[..])),
        any::<[bool; 4]>(),
    );
    prop::collection::vec(one, 0..=4).prop_map(|all| {
        let rule =
            |at: usize, (mut permissions, pattern, inherits): (Vec<String>, Option<&str>, [bool; 4])| {
                permissions.extend(pattern.map(str::to_owned));
                let inherits = (0..at).filter(|below| inherits[*below]).map(|below| ROLES[below].to_owned());
                (ROLES[at].into(), RoleRule { permissions, inherits: inherits.collect() })
            };
        all.into_iter().enumerate().map(|(at, parts)| rule(at, parts)).collect()
    })
}

fn names(list: &[u8]) -> BTreeSet<String> {
    let list: Value = serde_json::from_str(&format!("{{{}}}", String::from_utf8_lossy(list))).unwrap();
    assert_eq!(list["cacheScope"], "private");
    let tools = list["tools"].as_array().unwrap().iter();
    tools.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn what_is_listed_is_what_may_be_called(
        rules in rules(),
        needs in prop::collection::vec(prop::sample::select(&PERMISSIONS[..]), 0..12),
        callers in prop::collection::vec(
            (words(&["a", "b", "c", "d", "nobody", "A", ""], 4), words(&["files:read", "tickets:open", "files:*", "*", "x:y"], 3)),
            1..8,
        ),
    ) {
        let catalogue = Catalogue::new(&PERMISSIONS[7..]).unwrap();
        let roles = Roles::new(catalogue, rules).unwrap();
        let tools = needs.iter().enumerate().map(|(number, needs)| tool(number, needs)).collect();
        let registry = Registry::new(tools, roles.catalogue()).unwrap();
        let views = Views::new("tests", &registry);
        for (named, single) in callers {
            let grant = roles.grant(&named, &single);
            let caller = Arc::new(Principal {
                id: "ada".parse().unwrap(),
                kind: PrincipalKind::Jwt,
                client: "tests".into(),
                credential: "x".into(),
                roles: grant.roles,
                permissions: grant.permissions,
                reach: grant.permissions,
                recorded: Recorded::default(),
            });
            // By names alone, without the sets of bits that the house works with.
            let held = roles.catalogue().names(caller.permissions);
            let by_name: BTreeSet<String> = registry
                .iter()
                .filter(|entry| held.contains(&entry.spec().needs))
                .map(|entry| entry.spec().name.to_owned())
                .collect();
            let callable: BTreeSet<String> = registry
                .iter()
                .filter(|entry| policy::decide::<CallTool>(&caller, entry.needs()).is_ok())
                .map(|entry| entry.spec().name.to_owned())
                .collect();
            prop_assert_eq!(&by_name, &callable);
            // Twice: made, and found again.
            prop_assert_eq!(&names(&views.tools(&caller, &registry, Revision::July2026)), &callable);
            prop_assert_eq!(&names(&views.tools(&caller, &registry, Revision::July2026)), &callable);
            for text in single.iter().filter(|text| text.contains('*')) {
                prop_assert!(grant.unknown.iter().any(|unknown| **unknown == **text), "a wildcard in a token grants");
            }
        }
    }
}

#[test]
fn over_the_wire_each_role_can_call_exactly_what_it_is_shown() {
    let app = TestApp::with(without_limits, tools::all().1);
    let everything = [
        "get_weather",
        "get_security_audit",
        "report_weather",
        "list_files",
        "read_file",
        "write_file",
        "delete_file",
        "list_users",
        "dawdles",
        "panics",
        "lies",
        "matches",
        "nothing_of_ours",
    ];
    for roles in [&["guest"][..], &["user"], &["premium"], &["admin"], &["guest", "admin"], &["nobody"], &[]]
    {
        let (token, _) = app.minted("ada", roles, &[], "tests");
        let mut connection = app.connect();
        let list = Rpc::list().bearer(&token).on(&mut connection).result();
        let shown: BTreeSet<&str> =
            list["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        for name in everything {
            // Arguments that fit no tool: nothing runs, and the permission is asked first.
            let reply = Rpc::call(name, json!({ "?": 1 })).bearer(&token).on(&mut connection);
            let may = reply.status == 200 && reply.json()["result"]["isError"] == true;
            assert_eq!(may, shown.contains(name), "{roles:?} {name}: {}", reply.text());
        }
    }
}

#[test]
fn the_list_is_that_of_the_caller_also_on_a_connection_of_another() {
    let app = TestApp::start();
    let (guest, admin) = (app.token("ada", "guest"), app.token("root", "admin"));
    let mut connection = app.connect();
    for _ in 0..3 {
        let few = Rpc::list().bearer(&guest).on(&mut connection).result();
        let all = Rpc::list().bearer(&admin).on(&mut connection).result();
        assert_eq!(few["tools"].as_array().unwrap().len(), 1);
        assert_eq!(all["tools"].as_array().unwrap().len(), 8);
        assert_eq!((&few["cacheScope"], &all["cacheScope"]), (&json!("private"), &json!("private")));
    }
}
