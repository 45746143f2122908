//! From the headers of a request to a [`Principal`](crate::domain::Principal), or to the reason why there is none.

mod api_key;
mod cache;
mod caller;
mod challenge;
mod credential;
pub mod grants;
mod jwt;
mod proof;

pub use caller::{At, Caches, authenticate};
pub use challenge::Challenges;
pub use credential::{Credential, CredentialError};
pub use grants::{GrantError, Grants};
pub use jwt::{Against, AuthError, Authenticated};
pub use proof::{Look, Proof};
