//! The tools that come with the server: one line each.

use std::sync::Arc;

use super::{
    AnyTool,
    list_users::{Directory, ListUsers},
    weather::{GetWeather, Stations},
};

/// What the built-in tools work on.
#[derive(Clone)]
pub struct Parts {
    /// Where observations of the weather come from.
    pub stations: Arc<dyn Stations>,
    /// Where accounts are listed.
    pub directory: Arc<dyn Directory>,
}

/// Every built-in tool.
pub fn builtin(parts: &Parts) -> Vec<Box<dyn AnyTool>> {
    vec![
        Box::new(GetWeather { stations: Arc::clone(&parts.stations) }),
        Box::new(ListUsers { directory: Arc::clone(&parts.directory) }),
    ]
}
