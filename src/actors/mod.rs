//! The actors: each owns the state of one component, alone. Outside its room only the handle is seen.

pub mod audit;
pub mod epoch;
pub mod feed;
pub mod kit;
pub mod limiter;
pub mod tokens;
pub mod users;
