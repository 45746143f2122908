//! `POST /auth/login`: a password for a pair of tokens.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    body, endpoint,
    exchange::{Done, Exchange, Refused, boxed},
};
use crate::{
    actors::users::UsersError,
    domain::{EventCode, Password, UnfitPassword},
    edge::EdgeError,
};

/// Answers one request.
pub(super) async fn serve(request: HttpRequest, payload: web::Payload) -> HttpResponse {
    endpoint::serve("/auth/login", request, payload.into_inner(), login).await
}

async fn login(exchange: &mut Exchange<'_>) -> Result<Done, Refused> {
    let bytes = exchange.json().await.map_err(|error| match error {
        // Whatever is that long holds no password of anybody's, and is refused like one.
        EdgeError::Body(_) => boxed(UsersError::from(UnfitPassword)),
        other => boxed(other),
    })?;
    let [username, password] =
        body::texts(&bytes, ["username", "password"], "username, password").map_err(boxed)?;
    let password: Password = Zeroizing::new(password).parse().map_err(UsersError::from).map_err(boxed)?;
    let house = exchange.house();
    if house.services.users.find(&username).is_some() {
        // Whoever has no account may have typed a password there.
        exchange.record.detail(&json!({ "account": username }));
    }
    // The body may have come long after the head, while others failed.
    exchange.worker.turnstile.may_try(&exchange.visit).map_err(boxed)?;
    // What a proxy says of itself is the address of everybody behind it, and not where anybody is at home.
    let from = house.proxies.proven(exchange.ip);
    let proved = house.services.users.login(&username, password, from).await.map_err(boxed)?;
    let pair = house.grants.begin(&proved.user.username, proved.user.roles.clone()).await.map_err(boxed)?;
    if !pair.ended.is_empty() {
        // They have ended, whatever becomes of this one.
        exchange.record.detail(&json!({ "ended": pair.ended }));
    }
    if let Err(error) = house.services.users.note_login(&proved).await {
        // Nobody has been told of the pair: if ending it fails too, it ends unused.
        let ended = house.grants.abandon(&pair).await;
        return Err(ended.map_or_else(boxed, |()| boxed(error)));
    }
    exchange.record.event(EventCode::AuthSucceeded);
    exchange.record.detail(&json!({ "family": pair.family, "jti": pair.jti }));
    exchange.record.principal(&Arc::new(pair.principal()));
    Ok(Done::Json(pair.body))
}
