//! The actors: each owns the state of one component, alone. Outside its room only the handle is seen.

pub mod api_keys;
pub mod audit;
pub mod changes;
pub mod epoch;
pub mod feed;
mod freshness;
mod identity;
pub mod keepsake;
pub mod kit;
pub mod limiter;
pub mod recent;
pub mod sessions;
pub mod tasks;
pub mod tokens;
pub mod users;
