//! Digests of passwords (argon2id): few at once, never on a worker, of bounded cost whatever is stored.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::UsersError;
use crate::domain::Password;

/// Most digests that are computed at once: each takes its memory and a core for some 20 ms.
const MOST_AT_ONCE: usize = 4;
/// Logins that may wait for their turn, about a second's worth; one more is refused.
const MOST_WAITING: usize = 32;
/// The most that a stored digest may ask for: memory in KiB, passes, lanes. The text is not trusted more than
/// the file it stands in: one of 1 GiB would take a server down with a few logins.
const MOST_COST: (u32, u32, u32) = (128 * 1024, 8, 4);

/// What one digest costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashCost {
    /// Memory, KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Default for HashCost {
    /// 19 MiB and two passes: the least that OWASP recommends, 20 ms of one core.
    fn default() -> Self {
        Self { memory_kib: Params::DEFAULT_M_COST, passes: Params::DEFAULT_T_COST }
    }
}

/// Makes and checks digests of passwords.
#[derive(Debug)]
pub struct Hasher {
    argon2: Argon2<'static>,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// The digest that nobody's password has, for names that nobody has.
    dummy: String,
    runs: Arc<AtomicU64>,
}

/// The turn of one login: whoever has it computes.
pub(super) struct Turn(OwnedSemaphorePermit);

/// The place of one login in the queue.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Hasher {
    /// A hasher of this cost.
    ///
    /// # Errors
    /// [`UsersError::Hash`] for a cost that argon2 does not know, or without random bytes.
    pub fn new(cost: HashCost) -> Result<Self, UsersError> {
        let params = Params::new(cost.memory_kib, cost.passes, 1, None).map_err(|_| UsersError::Hash)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        // Half of the cores, so that a storm of logins leaves the other half to everybody else.
        let turns = Arc::new(Semaphore::new((cores / 2).clamp(1, MOST_AT_ONCE)));
        // Any digest does: whatever it is compared with, the answer is no. To compute one would take 20 ms of
        // each start, and leave its memory behind.
        let dummy = format!(
            "$argon2id$v=19$m={},t={},p=1$cG9ydGN1bGxpcy1ub25l$Zm9yIG5hbWVzIHRoYXQgbm9ib2R5IGhlcmUgaGFzISE",
            cost.memory_kib, cost.passes
        );
        bounded(&dummy).ok_or(UsersError::Hash)?;
        Ok(Self { argon2, turns, waiting: AtomicUsize::new(0), dummy, runs: Arc::default() })
    }

    /// The digest of a new password, as a PHC string. Takes its time on this thread: for a command, or before
    /// anything is served.
    ///
    /// # Errors
    /// [`UsersError::Hash`].
    pub fn hash(&self, password: &Password) -> Result<String, UsersError> {
        let digest = self.argon2.hash_password(password.expose()).map_err(|_| UsersError::Hash)?;
        Ok(digest.to_string())
    }

    /// Waits for its turn to have one password looked at.
    ///
    /// # Errors
    /// [`UsersError::Busy`] while too many others wait.
    pub(super) async fn turn(&self) -> Result<Turn, UsersError> {
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= MOST_WAITING {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            return Err(UsersError::Busy);
        }
        let place = Place(&self.waiting);
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_closed| UsersError::Busy)?;
        drop(place);
        Ok(Turn(turn))
    }

    /// Whether `password` is the one of the digest `kept`. Without a digest, or with one that cannot be
    /// computed here, the same work is done and the answer is no.
    ///
    /// # Errors
    /// [`UsersError::Hash`].
    pub(super) async fn is_of(
        &self,
        turn: Turn,
        password: Password,
        kept: Option<String>,
    ) -> Result<bool, UsersError> {
        let kept = kept.and_then(|text| bounded(&text));
        let known = kept.is_some();
        let hash = kept.or_else(|| bounded(&self.dummy)).ok_or(UsersError::Hash)?;
        let (argon2, runs) = (self.argon2.clone(), Arc::clone(&self.runs));
        let compute = move || {
            // Held to the end: a client that goes away does not make room for the next one.
            let _turn = turn.0;
            runs.fetch_add(1, Ordering::AcqRel);
            argon2.verify_password(password.expose(), &hash).is_ok()
        };
        let same = tokio::task::spawn_blocking(compute).await.map_err(|_panicked| UsersError::Hash)?;
        Ok(same && known)
    }

    /// How many logins wait for their turn.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// How many digests were computed for logins.
    pub fn runs(&self) -> u64 {
        self.runs.load(Ordering::Acquire)
    }
}

/// The digest that `text` writes down; `None` if it is none, or would cost too much to check.
fn bounded(text: &str) -> Option<PasswordHash> {
    let refuse = |why: &str| {
        tracing::error!(why, "a stored password digest is refused: set the password anew");
        None
    };
    let Ok(hash) = PasswordHash::new(text) else { return refuse("it does not read") };
    let Ok(params) = Params::try_from(&hash) else { return refuse("it names no cost") };
    let (memory, passes, lanes) = MOST_COST;
    if params.m_cost() > memory || params.t_cost() > passes || params.p_cost() > lanes {
        return refuse("it would cost too much to check");
    }
    if hash.algorithm.as_str() != "argon2id" || hash.hash.is_none() || hash.salt.is_none() {
        return refuse("it is not argon2id");
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use futures_util::future::join_all;

    use super::*;

    fn cheap() -> Hasher {
        Hasher::new(HashCost { memory_kib: 64, passes: 1 }).unwrap()
    }

    async fn is_of(hasher: &Hasher, given: Password, kept: Option<String>) -> Result<bool, UsersError> {
        hasher.is_of(hasher.turn().await?, given, kept).await
    }

    fn password(text: &str) -> Password {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_password_is_known_by_its_digest_and_another_one_is_not() {
        let hasher = cheap();
        let kept = hasher.hash(&password("correct horse battery")).unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{kept}");
        assert!(is_of(&hasher, password("correct horse battery"), Some(kept.clone())).await.unwrap());
        assert!(!is_of(&hasher, password("correct horse battery!"), Some(kept)).await.unwrap());
    }

    #[tokio::test]
    async fn whoever_has_no_digest_costs_the_same_work() {
        let hasher = cheap();
        let kept = hasher.hash(&password("correct horse battery")).unwrap();
        for stored in [Some(kept), None, Some("nonsense".into()), Some(String::new())] {
            let before = hasher.runs();
            assert!(!is_of(&hasher, password("wrong horse battery"), stored).await.unwrap());
            assert_eq!(hasher.runs() - before, 1);
        }
    }

    #[tokio::test]
    async fn a_digest_that_would_cost_too_much_is_refused_without_computing_it() {
        let hasher = cheap();
        for params in ["m=1048576,t=2,p=1", "m=19456,t=1000,p=1", "m=19456,t=2,p=64"] {
            let text = format!(
                "$argon2id$v=19${params}$c29tZXNhbHRzb21l$RdescudvJCsgt3ub+b2dWRWJTmaaJObGRdescudvJCs"
            );
            assert!(bounded(&text).is_none(), "{params}");
            let started = Instant::now();
            assert!(!is_of(&hasher, password("correct horse battery"), Some(text)).await.unwrap());
            assert!(started.elapsed() < Duration::from_secs(1), "{params}");
        }
        let other = "$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21l$RdescudvJCsgt3ub+b2dWRWJTmaaJObGRdescudvJCs";
        assert!(bounded(other).is_none(), "another algorithm");
    }

    #[tokio::test]
    async fn two_hundred_at_once_wait_their_turn_or_are_refused_and_none_is_lost() {
        let hasher = cheap();
        let all = (0..200).map(|_| is_of(&hasher, password("correct horse battery"), None));
        let answers = join_all(all).await;
        let refused = answers.iter().filter(|answer| matches!(answer, Err(UsersError::Busy))).count();
        assert!(refused >= 200 - MOST_WAITING - MOST_AT_ONCE, "{refused}");
        assert_eq!(hasher.runs(), 200 - refused as u64);
        assert_eq!(hasher.waiting.load(Ordering::Acquire), 0);
        assert!(
            is_of(&hasher, password("correct horse battery"), None).await.is_ok(),
            "and there is room again"
        );
    }
}
