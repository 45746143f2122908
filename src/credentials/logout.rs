//! `POST /auth/logout`: gives an access token back, and with it everything that descends from its login.

use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, web};

use super::exchange::{self, Done, Exchange, Refused, boxed};
use crate::{
    auth::{AuthError, Credential},
    domain::{EventCode, Timestamp},
};

/// Answers one request.
pub(super) async fn serve(request: HttpRequest, payload: web::Payload) -> HttpResponse {
    exchange::serve("/auth/logout", &request, payload.into_inner(), logout).await
}

async fn logout(exchange: &mut Exchange<'_>) -> Result<Done, Refused> {
    let credential = Credential::of(&exchange.headers, exchange.request.query_string()).map_err(boxed)?;
    let token = match credential {
        Credential::Bearer(token) if !token.starts_with("mcp_") => token,
        // A key has no login to end; it is revoked by its owner or an administrator.
        Credential::Bearer(_) | Credential::ApiKey(_) => return Err(boxed(AuthError::ApiKey)),
    };
    let house = exchange.house();
    let (users, clock) = (&house.services.users, Instant::now());
    house.services.tokens.check_fresh(clock, users.staleness(clock)).map_err(boxed)?;
    let principal = house.grants.end(token, Timestamp::now()).await.map_err(boxed)?;
    exchange.record.event(EventCode::TokenRevoked);
    exchange.record.principal(principal);
    Ok(Done::Empty)
}
