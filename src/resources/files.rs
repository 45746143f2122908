//! `file:///…`: the files of the file tools, by the same folders, patterns, bounds and permission.

use std::time::Duration;

use super::{Descriptor, Resource, ResourceBody, Source, SourceSpec, Suggestions, Template, media};
use crate::{
    domain::Timestamp,
    policy::{Permit, ReadResource},
    tools::{
        Call, LocalFuture, ToolError,
        files::{FILE_PREFIX, Files, Found, path_of, uri_of},
    },
};

/// The variable of the template.
const PATH: &str = "path";

/// The files that the file tools serve.
pub struct FileResources {
    /// The folders.
    pub files: Files,
}

impl Source for FileResources {
    fn spec(&self) -> SourceSpec {
        SourceSpec {
            prefix: FILE_PREFIX,
            needs: "files:read",
            // As `read_file`: what is written back must not be damaged.
            verbatim: true,
            deadline: Duration::from_secs(10),
            templates: &[Template {
                uri: "file:///{+path}",
                name: "file",
                title: "File",
                about: "A file that list_files shows, by its path, each name in percent-encoding.",
                mime_type: None,
            }],
        }
    }

    fn list<'a>(
        &'a self,
        after: Option<&'a str>,
        most: usize,
        _: &'a Permit<ReadResource>,
    ) -> LocalFuture<'a, Result<(Vec<Descriptor>, bool), ToolError>> {
        Box::pin(async move {
            let after = after.and_then(path_of);
            let page = self.files.page(after.as_deref(), "", most).await?;
            Ok((page.files.into_iter().map(descriptor).collect(), page.goes_on))
        })
    }

    fn read<'a>(
        &'a self,
        uri: &'a str,
        _: &'a Call<'a, ReadResource>,
    ) -> LocalFuture<'a, Result<Resource, ToolError>> {
        Box::pin(async move {
            let path = path_of(uri).ok_or_else(|| ToolError::NotFound("it is no file's".into()))?;
            let bytes = self.files.read_named(&path).await?;
            let known = media::by_name(&path);
            let (body, other) = match String::from_utf8(bytes) {
                Ok(text) => (ResourceBody::Text(text), "text/plain"),
                Err(bytes) => (ResourceBody::Blob(bytes.into_bytes()), "application/octet-stream"),
            };
            Ok(Resource { uri: uri_of(&path), mime_type: Some(known.unwrap_or(other).into()), body })
        })
    }

    fn complete<'a>(
        &'a self,
        _: &'a Template,
        (variable, beginning): (&'a str, &'a str),
        _: &'a Permit<ReadResource>,
    ) -> LocalFuture<'a, Result<Suggestions, ToolError>> {
        Box::pin(async move {
            if variable != PATH {
                return Ok(Suggestions::default());
            }
            let page = self.files.page(None, beginning, Suggestions::MOST).await?;
            let total = (!page.goes_on).then_some(page.files.len() as u64);
            let values = page.files.into_iter().map(|file| file.path).collect();
            Ok(Suggestions { values, total, has_more: page.goes_on })
        })
    }
}

fn descriptor(file: Found) -> Descriptor {
    let name = file.path.rsplit('/').next().unwrap_or_default().to_owned();
    Descriptor {
        title: (name != file.path).then(|| file.path.clone()),
        mime_type: media::by_name(&file.path).map(Into::into),
        size: Some(file.size),
        modified: Some(Timestamp::from_micros(file.modified)),
        ..Descriptor::new(uri_of(&file.path), name)
    }
}
