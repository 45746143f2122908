//! The params that our methods share, and their `_meta`.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{WireError, object};

/// Longest progress token, bytes as written.
const MAX_TOKEN_BYTES: usize = 130;
/// The log levels of RFC 5424 as the protocol names them.
const LOG_LEVELS: [&str; 8] =
    ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// The members of `params` that any method of ours reads, unread but for their place.
#[derive(Debug, Default)]
pub struct Params<'a> {
    /// `_meta`, unread.
    pub meta: Option<&'a RawValue>,
    /// `name` of a tool.
    pub name: Option<&'a RawValue>,
    /// `arguments` of a tool, as the client wrote them.
    pub arguments: Option<&'a RawValue>,
    /// `cursor` of a list.
    pub cursor: Option<&'a RawValue>,
}

struct KnownParams;

impl object::Known<4> for KnownParams {
    const NAMES: [&'static str; 4] = ["_meta", "name", "arguments", "cursor"];
}

impl<'a> Params<'a> {
    /// Finds the members; absent params have none.
    ///
    /// # Errors
    /// [`WireError::Request`] if one stands twice or in a variant of its name.
    pub fn parse(params: Option<&'a RawValue>) -> Result<Self, WireError> {
        let Some(params) = params else { return Ok(Self::default()) };
        let [meta, name, arguments, cursor] = object::read::<KnownParams, 4>(params.get())?;
        Ok(Self { meta, name, arguments, cursor })
    }

    /// The tool's name, if it is text.
    pub fn tool_name(&self) -> Option<Cow<'a, str>> {
        self.name.and_then(object::string)
    }
}

/// `params._meta` of a modern request (specification, `basic/index`).
#[derive(Debug, Default)]
pub struct Meta<'a> {
    version: Option<&'a RawValue>,
    capabilities: Option<&'a RawValue>,
    client_info: Option<&'a RawValue>,
    progress_token: Option<&'a RawValue>,
    log_level: Option<&'a RawValue>,
}

struct KnownMeta;

impl object::Known<5> for KnownMeta {
    const NAMES: [&'static str; 5] = [
        "io.modelcontextprotocol/protocolVersion",
        "io.modelcontextprotocol/clientCapabilities",
        "io.modelcontextprotocol/clientInfo",
        "progressToken",
        "io.modelcontextprotocol/logLevel",
    ];
}

impl<'a> Meta<'a> {
    /// Finds the members; an absent `_meta` has none.
    ///
    /// # Errors
    /// [`WireError::Request`] if it is no object, or a member stands twice.
    pub fn parse(meta: Option<&'a RawValue>) -> Result<Self, WireError> {
        let Some(meta) = meta else { return Ok(Self::default()) };
        if !meta.get().starts_with('{') {
            return Err(WireError::Request("_meta must be an object"));
        }
        let [version, capabilities, client_info, progress_token, log_level] =
            object::read::<KnownMeta, 5>(meta.get())?;
        Ok(Self { version, capabilities, client_info, progress_token, log_level })
    }

    /// Whether the request claims a revision in its body: the mark of the modern era.
    pub fn claims_version(&self) -> bool {
        self.version.is_some()
    }

    /// The revision that the body claims, if it is text.
    pub fn version(&self) -> Option<Cow<'a, str>> {
        self.version.and_then(object::string)
    }

    /// The first required member that is missing or of another type, by its name (M2, M3).
    pub fn first_problem(&self) -> Option<&'static str> {
        let is_object = |raw: Option<&RawValue>| raw.is_some_and(|raw| raw.get().starts_with('{'));
        if self.version().is_none() {
            return Some("io.modelcontextprotocol/protocolVersion");
        }
        if !is_object(self.capabilities) {
            return Some("io.modelcontextprotocol/clientCapabilities");
        }
        if self.client_info.is_some() && !is_object(self.client_info) {
            return Some("io.modelcontextprotocol/clientInfo");
        }
        None
    }

    /// The first optional member that does not fit, by its name (M4, M5).
    pub fn first_bad_option(&self) -> Option<&'static str> {
        let token_fits = self.progress_token.is_none_or(|raw| {
            let text = raw.get();
            text.len() <= MAX_TOKEN_BYTES && (text.starts_with('"') || text.parse::<i64>().is_ok())
        });
        if !token_fits {
            return Some("progressToken");
        }
        let known = |raw: &RawValue| object::string(raw).is_some_and(|level| LOG_LEVELS.contains(&&*level));
        if !self.log_level.is_none_or(known) {
            return Some("io.modelcontextprotocol/logLevel");
        }
        None
    }
}
