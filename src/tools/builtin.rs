//! The tools that come with the server: one line each.

use std::sync::Arc;

use super::{
    AnyTool,
    delete_file::DeleteFile,
    files::Files,
    get_security_audit::{GetSecurityAudit, Reviewer},
    list_files::ListFiles,
    list_users::{Directory, ListUsers},
    read_file::ReadFile,
    weather::{GetWeather, ReportWeather, Reported, Stations},
    write_file::WriteFile,
};

/// What the built-in tools work on.
#[derive(Clone)]
pub struct Parts {
    /// Where observations of the weather come from.
    pub stations: Arc<dyn Stations>,
    /// What stations have reported.
    pub reported: Reported,
    /// Where accounts are listed.
    pub directory: Arc<dyn Directory>,
    /// The folders whose files are served.
    pub files: Files,
    /// What the audit log says about attacks.
    pub reviewer: Arc<dyn Reviewer>,
}

/// Every built-in tool.
pub fn builtin(parts: &Parts) -> Vec<Box<dyn AnyTool>> {
    let files = || parts.files.clone();
    vec![
        Box::new(DeleteFile { files: files() }),
        Box::new(GetWeather { stations: Arc::clone(&parts.stations), reported: parts.reported.clone() }),
        Box::new(ListFiles { files: files() }),
        Box::new(GetSecurityAudit { reviewer: Arc::clone(&parts.reviewer) }),
        Box::new(ListUsers { directory: Arc::clone(&parts.directory) }),
        Box::new(ReadFile { files: files() }),
        Box::new(ReportWeather { reported: parts.reported.clone() }),
        Box::new(WriteFile { files: files() }),
    ]
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;
    use crate::{
        actors::audit::insight::Insight,
        domain::Catalogue,
        store,
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
        let parts = Parts {
            stations: Arc::new(Fixed),
            reported: Reported::none(&store::open("memory:").unwrap()),
            directory: Arc::new(Nobody),
            files: Files::none(),
            reviewer: Arc::new(Insight::default()),
        };
        let registry = Registry::new(builtin(&parts), &Catalogue::new::<&str>(&[]).unwrap()).unwrap();
        let needs: Vec<_> = registry.iter().map(|entry| (entry.spec().name, entry.spec().needs)).collect();
        let expected = [
            ("delete_file", "files:delete"),
            ("get_security_audit", "metrics:view"),
            ("get_weather", "weather:read"),
            ("list_files", "files:read"),
            ("list_users", "admin:users"),
            ("read_file", "files:read"),
            ("report_weather", "weather:write"),
            ("write_file", "files:write"),
        ];
        assert_eq!(needs, expected);
        for entry in registry.iter() {
            let input: serde_json::Value = serde_json::from_str(entry.input().text()).unwrap();
            assert_eq!(input["additionalProperties"], false, "{}", entry.spec().name);
            for (name, property) in input["properties"].as_object().unwrap() {
                assert!(property["description"].is_string(), "{}/{name}", entry.spec().name);
            }
            // (changes something, may destroy something)
            let hints = (!entry.spec().hints.read_only, entry.spec().hints.destructive);
            let expected = match entry.spec().name {
                "write_file" | "delete_file" => (true, true),
                "report_weather" => (true, false),
                _ => (false, false),
            };
            assert_eq!(hints, expected, "{}", entry.spec().name);
        }
    }
}
