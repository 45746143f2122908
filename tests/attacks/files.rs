//! Rows F: paths, links and files that are not what they look like, through the tools of a whole server.
//!
//! The same by both ways of resolving a path, and races by the thousand, are held beside the code.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::PathBuf,
    time::{Duration, Instant},
};

use rustix::fs::{CWD, FileType, Mode, inotify, mknodat};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{SOON, app::TestApp, pause, rpc::Rpc, until};

/// What no client may ever see.
const SECRET: &str = "the secret of elsewhere";

/// A server, and beside its folder one that is not served.
struct Bed {
    app: TestApp,
    outside: TempDir,
    token: String,
}

/// What a call of a file tool came to: its output, or the text of its failure.
type Outcome = Result<Value, String>;

impl Bed {
    fn new() -> Self {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret.txt"), SECRET).unwrap();
        let app = TestApp::start_roomy();
        let token = app.token("root", "admin");
        Self { app, outside, token }
    }

    /// Where `path` of the served folder is.
    fn at(&self, path: &str) -> PathBuf {
        self.app.dir().join("files").join(path)
    }

    fn secret(&self) -> PathBuf {
        self.outside.path().join("secret.txt")
    }

    #[track_caller]
    fn call(&self, tool: &str, arguments: Value) -> Outcome {
        let reply = Rpc::call(tool, arguments).bearer(&self.token).send(&self.app);
        let (result, text) = (reply.result(), reply.text());
        assert!(!text.contains(SECRET), "{tool} shows the secret: {text}");
        for host in [self.app.dir(), self.outside.path()] {
            assert!(!text.contains(host.to_str().unwrap()), "{tool} names a path of the host: {text}");
        }
        let said = result["content"][0]["text"].as_str().unwrap().to_owned();
        if result["isError"] == true { Err(said) } else { Ok(result["structuredContent"].clone()) }
    }

    fn read(&self, path: &str) -> Outcome {
        self.call("read_file", json!({ "path": path }))
    }

    fn write(&self, path: &str) -> Outcome {
        self.call("write_file", json!({ "path": path, "content": "mine" }))
    }

    fn delete(&self, path: &str) -> Outcome {
        self.call("delete_file", json!({ "path": path }))
    }

    /// Holds that `path` is neither read nor written nor deleted, that each text has `why`, and that nothing
    /// outside has changed.
    #[track_caller]
    fn refuses(&self, path: &str, why: &str) {
        self.says(path, why);
        assert_eq!(
            fs::read_dir(self.outside.path()).unwrap().count(),
            1,
            "something was made or deleted outside"
        );
        assert_eq!(fs::read_to_string(self.secret()).unwrap(), SECRET);
    }

    /// The same without a look outside.
    #[track_caller]
    fn says(&self, path: &str, why: &str) {
        for (deed, outcome) in
            [("read", self.read(path)), ("write", self.write(path)), ("delete", self.delete(path))]
        {
            match outcome {
                Err(text) => assert!(text.contains(why), "{deed} {path:?}: {text}"),
                Ok(output) => panic!("{deed} {path:?}: {output}"),
            }
        }
    }

    fn paths(&self) -> Vec<String> {
        let list = self.call("list_files", json!({})).unwrap();
        list["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["path"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[test]
fn f1_no_spelling_of_a_path_leads_out() {
    let bed = Bed::new();
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
    let touched = inotify::WatchFlags::OPEN | inotify::WatchFlags::ACCESS | inotify::WatchFlags::MODIFY;
    inotify::add_watch(&watch, bed.secret(), touched).unwrap();
    let above = bed.app.dir().join("above.txt");
    fs::write(&above, SECRET).unwrap();
    inotify::add_watch(&watch, &above, touched).unwrap();
    let out =
        format!("../../{}", bed.outside.path().strip_prefix("/tmp").unwrap_or(bed.outside.path()).display());
    for (path, why) in [
        ("../secret.txt", "no way up"),
        ("sub/../../secret.txt", "no way up"),
        (&*format!("{out}/secret.txt"), "no way up"),
        ("../above.txt", "no way up"),
        ("/etc/passwd", "relative"),
        (bed.secret().to_str().unwrap(), "relative"),
        ("file:///etc/passwd.txt", "one slash"),
        ("..\\secret.txt", "backslash"),
    ] {
        bed.says(path, why);
    }
    for path in ["~/x.txt", "%2e%2e/secret.txt", "..%2fsecret.txt", "．．/secret.txt", "....//secret.txt"] {
        assert!(bed.read(path).is_err() && bed.delete(path).is_err(), "{path}");
    }
    let mut buffer = [std::mem::MaybeUninit::uninit(); 1_024];
    let mut events = inotify::Reader::new(&watch, &mut buffer);
    let touched = events.next().map(|event| format!("{event:?}"));
    assert_eq!(touched, Err(rustix::io::Errno::AGAIN), "something outside was opened");
    bed.refuses("../secret.txt", "no way up");
    assert!(events.next().is_ok(), "the watch is blind to what this test itself has just opened");
}

#[test]
fn f2_a_sibling_whose_name_begins_alike_is_outside() {
    let bed = Bed::new();
    let sibling = bed.app.dir().join("files-evil");
    fs::create_dir(&sibling).unwrap();
    fs::write(sibling.join("x.txt"), SECRET).unwrap();
    bed.refuses("../files-evil/x.txt", "no way up");
}

#[test]
fn f3_no_link_leads_anywhere() {
    let bed = Bed::new();
    symlink(bed.secret(), bed.at("absolute.txt")).unwrap();
    symlink("../portcullis.db", bed.at("relative.txt")).unwrap();
    symlink(bed.outside.path(), bed.at("folder")).unwrap();
    symlink(bed.secret(), bed.at("chain0.txt")).unwrap();
    for n in 1..=41 {
        symlink(format!("chain{}.txt", n - 1), bed.at(&format!("chain{n}.txt"))).unwrap();
    }
    for path in ["absolute.txt", "relative.txt", "folder/secret.txt", "chain1.txt", "chain41.txt"] {
        bed.refuses(path, "a link");
    }
    assert!(bed.call("list_files", json!({ "path": "folder" })).is_err());
    assert!(bed.paths().is_empty());
}

#[test]
fn f4_nothing_new_is_written_through_a_link() {
    let bed = Bed::new();
    symlink(bed.outside.path(), bed.at("folder")).unwrap();
    symlink(bed.outside.path().join("missing.txt"), bed.at("dangling.txt")).unwrap();
    bed.refuses("folder/new.txt", "a link");
    bed.refuses("dangling.txt", "a link");
}

#[test]
fn f5_a_folder_that_becomes_a_link_meanwhile_leads_nowhere() {
    let bed = Bed::new();
    fs::create_dir(bed.at("sub")).unwrap();
    fs::write(bed.at("sub/secret.txt"), "inside").unwrap();
    symlink(bed.outside.path(), bed.at(".swap")).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(relaxed) {
                let exchange = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(CWD, bed.at("sub"), CWD, bed.at(".swap"), exchange).unwrap();
            }
        });
        for _ in 0..40 {
            // Each call holds that the secret is not shown.
            drop((bed.read("sub/secret.txt"), bed.write("sub/secret.txt"), bed.delete("sub/secret.txt")));
        }
        stop.store(true, relaxed);
    });
    assert_eq!(fs::read_to_string(bed.secret()).unwrap(), SECRET);
    assert_eq!(fs::read_dir(bed.outside.path()).unwrap().count(), 1);
}

#[test]
fn f6_a_second_name_of_a_file_of_elsewhere_is_not_touched() {
    let bed = Bed::new();
    fs::hard_link(bed.secret(), bed.at("hard.txt"))
        .or_else(|_| {
            // Another file system: any file with two names will do.
            fs::write(bed.at(".one"), SECRET)?;
            fs::hard_link(bed.at(".one"), bed.at("hard.txt"))
        })
        .unwrap();
    bed.refuses("hard.txt", "several names");
    assert_eq!(fs::read_to_string(bed.at("hard.txt")).unwrap(), SECRET, "not replaced either");
    assert!(bed.paths().is_empty());
}

#[test]
fn f7_pipes_and_folders_are_refused_at_once() {
    let bed = Bed::new();
    mknodat(CWD, bed.at("pipe.txt"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(bed.at("socket.txt")).unwrap();
    for path in ["pipe.txt", "socket.txt"] {
        let started = Instant::now();
        bed.refuses(path, "plain file");
        assert!(started.elapsed() < SOON, "{path}: {:?}", started.elapsed());
    }
}

#[test]
fn f10_a_path_that_is_none_is_told_what_is_wrong_with_it() {
    let bed = Bed::new();
    for (path, why) in [
        ("a\0.txt", "invisible"),
        (&*format!("{}.txt", "x".repeat(252)), "255 bytes"),
        (&format!("{}.txt", "é".repeat(126)), "255 bytes"),
        (&"x/".repeat(2_049), "1024 characters"),
        (&"é/".repeat(400), "1024 bytes"),
        (&vec!["a"; 33].join("/"), "32 names"),
        ("", "must not be empty"),
        (".", "no way up"),
        ("a.txt/", "one slash"),
        ("a//b.txt", "one slash"),
    ] {
        bed.refuses(path, why);
    }
    let longest = format!("{}.txt", "x".repeat(251));
    bed.write(&longest).unwrap();
    assert_eq!(bed.read(&longest).unwrap()["content"], "mine");
}

#[test]
fn f11_no_name_is_made_that_another_system_takes_for_a_device() {
    let bed = Bed::new();
    for path in ["CON.txt", "nul.txt", "COM¹.txt", "x:ads.txt", "dot./a.txt", " a.txt", "a?.txt"] {
        let text = bed.write(path).unwrap_err();
        assert!(text.contains("cannot be written"), "{path}: {text}");
    }
    assert!(bed.write("\\\\?\\C:\\a.txt").is_err());
    assert!(bed.paths().is_empty() && fs::read_dir(bed.at("")).unwrap().count() == 0);
}

#[test]
fn f12_names_that_look_like_others_are_not_made_and_not_shown() {
    let bed = Bed::new();
    for path in ["a\u{202e}txt.txt", "a\u{200b}.txt", "a\nb.txt", "a\u{1b}[31m.txt", "a\u{feff}.txt"] {
        bed.refuses(path, "invisible");
        fs::write(bed.at(path), "there").unwrap();
    }
    assert!(bed.write("cafe\u{301}.txt").unwrap_err().contains("NFC"));
    bed.write("café.txt").unwrap();
    assert_eq!(bed.paths(), ["café.txt"], "what cannot be named is not listed");
}

#[test]
fn f13_a_huge_file_costs_nothing_and_a_range_is_not_taken() {
    let bed = Bed::new();
    fs::File::create(bed.at("sparse.txt")).unwrap().set_len(10 << 30).unwrap();
    let started = Instant::now();
    assert!(bed.read("sparse.txt").unwrap_err().contains("larger than the 1048576 bytes"));
    assert!(started.elapsed() < SOON);
    for (name, value) in [("offset", json!(-1)), ("length", json!(1_u64 << 63)), ("if_match", json!("x"))] {
        let mut arguments = json!({ "path": "sparse.txt" });
        arguments[name] = value;
        assert!(bed.call("read_file", arguments).unwrap_err().contains("not a known property"));
    }
    let large = json!({ "path": "large.txt", "content": "x".repeat((1 << 20) + 1) });
    assert!(bed.call("write_file", large).unwrap_err().contains("larger than"));
    let most = json!({ "path": "large.txt", "content": "x".repeat(1 << 20) });
    assert_eq!(bed.call("write_file", most).unwrap()["size"], 1 << 20);
}

#[test]
fn f15_of_two_writers_one_wins_and_what_stands_is_whole() {
    let bed = Bed::new();
    let texts = ["a".repeat(50_000), "b".repeat(40_000)];
    let write = |text: &str| bed.call("write_file", json!({ "path": "a.txt", "content": text })).unwrap();
    write(&texts[0]);
    std::thread::scope(|scope| {
        for text in &texts {
            scope.spawn(|| (0..10).for_each(|_| drop(write(text))));
        }
        for _ in 0..20 {
            let read = bed.read("a.txt").unwrap();
            assert!(texts.iter().any(|text| read["content"] == **text));
        }
    });
    assert_eq!(fs::read_dir(bed.at("")).unwrap().count(), 1, "a draft is left");
}

#[test]
fn f16_only_a_plain_file_is_deleted() {
    let bed = Bed::new();
    fs::create_dir(bed.at("folder.txt")).unwrap();
    symlink("a.txt", bed.at("link.txt")).unwrap();
    fs::write(bed.at("a.txt"), "open").unwrap();
    for path in ["folder.txt", "link.txt"] {
        assert!(bed.delete(path).unwrap_err().contains("plain file"), "{path}");
    }
    for path in [".", "", "/", ".."] {
        assert!(bed.delete(path).unwrap_err().contains("/path must"), "{path}");
    }
    let open = fs::File::open(bed.at("a.txt")).unwrap();
    bed.delete("a.txt").unwrap();
    assert_eq!(open.metadata().unwrap().len(), 4, "whoever has it open keeps it");
    assert!(bed.at("folder.txt").is_dir() && bed.at("link.txt").is_symlink());
}

#[test]
fn f17_what_programs_run_or_believe_is_not_served() {
    let bed = Bed::new();
    for path in
        [".git/hooks/pre-commit", ".env", ".ssh/authorized_keys", "sub/.git/config.txt", ".bashrc.txt"]
    {
        fs::create_dir_all(bed.at(path).parent().unwrap()).unwrap();
        fs::write(bed.at(path), SECRET).unwrap();
        assert!(bed.write(path).unwrap_err().contains("none begins with a dot"), "{path}");
        assert!(bed.read(path).is_err() && bed.delete(path).is_err(), "{path}");
        assert_eq!(fs::read_to_string(bed.at(path)).unwrap(), SECRET);
    }
    for path in ["run.sh", "Makefile", "a.txt.exe"] {
        let text = bed.write(path).unwrap_err();
        assert!(text.contains("match **/*.txt"), "{text}");
    }
    assert!(bed.paths().is_empty());
}

#[test]
fn f18_a_written_file_is_for_the_server_alone_and_does_not_run() {
    let bed = Bed::new();
    fs::write(bed.at("tool.txt"), "old").unwrap();
    fs::set_permissions(bed.at("tool.txt"), fs::Permissions::from_mode(0o6755)).unwrap();
    for path in ["tool.txt", "new.txt"] {
        bed.write(path).unwrap();
        assert_eq!(fs::metadata(bed.at(path)).unwrap().mode() & 0o7777, 0o600, "{path}");
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_leaves_no_half_file() {
    let bed = Bed::new();
    bed.write("a.txt").unwrap();
    let content = "x".repeat(1 << 20);
    for wait in [0, 1, 2, 4, 8, 16, 32] {
        let mut connection = bed.app.connect();
        let call = Rpc::call("write_file", json!({ "path": "a.txt", "content": content }));
        connection.send(call.bearer(&bed.token).bytes());
        pause(Duration::from_millis(wait));
        connection.reset();
    }
    until("drafts are gone", SOON, || fs::read_dir(bed.at("")).unwrap().count() == 1);
    let read = bed.read("a.txt").unwrap();
    assert!(read["content"] == "mine" || read["content"] == *content, "{} bytes", read["size"]);
}

#[test]
fn what_is_missing_hidden_or_not_served_is_told_alike() {
    let bed = Bed::new();
    for path in ["image.png", ".hidden.txt"] {
        fs::write(bed.at(path), "x").unwrap();
    }
    for deed in [Bed::read, Bed::delete] {
        let texts = ["none.txt", "image.png", ".hidden.txt", "no/folder.txt"].map(|path| deed(&bed, path));
        assert!(texts.iter().all(|text| *text == texts[0] && text.is_err()), "{texts:?}");
    }
}
