//! `POST /admin/faults/<actor>`: proves that a panic stays in its room. Off unless `admin.unsafe_faults`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};

use crate::{
    domain::RequestId,
    edge::{self, EdgeError, HttpError},
    house::House,
};

/// Makes the actor of that name panic; 202 once it has been told to.
pub(super) async fn inject(house: Data<House>, actor: Path<String>) -> Result<HttpResponse, HttpError> {
    let services = &house.services;
    match actor.as_str() {
        "tokens" => services.tokens.fault()?,
        "users" => services.users.fault()?,
        "api_keys" => services.keys.fault()?,
        "feed" => services.feed.fault()?,
        "limiter" => services.limiter.fault()?,
        "audit" => services.audit.fault()?,
        "insight" => services.insight.fault()?,
        "shipper" => services.shipper.as_ref().ok_or(EdgeError::Path)?.fault()?,
        "sessions" => services.sessions.as_ref().ok_or(EdgeError::Path)?.fault()?,
        "tasks" => services.tasks.fault()?,
        _ => return Err(EdgeError::Path.into()),
    }
    let mut answer = HttpResponse::Accepted();
    edge::harden(&mut answer, RequestId::new());
    Ok(answer.finish())
}
