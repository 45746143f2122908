//! The public keys of our tokens (RFC 7517 §5): for resources that verify them without asking us.

use actix_web::{
    HttpResponse,
    web::{self, Bytes, Data, ServiceConfig},
};
use serde_json::json;

use super::public;
use crate::{domain::Timestamp, house::House};

/// Where the keys lie.
const PATH: &str = "/oauth/jwks";

/// Adds the path.
pub(super) fn routes(app: &mut ServiceConfig) {
    app.route(PATH, web::get().to(show));
}

/// The keys that count at this moment, the one that signs first; none where only a secret signs, since that
/// one is nobody else's.
async fn show(house: Data<House>) -> HttpResponse {
    let keys = house.services.tokens.public_keys(Timestamp::now());
    public(Bytes::from(json!({ "keys": keys }).to_string()))
}
