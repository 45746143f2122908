//! The params that our methods share, and their `_meta`.

use std::borrow::Cow;

use super::{
    LogLevel, Revision, WireError,
    object::{self, Shape},
    raw::Raw,
    reader::Reader,
    trace::Trace,
    tree::Tree,
};

/// Longest progress token, bytes as written.
const MAX_TOKEN_BYTES: usize = 130;
/// The members of `params` that any method of ours reads, unread but for their place.
#[derive(Debug, Default)]
pub struct Params<'a> {
    /// `_meta`; an absent one has no members.
    pub meta: Meta<'a>,
    /// `name` of a tool or a prompt.
    pub name: Option<Raw<'a>>,
    /// `arguments` of a tool or a prompt, as the client wrote them; [`Tree::check_members`] has still to be asked.
    pub arguments: Option<Tree<'a>>,
    /// `cursor` of a list.
    pub cursor: Option<Raw<'a>>,
    /// `uri` of a resource.
    pub uri: Option<Raw<'a>>,
    /// What few methods have; in a place of its own, so that the others do not carry it along.
    pub rare: Option<Box<Rare<'a>>>,
}

/// The members of `params` that few methods have.
#[derive(Debug, Default)]
pub struct Rare<'a> {
    /// `protocolVersion` of a handshake of older revisions.
    pub protocol_version: Option<Raw<'a>>,
    /// `inputResponses`: what the client answers to what a call has asked.
    pub input_responses: Option<Raw<'a>>,
    /// `requestState`: what it was given with the questions.
    pub request_state: Option<Raw<'a>>,
    /// `notifications` that a subscription asks for.
    pub notifications: Option<Raw<'a>>,
    /// `ref` of a completion: which prompt or template.
    pub reference: Option<Raw<'a>>,
    /// `argument` of a completion: which one, and as far as it is written.
    pub argument: Option<Raw<'a>>,
    /// `taskId` of a task.
    pub task_id: Option<Raw<'a>>,
}

impl<'a> Shape<'a> for Params<'a> {
    const NAMES: &'static [&'static str] = &[
        "_meta",
        "name",
        "arguments",
        "cursor",
        "protocolVersion",
        "inputResponses",
        "requestState",
        "notifications",
        "uri",
        "ref",
        "argument",
        "taskId",
    ];

    fn read(&mut self, at: usize, reader: &mut Reader<'a>) -> Result<(), WireError> {
        let member = match at {
            0 => return object::read(reader, &mut self.meta),
            2 => {
                self.arguments = Some(Tree::next(reader)?);
                return Ok(());
            }
            1 => &mut self.name,
            3 => &mut self.cursor,
            8 => &mut self.uri,
            rare => self.rare.get_or_insert_default().member(rare),
        };
        *member = Some(reader.value()?);
        Ok(())
    }
}

impl<'a> Rare<'a> {
    /// The member `Params::NAMES[at]`.
    fn member(&mut self, at: usize) -> &mut Option<Raw<'a>> {
        match at {
            4 => &mut self.protocol_version,
            5 => &mut self.input_responses,
            6 => &mut self.request_state,
            7 => &mut self.notifications,
            9 => &mut self.reference,
            10 => &mut self.argument,
            _ => &mut self.task_id,
        }
    }
}

impl<'a> Params<'a> {
    /// The name of the tool or prompt, if it is text.
    pub fn tool_name(&self) -> Option<Cow<'a, str>> {
        self.name.and_then(Raw::string)
    }

    /// The resource's URI, if it is text.
    pub fn resource_uri(&self) -> Option<Cow<'a, str>> {
        self.uri.and_then(Raw::string)
    }

    /// The task's id, if it is text.
    pub fn task(&self) -> Option<Cow<'a, str>> {
        self.rare.as_ref()?.task_id?.string()
    }

    /// What the client answers to what a call has asked.
    pub fn input_responses(&self) -> Option<Raw<'a>> {
        self.rare.as_ref()?.input_responses
    }

    /// What it was given with the questions.
    pub fn request_state(&self) -> Option<Raw<'a>> {
        self.rare.as_ref()?.request_state
    }

    /// What a subscription asks for.
    pub fn notifications(&self) -> Option<Raw<'a>> {
        self.rare.as_ref()?.notifications
    }

    /// The revision that a handshake of older revisions is offered, if what it asks for is text.
    pub fn offered(&self) -> Option<Revision> {
        let asked = self.rare.as_ref()?.protocol_version.filter(|raw| raw.is_string())?;
        Some(Revision::offered(|name| asked.says(name)))
    }
}

/// `params._meta` of a modern request (specification, `basic/index`).
#[derive(Debug, Default)]
pub struct Meta<'a> {
    version: Option<Raw<'a>>,
    capabilities: Option<Raw<'a>>,
    client_info: Option<Raw<'a>>,
    progress_token: Option<Raw<'a>>,
    log_level: Option<Raw<'a>>,
    trace: Option<Box<Trace>>,
}

impl<'a> Shape<'a> for Meta<'a> {
    const NAMES: &'static [&'static str] = &[
        "io.modelcontextprotocol/protocolVersion",
        "io.modelcontextprotocol/clientCapabilities",
        "io.modelcontextprotocol/clientInfo",
        "progressToken",
        "io.modelcontextprotocol/logLevel",
        "traceparent",
        "tracestate",
        "baggage",
    ];

    fn read(&mut self, at: usize, reader: &mut Reader<'a>) -> Result<(), WireError> {
        let member = match at {
            5..=7 => {
                let value = reader.value()?;
                self.trace.get_or_insert_default().take(at - 5, value);
                return Ok(());
            }
            0 => &mut self.version,
            1 => &mut self.capabilities,
            2 => &mut self.client_info,
            3 => &mut self.progress_token,
            _ => &mut self.log_level,
        };
        *member = Some(reader.value()?);
        Ok(())
    }
}

impl<'a> Meta<'a> {
    /// Whether the request claims a revision in its body: the mark of the modern era.
    pub fn claims_version(&self) -> bool {
        self.version.is_some()
    }

    /// The revision that the body claims, if it is text.
    pub fn version(&self) -> Option<Cow<'a, str>> {
        self.version.and_then(Raw::string)
    }

    /// What the client says that it can do, JSON text of an object once it is checked.
    pub fn capabilities(&self) -> &'a str {
        self.capabilities.map_or("{}", Raw::text)
    }

    /// The token of the notifications about its progress that the client wants, JSON text; without one it wants
    /// none.
    pub fn progress_token(&self) -> Option<&'a str> {
        self.progress_token.map(Raw::text)
    }

    /// The least grave log message that the client wants to see; without one it wants none.
    pub fn log_level(&self) -> Option<LogLevel> {
        let wanted = self.log_level?;
        LogLevel::ALL.into_iter().find(|level| wanted.says(level.name()))
    }

    /// The trace that the request says it is a part of; what is malformed of it is not there (M5).
    pub fn trace(&self) -> Option<&Trace> {
        self.trace.as_deref()
    }

    /// The first required member that is missing or of another type, by its name (M2, M3).
    pub fn first_problem(&self) -> Option<&'static str> {
        let is_object = |raw: Option<Raw<'_>>| raw.is_some_and(Raw::is_object);
        if !self.version.is_some_and(Raw::is_string) {
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
            raw.text().len() <= MAX_TOKEN_BYTES && (raw.is_string() || raw.text().parse::<i64>().is_ok())
        });
        if !token_fits {
            return Some("progressToken");
        }
        if self.log_level.is_some() && self.log_level().is_none() {
            return Some("io.modelcontextprotocol/logLevel");
        }
        None
    }
}
