//! Every rule, at its limit and one past it.

use std::fmt::Write;

use crate::{Desk, SECRET, refuses};

/// Asserts that `local.toml` with this text is accepted in development.
fn accepts(text: &str) {
    Desk::new("development").file("local.toml", text).loaded();
}

#[test]
fn numbers_durations_and_sizes_have_bounds() {
    for (key, inside, outside) in [
        ("server.port", &["0", "65535"][..], &["65536", "-1"][..]),
        ("server.workers", &["0", "1024"], &["1025"]),
        ("server.max_body", &["\"1KiB\"", "\"64MiB\""], &["\"1023B\"", "\"65MiB\"", "\"1MB\"", "1024"]),
        ("server.request_timeout", &["\"1ms\"", "\"10m\""], &["\"0s\"", "\"601s\"", "\"5\"", "\"5 s\""]),
        ("server.shutdown_grace", &["\"1ms\"", "\"10m\""], &["\"0s\"", "\"11m\""]),
        ("server.drain_delay", &["\"0s\"", "\"10m\""], &["\"601s\"", "\"5\""]),
        ("server.max_connections", &["1", "1000000"], &["0", "1000001"]),
        ("server.max_answers", &["\"16MiB\"", "\"1024GiB\""], &["\"15MiB\"", "\"1025GiB\""]),
        ("admin.port", &["0", "65535"], &["65536"]),
        ("jwt.access_ttl", &["\"1s\"", "\"24h\""], &["\"0s\"", "\"31d\""]),
        ("jwt.max_ttl", &["\"30m\"", "\"30d\""], &["\"0s\"", "\"721h\""]),
        ("jwt.leeway", &["\"0s\"", "\"60s\""], &["\"61s\""]),
        ("revocation.grace", &["\"1ms\"", "\"10m\""], &["\"0s\"", "\"601s\""]),
        (
            "limits.default.capacity",
            &["1", "1000000000"],
            &["0", "-1", "1000000001", "1000000000000000000", "1.5"],
        ),
        (
            "limits.ip.refill_per_second",
            &["0.000001", "1", "1000000000", "1e9"],
            &["0", "0.0", "-0.5", "1000000001", "1e18", "nan", "-nan", "inf", "\"1\""],
        ),
        ("limits.failures.capacity", &["1", "1000000000"], &["0"]),
        ("roles.guest.capacity", &["1", "1000000000"], &["0", "nan"]),
        ("roles.guest.refill_per_second", &["0.000001", "1000000000"], &["0", "nan"]),
        ("limits.tools.x.cost", &["1", "1000000000"], &["0"]),
        ("limits.tools.x.max_in_flight", &["1", "1000000000"], &["0"]),
        ("limits.store_wait", &["\"1ms\"", "\"10s\""], &["\"0ms\"", "\"11s\""]),
        ("audit.checkpoint_every", &["1", "1000000"], &["0", "1000001"]),
        ("audit.retention", &["\"1h\"", "\"3650d\""], &["\"59m\"", "\"3651d\""]),
        ("audit.fleet_records", &["1000", "1000000000"], &["999", "1000000001"]),
        ("tools.weather.timeout", &["\"1ms\"", "\"1m\""], &["\"0ms\"", "\"61s\""]),
    ] {
        let (section, name) = key.rsplit_once('.').unwrap();
        inside.iter().for_each(|value| accepts(&format!("[{section}]\n{name} = {value}")));
        outside.iter().for_each(|value| {
            let text = format!("[{section}]\n{name} = {value}");
            let problems = Desk::new("development").file("local.toml", &text).problems();
            assert!(
                problems.iter().any(|p| p.key == key && p.problem.starts_with("must be ")),
                "{problems:?}"
            );
        });
    }
}

#[test]
fn words_are_those_of_the_contract() {
    for (key, words) in [
        ("jwt.algorithm", &["HS256", "ES256", "EdDSA", "RS256"][..]),
        ("revocation.on_store_loss", &["deny", "grace", "unsafe_allow"]),
        ("policy.denied", &["explain", "hide"]),
        ("limits.mode", &["enforce", "shadow", "unsafe_off"]),
        ("limits.on_store_loss", &["local_share", "deny", "unsafe_allow"]),
        ("audit.durability", &["durable", "buffered"]),
        ("tools.weather.provider", &["open_meteo", "fixed"]),
        ("telemetry.format", &["auto", "pretty", "json"]),
        ("telemetry.log", &["info", "warn,portcullis=debug", "off"]),
    ] {
        words.iter().for_each(|word| {
            Desk::new("development").flag(key, word).loaded();
        });
        for wrong in ["", "none", "RS384", "HIDE", "a=b=c"] {
            if key != "telemetry.log" || wrong.is_empty() || wrong.contains('=') {
                Desk::new("development").flag(key, wrong).problem(key);
            }
        }
    }
}

#[test]
fn a_weak_secret_is_refused_in_every_profile() {
    for profile in ["development", "production", "loadtest"] {
        for (secret, why) in [
            ("k2J8fPq0Zr5LwXc7Yv1NbT4mHs9GdU3", "is shorter than 32 bytes"),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "repeats itself"),
            ("changeme-changeme-changeme-changeme!", "is built around a well-known word"),
            ("zazzaazzaazazazzazaazzaqzqzazazzaqzaz", "has too little entropy"),
        ] {
            let problem = Desk::new(profile).variable("JWT_SECRET_KEY", secret).problem("jwt.secret");
            assert!(problem.problem.starts_with(why), "{problem}");
            assert!(problem.problem.contains("the variable JWT_SECRET_KEY"), "{problem}");
            let desk = Desk::new(profile).file("key", secret);
            let path = desk.path("key").display().to_string();
            assert!(desk.flag("jwt.secret_file", &path).problem("jwt.secret_file").problem.starts_with(why));
        }
    }
}

#[test]
fn a_secret_is_given_once() {
    let desk = Desk::new("development").file("key", SECRET).variable("JWT_SECRET_KEY", SECRET);
    let path = desk.path("key").display().to_string();
    let problem = desk.flag("jwt.secret_file", &path).problem("jwt.secret");
    assert!(problem.problem.starts_with("is set beside jwt.secret_file"), "{problem}");
}

#[test]
fn production_refuses_a_missing_secret() {
    let problem = Desk::new("production").problem("jwt.secret");
    assert!(problem.problem.starts_with("is empty"), "{problem}");
    Desk::new("production").variable("JWT_SECRET_KEY", "").problem("jwt.secret");
    assert!(Desk::new("loadtest").loaded().settings.jwt.secret.is_none());
}

#[test]
fn production_refuses_to_listen_off_loopback_without_tls_or_proxy() {
    let open =
        |desk: Desk| desk.flag("server.host", "0.0.0.0").flag("server.allowed_hosts", "mcp.example.org");
    let problem = open(Desk::production()).problem("server.host");
    assert!(problem.problem.starts_with("listens off loopback without TLS"), "{problem}");
    open(Desk::production()).flag("server.trusted_proxies", "10.0.0.7").loaded();
    let desk = open(Desk::production()).file("cert.pem", "").file("key.pem", "");
    let (certificate, key) = (desk.path("cert.pem"), desk.path("key.pem"));
    desk.flag("server.tls.certificate", &certificate.display().to_string())
        .flag("server.tls.private_key", &key.display().to_string())
        .loaded();
    assert!(!open(Desk::new("development")).loaded().warnings.is_empty());
    for host in ["::", "192.0.2.1"] {
        open(Desk::production()).flag("server.host", host).problem("server.host");
    }
}

#[test]
fn off_loopback_the_allowed_hosts_name_somebody_else() {
    let open = |desk: Desk| desk.flag("server.host", "::").flag("server.trusted_proxies", "::1");
    for profile in ["production", "development", "loadtest"] {
        let desk = open(Desk::new(profile).variable("JWT_SECRET_KEY", SECRET));
        let problem = desk.flag("server.allowed_hosts", "").problem("server.allowed_hosts");
        assert!(problem.problem.starts_with("is empty although"), "{problem}");
    }
    let problem = open(Desk::production()).problem("server.allowed_hosts");
    assert!(problem.problem.starts_with("names only this machine"), "{problem}");
    open(Desk::production()).flag("server.allowed_hosts", "localhost,mcp.example.org").loaded();
    let warnings = open(Desk::new("development")).loaded().warnings;
    assert!(warnings.iter().any(|w| w.key == "server.allowed_hosts"), "{warnings:?}");
}

#[test]
fn production_refuses_what_weakens_it_most() {
    Desk::production().flag("admin.unsafe_faults", "true").problem("admin.unsafe_faults");
    Desk::production().flag("limits.mode", "unsafe_off").problem("limits.mode");
    Desk::production().flag("store.url", "memory:").problem("store.url");
    Desk::production().flag("admin.host", "0.0.0.0").problem("admin.host");
    for profile in ["development", "loadtest"] {
        Desk::new(profile).flag("admin.unsafe_faults", "true").flag("store.url", "memory:").loaded();
        assert_eq!(Desk::new(profile).flag("admin.host", "::").loaded().warnings[0].key, "admin.host");
    }
}

#[test]
fn production_warns_of_every_other_weakening() {
    for (key, value) in [
        ("admin.unsafe_metrics_on_main", "true"),
        ("revocation.on_store_loss", "unsafe_allow"),
        ("limits.on_store_loss", "unsafe_allow"),
    ] {
        let loaded = Desk::production().flag(key, value).loaded();
        let keys: Vec<_> = loaded.warnings.iter().map(|warning| warning.key.as_str()).collect();
        assert_eq!(keys, [key]);
        assert!(loaded.settings.weakenings()[0].starts_with(key), "the banner does not name {key}");
        let warnings = Desk::new("development").flag(key, value).loaded().warnings;
        assert!(warnings.iter().all(|warning| warning.key != key), "{warnings:?}");
    }
    assert!(Desk::production().loaded().warnings.is_empty());
}

#[test]
fn tls_takes_two_files_that_are_there() {
    let desk = Desk::new("production")
        .variable("JWT_SECRET_KEY", SECRET)
        .file("a", "")
        .file_with_mode("open", "", 0o644);
    let (sound, open) = (desk.path("a").display().to_string(), desk.path("open").display().to_string());
    let with = |certificate: &str, key: &str| {
        let desk = Desk::production().flag("server.tls.certificate", certificate);
        desk.flag("server.tls.private_key", key)
    };
    with(&open, &sound).loaded();
    with(&sound, "").problem("server.tls.private_key");
    with("", &sound).problem("server.tls.certificate");
    with("/nowhere", &sound).problem("server.tls.certificate");
    with(&sound, "/nowhere").problem("server.tls.private_key");
    let problem = with(&sound, &open).problem("server.tls.private_key");
    assert!(problem.problem.contains("can read the file"), "{problem}");
}

#[test]
fn addresses_are_written_one_way() {
    for (url, words) in [
        ("https://mcp.example.org/", "ends with a slash"),
        ("https://MCP.example.org", "is not in canonical form"),
        ("https://u:p@mcp.example.org", "holds a user name"),
        ("https://mcp.example.org#a", "holds a query or fragment"),
        ("ftp://mcp.example.org", "must be an absolute http or https URL"),
        ("mcp.example.org", "must be an absolute http or https URL"),
    ] {
        refuses(&format!("[server]\npublic_url = \"{url}\""), "server.public_url", words);
    }
    let loaded = Desk::new("development").flag("server.public_url", "https://mcp.example.org").loaded();
    assert_eq!(loaded.settings.jwt.audience, ["https://mcp.example.org/mcp"]);
    assert_eq!(loaded.settings.jwt.issuer, "https://mcp.example.org");
    assert_eq!(
        loaded.warnings[0].problem.split(" (").next(),
        Some("has a host that server.allowed_hosts does not let in")
    );
    for key in ["base_url", "geocoding_url"] {
        let text = format!("[tools.weather]\n{key} = \"https://a.example/v1?apikey=hush\"");
        refuses(&text, &format!("tools.weather.{key}"), "holds a user, password, query or fragment");
    }
}

#[test]
fn lists_of_addresses_hold_only_addresses() {
    refuses("[server]\nallowed_hosts = [\"*.example.org\"]", "server.allowed_hosts", "is not a host");
    refuses("[server]\nallowed_origins = [\"*\"]", "server.allowed_origins", "is not an origin");
    refuses(
        "[server]\ntrusted_proxies = [\"10.0.0.0/33\"]",
        "server.trusted_proxies",
        "must be a list of IP",
    );
    refuses("[server]\ntrusted_proxies = [\"::/0\"]", "server.trusted_proxies", "everybody");
    refuses("[jwt]\naudience = [\"\"]", "jwt.audience", "none of them empty");
    refuses("[jwt]\naudience = [\"a b\"]", "jwt.audience", "without spaces");
    refuses("[store]\nurl = \"valkey://h\"", "store.url", "do not know");
    refuses("[store]\nkey_prefix = \"{a}\"", "store.key_prefix", "letters, digits");
    refuses("[store]\nurl = \"redis+cluster://h\"\nkey_prefix = \"\"", "store.key_prefix", "cluster");
    refuses("[server]\nname = \"a\\tb\"", "server.name", "printable");
    accepts(&format!("[server]\nname = \"{}\"", "é".repeat(64)));
    refuses(&format!("[server]\nname = \"{}\"", "é".repeat(65)), "server.name", "1 to 64");
}

#[test]
fn a_redis_over_tls_is_checked_and_nothing_is_set_in_vain() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tls.pem");
    std::fs::write(&file, "x").unwrap();
    let (file, store) = (file.display(), |lines: &str| format!("[store]\n{lines}"));
    for scheme in ["rediss", "rediss+cluster", "rediss+sentinel"] {
        let url = format!("url = \"{scheme}://h/#insecure\"");
        refuses(&store(&url), "store.url", "store.ca_file");
    }
    let sealed = "url = \"rediss://h\"";
    accepts(&store(&format!("{sealed}\nca_file = \"{file}\"")));
    accepts(&store(&format!("{sealed}\nclient_certificate = \"{file}\"\nclient_key_file = \"{file}\"")));
    let problems = |text: &str| Desk::new("development").file("local.toml", text).problems();
    let all = ["ca_file", "client_certificate", "client_key_file"];
    for (lines, words) in [("url = \"redis://h\"", "over TLS"), (sealed, "cannot be read")] {
        let end = if words == "over TLS" { "" } else { ".gone" };
        let set: String = all.iter().map(|key| format!("\n{key} = \"{file}{end}\"")).collect();
        let found = problems(&store(&format!("{lines}{set}")));
        let keys: Vec<_> = found.iter().map(|problem| &*problem.key).collect();
        assert_eq!(keys, all.map(|key| format!("store.{key}")));
        assert!(found.iter().all(|problem| problem.problem.contains(words)), "{found:?}");
    }
    let lonely = |set: &str| {
        let text = store(&format!("{sealed}\n{set} = \"{file}\""));
        Desk::new("development").file("local.toml", &text)
    };
    for (set, missing) in
        [("client_certificate", "store.client_key_file"), ("client_key_file", "store.client_certificate")]
    {
        assert!(lonely(set).problem(missing).problem.contains("missing beside"), "{set}");
    }
}

#[test]
fn keys_that_belong_together_agree() {
    refuses("[jwt]\naccess_ttl = \"25h\"", "jwt.access_ttl", "is above jwt.max_ttl");
    accepts("[jwt]\naccess_ttl = \"24h\"");
    refuses("[admin]\nport = 8080", "admin.port", "is server.port too");
    accepts("[admin]\nport = 0\n[server]\nport = 0");
    accepts("[admin]\nport = 8080\nhost = \"127.0.0.2\"");
    let warnings = Desk::new("development").flag("server.port", "8081").loaded().warnings;
    assert_eq!(warnings[0].key, "server.public_url");
}

#[test]
fn roles_name_what_exists_in_every_profile() {
    for profile in ["development", "production", "loadtest"] {
        let start = || Desk::new(profile).variable("JWT_SECRET_KEY", SECRET);
        let problem =
            start().flag("roles.guest.permissions", "wether:read").problem("roles.guest.permissions");
        assert!(problem.fix.contains("\"weather:read\""), "{problem}");
        let problem = start().flag("roles.user.inherits", "gest").problem("roles.user.inherits");
        assert!(problem.fix.contains("\"guest\""), "{problem}");
        start().flag("roles.guest.permissions", "tickets:*").problem("roles.guest.permissions");
        start()
            .flag("roles.guest.permissions", "tickets:*,tickets:close,*,files:*")
            .flag("permissions.extra", "tickets:close")
            .loaded();
    }
}

#[test]
fn limits_of_a_tool_are_whole_and_can_be_kept() {
    let at = "[limits.tools.x]";
    accepts(&format!("{at}\ncapacity = 10\nrefill_per_second = 0.5\ncost = 10\nmax_in_flight = 1"));
    for (text, key, words) in [
        ("capacity = 10", "limits.tools.x", "without the other"),
        ("refill_per_second = 1", "limits.tools.x", "without the other"),
        (
            "capacity = 9\nrefill_per_second = 1\ncost = 10",
            "limits.tools.x.capacity",
            "is below its cost: no call could ever run",
        ),
        ("coast = 1", "limits.tools.x.coast", "limits.tools.x.cost"),
    ] {
        let problem = Desk::new("development").file("local.toml", &format!("{at}\n{text}")).problem(key);
        assert!(problem.to_string().contains(words), "{problem}");
    }
    let settings = Desk::new("development")
        .variable("PORTCULLIS__LIMITS__IP__REFILL_PER_SECOND", "0.5")
        .loaded()
        .settings;
    assert!((settings.limits.ip.refill_per_second - 0.5).abs() < 1e-9);
    Desk::new("development")
        .variable("PORTCULLIS__LIMITS__IP__REFILL_PER_SECOND", "NaN")
        .problem("limits.ip.refill_per_second");
}

#[test]
fn roles_do_not_inherit_themselves() {
    let problem =
        Desk::new("development").flag("roles.guest.inherits", "premium").problem("roles.guest.inherits");
    assert!(problem.problem.starts_with("inherits itself: guest -> premium -> user -> guest"), "{problem}");
    Desk::new("development").flag("roles.admin.inherits", "admin").problem("roles.admin.inherits");
    accepts("[roles]\na.inherits = [\"b\", \"c\"]\nb.inherits = [\"guest\"]\nc.inherits = [\"guest\"]");
}

#[test]
fn extra_permissions_have_a_shape_and_no_wildcard() {
    for name in ["files:*", "*", "files", "Files:read", "a:b:c"] {
        let problem = Desk::new("development").flag("permissions.extra", name).problem("permissions.extra");
        assert!(problem.problem.contains("not of the form resource:action"), "{problem}");
    }
}

#[test]
fn there_are_one_to_sixty_four_roles_of_plain_names() {
    let roles = |count: usize| {
        let mut text = String::new();
        (0..count).for_each(|n| writeln!(text, "[roles.r{n}]").unwrap());
        Desk::new("development").file("default.toml", &text)
    };
    assert_eq!(roles(64).loaded().settings.roles.len(), 64);
    roles(65).problem("roles");
    roles(0).problem("roles");
    for name in ["Guest", "1st", "\"\"", "\"a b\"", &"a".repeat(33)] {
        let problems = Desk::new("development").file("local.toml", &format!("[roles.{name}]")).problems();
        assert!(problems.len() == 1 && problems[0].problem.contains("the name of a role"), "{problems:?}");
    }
    accepts(&format!("[roles.{}]", "a".repeat(32)));
}

#[test]
fn the_file_is_a_sink_always_and_what_is_none_is_refused() {
    for sinks in ["[\"file\"]", "[\"file\", \"redis\"]", "[\"redis\", \"file\"]"] {
        accepts(&format!("[audit]\nsinks = {sinks}"));
    }
    for sinks in ["[]", "[\"redis\"]", "[\"file\", \"kafka\"]", "\"file\"", "[\"\"]"] {
        let text = format!("[audit]\nsinks = {sinks}");
        let problems = Desk::new("development").file("local.toml", &text).problems();
        assert!(problems.iter().any(|problem| problem.key == "audit.sinks"), "{sinks}: {problems:?}");
    }
}
