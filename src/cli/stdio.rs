//! `portcullis stdio`.

use std::process::ExitCode;

use super::{
    context::{Context, in_system},
    output, serve,
};
use crate::{
    app::{self, Additions},
    domain::ApiKeySecret,
};

/// The variable that holds the key.
const VARIABLE: &str = "PORTCULLIS_API_KEY";
/// What to do without a key that holds.
const REMEDY: &str = "make one with `portcullis key create --user U --name N --permission P` and put it into \
                      the `env` of the client's configuration";

/// Serves the client that has started this process. Standard output carries messages alone.
pub(super) fn run(context: &Context) -> anyhow::Result<ExitCode> {
    let refuse = |why: &str| {
        output::complain(&format!("portcullis: {VARIABLE} {why}; {REMEDY}"));
        Ok(ExitCode::FAILURE)
    };
    let Some(key) = std::env::var_os(VARIABLE).filter(|key| !key.is_empty()) else {
        return refuse("is not set");
    };
    let Some(key) = key.to_str().and_then(|key| key.parse::<ApiKeySecret>().ok()) else {
        return refuse("holds no API key: one begins with `mcp_`");
    };
    let Some(settings) = serve::prepared(context)? else { return Ok(ExitCode::FAILURE) };
    let served = in_system(async {
        let ends = (std::io::stdin(), std::io::stdout());
        Ok(app::stdio(&settings, Additions::default(), key, ends).await)
    });
    match served? {
        Err(app::AppError::NotAdmitted(why)) => refuse(&format!("opens nothing: {why}")),
        served => Ok(served.map(|()| ExitCode::SUCCESS)?),
    }
}
