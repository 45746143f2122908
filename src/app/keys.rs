//! The signing key, wherever the settings have it, and the rules for tokens.

use super::AppError;
use crate::{
    actors::tokens::{Keyring, TokenRules},
    domain::SigningSecret,
    settings::{Settings, generated},
};

/// The signing secret: of the settings, or, off production, the one that is generated and kept.
///
/// # Errors
/// [`AppError::NoSecret`] in production, [`AppError::Generated`].
fn signing_secret(settings: &Settings) -> Result<SigningSecret, AppError> {
    match &settings.jwt.secret {
        Some(secret) => Ok(secret.clone()),
        None if settings.is_production() => Err(AppError::NoSecret),
        None => Ok(generated::jwt_secret(&settings.data_dir)?),
    }
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

/// Key and rules together.
///
/// # Errors
/// [`AppError::NoSecret`] in production, [`AppError::Generated`].
pub fn keyring(settings: &Settings) -> Result<Keyring, AppError> {
    Ok(Keyring::hs256(&signing_secret(settings)?, token_rules(settings)))
}
