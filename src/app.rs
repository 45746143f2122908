//! Puts the house together and serves it: settings → store → actors → registry → house → listeners, and
//! the same way back.

mod banner;
mod directory;
mod error;
mod keys;
mod lock;
mod parts;
mod run_file;
mod serve;
mod stop;
mod stores;
mod tls;

pub use banner::banner;
pub use error::AppError;
pub use keys::{keyring, signing_secret, token_rules};
pub use parts::{catalogue, registry, roles};
pub use serve::{Server, audit_config, start};
pub use stores::open_store;
pub use tls::check as check_tls;
