//! Keeps what is left of a chunked request alive until its answer has left.
//!
//! Once nobody holds a chunked body any more, actix reads on to its end, and for that end it waits without
//! a deadline of any kind (actix-http 3.20, seen): whoever was refused could hold a connection for ever. Of
//! a body that is still held when the answer ends, it takes leave within a second, as of every other.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::{
    Error, HttpMessage,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Payload, Service, ServiceRequest, ServiceResponse},
    error::PayloadError,
    http::header,
};
use bytes::Bytes;
use futures_util::Stream;

/// Middleware for `wrap_fn`. Requests without `Transfer-Encoding` pass as they are.
pub fn hold_chunked<S>(
    mut request: ServiceRequest,
    service: &S,
) -> impl Future<Output = Result<ServiceResponse, Error>> + use<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse, Error = Error>,
{
    let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
    let held = chunked.then(|| {
        let shared = Shared(Rc::new(RefCell::new(request.take_payload())));
        request.set_payload(Payload::Stream { payload: Box::pin(Shared(Rc::clone(&shared.0))) });
        shared
    });
    let answering = service.call(request);
    async move {
        let answer = answering.await?;
        Ok(match held {
            Some(request) => answer.map_body(|_, body| BoxBody::new(Held { body, _request: request })),
            None => answer,
        })
    }
}

/// A request's body, for the handler to read and for the answer to hold.
struct Shared(Rc<RefCell<Payload>>);

impl Stream for Shared {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(cx)
    }
}

/// An answer's body that holds the request's.
struct Held {
    body: BoxBody,
    _request: Shared,
}

impl MessageBody for Held {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(cx)
    }
}
