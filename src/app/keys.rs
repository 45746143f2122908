//! The keys that sign tokens, wherever the settings have them, and the rules for tokens.

use super::AppError;
use crate::{
    actors::tokens::{Keyring, SigningKey, TokenError, TokenRules},
    domain::{Algorithm, SigningSecret, Timestamp},
    settings::{Settings, generated},
};

/// Keys and rules together: with `jwt.algorithm` HS256 the secret signs, else the first of `jwt.keys`.
/// Whatever else is configured only verifies.
///
/// # Errors
/// [`AppError::NoSecret`] and [`AppError::NoKey`] in production, [`AppError::Generated`],
/// [`AppError::UnreadKey`], [`AppError::Tokens`] for keys that make no ring or one that has retired.
pub fn keyring(settings: &Settings) -> Result<Keyring, AppError> {
    let mut named = named_keys(settings)?.into_iter();
    let secret = secret(settings)?.as_ref().map(SigningKey::hs256);
    let keyring = if settings.jwt.algorithm == Algorithm::Hs256 {
        Keyring::new(secret.ok_or(AppError::NoSecret)?, named, token_rules(settings))
    } else {
        let active = named.next().ok_or(AppError::NoKey)?;
        Keyring::new(active, named.chain(secret), token_rules(settings))
    }?;
    if keyring.can_sign(Timestamp::now()) { Ok(keyring) } else { Err(TokenError::Retired.into()) }
}

/// The HS256 secret: of the settings, or, where it signs and off production, the one that is generated and
/// kept.
fn secret(settings: &Settings) -> Result<Option<SigningSecret>, AppError> {
    match &settings.jwt.secret {
        Some(secret) => Ok(Some(secret.clone())),
        None if settings.jwt.algorithm != Algorithm::Hs256 || settings.is_production() => Ok(None),
        None => Ok(Some(generated::jwt_secret(&settings.data_dir)?)),
    }
}

/// The private keys: of the settings, or, where one signs and off production, the one that is generated and
/// kept, named by its thumbprint.
fn named_keys(settings: &Settings) -> Result<Vec<SigningKey>, AppError> {
    let jwt = &settings.jwt;
    if jwt.keys.is_empty() && jwt.algorithm != Algorithm::Hs256 && !settings.is_production() {
        let key = generated::private_key(&settings.data_dir, jwt.algorithm)?;
        return Ok(vec![SigningKey::named(&key.public().thumbprint(), &key, None)?]);
    }
    let named = jwt.keys.iter().map(|set| {
        let key = set.key.as_ref().ok_or_else(|| AppError::UnreadKey(set.kid.clone()))?;
        Ok(SigningKey::named(&set.kid, key, set.retire_at)?)
    });
    named.collect()
}

/// What every token must say.
fn token_rules(settings: &Settings) -> TokenRules {
    TokenRules {
        issuer: settings.jwt.issuer.clone(),
        audience: settings.jwt.audience.clone(),
        leeway: settings.jwt.leeway,
        max_ttl: settings.jwt.max_ttl,
    }
}
