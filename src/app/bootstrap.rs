//! The first account of a development server, without which nobody could administer it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::AppError;
use crate::{
    actors::{
        audit::Audit,
        users::{Hasher, UsersError},
    },
    domain::{AuditEvent, EventCode, Outcome, Password, Subject, Timestamp},
    policy::Roles,
    settings::Settings,
    store::{Stores, User},
};

/// The account's name and its role.
const ADMIN: &str = "admin";
/// Random bytes of its password.
const PASSWORD_BYTES: usize = 18;

/// The roles that make an administrator: those that give `admin:users`.
pub fn administrators(roles: &Roles) -> Vec<String> {
    let administering = roles.catalogue().find("admin:users");
    let gives = |name: &&str| {
        administering.zip(roles.permissions_of(name)).is_some_and(|(needed, given)| given.contains(needed))
    };
    roles.names().filter(gives).map(str::to_owned).collect()
}

/// Makes the account `admin` on the first start in development, if there is no account at all; gives its
/// password, which is kept nowhere.
///
/// # Errors
/// [`AppError::Store`], [`AppError::Audit`], [`AppError::Users`].
pub(super) async fn first_account(
    settings: &Settings,
    (stores, roles): (&Stores, &Roles),
    (hasher, audit): (&Hasher, &Audit),
) -> Result<Option<Zeroizing<String>>, AppError> {
    let is_first = stores.users.after(None).await?.is_empty();
    if !settings.profile.is_development() || roles.permissions_of(ADMIN).is_none() || !is_first {
        return Ok(None);
    }
    let mut bytes = Zeroizing::new([0; PASSWORD_BYTES]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice()).map_err(|_| UsersError::Hash)?;
    let typed = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
    let password: Password = typed.parse().map_err(UsersError::from)?;
    let username: Subject = ADMIN.parse().map_err(|_| UsersError::Wrong)?;
    let user = User {
        id: Uuid::now_v7(),
        username,
        roles: vec![ADMIN.to_owned()],
        active: true,
        created_at: Timestamp::now(),
        last_login: None,
    };
    let slot = audit.lane().reserve()?;
    if !stores.users.add(&user, &hasher.hash(&password)?, true).await? {
        return Ok(None);
    }
    let mut event = AuditEvent::new(Timestamp::now(), EventCode::UserChanged, Outcome::Ok);
    let detail = serde_json::json!({ "user": ADMIN, "change": "added", "roles": user.roles });
    event.detail = Some(detail.to_string().into());
    slot.write(event).committed().await?;
    Ok(Some(typed))
}
