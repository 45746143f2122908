//! The published JSON schemas of MCP, as `tests/run` puts them there: whether a message is what its revision says.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock},
};

use jsonschema::Validator;
use serde_json::{Value, json};

/// Every revision that has a schema, oldest first.
pub(crate) const REVISIONS: [&str; 4] = ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];
/// The one without handshake.
const MODERN: &str = "2026-07-28";

/// What the result of a method is called; the schemas of all revisions call it the same.
const RESULTS: [(&str, &str); 12] = [
    ("tools/call", "CallToolResult"),
    ("tools/list", "ListToolsResult"),
    ("resources/read", "ReadResourceResult"),
    ("resources/list", "ListResourcesResult"),
    ("resources/templates/list", "ListResourceTemplatesResult"),
    ("prompts/get", "GetPromptResult"),
    ("prompts/list", "ListPromptsResult"),
    ("completion/complete", "CompleteResult"),
    ("server/discover", "DiscoverResult"),
    ("subscriptions/listen", "SubscriptionsListenResult"),
    ("initialize", "InitializeResult"),
    ("ping", "EmptyResult"),
];

/// Errors that have a shape of their own.
const ERRORS: [(i64, &str); 3] = [
    (-32_020, "HeaderMismatchError"),
    (-32_021, "MissingRequiredClientCapabilityError"),
    (-32_022, "UnsupportedProtocolVersionError"),
];

/// The schemas of every revision, and what of them has been compiled.
pub(crate) struct Schemas {
    texts: HashMap<&'static str, Value>,
    compiled: Mutex<HashMap<(String, String), &'static Validator>>,
}

impl Schemas {
    /// Where they are: `PORTCULLIS_SCHEMAS`, which `tests/run` sets, else where it puts them.
    fn folder() -> PathBuf {
        std::env::var_os("PORTCULLIS_SCHEMAS").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients/schemas"),
            PathBuf::from,
        )
    }

    /// All of them; `None` where nobody has put them, unless they were promised.
    pub(crate) fn find() -> Option<&'static Self> {
        static FOUND: OnceLock<Option<Schemas>> = OnceLock::new();
        FOUND.get_or_init(|| {
            let folder = Self::folder();
            if !folder.is_dir() && std::env::var_os("PORTCULLIS_SCHEMAS").is_none() {
                return None;
            }
            let texts = REVISIONS.map(|revision| {
                let file = folder.join(format!("{revision}.json"));
                let text =
                    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
                (revision, serde_json::from_str(&text).unwrap())
            });
            Some(Self { texts: HashMap::from(texts), compiled: Mutex::default() })
        });
        FOUND.get().unwrap().as_ref()
    }

    /// Whether `revision` defines `name`.
    pub(crate) fn defines(&self, revision: &str, name: &str) -> bool {
        ["definitions", "$defs"].iter().any(|under| self.texts[revision][under].get(name).is_some())
    }

    fn validator(&self, revision: &str, name: &str) -> &'static Validator {
        let mut compiled = self.compiled.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let key = (revision.to_owned(), name.to_owned());
        compiled.entry(key).or_insert_with(|| {
            let mut whole = self.texts[revision].clone();
            let under = if whole.get("$defs").is_some() { "$defs" } else { "definitions" };
            whole["allOf"] = json!([{ "$ref": format!("#/{under}/{name}") }]);
            let built = jsonschema::options().should_validate_formats(true).build(&whole);
            // For as long as the process lives, as the schemas themselves.
            Box::leak(Box::new(built.unwrap_or_else(|error| panic!("{revision} {name}: {error}"))))
        })
    }

    /// Whether `value` is a `name` of `revision`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn is(&self, revision: &str, name: &str, value: &Value) -> Result<(), String> {
        if !self.defines(revision, name) {
            return Err(format!("{revision} has no {name}: {value}"));
        }
        let wrong: Vec<String> = self
            .validator(revision, name)
            .iter_errors(value)
            .map(|error| format!("{} at {}", error, error.instance_path()))
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(format!("no {name} of {revision}: {wrong:?} in {value}")) }
    }

    /// Whether `message`, sent by a server, is one of `revision`; if it is a result, of `method`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn message(
        &self,
        revision: &str,
        method: Option<&str>,
        message: &Value,
    ) -> Result<(), String> {
        let is_modern = revision == MODERN;
        if message.get("method").is_some() {
            let is_request = message.get("id").is_some();
            let (whole, kind) = if is_request {
                ("JSONRPCRequest", "ServerRequest")
            } else {
                ("JSONRPCNotification", "ServerNotification")
            };
            self.is(revision, whole, message)?;
            return self.is(revision, kind, message);
        }
        let Some(result) = message.get("result") else { return self.error(revision, message) };
        let envelope = if self.defines(revision, "JSONRPCResultResponse") {
            "JSONRPCResultResponse"
        } else {
            "JSONRPCResponse"
        };
        self.is(revision, envelope, message)?;
        match (result["resultType"].as_str(), method) {
            (Some("input_required"), Some("tools/call" | "prompts/get" | "resources/read")) if is_modern => {
                self.is(revision, "InputRequiredResult", result)
            }
            // Of an extension, which has schemas of its own.
            (Some(kind), _) if is_modern && kind != "complete" => Ok(()),
            _ if result.get("task").is_some() && revision == "2025-11-25" => {
                self.is(revision, "CreateTaskResult", result)
            }
            (_, method) => {
                let known = RESULTS.iter().find(|(known, _)| Some(*known) == method);
                self.is(revision, known.map_or("Result", |(_, name)| name), result)
            }
        }
    }

    fn error(&self, revision: &str, message: &Value) -> Result<(), String> {
        // Without the id of a request only the later schemas have errors at all; what was asked had no revision either.
        let revision =
            if message.get("id").is_none() && revision < "2025-11-25" { "2025-11-25" } else { revision };
        let code = message["error"]["code"].as_i64();
        let special = ERRORS.iter().find(|(known, _)| Some(*known) == code);
        match special {
            Some((_, name)) => self.is(revision, name, message),
            None if self.defines(revision, "JSONRPCErrorResponse") => {
                self.is(revision, "JSONRPCErrorResponse", message)
            }
            None => self.is(revision, "JSONRPCError", message),
        }
    }
}
