//! `POST /auth/logout`: gives an access token back, and with it everything that descends from its login.

use std::{sync::Arc, time::Instant};

use actix_web::{HttpRequest, HttpResponse, web};

use super::{
    endpoint,
    exchange::{Done, Exchange, Refused, boxed},
};
use crate::{
    actors::api_keys::{KeyError, WhyRefused},
    auth::Credential,
    domain::{EventCode, Timestamp},
};

/// Answers one request.
pub(super) async fn serve(request: HttpRequest, payload: web::Payload) -> HttpResponse {
    endpoint::serve("/auth/logout", request, payload.into_inner(), logout).await
}

async fn logout(exchange: &mut Exchange<'_>) -> Result<Done, Refused> {
    let credential = Credential::of(&exchange.headers, exchange.request.query_string()).map_err(boxed)?;
    let token = match credential {
        Credential::Bearer(token) if !token.starts_with("mcp_") => token,
        // A key has no login to end; it is revoked by its owner or an administrator.
        Credential::Bearer(_) | Credential::ApiKey(_) => {
            return Err(boxed(KeyError::refused(WhyRefused::Malformed, None)));
        }
    };
    let house = exchange.house();
    let (users, clock) = (&house.services.users, Instant::now());
    house.services.tokens.check_fresh(clock, users.staleness(clock)).map_err(boxed)?;
    // What has ended cannot be refused any more for want of a place in the log.
    let place = exchange.worker.lane.reserve().map_err(boxed)?;
    let principal = Arc::new(house.grants.end(token, Timestamp::now()).await.map_err(boxed)?);
    exchange.record.event(EventCode::TokenRevoked);
    exchange.record.principal(&principal);
    // What it carries means nothing any more, here or elsewhere.
    exchange.worker.first_sight_in(place, &exchange.record, &principal, &[]);
    Ok(Done::Empty)
}
