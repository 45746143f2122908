//! The sources of this server, each checked when it is registered.

use sha2::{Digest, Sha256};

use super::{Source, SourceSpec, Template, descriptor};
use crate::{
    domain::{Catalogue, Permission},
    protocol::Revision,
};

/// Every source of this server, sorted by prefix. Fixed once built.
#[derive(Debug, Default)]
pub struct Resources(Vec<Entry>);

/// One registered source.
pub struct Entry {
    source: Box<dyn Source>,
    spec: SourceSpec,
    needs: Permission,
}

impl Resources {
    /// A registry of these sources, whose permissions are all in `catalogue`.
    ///
    /// # Errors
    /// [`ResourcesError`] for the first that cannot be registered.
    pub fn new(sources: Vec<Box<dyn Source>>, catalogue: &Catalogue) -> Result<Self, ResourcesError> {
        let mut entries = Vec::with_capacity(sources.len());
        for source in sources {
            entries.push(Entry::new(source, catalogue)?);
        }
        entries.sort_by_key(|entry| entry.spec.prefix);
        // Sorted, whatever begins with another's prefix stands behind it.
        let shared = entries.windows(2).find_map(|pair| match pair {
            [one, other] if other.spec.prefix.starts_with(one.spec.prefix) => Some(other.spec.prefix),
            _ => None,
        });
        match shared {
            Some(prefix) => Err(ResourcesError::Shared(prefix)),
            None => Ok(Self(entries)),
        }
    }

    /// The source of the resource that `uri` names, whether or not there is one.
    pub fn of(&self, uri: &str) -> Option<&Entry> {
        self.0.iter().find(|entry| uri.starts_with(entry.spec.prefix))
    }

    /// The template of exactly that text, and its source.
    pub fn template(&self, uri: &str) -> Option<(&Entry, &'static Template)> {
        let of = |entry: &Entry| entry.spec.templates.iter().find(|template| template.uri == uri);
        self.0.iter().find_map(|entry| Some((entry, of(entry)?)))
    }

    /// Every source, sorted by prefix.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.0.iter()
    }

    /// What tells this set of sources from another: the same on every replica of one build and settings.
    pub fn generation(&self) -> u64 {
        let mut digest = Sha256::new();
        for entry in &self.0 {
            digest.update(entry.spec.prefix);
            digest.update([0]);
            digest.update(entry.spec.needs);
            digest.update([0]);
        }
        let digest: [u8; 32] = digest.finalize().into();
        digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
    }
}

impl Entry {
    fn new(source: Box<dyn Source>, catalogue: &Catalogue) -> Result<Self, ResourcesError> {
        let spec = source.spec();
        let scheme = spec.prefix.split_once(':').map_or("", |(scheme, _)| scheme);
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
            && spec.prefix.bytes().all(|b| b.is_ascii_graphic());
        if !is_scheme {
            return Err(ResourcesError::Prefix(spec.prefix));
        }
        if spec.deadline.is_zero() {
            return Err(ResourcesError::Time(spec.prefix));
        }
        if let Some(template) = spec.templates.iter().find(|known| !known.uri.starts_with(spec.prefix)) {
            return Err(ResourcesError::Template { template: template.uri, prefix: spec.prefix });
        }
        let needs = catalogue.find(spec.needs);
        let needs =
            needs.ok_or(ResourcesError::Permission { prefix: spec.prefix, permission: spec.needs })?;
        Ok(Self { source, spec, needs })
    }

    /// Fixed facts about it.
    pub fn spec(&self) -> &SourceSpec {
        &self.spec
    }

    /// What a caller needs.
    pub fn needs(&self) -> Permission {
        self.needs
    }

    /// The source itself.
    pub fn source(&self) -> &dyn Source {
        &*self.source
    }

    /// Its templates as `revision` shows them, each with its text.
    pub fn templates(&self, revision: Revision) -> impl Iterator<Item = (&'static str, String)> {
        let shown = move |known: &Template| (known.uri, descriptor::template(known, revision).to_string());
        self.spec.templates.iter().map(shown)
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("spec", &self.spec).finish_non_exhaustive()
    }
}

/// Why a source cannot be registered; each is a mistake in the source or in the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResourcesError {
    /// The prefix does not begin with a scheme.
    #[error("`{0}` does not begin as a URI does: a scheme in lower case and a colon")]
    Prefix(&'static str),
    /// No time.
    #[error("the resources of `{0}` must have a deadline")]
    Time(&'static str),
    /// Another source has resources there.
    #[error("`{0}` begins with the prefix of another source")]
    Shared(&'static str),
    /// A template of resources of somebody else.
    #[error("the template `{template}` does not begin with the prefix of its source, `{prefix}`")]
    Template {
        /// The template.
        template: &'static str,
        /// The prefix.
        prefix: &'static str,
    },
    /// Nobody knows the permission.
    #[error(
        "the resources of `{prefix}` need the permission `{permission}`, which is not known; declare it under [permissions] extra"
    )]
    Permission {
        /// Whose.
        prefix: &'static str,
        /// As the source has it.
        permission: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        policy::{Permit, ReadResource},
        resources::{Descriptor, Resource},
        tools::{Call, LocalFuture, ToolError},
    };

    struct Nothing(SourceSpec);

    impl Source for Nothing {
        fn spec(&self) -> SourceSpec {
            self.0
        }

        fn list<'a>(
            &'a self,
            _: Option<&'a str>,
            _: usize,
            _: &'a Permit<ReadResource>,
        ) -> LocalFuture<'a, Result<(Vec<Descriptor>, bool), ToolError>> {
            Box::pin(async { Ok((Vec::new(), false)) })
        }

        fn read<'a>(
            &'a self,
            _: &'a str,
            _: &'a Call<'a, ReadResource>,
        ) -> LocalFuture<'a, Result<Resource, ToolError>> {
            Box::pin(async { Err(ToolError::NotFound("nothing".into())) })
        }
    }

    const SOUND: SourceSpec = SourceSpec {
        prefix: "test://",
        needs: "files:read",
        verbatim: false,
        deadline: Duration::from_secs(1),
        templates: &[Template { uri: "test://{id}", name: "t", title: "T", about: "t", mime_type: None }],
    };

    fn registered(specs: &[SourceSpec]) -> Result<Resources, ResourcesError> {
        let sources = specs.iter().map(|spec| -> Box<dyn Source> { Box::new(Nothing(*spec)) }).collect();
        Resources::new(sources, &Catalogue::new::<&str>(&[]).unwrap())
    }

    #[test]
    fn a_uri_belongs_to_the_source_of_its_prefix() {
        let resources =
            registered(&[SOUND, SourceSpec { prefix: "other:", templates: &[], ..SOUND }]).unwrap();
        assert_eq!(resources.of("test://x").unwrap().spec().prefix, "test://");
        assert_eq!(resources.of("other:x").unwrap().spec().prefix, "other:");
        for uri in ["", "test:/", "TEST://x", "others:x", " test://x"] {
            assert!(resources.of(uri).is_none(), "{uri}");
        }
        assert_eq!(resources.template("test://{id}").unwrap().1.name, "t");
        assert!(resources.template("test://x").is_none());
        assert_ne!(resources.generation(), registered(&[SOUND]).unwrap().generation());
    }

    #[test]
    fn what_cannot_be_told_apart_or_guarded_is_not_registered() {
        let other = |change: fn(&mut SourceSpec)| {
            let mut spec = SOUND;
            change(&mut spec);
            registered(&[spec]).unwrap_err()
        };
        for prefix in ["", "test", ":x", "Test://", "1test:", "te st:", "test://\u{e9}"] {
            let spec = SourceSpec { prefix, templates: &[], ..SOUND };
            assert_eq!(registered(&[spec]).unwrap_err(), ResourcesError::Prefix(prefix));
        }
        assert_eq!(other(|spec| spec.deadline = Duration::ZERO), ResourcesError::Time("test://"));
        let unknown = ResourcesError::Permission { prefix: "test://", permission: "x:y" };
        assert_eq!(other(|spec| spec.needs = "x:y"), unknown);
        let strange = ResourcesError::Template { template: "test://{id}", prefix: "other:" };
        assert_eq!(other(|spec| spec.prefix = "other:"), strange);
        let below = SourceSpec { prefix: "test://a/", templates: &[], ..SOUND };
        assert_eq!(registered(&[below, SOUND]).unwrap_err(), ResourcesError::Shared("test://a/"));
        assert_eq!(registered(&[SOUND, SOUND]).unwrap_err(), ResourcesError::Shared("test://"));
    }
}
