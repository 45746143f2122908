//! The tools that come with the server: one line each.

use std::sync::Arc;

use super::{
    AnyTool,
    get_security_audit::{GetSecurityAudit, Reviewer},
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
    /// What the audit log says about attacks.
    pub reviewer: Arc<dyn Reviewer>,
}

/// Every built-in tool.
pub fn builtin(parts: &Parts) -> Vec<Box<dyn AnyTool>> {
    vec![
        Box::new(GetWeather { stations: Arc::clone(&parts.stations) }),
        Box::new(GetSecurityAudit { reviewer: Arc::clone(&parts.reviewer) }),
        Box::new(ListUsers { directory: Arc::clone(&parts.directory) }),
    ]
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;
    use crate::{
        actors::audit::insight::Insight,
        domain::Catalogue,
        tools::{LocalFuture, Registry, ToolError, list_users::DirectoryPage, weather::Fixed},
    };

    /// No accounts at all.
    struct Nobody;

    impl Directory for Nobody {
        fn page(&self, _: u64, _: u64) -> LocalFuture<'_, Result<DirectoryPage, ToolError>> {
            Box::pin(ready(Ok(DirectoryPage::default())))
        }
    }

    #[test]
    fn every_built_in_tool_registers_with_closed_arguments_and_a_text_for_each_member() {
        let reviewer = Arc::new(Insight::default());
        let parts = Parts { stations: Arc::new(Fixed), directory: Arc::new(Nobody), reviewer };
        let registry = Registry::new(builtin(&parts), &Catalogue::new::<&str>(&[]).unwrap()).unwrap();
        let needs: Vec<_> = registry.iter().map(|entry| (entry.spec().name, entry.spec().needs)).collect();
        assert_eq!(
            needs,
            [
                ("get_security_audit", "metrics:view"),
                ("get_weather", "weather:read"),
                ("list_users", "admin:users")
            ]
        );
        for entry in registry.iter() {
            let input: serde_json::Value = serde_json::from_str(entry.input().text()).unwrap();
            assert_eq!(input["additionalProperties"], false, "{}", entry.spec().name);
            for (name, property) in input["properties"].as_object().unwrap() {
                assert!(property["description"].is_string(), "{}/{name}", entry.spec().name);
            }
            assert!(entry.spec().hints.read_only && !entry.spec().hints.destructive);
        }
    }
}
