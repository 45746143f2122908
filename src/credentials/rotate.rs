//! `POST /auth/key/rotate`: a key near its end asks for its successor, and is told it this once.

use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::{
    endpoint,
    exchange::{Done, Exchange, Refused, boxed},
};
use crate::{
    auth::{At, Credential, authenticate},
    domain::{EventCode, KeyId, PrincipalKind, Timestamp},
    error::{Code, Coded},
};

/// Only a key has a successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("only an API key can be rotated here, by itself")]
struct NoKey;

impl Coded for NoKey {
    fn code(&self) -> Code {
        Code::Forbidden
    }
}

/// Answers one request.
pub(super) async fn serve(request: HttpRequest, payload: web::Payload) -> HttpResponse {
    endpoint::serve("/auth/key/rotate", request, payload.into_inner(), rotate).await
}

async fn rotate(exchange: &mut Exchange<'_>) -> Result<Done, Refused> {
    let credential = Credential::of(&exchange.headers, exchange.request.query_string()).map_err(boxed)?;
    let (house, now) = (exchange.house(), Timestamp::now());
    let address = house.proxies.proven(exchange.ip);
    let at = At { now, clock: Instant::now(), address, again: false };
    let seen = authenticate(credential, house.against(), &exchange.worker.cache, at).await;
    let seen = seen.map_err(|error| {
        if let Some(detail) = error.detail() {
            exchange.record.detail(&detail);
        }
        boxed(error)
    })?;
    exchange.record.principal(&seen.principal);
    if let Some(unknown) = seen.first_sight {
        exchange.worker.first_sight(&exchange.record, &seen.principal, &unknown).map_err(boxed)?;
    }
    exchange.rotated = seen.rotated;
    let id: KeyId = match seen.principal.kind {
        PrincipalKind::ApiKey => seen.principal.credential.parse().map_err(|_| boxed(NoKey))?,
        _ => return Err(boxed(NoKey)),
    };
    let successor = house.services.keys.rotate(id, now).await.map_err(boxed)?;
    exchange.rotated = successor.old.rotation;
    exchange.record.event(EventCode::KeyRotated);
    exchange.record.detail(&json!({
        "key_id": successor.key.id,
        "user_id": successor.key.owner,
        "predecessor": id,
        "expires_at": successor.key.expires_at.to_string(),
        "grace_until": successor.old.ends_at().to_string(),
    }));
    house.metrics.key_rotation();
    let told = json!({
        "api_key": successor.secret.expose(),
        "key_id": successor.key.id,
        "expires_at": successor.key.expires_at.to_string(),
    });
    Ok(Done::Made(told.to_string()))
}
