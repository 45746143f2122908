//! Puts the house together and serves it: settings → store → actors → registry → house → listeners, and
//! the same way back.

mod adoption;
mod banner;
mod bootstrap;
mod directory;
mod error;
mod furnish;
mod keys;
mod limits;
mod listeners;
mod lock;
mod open;
mod parts;
mod run_file;
mod serve;
mod services;
mod shared;
mod stdio;
mod stop;
mod stores;
mod tls;
mod watches;
mod wire;

pub use banner::{banner, first_account};
pub use bootstrap::administrators;
pub use error::AppError;
pub use keys::keyring;
pub use limits::limits;
pub use lock::DataLock;
pub use parts::{Additions, bare_registry, prompts, roles};
pub use serve::{Server, start, start_with};
pub use services::audit_config;
pub use stdio::stdio;
pub use stores::{AnyStore, open_any_store, open_store, open_to_copy};
pub use tls::check as check_tls;
