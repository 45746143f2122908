//! What a subscription's client reads.

use std::{
    convert::Infallible,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    asked::Flags,
    stream::{Next, Stream},
};
use crate::{
    house::{House, Worker},
    mcp::events::Framing,
};

/// The events of one subscription: the acknowledgement first, a result last.
pub(super) struct Told {
    stream: Rc<Stream>,
    house: Arc<House>,
    framing: Framing,
    place: Stage,
}

#[derive(PartialEq, Eq)]
enum Stage {
    Begins,
    Runs,
    Over,
}

impl Told {
    pub(super) fn new(stream: Rc<Stream>, worker: &Rc<Worker>, framing: Framing) -> Self {
        Self { stream, house: Arc::clone(&worker.house), framing, place: Stage::Begins }
    }

    /// A notification of this subscription with `params`, an object.
    fn notification(&self, out: &mut Vec<u8>, method: &str, params: &Value) {
        let params = params.to_string();
        let inside = params.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or_default();
        let comma = if inside.is_empty() { "" } else { "," };
        // The id as it came: a number stays one, a text stays one (U3).
        let text = format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/{method}\",\"params\":{{{inside}{comma}\"_meta\":\
             {{\"io.modelcontextprotocol/subscriptionId\":{}}}}}}}",
            self.stream.id
        );
        out.extend_from_slice(&self.framing.frame(text.as_bytes()));
    }

    fn acknowledgement(&self) -> Bytes {
        let mut out = Vec::new();
        let params = json!({ "notifications": self.stream.honoured.to_value() });
        self.notification(&mut out, "subscriptions/acknowledged", &params);
        out.into()
    }

    fn changes(&self, flags: Flags) -> Bytes {
        let mut out = Vec::new();
        for (flag, method) in [
            (Flags::TOOLS, "tools/list_changed"),
            (Flags::PROMPTS, "prompts/list_changed"),
            (Flags::RESOURCES, "resources/list_changed"),
        ] {
            if flags.has(flag) {
                self.notification(&mut out, method, &json!({}));
            }
        }
        for (at, uri) in self.stream.honoured.uris.iter().enumerate() {
            if flags.has_uri(at) {
                self.notification(&mut out, "resources/updated", &json!({ "uri": &**uri }));
            }
        }
        out.into()
    }

    fn end(&self) -> Bytes {
        let (id, stamp) = (&self.stream.id, self.house.views.stamp_with(&self.stream.id));
        let text =
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"resultType\":\"complete\",{stamp}}}}}");
        self.framing.frame(text.as_bytes())
    }
}

impl MessageBody for Told {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let next = match self.place {
            Stage::Over => return Poll::Ready(None),
            Stage::Begins => {
                self.place = Stage::Runs;
                return Poll::Ready(Some(Ok(self.acknowledgement())));
            }
            Stage::Runs => self.stream.take(context.waker()),
        };
        let bytes = match next {
            Next::Nothing => return Poll::Pending,
            Next::Beat => self.framing.keep_alive(),
            Next::Changes(flags) => self.changes(flags),
            Next::End => {
                self.place = Stage::Over;
                self.end()
            }
        };
        Poll::Ready(Some(Ok(bytes)))
    }
}
