//! What is wrong with files: their text, their absence, and who else can reach them.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::{Desk, SECRET};

#[test]
fn text_that_is_not_toml_is_named_by_file_and_line() {
    for (text, place) in [
        ("[server]\nport = 1\nhost = \n", "line 3, column"),
        ("[server]\nport = 1\n[server]\nport = 2\n", "line 3, column"),
        ("[server]\nport = 1\nport = 2\n", "line 3, column"),
        ("a = 1\n\nb = 99999999999999999999\n", "line 3"),
    ] {
        let desk = Desk::new("development").file("local.toml", text);
        let path = desk.path("local.toml").display().to_string();
        let problem = desk.problem(&path);
        assert!(problem.problem.contains(&format!("is not TOML at {place}")), "{problem}");
    }
}

#[test]
fn every_broken_file_is_named() {
    let desk = Desk::new("development")
        .file("default.toml", "[")
        .file("development.toml", "x")
        .file("local.toml", "=");
    assert_eq!(desk.problems().len(), 3);
    fs::write(desk.path("local.toml"), b"\xff").unwrap();
    assert!(desk.problems().iter().any(|p| p.problem == "is not UTF-8"));
    fs::remove_file(desk.path("local.toml")).unwrap();
    fs::create_dir(desk.path("local.toml")).unwrap();
    assert!(desk.problems().iter().any(|p| p.problem.starts_with("cannot be read")));
}

#[test]
fn a_broken_line_is_not_shown_since_it_may_hold_a_secret() {
    for text in [format!("[jwt]\nsecret = \"{SECRET}"), format!("[jwt]\nsecret = {SECRET}"), SECRET.into()] {
        let refused = Desk::new("development").file("local.toml", &text).load().unwrap_err();
        assert!(!refused.to_string().contains(SECRET), "{refused}");
    }
}

#[test]
fn a_profile_without_a_file_is_refused_with_the_nearest() {
    let problem = Desk::new("prodution").problem("profile");
    assert!(problem.fix.ends_with("the nearest is production"), "{problem}");
    for name in ["", "../production", "PRODUCTION"] {
        assert!(Desk::new(name).problem("profile").problem.starts_with("must be 1 to 32"), "{name}");
    }
    let own = Desk::new("staging").file("staging.toml", "").variable("JWT_SECRET_KEY", SECRET);
    assert!(own.loaded().settings.is_production(), "an unknown profile gets the strict rules");
}

#[test]
fn the_secret_file_is_read_without_one_line_break() {
    for (text, key) in [
        (SECRET.to_owned(), SECRET.to_owned()),
        (format!("{SECRET}\n"), SECRET.to_owned()),
        (format!("{SECRET}\r\n"), SECRET.to_owned()),
        (format!("{SECRET}\n\n"), format!("{SECRET}\n")),
        (format!(" {SECRET}"), format!(" {SECRET}")),
    ] {
        let desk = Desk::new("production").file("key", &text);
        let path = desk.path("key").display().to_string();
        let loaded = desk.flag("jwt.secret_file", &path).loaded();
        assert_eq!(loaded.settings.jwt.secret.unwrap().expose(), key.as_bytes(), "{text:?}");
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    }
}

#[test]
fn a_secret_file_that_others_can_reach_is_refused_off_development() {
    for (mode, words) in [
        (0o604, "every user of this machine can read the file"),
        (0o620, "others can change the file"),
        (0o602, "others can change the file"),
    ] {
        for profile in ["production", "loadtest"] {
            let desk = Desk::new(profile).file_with_mode("key", SECRET, mode);
            let path = desk.path("key").display().to_string();
            let problem = desk.flag("jwt.secret_file", &path).problem("jwt.secret_file");
            assert!(problem.problem.starts_with(words), "{mode:o}: {problem}");
        }
        let desk = Desk::new("development").file_with_mode("key", SECRET, mode);
        let path = desk.path("key").display().to_string();
        let warnings = desk.flag("jwt.secret_file", &path).loaded().warnings;
        assert!(warnings.len() == 1 && warnings[0].problem.starts_with(words), "{mode:o}: {warnings:?}");
    }
}

#[test]
fn a_secret_file_that_cannot_be_read_is_refused_without_its_name() {
    let folder = std::env::temp_dir().display().to_string();
    for path in [SECRET, "/dev/zero", folder.as_str()] {
        let problem = Desk::new("development").flag("jwt.secret_file", path).problem("jwt.secret_file");
        assert!(!problem.to_string().contains(path), "{problem}");
    }
}

#[test]
fn settings_that_others_can_change_are_refused_off_development() {
    let start = |profile| Desk::new(profile).variable("JWT_SECRET_KEY", SECRET);
    for name in ["default.toml", "production.toml", "local.toml"] {
        let desk = start("production").file_with_mode(name, "[roles.guest]", 0o606);
        let path = desk.path(name).display().to_string();
        assert_eq!(desk.problem(&path).problem, "every user of this machine can change it");
        assert!(start("production").file_with_mode(name, "[roles.guest]", 0o664).load().is_ok());
    }
    let desk = start("development").file_with_mode("local.toml", "", 0o606);
    assert_eq!(desk.loaded().warnings.len(), 1);

    let desk = start("production");
    fs::set_permissions(desk.folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    desk.problem(&desk.folder.path().display().to_string());
}

#[test]
fn a_secret_in_a_settings_file_that_others_can_read_is_refused_off_development() {
    let text = format!("[jwt]\nsecret = \"{SECRET}\"");
    let problem = Desk::new("production").file_with_mode("local.toml", &text, 0o644).problem("jwt.secret");
    assert!(problem.problem.starts_with("stands in a file that every user"), "{problem}");
    assert_eq!(
        Desk::new("development").file_with_mode("local.toml", &text, 0o644).loaded().warnings.len(),
        1
    );
    assert!(Desk::new("production").file_with_mode("local.toml", &text, 0o640).loaded().warnings.is_empty());
}

#[test]
fn nothing_that_can_be_printed_holds_a_secret() {
    let desk = Desk::production().variable("PORTCULLIS__JWT__SECRET", SECRET).flag("jwt.secret", SECRET);
    assert!(!format!("{:?}", desk.source).contains(SECRET));
    assert!(!format!("{:?}", desk.loaded()).contains(SECRET));

    let weak = "changeme-changeme-changeme-changeme!";
    for profile in ["development", "production", "loadtest"] {
        let refused = Desk::new(profile).variable("JWT_SECRET_KEY", weak).load().unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains(weak));
    }
}
