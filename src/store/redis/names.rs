//! What our keys are called.
//!
//! All that one transaction may touch has to lie in one slot of a cluster, so there the prefix is a hash tag.

use std::fmt::Display;

use sha2::{Digest, Sha256};

use crate::store::{RevocationTarget, SessionDigest, hex::hex, moving};

/// Makes the names, all of which begin with one prefix.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    /// Names that begin with `prefix`; on a cluster it becomes a hash tag.
    pub(super) fn new(prefix: &str, on_cluster: bool) -> Self {
        Self { prefix: if on_cluster { format!("{{{prefix}}}") } else { prefix.to_owned() } }
    }

    fn name(&self, rest: impl Display) -> String {
        format!("{}{rest}", self.prefix)
    }

    /// Schema and identity of the store.
    pub(super) fn generation(&self) -> String {
        self.name("generation")
    }

    /// The identities of the stores that this one stands in for.
    pub(super) fn adopted(&self) -> String {
        self.name("adopted")
    }

    /// The change feed, a stream.
    pub(super) fn feed(&self) -> String {
        self.name("feed")
    }

    /// The id of the feed's newest row.
    pub(super) fn feed_counter(&self) -> String {
        self.name("feed:last")
    }

    /// A revocation.
    pub(super) fn revocation(&self, target: &RevocationTarget) -> String {
        self.name(format_args!("blacklist:{}", hex(&Sha256::digest(moving::target_id(target)))))
    }

    /// The keys of all revocations by their end.
    pub(super) fn revocations(&self) -> String {
        self.name("blacklist")
    }

    /// An account.
    pub(super) fn user(&self, username: &str) -> String {
        self.name(format_args!("user:{username}"))
    }

    /// Who has that id.
    pub(super) fn user_id(&self, id: impl Display) -> String {
        self.name(format_args!("user_id:{id}"))
    }

    /// The names of all accounts.
    pub(super) fn users(&self) -> String {
        self.name("users")
    }

    /// Counts the changes of accounts.
    pub(super) fn users_version(&self) -> String {
        self.name("users:version")
    }

    /// An API key, by the digest of its text.
    pub(super) fn key(&self, digest: &[u8]) -> String {
        self.name(format_args!("api_key:{}", hex(digest)))
    }

    /// The name of the API key with that id.
    pub(super) fn key_id(&self, id: impl Display) -> String {
        self.name(format_args!("api_key_id:{id}"))
    }

    /// The ids of all API keys.
    pub(super) fn keys(&self) -> String {
        self.name("api_keys")
    }

    /// The ids of API keys whose end has not been told of, by their end.
    pub(super) fn keys_ends(&self) -> String {
        self.name("api_keys:ends")
    }

    /// How often API keys were used.
    pub(super) fn keys_uses(&self) -> String {
        self.name("api_keys:uses")
    }

    /// The last batch of uses of `writer`.
    pub(super) fn keys_batch(&self, writer: impl Display) -> String {
        self.name(format_args!("api_keys:batch:{writer}"))
    }

    /// A refresh family.
    pub(super) fn family(&self, id: &str) -> String {
        self.name(format_args!("family:{id}"))
    }

    /// The family of a refresh token or an access token.
    pub(super) fn family_token(&self, jti: &str) -> String {
        self.name(format_args!("family_token:{jti}"))
    }

    /// The ids of all families by their end.
    pub(super) fn families(&self) -> String {
        self.name("families")
    }

    /// The ids of a subject's families by their last use.
    pub(super) fn families_of_subject(&self, subject: &str) -> String {
        self.name(format_args!("families:subject:{subject}"))
    }

    /// The ids of a client's families.
    pub(super) fn families_of_client(&self, client: &str) -> String {
        self.name(format_args!("families:client:{client}"))
    }

    /// Counts what changes in the index of a subject's families.
    pub(super) fn version_of(index: &str) -> String {
        format!("{index}:version")
    }

    /// A bucket that servers share: a slot of its own on a cluster, since nothing is settled with it.
    pub(super) fn bucket(&self, scope: &str, id: &[u8]) -> String {
        self.apart(&format!("rate_limit:{scope}:{}", hex(id)))
    }

    /// A name with a slot of its own on a cluster.
    fn apart(&self, name: &str) -> String {
        match self.prefix.strip_prefix('{').and_then(|prefix| prefix.strip_suffix('}')) {
            Some(prefix) => format!("{prefix}{{{name}}}"),
            None => self.name(name),
        }
    }

    /// Copies of the audit records of a chain, a stream: a slot of its own on a cluster.
    pub(super) fn audit(&self, chain: &str) -> String {
        self.apart(&format!("audit:{chain}"))
    }

    /// Which node writes which chain.
    pub(super) fn audit_chains(&self) -> String {
        self.name("audit:chains")
    }

    /// The nodes that count what they record, by when they told last.
    pub(super) fn audit_nodes(&self) -> String {
        self.name("audit:nodes")
    }

    /// What a node counts.
    pub(super) fn audit_counts(&self, node: &str) -> String {
        self.name(format_args!("audit:counts:{node}"))
    }

    /// The servers that are there.
    pub(super) fn servers(&self) -> String {
        self.name("servers")
    }

    /// The level of a bucket.
    pub(super) fn level(&self, scope: &str, id: &[u8]) -> String {
        self.name(format_args!("level:{scope}:{}", hex(id)))
    }

    /// The level whose scope and id are written like that.
    pub(super) fn level_of(&self, id: &str) -> String {
        self.name(format_args!("level:{id}"))
    }

    /// The names of all levels by their end.
    pub(super) fn levels(&self) -> String {
        self.name("levels")
    }

    /// The weather by city.
    pub(super) fn reports(&self) -> String {
        self.name("weather")
    }

    /// Cities by the age of their reports.
    pub(super) fn reports_by_age(&self) -> String {
        self.name("weather:ages")
    }

    /// A task, by the digest of its id.
    pub(super) fn task(&self, digest: &str) -> String {
        self.name(format_args!("task:{digest}"))
    }

    /// The digests of all tasks by the end of their life.
    pub(super) fn tasks(&self) -> String {
        self.name("tasks")
    }

    /// Counts the tasks that were made.
    pub(super) fn tasks_version(&self) -> String {
        self.name("tasks:version")
    }

    /// The digests of an owner's tasks by the end of their life.
    pub(super) fn tasks_of_owner(&self, owner: impl Display) -> String {
        self.name(format_args!("tasks:owner:{owner}"))
    }

    /// The digests of the tasks of a runner that have not ended.
    pub(super) fn tasks_of_runner(&self, runner: &str) -> String {
        self.name(format_args!("tasks:runner:{runner}"))
    }

    /// A session, by the digest of its id.
    pub(super) fn session(&self, digest: &SessionDigest) -> String {
        self.name(format_args!("session:{}", digest.encode()))
    }

    /// The digests of an owner's sessions by the end of their life.
    pub(super) fn sessions_of_owner(&self, owner: impl Display) -> String {
        self.name(format_args!("sessions:owner:{owner}"))
    }

    /// A question that was put in a session.
    pub(super) fn session_question(&self, session: &SessionDigest, id: &str) -> String {
        self.name(format_args!("session_question:{}:{id}", session.encode()))
    }

    /// The names of all shared secrets.
    pub(super) fn rings(&self) -> String {
        self.name("rings")
    }

    /// What is after `place` in `name`, one of our keys.
    pub(super) fn rest<'a>(&self, name: &'a str, place: &str) -> Option<&'a str> {
        name.strip_prefix(&self.prefix)?.strip_prefix(place)
    }

    /// The mark of a copy into this store that is under way.
    pub(super) fn mark(&self) -> String {
        self.name("copying")
    }

    /// A secret that is shared.
    pub(super) fn ring(&self, name: &str) -> String {
        self.name(format_args!("ring:{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_becomes_a_hash_tag_on_a_cluster_only() {
        assert_eq!(Names::new("portcullis:", false).key(&[0xab, 1]), "portcullis:api_key:ab01");
        assert_eq!(Names::new("", false).key(&[0xab, 1]), "api_key:ab01");
        assert_eq!(Names::new("portcullis:", true).level("user", &[7]), "{portcullis:}level:user:07");
        assert_eq!(Names::new("portcullis:", true).bucket("user", &[7]), "portcullis:{rate_limit:user:07}");
        assert_eq!(Names::new("gate:", false).bucket("user", &[7]), "gate:rate_limit:user:07");
    }

    #[test]
    fn targets_of_one_name_are_three() {
        let names = Names::new("", false);
        let of = |target: fn(String) -> RevocationTarget| names.revocation(&target("x".into()));
        let all = [of(RevocationTarget::Jti), of(RevocationTarget::Subject), of(RevocationTarget::Client)];
        assert!(all.iter().all(|name| name.starts_with("blacklist:") && name.len() == 74), "{all:?}");
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
    }
}
