//! `[tools.files]`: which folders may be served, and which would give the house away.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use portcullis::settings::Confirm;
use tempfile::TempDir;

use crate::Desk;

/// A desk whose data lies in a folder of its own, with `text` as its local settings.
fn desk(profile: &str, data: &Path, text: &str) -> Desk {
    let base = if profile == "production" { Desk::production() } else { Desk::new(profile) };
    base.file("local.toml", text).flag("data_dir", data.to_str().unwrap())
}

fn roots(folders: &[&Path]) -> String {
    let shown: Vec<_> = folders.iter().map(|folder| format!("{:?}", folder.to_str().unwrap())).collect();
    format!("[tools.files]\nroots = [{}]", shown.join(", "))
}

fn private() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    folder
}

#[test]
fn as_shipped_the_folder_below_the_data_is_served_though_it_is_not_there_yet() {
    let data = private();
    for data in [data.path().to_owned(), data.path().join("not/there/yet")] {
        for profile in ["development", "production", "loadtest"] {
            let files = desk(profile, &data, "").loaded().settings.tools.files;
            assert_eq!(files.roots, [data.join("files")]);
            assert_eq!(files.own_root(&data), Some(data.join("files")));
            assert_eq!((files.max_size, files.confirm, files.also.len()), (1 << 20, Confirm::Ask, 0));
            assert_eq!(files.patterns, ["**/*.txt", "**/*.json", "**/*.csv"]);
        }
        assert!(!data.join("files").exists(), "looking makes nothing");
    }
}

#[test]
fn no_folder_of_the_system_or_of_our_own_is_served() {
    let (home, above) = (private(), private());
    let (above, data) = (above.path(), above.path().join("data"));
    fs::create_dir_all(data.join("audit")).unwrap();
    let link = home.path().join("link");
    std::os::unix::fs::symlink("/proc", &link).unwrap();
    for (folder, why) in [
        (Path::new("/"), "whole machine"),
        (Path::new("/proc"), "/proc"),
        (Path::new("/proc/self"), "/proc"),
        (Path::new("/dev"), "/dev"),
        (Path::new("/sys"), "/sys"),
        (&link, "/proc"),
        (&data, "data_dir"),
        (&data.join("audit"), "data_dir"),
        (above, "data_dir"),
    ] {
        let problem = desk("development", &data, &roots(&[folder])).problem("tools.files.roots[0]");
        assert!(problem.problem.contains(why), "{}: {problem}", folder.display());
    }
    let desk = Desk::new("development");
    let settings = desk.folder.path().to_owned();
    let problem = desk.file("local.toml", &roots(&[&settings])).problem("tools.files.roots[0]");
    assert!(problem.problem.contains("folder of these settings"), "{problem}");
    let text =
        format!("[tools.files]\nroots = []\n[[tools.files.also]]\nroot = {data:?}\npatterns = [\"*.txt\"]");
    let problem = self::desk("development", &data, &text).problem("tools.files.also[0].root");
    assert!(problem.problem.contains("data_dir"), "{problem}");
}

#[test]
fn no_folder_that_holds_a_secret_or_the_store_is_served() {
    let (home, data) = (private(), private());
    let (served, elsewhere) = (home.path().join("served"), home.path().join("elsewhere"));
    fs::create_dir_all(served.join("deep")).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    let here = home.path().join("here");
    std::os::unix::fs::symlink(&served, &here).unwrap();
    // What is named may lie there itself, or be a link there, or be named by a way that leads there.
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    for (name, text) in [("secret", crate::SECRET), ("key.pem", &key)] {
        let (inside, outside) = (served.join("deep").join(name), elsewhere.join(name));
        for file in [&inside, &outside] {
            fs::write(file, text).unwrap();
            fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        std::os::unix::fs::symlink(&outside, served.join(format!("link-{name}"))).unwrap();
    }
    let settings = |folder: &str, prefix: &str| {
        let at = |name: &str| home.path().join(folder).join(format!("{prefix}{name}"));
        let (secret, pem) = (at("secret"), at("key.pem"));
        [
            ("jwt.secret_file", format!("[jwt]\nsecret_file = {secret:?}")),
            (
                "jwt.keys[0].private_key_file",
                format!(
                    "[jwt]\nalgorithm = \"ES256\"\n[[jwt.keys]]\nkid = \"a\"\nalgorithm = \"ES256\"\n\
                     private_key_file = {pem:?}"
                ),
            ),
            (
                "server.tls.private_key",
                format!("[server.tls]\nprivate_key = {pem:?}\ncertificate = \"/etc/hosts\""),
            ),
            ("server.tls.certificate", {
                let key = elsewhere.join("key.pem");
                format!("[server.tls]\nprivate_key = {key:?}\ncertificate = {pem:?}")
            }),
            ("store.url", format!("[store]\nurl = \"sqlite:{}\"", at("new.db").display())),
        ]
    };
    for (folder, prefix) in [("served/deep", ""), ("here/deep", ""), ("served", "link-"), ("here", "link-")] {
        for (key, text) in settings(folder, prefix) {
            let text = format!("{}\n{text}", roots(&[&served]));
            let problem = desk("development", data.path(), &text).problem("tools.files.roots[0]");
            assert!(problem.problem.contains(&format!("file that {key} names")), "{folder}: {problem}");
        }
    }
    for (key, text) in settings("elsewhere", "") {
        let text = format!("{}\n{text}", roots(&[&served]));
        assert!(desk("development", data.path(), &text).load().is_ok(), "{key}");
    }
    let own = format!("[store]\nurl = \"sqlite:{}\"", data.path().join("files/new.db").display());
    let problem = desk("development", data.path(), &own).problem("tools.files.roots[0]");
    assert!(problem.problem.contains("file that store.url names"), "{problem}");
}

#[test]
fn a_folder_that_is_none_or_is_served_twice_is_named() {
    let (home, data) = (private(), private());
    let (inner, file) = (home.path().join("inner"), home.path().join("file"));
    fs::create_dir(&inner).unwrap();
    fs::write(&file, "").unwrap();
    let (missing, same) = (home.path().join("missing"), home.path().join("same"));
    std::os::unix::fs::symlink(&inner, &same).unwrap();
    for (folders, key, why) in [
        (vec![&*missing], "tools.files.roots[0]", "cannot be looked at"),
        (vec![&*file], "tools.files.roots[0]", "is no folder"),
        (vec![home.path(), &inner], "tools.files.roots[1]", "overlaps tools.files.roots[0]"),
        (vec![&inner, home.path()], "tools.files.roots[1]", "overlaps tools.files.roots[0]"),
        (vec![&inner, &same], "tools.files.roots[1]", "overlaps tools.files.roots[0]"),
    ] {
        let problem = desk("development", data.path(), &roots(&folders)).problem(key);
        assert!(problem.problem.contains(why), "{problem}");
    }
    let text = format!(
        "{}\n[[tools.files.also]]\nroot = {:?}\npatterns = [\"*.txt\"]",
        roots(&[home.path()]),
        inner.to_str().unwrap()
    );
    let problem = desk("development", data.path(), &text).problem("tools.files.also[0].root");
    assert!(problem.problem.contains("overlaps"), "{problem}");
    assert!(desk("development", data.path(), &roots(&[&inner])).load().is_ok());
}

#[test]
fn a_folder_that_everybody_can_change_is_served_in_development_only() {
    let (home, data) = (private(), private());
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let text = roots(&[home.path()]);
    let problem = desk("production", data.path(), &text).problem("tools.files.roots[0]");
    assert!(problem.problem.contains("every user of this machine can change"), "{problem}");
    let loaded = desk("development", data.path(), &text).loaded();
    assert!(loaded.warnings.iter().any(|warning| warning.key == "tools.files.roots[0]"));
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(desk("production", data.path(), &text).load().is_ok());
}

#[test]
fn a_pattern_that_can_match_nothing_is_named() {
    let data = private();
    for (pattern, why) in [
        ("a{b", "no glob"),
        ("[z-a]", "no glob"),
        ("/etc/*.txt", "no file can match"),
        (".git/*", "no file can match"),
        ("**/.env", "no file can match"),
    ] {
        let text = format!("[tools.files]\npatterns = [{pattern:?}]");
        let problem = desk("development", data.path(), &text).problem("tools.files.patterns");
        assert!(problem.problem.contains(why), "{problem}");
    }
    let text = "[tools.files]\nalso = [{ root = \"/usr/share\" }]";
    desk("development", data.path(), text).problem("tools.files.also[0].patterns");
    for (key, value) in [("max_size", "\"17MiB\""), ("max_size", "\"0B\""), ("confirm", "\"maybe\"")] {
        let text = format!("[tools.files]\n{key} = {value}");
        desk("development", data.path(), &text).problem(&format!("tools.files.{key}"));
    }
}
