//! From the headers of a request to a [`Principal`](crate::domain::Principal), or to the reason why there is none.

mod cache;
mod challenge;
mod credential;
pub mod grants;
mod jwt;

pub use challenge::Challenges;
pub use credential::{Credential, CredentialError};
pub use grants::{GrantError, Grants};
pub use jwt::{Against, AuthError, Authenticated, TokenCache, authenticate};
