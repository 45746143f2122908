//! Which layer wins, how values are read from it, and what an unknown key is told.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use config::{FileFormat, Format, Map, Value, ValueKind};
use portcullis::settings::{self, Durability, LogFormat, Settings, Source, StoreUrl, WeatherProvider};

use crate::{Desk, SECRET, refuses};

/// The settings that the project ships.
fn shipped() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/settings"))
}

/// `default.toml` with its example of a section that has no default, which stands there as a comment.
fn with_the_example() -> String {
    let text = fs::read_to_string(shipped().join("default.toml")).unwrap();
    let (before, example) = text.split_once("\n#[limits.tools.").unwrap();
    let (example, after) = example.split_once("\n\n").unwrap();
    let example = format!("\n#[limits.tools.{example}").replace("\n#", "\n");
    format!("{before}{example}\n\n{after}")
}

fn paths(table: &Map<String, Value>, above: &str, found: &mut BTreeSet<String>) {
    for (name, value) in table {
        let name = if ["roles.", "limits.tools."].contains(&above) { "<name>" } else { name };
        match &value.kind {
            ValueKind::Table(inner) => paths(inner, &format!("{above}{name}."), found),
            _ => {
                found.insert(format!("{above}{name}"));
            }
        }
    }
}

#[test]
fn default_toml_holds_every_key_of_the_code_and_nothing_else() {
    let text = with_the_example();
    let mut found = BTreeSet::new();
    paths(&FileFormat::Toml.parse(None, &text).unwrap(), "", &mut found);
    assert_eq!(found, settings::keys().map(|key| key.path.to_owned()).collect());
}

#[test]
fn default_toml_explains_every_key_in_the_words_of_the_code() {
    let text = with_the_example();
    let prose = text.replace("\n# ", " ");
    for key in settings::keys() {
        let name = key.path.rsplit('.').next().unwrap();
        assert!(prose.contains(&format!("{}\n{name} = ", key.doc)), "{}: {}", key.path, key.doc);
    }
}

#[test]
fn the_shipped_profiles_load_as_they_stand() {
    let load = |profile: &str| {
        let environment = [("JWT_SECRET_KEY".to_owned(), SECRET.to_owned())].into();
        let source =
            Source { dir: shipped().into(), profile: profile.into(), environment, overrides: Vec::new() };
        settings::load(&source).unwrap().settings
    };
    let development = load("development");
    assert_eq!(development.tools.weather.provider, WeatherProvider::Fixed);
    assert_eq!(development.audit.durability, Durability::Durable);
    assert_eq!(load("production").tools.weather.provider, WeatherProvider::OpenMeteo);
    let loadtest = load("loadtest");
    assert_eq!(loadtest.audit.durability, Durability::Buffered);
    assert_eq!(loadtest.telemetry.log, "warn");
}

#[test]
fn the_binary_alone_is_enough() {
    let mut desk = Desk::new("development");
    desk.source.dir = desk.path("nowhere");
    let loaded = desk.loaded();
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    let settings = loaded.settings;
    assert_eq!(settings.server.max_body, 4 * 1024 * 1024);
    assert_eq!(settings.jwt.access_ttl, Duration::from_secs(1800));
    assert_eq!(settings.jwt.issuer, "http://127.0.0.1:8080");
    assert_eq!(settings.jwt.audience, ["http://127.0.0.1:8080/mcp"]);
    assert_eq!(settings.store.url, StoreUrl::Sqlite("data/portcullis.db".into()));
    assert_eq!(settings.telemetry.format, LogFormat::Auto);
    assert_eq!(settings.roles.len(), 4);
    assert!(settings.jwt.secret.is_none(), "development generates it later");
    assert!(settings.weakenings().is_empty());
}

#[test]
fn settings_for_embedders_are_those_of_development() {
    let made = Settings::development(Path::new("elsewhere")).unwrap();
    let desk = Desk::new("development").flag("data_dir", "elsewhere");
    let mut read = desk.loaded().settings;
    // Whoever has no folder of settings has none of prompts either.
    assert_eq!(read.prompts_dir.take(), Some(desk.path("prompts")));
    assert_eq!(format!("{made:?}"), format!("{read:?}"));
    assert_eq!(made.store.url, StoreUrl::Sqlite("elsewhere/portcullis.db".into()));
    assert!(!made.is_production());
}

#[test]
fn later_layers_win() {
    let port = |desk: &Desk| desk.loaded().settings.server.port;
    let desk = Desk::new("development").file("default.toml", "[server]\nport = 1001\n[roles.guest]");
    assert_eq!(port(&desk), 1001);
    let desk = desk.file("development.toml", "[server]\nport = 1002");
    assert_eq!(port(&desk), 1002);
    let desk = desk.file("local.toml", "[server]\nport = 1003");
    assert_eq!(port(&desk), 1003);
    let desk = desk.variable("PORTCULLIS__SERVER__PORT", "1004");
    assert_eq!(port(&desk), 1004);
    let desk = desk.flag("server.port", "1005").flag("server.port", "1006");
    assert_eq!(port(&desk), 1006);
}

#[test]
fn a_role_taken_out_of_default_toml_is_gone_and_a_list_replaces_a_list() {
    let desk = Desk::new("development")
        .file("default.toml", "[roles.guest]\npermissions = [\"weather:read\", \"files:read\"]")
        .file("local.toml", "[roles.guest]\npermissions = [\"files:read\"]");
    let roles = desk.loaded().settings.roles;
    assert_eq!(roles.len(), 1);
    assert_eq!(roles["guest"].permissions, ["files:read"]);
}

#[test]
fn the_shared_secret_variable_counts_and_ours_wins_over_it() {
    let other = "Wm9-_x7QkR2vT8yL4nB6cD1fH3jP5sZ0aE9gU";
    let desk = Desk::production().file("local.toml", &format!("[jwt]\nsecret = \"{other}\""));
    assert_eq!(desk.loaded().settings.jwt.secret.unwrap().expose(), SECRET.as_bytes());
    let desk = desk.variable("PORTCULLIS__JWT__SECRET", other);
    assert_eq!(desk.loaded().settings.jwt.secret.unwrap().expose(), other.as_bytes());
}

#[test]
fn variables_are_read_by_the_kind_of_their_key() {
    let settings = Desk::new("development")
        .variable("PORTCULLIS__SERVER__ALLOWED_HOSTS", "[::1], Gate.example.org:8443")
        .variable("PORTCULLIS__SERVER__TRUSTED_PROXIES", "[\"10.1.2.3/8\", \"::1\"]")
        .variable("PORTCULLIS__ADMIN__UNSAFE_FAULTS", "true")
        .variable("PORTCULLIS__ADMIN__UNSAFE_METRICS_ON_MAIN", "true")
        .variable("PORTCULLIS__REVOCATION__ON_STORE_LOSS", "unsafe_allow")
        .variable("PORTCULLIS__ROLES__GUEST__PERMISSIONS", "weather:read,files:*")
        .variable("PORTCULLIS__JWT__ISSUER", "12345678901234567890123456789012345678")
        .variable("PORTCULLIS_PROFILE", "is not a setting")
        .variable("HOME", "neither is this")
        .loaded()
        .settings;
    assert_eq!(settings.server.allowed_hosts, ["[::1]", "gate.example.org:8443"]);
    assert_eq!(
        settings.server.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["10.0.0.0/8", "::1/128"]
    );
    assert_eq!(settings.roles["guest"].permissions, ["weather:read", "files:*"]);
    assert_eq!(settings.jwt.issuer, "12345678901234567890123456789012345678");
    assert_eq!(
        settings.weakenings(),
        [
            "admin.unsafe_metrics_on_main",
            "admin.unsafe_faults",
            "revocation.on_store_loss = \"unsafe_allow\""
        ]
    );
}

#[test]
fn a_variable_of_the_wrong_kind_is_named() {
    for (name, value, key) in [
        ("PORTCULLIS__ADMIN__UNSAFE_FAULTS", "yes", "admin.unsafe_faults"),
        ("PORTCULLIS__ADMIN__UNSAFE_FAULTS", "1", "admin.unsafe_faults"),
        ("PORTCULLIS__SERVER__PORT", "", "server.port"),
        ("PORTCULLIS__SERVER__PORT", "65536", "server.port"),
        ("PORTCULLIS__SERVER__HOST", "example.org", "server.host"),
        ("PORTCULLIS__JWT__AUDIENCE", "a,,b", "jwt.audience"),
    ] {
        let problem = Desk::new("development").variable(name, value).problem(key);
        assert!(problem.problem.contains(&format!("(it stands in the variable {name})")), "{problem}");
    }
}

#[test]
fn values_in_files_are_never_coerced() {
    for (text, key) in [
        ("[admin]\nunsafe_faults = \"yes\"", "admin.unsafe_faults"),
        ("[admin]\nunsafe_faults = \"true\"", "admin.unsafe_faults"),
        ("[admin]\nunsafe_faults = 1", "admin.unsafe_faults"),
        ("[server]\nport = \"1\"", "server.port"),
        ("[server]\nport = 1.0", "server.port"),
        ("[server]\nport = -1", "server.port"),
        ("[server]\nname = 1", "server.name"),
        ("[server]\nrequest_timeout = 30", "server.request_timeout"),
        ("[server]\nallowed_hosts = \"localhost\"", "server.allowed_hosts"),
        ("[server]\nallowed_hosts = [1]", "server.allowed_hosts"),
        ("[jwt]\nsecret = 12345678901234567", "jwt.secret"),
    ] {
        refuses(text, key, "must be ");
    }
    refuses("admin = 1", "admin", "is a section, not a key");
}

#[test]
fn every_unknown_key_is_named_with_the_nearest_known_one() {
    let desk = Desk::new("development")
        .file(
            "local.toml",
            "dat_dir = \"x\"\n\"a[9999999999]\" = 1\n[sever]\nport = 1\nhost = \"x\"\n\
             [jwt]\nsecert = 1\n\"b\\u001b\" = 1\n[roles.guest]\npermision = []",
        )
        .variable("PORTCULLIS__SERVER__PROT", "1")
        .flag("server.", "1");
    let problems = desk.problems();
    let found: Vec<_> = problems.iter().map(|p| (p.key.as_str(), p.fix.as_str())).collect();
    for (key, nearest) in [
        ("dat_dir", "data_dir"),
        ("sever.port", "server.port"),
        ("sever.host", "server.host"),
        ("jwt.secert", "jwt.secret"),
        ("roles.guest.permision", "roles.guest.permissions"),
        ("server.prot", "server.port"),
    ] {
        let fix = format!("take it out, or write {nearest} if that was meant");
        assert!(found.contains(&(key, fix.as_str())), "{key}: {found:#?}");
    }
    assert_eq!(problems.len(), 9, "{problems:#?}");
    assert!(problems.iter().any(|p| p.problem.contains("the variable PORTCULLIS__SERVER__PROT")));
    assert!(
        problems.iter().all(|p| !p.to_string().contains('\u{1b}')),
        "control characters reach a terminal"
    );
}

#[test]
fn all_problems_come_at_once_one_a_line() {
    let desk = Desk::new("production").file(
        "local.toml",
        "[server]\nhost = \"0.0.0.0\"\nport = \"x\"\n[nonsense]\nx = 1\n[audit]\ncheckpoint_every = 0",
    );
    let refused = desk.load().unwrap_err();
    let keys: Vec<_> = refused.problems.iter().map(|p| p.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "audit.checkpoint_every",
            "jwt.secret",
            "nonsense.x",
            "server.allowed_hosts",
            "server.host",
            "server.port"
        ]
    );
    assert_eq!(refused.to_string().lines().count(), 6);
}
