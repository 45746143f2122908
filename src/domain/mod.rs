//! The nouns everybody shares: pure data, no I/O, no clock of their own.

mod api_key;
mod audit;
mod change;
mod claims;
mod key_record;
mod password;
mod permission;
mod principal;
mod seal;
mod secret;
mod signing;
mod time;

pub use api_key::{ApiKeySecret, KeyDigest, MalformedKey, NoRandomBytes};
pub use audit::{AuditEvent, EventCode, Outcome, Summary, WITHIN};
pub use change::Change;
pub use claims::{
    AccessClaims, Audience, REFRESH_HEADER_TYPE, RefreshClaims, TOKEN_HEADER_TYPE, TOKEN_TYPE_ACCESS,
    TOKEN_TYPE_REFRESH,
};
pub use key_record::{ApiKey, InvalidKeyId, InvalidKeyName, KeyId, KeyName, KeyState, Rotated};
pub use password::{Password, UnfitPassword};
pub use permission::{Catalogue, InvalidPermission, Permission, PermissionSet};
pub use principal::{InvalidSubject, Principal, PrincipalKind, Recorded, RequestId, Subject};
pub use seal::{MAX_SEALED, Seal};
pub use secret::{SigningSecret, WeakSecret};
pub use signing::{Algorithm, PrivateKey, PublicKey, UnfitKey, is_key_id};
pub use time::Timestamp;
