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
    Error, HttpMessage, HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Payload, Service, ServiceRequest, ServiceResponse},
    error::PayloadError,
    http::header::{self, HeaderMap},
};
use bytes::Bytes;
use futures_util::Stream;

use super::{Busy, connections::Connection};

/// What of a chunked request is kept until its answer has left; nothing of any other.
pub struct Hold(Option<Shared>);

impl Hold {
    /// Holds the body of a request with these headers, for which a handler is `busy`; gives back what that
    /// reads of it.
    pub fn of(busy: &Busy, headers: &HeaderMap, payload: Payload) -> (Self, Payload) {
        if !headers.contains_key(header::TRANSFER_ENCODING) {
            return (Self(None), payload);
        }
        let shared = Shared { payload: Rc::new(RefCell::new(payload)), connection: busy.connection() };
        let read = Box::pin(shared.clone());
        (Self(Some(shared)), Payload::Stream { payload: read })
    }

    /// Has the answer hold it.
    pub fn until_sent(self, answer: HttpResponse) -> HttpResponse {
        match self.0 {
            Some(request) => answer.map_body(|_, body| BoxBody::new(Held { body, _request: request })),
            None => answer,
        }
    }
}

/// Is busy with each request of a scope and holds its body, as a middleware for `wrap_fn`.
pub fn attend<S>(
    mut request: ServiceRequest,
    service: &S,
) -> impl Future<Output = Result<ServiceResponse, Error>> + use<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse, Error = Error>,
{
    let busy = Busy::with(request.request());
    let payload = request.take_payload();
    let (hold, payload) = Hold::of(&busy, request.headers(), payload);
    request.set_payload(payload);
    let answering = service.call(request);
    async move {
        let _busy = busy;
        let (request, answer) = answering.await?.into_parts();
        Ok(ServiceResponse::new(request, hold.until_sent(answer)))
    }
}

/// A request's body, for the handler to read and for the answer to hold.
#[derive(Clone)]
struct Shared {
    payload: Rc<RefCell<Payload>>,
    connection: Option<Rc<Connection>>,
}

impl Stream for Shared {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut *self.payload.borrow_mut()).poll_next(cx);
        if let (Poll::Ready(None | Some(Err(_))), Some(connection)) = (&next, &self.connection) {
            connection.has_body();
        }
        next
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
