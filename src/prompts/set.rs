//! The prompts of this server by name, and which of them are in force.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};

use super::{Folder, Prompt};
use crate::{
    domain::{Catalogue, Permission},
    protocol::Revision,
    settings::{Problem, nearest_name},
};

/// Every prompt of this server, sorted by name. Fixed once built.
#[derive(Debug, Default)]
pub struct Set(Vec<Entry>);

/// One prompt.
#[derive(Clone)]
pub struct Entry {
    prompt: Arc<dyn Prompt>,
    needs: Permission,
}

impl Set {
    /// The prompts of `folder` and those of a program, `own`, whose permissions are all in `catalogue`.
    ///
    /// # Errors
    /// Everything that is wrong, by its place.
    pub fn read(
        folder: &Folder,
        own: &[Arc<dyn Prompt>],
        catalogue: &Catalogue,
    ) -> Result<Self, Vec<Problem>> {
        let files = folder.read()?.into_iter().map(|prompt| -> Arc<dyn Prompt> { Arc::new(prompt) });
        let (mut entries, mut problems): (Vec<Entry>, Vec<Problem>) = (Vec::new(), Vec::new());
        for prompt in own.iter().cloned().chain(files) {
            let spec = prompt.spec();
            let key = |place: &str| format!("prompts/{}.toml {place}", spec.name.escape_debug());
            if let Some((place, fault)) = spec.fault() {
                problems.push(Problem { key: key(&place), problem: fault.into(), fix: "correct it".into() });
            }
            if entries.iter().any(|other| other.prompt.spec().name == spec.name) {
                let (problem, fix) = ("there is a prompt of this name already", "give it another one");
                problems.push(Problem { key: key("name"), problem: problem.into(), fix: fix.into() });
            }
            match catalogue.find(&spec.needs) {
                Some(needs) => entries.push(Entry { prompt, needs }),
                None => {
                    let known = catalogue.iter().map(|(_, name)| name);
                    let nearest = nearest_name(&spec.needs, known).unwrap_or_default();
                    let fix =
                        format!("write {nearest} if that was meant, or declare it under permissions.extra");
                    let problem = "names a permission that there is not".to_owned();
                    problems.push(Problem { key: key("needs"), problem, fix });
                }
            }
        }
        entries.sort_by(|one, other| one.prompt.spec().name.cmp(&other.prompt.spec().name));
        if problems.is_empty() { Ok(Self(entries)) } else { Err(problems) }
    }

    /// The prompt of exactly that name.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        let at = self.0.binary_search_by(|entry| entry.prompt.spec().name.as_str().cmp(name)).ok()?;
        self.0.get(at)
    }

    /// Every prompt, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.0.iter()
    }

    /// What tells what is listed of this set from that of another; the same on every replica.
    pub fn generation(&self) -> u64 {
        let mut digest = Sha256::new();
        for entry in &self.0 {
            digest.update(entry.json(Revision::July2026));
            digest.update(&entry.prompt.spec().needs);
            digest.update([0]);
        }
        let digest: [u8; 32] = digest.finalize().into();
        digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
    }
}

impl Entry {
    /// What a caller needs.
    pub fn needs(&self) -> Permission {
        self.needs
    }

    /// The prompt itself.
    pub fn prompt(&self) -> &dyn Prompt {
        &*self.prompt
    }

    /// As it stands in the list of `revision`: JSON text.
    pub fn json(&self, revision: Revision) -> String {
        self.prompt.spec().json(revision).to_string()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("spec", self.prompt.spec()).finish_non_exhaustive()
    }
}

/// The set in force, which another one may take the place of at any moment. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Prompts(Arc<ArcSwap<Set>>);

impl Prompts {
    /// With `set` in force.
    pub fn new(set: Set) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(set)))
    }

    /// The set in force: who begins with one ends with it.
    pub fn now(&self) -> Arc<Set> {
        self.0.load_full()
    }

    /// Puts another one in force.
    pub(super) fn replace(&self, set: Set) {
        self.0.store(Arc::new(set));
    }
}
