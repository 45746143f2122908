//! One data directory with its settings: what outlives a server's process, and the verbs that work on it.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use rustix::process::{Pid, Signal, kill_process};

use super::output;

/// Longest wait for a verb; one that should have refused to serve must not hold up the run.
const VERB_DEADLINE: Duration = Duration::from_secs(60);

/// A data directory, the settings beside it and the environment that its processes get.
pub(crate) struct Home {
    name: &'static str,
    folder: tempfile::TempDir,
    data_dir: PathBuf,
    profile: &'static str,
    environment: Vec<(String, String)>,
}

/// What a verb answered.
pub(crate) struct Said {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// Its standard output.
    pub(crate) out: String,
    /// Its standard error.
    pub(crate) err: String,
}

impl Said {
    /// The exit code.
    pub(crate) fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| panic!("ended by signal {:?}: {}", self.status.signal(), self.err))
    }
}

impl Home {
    /// A new, empty home in the development profile, with a JWT secret of its own.
    pub(crate) fn new(name: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("settings");
        fs::create_dir(folder.path().join("settings")).unwrap();
        for layer in ["default", "development", "production", "loadtest"].map(|layer| format!("{layer}.toml"))
        {
            // `local.toml` is the developer's own and stays out of tests.
            fs::copy(ours.join(&layer), folder.path().join("settings").join(&layer)).unwrap();
        }
        let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 48]>());
        output::secret(&secret);
        let data_dir = folder.path().join("data");
        Self { name, folder, data_dir, profile: "development", environment: Vec::new() }
            .with("SERVER__PORT", "0")
            .with("ADMIN__PORT", "0")
            .with("TOOLS__WEATHER__PROVIDER", "fixed")
            .with("JWT__SECRET", &secret)
    }

    /// A new home in the load-test profile: limits lifted, durable audit all the same.
    pub(crate) fn for_load(name: &'static str) -> Self {
        Self::new(name).in_profile("loadtest").with("AUDIT__DURABILITY", "durable")
    }

    /// The same home with one setting more, written as in `PORTCULLIS__<KEY>`.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        self.environment.push((format!("PORTCULLIS__{key}"), value.to_owned()));
        self
    }

    /// The same home without a setting that [`Home::new`] made.
    pub(crate) fn without(mut self, key: &str) -> Self {
        self.environment.retain(|(name, _)| name.strip_prefix("PORTCULLIS__") != Some(key));
        self
    }

    /// The same home in another profile.
    pub(crate) fn in_profile(mut self, profile: &'static str) -> Self {
        self.profile = profile;
        self
    }

    /// The same home with its data directory elsewhere.
    pub(crate) fn with_data_in(mut self, data_dir: &Path) -> Self {
        data_dir.clone_into(&mut self.data_dir);
        self
    }

    /// The test's name, as it stands in the names of kept files.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Where the server keeps its data.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// A command of the binary in this home; nothing of the caller's own settings reaches it.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(binary());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PORTCULLIS") || name == "JWT_SECRET_KEY" {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.folder.path())
            .env("PORTCULLIS_PROFILE", self.profile)
            .env("PORTCULLIS__DATA_DIR", &self.data_dir)
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null());
        command
    }

    /// Runs a verb to its end; what it prints is kept, except what verbs print on purpose that make a credential.
    pub(crate) async fn cli(&self, arguments: &[&str]) -> Said {
        let mut command = self.command();
        let child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_child(&child);
        // The load tasks share this thread, so the wait for the verb happens on another.
        let mut wait = tokio::task::spawn_blocking(move || child.wait_with_output());
        let Ok(done) = tokio::time::timeout(VERB_DEADLINE, &mut wait).await else {
            kill_process(pid, Signal::KILL).unwrap();
            wait.await.unwrap().unwrap();
            panic!("portcullis {} did not end within {VERB_DEADLINE:?}", arguments[0]);
        };
        let done = done.unwrap().unwrap();
        let said = Said {
            status: done.status,
            out: String::from_utf8(done.stdout).unwrap(),
            err: String::from_utf8(done.stderr).unwrap(),
        };
        let mints = [["token", "issue"], ["key", "create"], ["key", "rotate"]]
            .iter()
            .any(|verb| arguments.starts_with(verb));
        self.note(&said.err);
        self.note(if mints { "" } else { &said.out });
        said
    }

    /// Runs a verb that must succeed and gives its standard output.
    pub(crate) async fn ok(&self, arguments: &[&str]) -> String {
        let said = self.cli(arguments).await;
        let verb = arguments.iter().take(2).copied().collect::<Vec<_>>().join(" ");
        assert_eq!(said.code(), 0, "portcullis {verb}: {}", said.err);
        said.out
    }

    /// An access token for `user` in `role`, by the verb that an operator would use.
    pub(crate) async fn token(&self, user: &str, role: &str) -> String {
        let out = self.ok(&["token", "issue", "--user", user, "--role", role, "--ttl", "1h"]).await;
        let token = out.trim().to_owned();
        assert_eq!(token.split('.').count(), 3, "token issue prints the token alone");
        output::secret(&token);
        token
    }

    /// Asserts that the audit log of this home checks out.
    pub(crate) async fn audit_verifies(&self) {
        let said = self.cli(&["audit", "verify"]).await;
        assert_eq!(said.code(), 0, "audit verify: {}{}", said.out, said.err);
    }

    fn note(&self, text: &str) {
        use std::io::Write;
        output::append_to("cli", &format!("{}.log", self.name)).write_all(text.as_bytes()).unwrap();
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        output::keep(&self.data_dir.join("audit"), "audit", self.name);
        let store = fs::read_dir(&self.data_dir).into_iter().flatten().flatten();
        for file in store.filter(|file| file.file_name().to_string_lossy().contains(".db")) {
            let kept = output::folder().join("audit").join(self.name);
            fs::create_dir_all(&kept).unwrap();
            fs::copy(file.path(), kept.join(file.file_name())).unwrap();
        }
    }
}

/// The binary under test.
fn binary() -> PathBuf {
    std::env::var_os("PORTCULLIS_BIN").map_or_else(|| env!("CARGO_BIN_EXE_portcullis").into(), PathBuf::from)
}
