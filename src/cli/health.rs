//! `portcullis health`: asks the running server what a load balancer asks it, for places without another client.

use std::{path::Path, process::ExitCode, time::Duration};

use anyhow::Context as _;
use reqwest::{Client, StatusCode, Url, redirect::Policy};
use serde_json::Value;

use super::{
    context::{Context, in_system},
    output,
};

/// Longest wait for the answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// The path that says whether the server can do its job.
const READY: &str = "/health/ready";

/// Arguments of `health`.
#[derive(Debug, clap::Args)]
pub(super) struct Health {
    /// Where to ask; without it the second listener of the server on the configured data directory.
    #[arg(long, value_name = "URL")]
    url: Option<Url>,
    /// Print the server's answer as it is, one JSON object.
    #[arg(long)]
    json: bool,
}

impl Health {
    /// Says whether the server is ready; exit code 1 if it is not, or does not answer.
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let url = match &self.url {
            Some(url) => url.clone(),
            None => own_url(&context.settings()?.data_dir)?,
        };
        let (status, answer) = in_system(ask(&url))?;
        let answer: Value = serde_json::from_str(&answer).with_context(|| format!("{url} says {status}"))?;
        let ready = status == StatusCode::OK;
        if self.json {
            output::say(&answer.to_string())?;
        } else if ready {
            output::say("ready")?;
        } else {
            output::complain(&format!("not ready: {}", why_not(&answer)));
        }
        Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Where the server on this data directory says that it can be asked. Its second listener never speaks TLS.
fn own_url(data_dir: &Path) -> anyhow::Result<Url> {
    let place = data_dir.join("run.json");
    let text = std::fs::read_to_string(&place)
        .with_context(|| format!("no server runs on {}: it has no run.json", data_dir.display()))?;
    let run: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is no JSON", place.display()))?;
    let admin = run.get("admin_url").and_then(Value::as_str);
    let admin = admin.with_context(|| format!("{} names no admin_url", place.display()))?;
    Ok(Url::parse(admin)?.join(READY)?)
}

async fn ask(url: &Url) -> anyhow::Result<(StatusCode, String)> {
    // `Err` means that there is one already.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let client = Client::builder().redirect(Policy::none()).no_proxy().timeout(PATIENCE).build()?;
    let answer = client.get(url.clone()).send().await?;
    Ok((answer.status(), answer.text().await?))
}

/// Which checks do not hold, or why the server is not ready although they do.
fn why_not(answer: &Value) -> String {
    let failed = answer
        .get("checks")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(_, holds)| **holds == false);
    let reason = answer.get("reason").and_then(Value::as_str).into_iter();
    let words: Vec<&str> = reason.chain(failed.map(|(name, _)| name.as_str())).collect();
    if words.is_empty() { "it does not say why".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_there_is_named() {
        let lost =
            json!({ "ready": false, "checks": { "audit": true, "revocation": false, "store": false } });
        assert_eq!(why_not(&lost), "revocation, store");
        let leaves = json!({ "ready": false, "checks": { "store": true }, "reason": "shutting_down" });
        assert_eq!(why_not(&leaves), "shutting_down");
        assert_eq!(why_not(&json!([])), "it does not say why");
    }

    #[test]
    fn a_data_directory_without_a_server_is_named() {
        let home = tempfile::tempdir().unwrap();
        let refused = own_url(home.path()).unwrap_err();
        assert!(refused.to_string().contains(&home.path().display().to_string()), "{refused}");
        std::fs::write(home.path().join("run.json"), r#"{"admin_url":"http://127.0.0.1:9090"}"#).unwrap();
        assert_eq!(own_url(home.path()).unwrap().as_str(), "http://127.0.0.1:9090/health/ready");
    }
}
