//! `POST /auth/refresh`: a refresh token for the next pair.

use std::{sync::Arc, time::Instant};

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::{
    body, endpoint,
    exchange::{Done, Exchange, Refused, boxed},
};
use crate::{
    auth::GrantError,
    domain::{EventCode, Timestamp},
};

/// Answers one request.
pub(super) async fn serve(request: HttpRequest, payload: web::Payload) -> HttpResponse {
    endpoint::serve("/auth/refresh", request, payload.into_inner(), refresh).await
}

async fn refresh(exchange: &mut Exchange<'_>) -> Result<Done, Refused> {
    let bytes = exchange.json().await.map_err(boxed)?;
    let [token] = body::texts(&bytes, ["refresh_token"], "refresh_token").map_err(boxed)?;
    let house = exchange.house();
    let (users, clock) = (&house.services.users, Instant::now());
    house.services.tokens.check_fresh(clock, users.staleness(clock)).map_err(boxed)?;
    let now = Timestamp::now();
    let shown = house.grants.look(&token, now).await.map_err(boxed)?;
    // Each exchange leaves a token in the store that lives for `jwt.access_ttl`.
    let principal = Arc::new(shown.principal());
    exchange.worker.turnstile.passing(&exchange.visit, &principal).await.map_err(boxed)?;
    match house.grants.refresh(shown, now).await {
        Ok(pair) => {
            exchange.record.event(EventCode::TokenRefreshed);
            exchange
                .record
                .detail(&json!({ "family": pair.family, "jti": pair.jti, "again": pair.jti.is_none() }));
            exchange.record.principal(&Arc::new(pair.principal()));
            Ok(Done::Json(pair.body))
        }
        Err(error) => {
            if let GrantError::Reused { subject, family } = &error {
                exchange.record.event(EventCode::TokenReuseDetected);
                exchange.record.detail(&json!({ "account": subject, "family": family }));
                tracing::warn!(principal.id = %subject, family, "a refresh token was used twice: its family has ended");
            }
            Err(boxed(error))
        }
    }
}
