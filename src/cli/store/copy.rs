//! `portcullis store copy`.

use std::{
    convert::Infallible,
    fmt, fs,
    path::{Path, PathBuf},
    process::ExitCode,
    str::FromStr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use serde_json::{Value, json};

use crate::{
    app::{self, DataLock},
    cli::{operator, output},
    settings::{Settings, StoreUrl},
    store::{
        Stores,
        moving::{self, Copied, CopiedKind, CopyError, RecordKind, Verdict},
    },
};

/// How long after its end a server may still be taken to be there.
const SERVERS_LEAVE_WITHIN: Duration = Duration::from_secs(7);
/// Between two looks for servers, which tell nobody that they leave.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Shown below the arguments.
pub(super) const HELP: &str = "\
Example:
  portcullis store copy --to redis://redis.internal:6379
  portcullis store copy --from-file /run/secrets/redis-url --to 'sqlite:<data_dir>/portcullis.db'

Stop the servers first. Until the copy is verified no server starts on it; run the same command again to go on with
one that was interrupted. store.key_prefix and store.connections hold for both.";

/// Arguments of `store copy`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Copy {
    /// The store to copy, written like store.url [default: store.url itself].
    #[arg(long, value_name = "URL", env = "PORTCULLIS_COPY_FROM", hide_env_values = true)]
    from: Option<Given>,
    /// A file with that URL, for one that holds a password.
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    from_file: Option<PathBuf>,
    /// Where the copy goes: an empty Redis, or a file that is not there yet.
    #[arg(
        long,
        value_name = "URL",
        env = "PORTCULLIS_COPY_TO",
        hide_env_values = true,
        required_unless_present = "to_file"
    )]
    to: Option<Given>,
    /// A file with that URL, for one that holds a password.
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    to_file: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A URL as it was given. It may hold a password, so nothing shows it; reading it never fails, since clap would repeat
/// it.
#[derive(Clone)]
struct Given(String);

impl FromStr for Given {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Given(..)")
    }
}

impl Copy {
    /// Copies, verifies and says what came of it; exit code 1 if the copy is not whole.
    pub(super) async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let from = place(settings, "--from", self.from, self.from_file)?;
        let from = from.unwrap_or_else(|| settings.store.url.clone());
        let to = place(settings, "--to", self.to, self.to_file)?.context("--to: is missing")?;
        // The server of this folder would write to one of the two, or begin to.
        let is_served = [&from, &to].contains(&&settings.store.url);
        let _alone = is_served.then(|| DataLock::take(&settings.data_dir)).transpose()?;
        let source = app::open_to_copy(settings, &from, true).context("--from")?;
        let target = app::open_to_copy(settings, &to, false).context("--to")?;
        let detail = json!({ "from": from.to_string(), "to": to.to_string() });
        let mut came = None;
        let copying = async {
            let copied = copied(&source, &target).await?;
            let verdict = copied.verdict;
            came = Some(copied);
            refused(verdict)
        };
        let done = operator::recorded_alert(settings, "store_copied", &detail, copying).await;
        if let Some(copied) = came {
            if self.json {
                output::say(&object(&from, &to, &copied).to_string())?;
            } else {
                table(&copied)?;
            }
        }
        done?;
        output::complain(&format!("verified: {to} holds what {from} does"));
        Ok(ExitCode::SUCCESS)
    }
}

/// Copies, once nobody is there any more who was there a moment ago.
async fn copied(source: &Stores, target: &Stores) -> anyhow::Result<Copied> {
    let tell = |kind: RecordKind| output::complain(&format!("copying {}", words(kind)));
    let deadline = Instant::now() + SERVERS_LEAVE_WITHIN;
    let mut is_told = false;
    loop {
        match moving::copy(source.moving.as_ref(), target.moving.as_ref(), tell).await {
            Err(CopyError::Served(..)) if Instant::now() < deadline => {
                if !std::mem::replace(&mut is_told, true) {
                    output::complain("a server was there a moment ago: waiting a little for it to be gone");
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            copied => return Ok(copied?),
        }
    }
}

/// Why a copy that came to its end is not to be used.
fn refused(verdict: Verdict) -> anyhow::Result<()> {
    match verdict {
        Verdict::Verified => Ok(()),
        Verdict::Changed => bail!(
            "somebody wrote to the store while it was copied: stop every server and command that uses it, then run \
             this again, which goes on from here"
        ),
        Verdict::Differs => bail!("the copy does not hold what the store does: run this again"),
    }
}

/// One object.
fn object(from: &StoreUrl, to: &StoreUrl, copied: &Copied) -> Value {
    let kind = |one: &CopiedKind| {
        json!({
            "kind": one.kind.as_str(),
            "source": { "count": one.source.count(), "digest": one.source.digest() },
            "target": { "count": one.target.count(), "digest": one.target.digest() },
            "written": one.written,
            "kept": one.kept,
            "dropped": one.dropped,
        })
    };
    json!({
        "from": from.to_string(),
        "to": to.to_string(),
        "resumed": copied.resumed,
        "verified": copied.verdict == Verdict::Verified,
        "kinds": copied.kinds.iter().map(kind).collect::<Vec<_>>(),
    })
}

/// A line a kind.
fn table(copied: &Copied) -> anyhow::Result<()> {
    if copied.resumed {
        output::complain("an earlier run had begun: what it left and still holds was kept");
    }
    output::say(&format!(
        "{:<18}{:>10}{:>10}{:>10}{:>10}{:>10}  digest",
        "", "source", "target", "written", "kept", "dropped"
    ))?;
    for one in &copied.kinds {
        let (source, target) = (one.source.digest(), one.target.digest());
        let short = |digest: &str| digest.get(..16).unwrap_or_default().to_owned();
        let digest = if source == target {
            short(&source)
        } else {
            format!("{} ≠ {}", short(&source), short(&target))
        };
        output::say(&format!(
            "{:<18}{:>10}{:>10}{:>10}{:>10}{:>10}  {digest}",
            words(one.kind),
            one.source.count(),
            one.target.count(),
            one.written,
            one.kept,
            one.dropped
        ))?;
    }
    Ok(())
}

fn words(kind: RecordKind) -> String {
    kind.as_str().replace('_', " ")
}

/// The store that an argument or a file names.
fn place(
    settings: &Settings,
    name: &str,
    given: Option<Given>,
    file: Option<PathBuf>,
) -> anyhow::Result<Option<StoreUrl>> {
    let text = match (given, file) {
        (Some(Given(text)), _) => text,
        (None, Some(file)) => first_line(settings, &file).with_context(|| format!("{name}-file"))?,
        (None, None) => return Ok(None),
    };
    match settings.store_at(&text) {
        Ok(StoreUrl::Memory) => bail!("{name}: memory: ends with this command; name a file or a Redis"),
        Ok(url) => Ok(Some(url)),
        Err((problem, fix)) => bail!("{name}: {problem}; {fix}"),
    }
}

/// The first line of a file that nobody else may read.
fn first_line(settings: &Settings, file: &Path) -> anyhow::Result<String> {
    let shown = file.display();
    let seen = fs::metadata(file).with_context(|| format!("{shown} cannot be read"))?;
    if settings.is_production() && !crate::files::is_private(&seen) {
        bail!("{shown} can be read by others: chmod 600 {shown}");
    }
    let text = fs::read_to_string(file).with_context(|| format!("{shown} cannot be read"))?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}
