//! Whatever stands in the files and variables, a start ends with settings or with problems.

use proptest::prelude::*;

use crate::Desk;

/// Words that are keys, nearly keys and no keys at all.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "server", "tls", "jwt", "roles", "guest", "admin", "permissions", "extra", "inherits", "port",
            "host", "secret", "secret_file", "audience", "data_dir", "store", "url", "tools", "weather",
            "keys", "kid", "retire_at", "public_url", "allowed_hosts", "trusted_proxies", "max_body", "leeway",
            "a[99999999999]", "a.b", "",
        ]).prop_map(String::from),
        1 => any::<String>(),
    ]
}

/// A TOML value of any shape.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<f32>()
            .prop_filter("TOML has other names for these", |f| f.is_finite())
            .prop_map(|f| format!("{f:?}")),
        any::<String>().prop_map(quoted),
        prop::sample::select(vec![
            "\"5s\"",
            "\"1MiB\"",
            "\"sqlite:<data_dir>\"",
            "\"http://[::1]:0\"",
            "1979-05-27",
            "[]",
            "{}"
        ])
        .prop_map(String::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|all| format!("[{}]", all.join(", "))),
            prop::collection::btree_map(name(), inner, 0..4).prop_map(|all| {
                let all: Vec<_> =
                    all.into_iter().map(|(name, value)| format!("{} = {value}", quoted(name))).collect();
                format!("{{ {} }}", all.join(", "))
            }),
        ]
    })
}

/// `text` as a TOML string, every character of it escaped.
fn quoted(text: String) -> String {
    let escaped: String = text.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect();
    format!("\"{escaped}\"")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn any_tree_is_settings_or_problems(tree in prop::collection::btree_map(name(), value(), 0..6)) {
        let lines = tree.into_iter().map(|(name, value)| format!("{} = {value}\n", quoted(name)));
        let text: String = lines.collect();
        let desk = Desk::new("development").file("local.toml", &text);
        if let Err(refused) = desk.load() {
            prop_assert!(!refused.problems.is_empty());
            let is_toml = !refused.to_string().contains("is not TOML");
            prop_assert!(is_toml, "the test wrote no TOML: {}", text);
            prop_assert_eq!(refused.to_string().lines().count(), refused.problems.len());
        }
    }

    #[test]
    fn any_text_is_settings_or_problems(text in any::<String>(), flag in name(), other in any::<String>()) {
        let desk = Desk::new("development")
            .file("local.toml", &text)
            .variable(&format!("PORTCULLIS__{other}"), &text)
            .variable("PORTCULLIS__SERVER__ALLOWED_HOSTS", &text)
            .flag(&flag, &text);
        prop_assert!(desk.load().map_or_else(|refused| !refused.problems.is_empty(), |_| true));
    }
}
