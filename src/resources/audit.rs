//! `portcullis://audit/{time_range}`: what `get_security_audit` tells, to be read without a call.

use std::{sync::Arc, time::Duration};

use super::{Audience, Descriptor, Resource, ResourceBody, Source, SourceSpec, Suggestions, Template};
use crate::{
    policy::{Permit, ReadResource},
    tools::{
        Call, LocalFuture, ToolError,
        get_security_audit::{RANGES, Reviewer, review},
    },
};

/// What the URI of each view begins with.
const PREFIX: &str = "portcullis://audit/";
const MIME_TYPE: &str = "application/json";

/// The security audit over the last hour, day and week.
pub struct AuditViews {
    /// Who knows.
    pub reviewer: Arc<dyn Reviewer>,
}

impl Source for AuditViews {
    fn spec(&self) -> SourceSpec {
        SourceSpec {
            prefix: PREFIX,
            needs: "metrics:view",
            verbatim: false,
            deadline: Duration::from_secs(5),
            templates: &[Template {
                uri: "portcullis://audit/{time_range}",
                name: "security_audit",
                title: "Security audit",
                about: "What get_security_audit tells of the last hour, day or week: 1h, 24h or 7d.",
                mime_type: Some(MIME_TYPE),
            }],
        }
    }

    fn list<'a>(
        &'a self,
        after: Option<&'a str>,
        most: usize,
        _: &'a Permit<ReadResource>,
    ) -> LocalFuture<'a, Result<(Vec<Descriptor>, bool), ToolError>> {
        let from =
            RANGES.iter().position(|range| after.and_then(|uri| uri.strip_prefix(PREFIX)) == Some(range));
        let mut behind = RANGES.iter().skip(from.map_or(0, |at| at + 1)).map(|range| Descriptor {
            title: Some(format!("Security audit, {range}")),
            about: Some("What the audit log says about attacks on this server.".into()),
            mime_type: Some(MIME_TYPE.into()),
            audience: vec![Audience::User],
            ..Descriptor::new(format!("{PREFIX}{range}"), format!("security_audit_{range}"))
        });
        let page = behind.by_ref().take(most).collect();
        let goes_on = behind.next().is_some();
        Box::pin(async move { Ok((page, goes_on)) })
    }

    fn read<'a>(
        &'a self,
        uri: &'a str,
        _: &'a Call<'a, ReadResource>,
    ) -> LocalFuture<'a, Result<Resource, ToolError>> {
        Box::pin(async move {
            let range = uri.strip_prefix(PREFIX).unwrap_or_default();
            let text = review(&*self.reviewer, range).await?;
            let body = ResourceBody::Text(text);
            Ok(Resource { uri: uri.to_owned(), mime_type: Some(MIME_TYPE.into()), body })
        })
    }

    fn complete<'a>(
        &'a self,
        _: &'a Template,
        (_, beginning): (&'a str, &'a str),
        _: &'a Permit<ReadResource>,
    ) -> LocalFuture<'a, Result<Suggestions, ToolError>> {
        Box::pin(async move { Ok(Suggestions::among(RANGES, beginning)) })
    }
}
