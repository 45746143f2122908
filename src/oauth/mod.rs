//! What an OAuth client, or a verifier of our tokens, needs to know of this server; open to everybody.

mod jwks;
mod metadata;

use actix_web::{
    HttpResponse,
    http::header::{self, HeaderValue},
    web::{Bytes, ServiceConfig},
};
pub(crate) use metadata::{PATHS, ResourceMetadata};

use crate::{domain::RequestId, edge};

/// Adds the paths of this room.
pub(crate) fn routes(app: &mut ServiceConfig) {
    metadata::routes(app);
    jwks::routes(app);
}

/// A document for everybody, pages of other origins included, that may be kept for five minutes.
fn public(document: Bytes) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    edge::harden(&mut answer, RequestId::new());
    answer
        .insert_header((header::CONTENT_TYPE, HeaderValue::from_static("application/json")))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")))
        .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")))
        .body(document)
}
