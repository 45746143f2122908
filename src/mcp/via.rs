//! The edge by which a message came in, and what of its exchange depends on that. Everything else does not.

use std::cell::Cell;

use actix_web::http::{
    Uri,
    header::{HeaderMap, HeaderName, HeaderValue},
};

use super::{era::Beside, events::Framing, exchange::Exchange};
use crate::{
    auth::{Credential, CredentialError},
    domain::ApiKeySecret,
    edge::EdgeError,
    protocol::Revision,
};

/// The edge by which a message came in.
#[derive(Clone, Copy)]
pub(super) enum Via<'a> {
    /// HTTP: what its request asks for, and all of the headers.
    Http(&'a Uri, &'a HeaderMap),
    /// A line of standard input.
    Line(&'a Line),
}

/// What all messages have in common that come as lines of one input.
pub(super) struct Line {
    key: ApiKeySecret,
    /// What a handshake has agreed on, for the messages of older revisions.
    agreed: Cell<Option<Revision>>,
}

impl Line {
    /// Of a client that shows `key` with everything that it asks.
    pub(super) fn new(key: ApiKeySecret) -> Self {
        Self { key, agreed: Cell::default() }
    }

    /// Keeps what a handshake has agreed on.
    pub(super) fn agree(&self, revision: Revision) {
        self.agreed.set(Some(revision));
    }
}

impl<'a> Exchange<'a> {
    /// The one credential that the message shows, not verified yet.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub(super) fn credential(&self) -> Result<Credential<'a>, CredentialError> {
        match self.via {
            Via::Http(uri, _) => Credential::of(&self.headers, uri.query().unwrap_or_default()),
            Via::Line(line) => Ok(Credential::ApiKey(line.key.expose())),
        }
    }

    /// The headers of that name; there are none beside HTTP.
    pub(super) fn named(&self, name: &HeaderName) -> impl Iterator<Item = &'a HeaderValue> + use<'a> {
        let all = match self.via {
            Via::Http(_, all) => Some(all.get_all(name)),
            Via::Line(_) => None,
        };
        all.into_iter().flatten()
    }

    /// What is said of the message beside its body.
    pub(super) fn beside(&self) -> Beside<'_> {
        match self.via {
            Via::Http(..) => Beside::Headers(&self.headers, self.agreed()),
            Via::Line(line) => Beside::Agreed(line.agreed.get()),
        }
    }

    /// How what is told beside the answer is written.
    pub(super) fn framing(&self) -> Framing {
        match self.via {
            Via::Http(..) => Framing::Events,
            Via::Line(_) => Framing::Lines,
        }
    }

    /// The rung that every message must pass: somebody serves, and it was sent to us.
    pub(super) fn guard(&self) -> Result<(), EdgeError> {
        if self.house().is_closing() {
            return Err(EdgeError::Closing);
        }
        match self.via {
            Via::Http(uri, _) => self.house().guard.check(&self.headers, uri),
            // No page of any browser reaches a pipe.
            Via::Line(_) => Ok(()),
        }
    }
}
