//! The actors: each owns the state of one component, alone. Outside its room only the handle is seen.

pub mod audit;
pub mod kit;
