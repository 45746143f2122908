//! Token pairs: given for a password, exchanged for their successors, ended together.
//!
//! Whatever descends from one login is a family, of which one refresh token counts. The store alone decides
//! which: an exchange is one transaction there, whoever else shows the same token.

mod error;
mod seal;

use std::{sync::Arc, time::Duration};

pub use error::GrantError;
use serde_json::json;
use uuid::Uuid;

use crate::{
    actors::{
        tokens::{MintRequest, MintedPair, TokenError, Tokens},
        users::Users,
    },
    domain::{PermissionSet, Principal, PrincipalKind, Recorded, RefreshClaims, Subject, Timestamp},
    policy::{Roles, standing},
    store::{
        Families, Family, FamilyAccess, FamilyOf, MadeRoom, RevocationTarget, Rotated, Rotation, Stores,
    },
    telemetry::StoreFailures,
};

/// The client of tokens that were given for a password.
const PASSWORD_CLIENT: &str = "password";

/// How long what is given lives.
#[derive(Debug, Clone, Copy)]
pub struct Lives {
    /// An access token.
    pub access: Duration,
    /// A refresh token; each exchange begins anew.
    pub refresh: Duration,
    /// For how long after its first use a refresh token is given the same successors again.
    pub grace: Duration,
}

/// Gives, exchanges and ends token pairs. Clones share everything.
#[derive(Clone)]
pub struct Grants {
    tokens: Tokens,
    users: Users,
    roles: Roles,
    families: Arc<dyn Families>,
    failures: StoreFailures,
    lives: Lives,
}

/// A pair as it is given away, and what a record says of it. `Debug` shows no token.
#[derive(Clone)]
pub struct Pair {
    /// The answer's body.
    pub body: String,
    /// Whom it speaks for.
    pub subject: Subject,
    /// The client that it was given to.
    pub client: Box<str>,
    /// The roles that it carries.
    pub roles: Vec<Box<str>>,
    /// The id of the access token, where it is known.
    pub jti: Option<Box<str>>,
    /// The id of the family.
    pub family: Box<str>,
    /// The families of the same subject that have ended because there were too many.
    pub ended: Vec<String>,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair")
            .field("subject", &self.subject)
            .field("family", &self.family)
            .finish_non_exhaustive()
    }
}

impl Pair {
    /// Whoever holds it, for a record: who it is, not what it may do.
    pub fn principal(&self) -> Principal {
        let credential = self.jti.clone().unwrap_or_else(|| self.family.clone());
        shown(self.subject.clone(), self.client.clone(), credential, self.roles.clone())
    }
}

/// A refresh token that holds, and of whom.
pub struct Shown<'a> {
    token: &'a str,
    claims: RefreshClaims,
    family: Family,
    /// The roles of its family that its subject has now.
    roles: Vec<String>,
}

impl Shown<'_> {
    /// Whoever shows it, for its limits and for a record: who it is, not what it may do.
    pub fn principal(&self) -> Principal {
        let family = &self.family;
        let roles = self.roles.iter().map(|role| role.as_str().into()).collect();
        shown(family.subject.clone(), family.client.as_str().into(), family.id.as_str().into(), roles)
    }
}

/// A principal for a record.
fn shown(id: Subject, client: Box<str>, credential: Box<str>, roles: Vec<Box<str>>) -> Principal {
    let (permissions, reach) = (PermissionSet::EMPTY, PermissionSet::EMPTY);
    let (kind, recorded) = (PrincipalKind::Jwt, Recorded::default());
    Principal { id, kind, client, credential, roles, permissions, reach, recorded }
}

/// The id of a new family.
pub fn new_family() -> String {
    Uuid::now_v7().to_string()
}

/// The body in which a pair is given away.
pub fn pair_body(minted: &MintedPair) -> String {
    let claims = &minted.access.claims;
    json!({
        "access_token": minted.access.token,
        "refresh_token": minted.refresh.token,
        "token_type": "bearer",
        "expires_in": claims.exp.saturating_sub(claims.iat),
    })
    .to_string()
}

/// The family that begins with this pair, and its first access token.
///
/// # Errors
/// Never in fact: what was minted speaks for a subject.
pub fn founded(
    minted: &MintedPair,
    has_account: bool,
    leeway: Duration,
) -> Result<(Family, FamilyAccess), TokenError> {
    let (access, refresh) = (&minted.access.claims, &minted.refresh.claims);
    let family = Family {
        id: refresh.family.clone(),
        subject: refresh.sub.parse().map_err(|_| TokenError::Claims)?,
        client: access.client_id.clone(),
        roles: access.roles.clone(),
        permissions: access.permissions.clone(),
        has_account,
        refresh: refresh.jti.clone(),
        expires_at: end_of(refresh.exp, leeway),
    };
    Ok((family, access_of(minted, leeway)))
}

/// When a token that says `exp` is over by everybody's clock.
fn end_of(exp: u64, leeway: Duration) -> Timestamp {
    Timestamp::from_secs(exp).plus(leeway)
}

fn access_of(minted: &MintedPair, leeway: Duration) -> FamilyAccess {
    let claims = &minted.access.claims;
    FamilyAccess { jti: claims.jti.clone(), until: end_of(claims.exp, leeway) }
}

impl Grants {
    /// Grants of these actors, kept in `stores`.
    pub fn new((tokens, users): (Tokens, Users), roles: Roles, stores: &Stores, lives: Lives) -> Self {
        let (families, failures) = (Arc::clone(&stores.families), stores.failures.clone());
        Self { tokens, users, roles, families, failures, lives }
    }

    /// A new pair for an account with these roles that has just proved its password. Of an account with too
    /// many pairs the one that was not used for longest ends.
    ///
    /// # Errors
    /// [`GrantError`]: nothing is given.
    pub async fn begin(&self, subject: &Subject, roles: Vec<String>) -> Result<Pair, GrantError> {
        let request = self.request(subject, PASSWORD_CLIENT, (roles, Vec::new()));
        let minted = self.tokens.mint_pair(request, new_family(), self.lives.refresh).await?;
        let (family, access) = founded(&minted, true, self.tokens.leeway())?;
        let found = self.families.found(&family, &access, Timestamp::now()).await;
        let MadeRoom { ended, revocations } = self.failures.note("families.found", found)?;
        if !revocations.is_empty() {
            self.tokens.enforce(revocations).await;
        }
        Ok(Pair { ended, ..pair(&minted, subject) })
    }

    /// Finds out whose refresh token that is, and what it may be exchanged for. Nothing is exchanged yet.
    ///
    /// # Errors
    /// [`GrantError`].
    pub async fn look<'a>(&self, token: &'a str, now: Timestamp) -> Result<Shown<'a>, GrantError> {
        let claims = self.tokens.verify_refresh(token, now)?;
        let family = self.failures.note("families.find", self.families.find(&claims.family).await)?;
        let family = family.filter(|family| family.subject.as_str() == claims.sub);
        let family = family.ok_or(GrantError::Revoked)?;
        let roles = self.present_roles(&family)?;
        Ok(Shown { token, claims, family, roles })
    }

    /// Exchanges a refresh token for its successors. Roles that the account has lost are not in them.
    ///
    /// # Errors
    /// [`GrantError`]; after [`GrantError::Reused`] the whole family has ended.
    pub async fn refresh(&self, shown: Shown<'_>, now: Timestamp) -> Result<Pair, GrantError> {
        let Shown { token, claims, family, roles } = shown;
        let permissions = family.permissions.clone();
        let request = self.request(&family.subject, &family.client, (roles, permissions));
        let minted = self.tokens.mint_pair(request, family.id.clone(), self.lives.refresh).await?;
        let fresh = pair(&minted, &family.subject);
        let rotation = self.rotation((token, &claims), (&minted, &fresh.body), now)?;
        match self.failures.note("families.rotate", self.families.rotate(&rotation).await)? {
            Rotated::Done => Ok(fresh),
            Rotated::Again(sealed) => {
                let body = seal::open(token, &family.id, &sealed).ok_or(GrantError::Revoked)?;
                Ok(Pair { body, jti: None, ..fresh })
            }
            Rotated::Reused(revocations) => {
                self.tokens.enforce(revocations).await;
                Err(GrantError::Reused { subject: family.subject, family: family.id })
            }
            Rotated::Gone => Err(GrantError::Revoked),
        }
    }

    /// Ends a pair that was never given away.
    ///
    /// # Errors
    /// [`GrantError::Store`].
    pub async fn abandon(&self, pair: &Pair) -> Result<(), GrantError> {
        let which = FamilyOf::Id(pair.family.to_string());
        let ended = self.families.end(&which, Timestamp::now()).await;
        self.tokens.enforce(self.failures.note("families.end", ended)?).await;
        Ok(())
    }

    /// Ends an access token and the family that it came from.
    ///
    /// # Errors
    /// [`GrantError`]: it may not have ended, and asking again is safe.
    pub async fn end(&self, token: &str, now: Timestamp) -> Result<Principal, GrantError> {
        let claims = self.tokens.first_sight(token, now)?.claims;
        let subject = claims.sub.parse().map_err(|_| TokenError::Claims)?;
        let which = FamilyOf::Access(claims.jti.clone());
        let ended = self.failures.note("families.end", self.families.end(&which, now).await)?;
        self.tokens.enforce(ended).await;
        if !self.tokens.is_revoked(&claims) {
            // A token of no family.
            let left = Timestamp::from_secs(claims.exp).micros().saturating_sub(now.micros());
            let life = Duration::from_micros(left).saturating_add(self.tokens.leeway());
            let target = RevocationTarget::Jti(claims.jti.clone());
            self.tokens.revoke(target, life).await?;
        }
        let roles = claims.roles.iter().map(|role| role.as_str().into()).collect();
        Ok(shown(subject, claims.client_id.into(), claims.jti.into(), roles))
    }

    /// The roles of the family that its account still has; a family of a service has what it was given.
    fn present_roles(&self, family: &Family) -> Result<Vec<String>, GrantError> {
        let account = self.users.find(family.subject.as_str());
        if family.has_account && account.is_none() {
            return Err(GrantError::Revoked);
        }
        let given = (family.roles.as_slice(), family.permissions.as_slice());
        let present = standing(&self.roles, account.as_deref(), given);
        let present = present.map_err(|_disabled| GrantError::Revoked)?;
        Ok(present.roles.into_iter().map(String::from).collect())
    }

    fn request(
        &self,
        subject: &Subject,
        client: &str,
        (roles, permissions): (Vec<String>, Vec<String>),
    ) -> MintRequest {
        let (subject, client) = (subject.clone(), client.to_owned());
        MintRequest { subject, client, roles, permissions, ttl: self.lives.access }
    }

    fn rotation(
        &self,
        (token, claims): (&str, &RefreshClaims),
        (minted, body): (&MintedPair, &str),
        now: Timestamp,
    ) -> Result<Rotation, GrantError> {
        let leeway = self.tokens.leeway();
        Ok(Rotation {
            family: claims.family.clone(),
            shown: claims.jti.clone(),
            successor: minted.refresh.claims.jti.clone(),
            access: access_of(minted, leeway),
            sealed: seal::seal(token, &claims.family, body).ok_or(GrantError::Seal)?,
            at: now,
            grace: self.lives.grace,
            expires_at: end_of(minted.refresh.claims.exp, leeway),
        })
    }
}

fn pair(minted: &MintedPair, subject: &Subject) -> Pair {
    let claims = &minted.access.claims;
    Pair {
        body: pair_body(minted),
        subject: subject.clone(),
        client: claims.client_id.as_str().into(),
        roles: claims.roles.iter().map(|role| role.as_str().into()).collect(),
        jti: Some(claims.jti.as_str().into()),
        family: minted.refresh.claims.family.as_str().into(),
        ended: Vec::new(),
    }
}
