//! What `serve` says of itself when it starts.

use std::fmt::Write;

use crate::settings::{Durability, LimitMode, Settings};

/// What is served and how well it is guarded; every weakening by its name; what to type next.
pub fn banner(settings: &Settings, mcp_url: &str, admin_url: &str) -> String {
    let durability = match settings.audit.durability {
        Durability::Durable => "durable (an answer leaves after its record is on disk)",
        Durability::Buffered => "buffered (an answer does not wait for its record)",
    };
    let transport = if settings.server.tls.files().is_some() { "TLS" } else { "plain HTTP" };
    let limits = match settings.limits.mode {
        LimitMode::Enforce => ", limits",
        LimitMode::Shadow => "; limits only watched",
        LimitMode::UnsafeOff => "",
    };
    let weakenings = settings.weakenings();
    let weakened = if weakenings.is_empty() { "nothing".to_owned() } else { weakenings.join(", ") };
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _written = writeln!(
        text,
        "portcullis {version} ({profile})\n\
         \x20 MCP       {mcp_url}  ({transport})\n\
         \x20 admin     {admin_url}\n\
         \x20 store     {store}\n\
         \x20 audit     {durability}\n\
         \x20 enforced  authentication, revocation, authorisation, input schemas, audit{limits}\n\
         \x20 weakened  {weakened}",
        version = env!("CARGO_PKG_VERSION"),
        profile = settings.profile.name(),
        store = settings.store.url,
    );
    if settings.profile.is_development() {
        let _written = writeln!(
            text,
            "\nNext, in another terminal:\n\
             \x20 T=$(target/release/portcullis token issue --user alice --role user)"
        );
    }
    text
}

/// The account that this start has made, and its password: shown this once, kept nowhere.
pub fn first_account(password: &str) -> String {
    format!(
        "The first account, shown this once:\n\
         \x20 user admin, password {password}\n\
         \x20 change it with target/release/portcullis user passwd admin\n"
    )
}
