//! The key that signs checkpoints: private half on this host only, public half for whoever verifies.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    encoding::AsBigEndian,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use zeroize::Zeroizing;

use super::{
    error::AuditError,
    head::{Head, SignedHead, hex},
    home::{make_dir, sync_dir},
};

/// The private key's file below the data directory: the 32-byte seed of RFC 8032 in base64url.
const PRIVATE: &str = "keys/audit.key";
/// The public key's file: base64url, one key a line.
const PUBLIC: &str = "keys/audit.pub";

/// Signs the ends of chains.
pub(super) struct Signer {
    pair: Ed25519KeyPair,
    public: String,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("public", &self.public).finish_non_exhaustive()
    }
}

impl Signer {
    /// Reads the key below `dir`, or makes one if there is none yet.
    ///
    /// # Errors
    /// [`AuditError::Key`] if others may read it, it is no key, or the public half is somebody else's.
    pub(super) fn load_or_generate(dir: &Path) -> Result<Self, AuditError> {
        let path = dir.join(PRIVATE);
        make_dir(&dir.join("keys"))?;
        if !path.exists() {
            generate(&path).map_err(AuditError::file("create", &path))?;
        }
        let signer = Self::load(&path)?;
        signer.publish(dir.join(PUBLIC))?;
        Ok(signer)
    }

    /// `head`, vouched for.
    pub(super) fn sign(&self, head: &Head) -> SignedHead {
        let hash = head.hex();
        let text = SignedHead::signed_text(&head.chain, head.seq, &hash);
        SignedHead {
            chain: head.chain.as_ref().into(),
            seq: head.seq,
            head: hash,
            key: self.public.clone(),
            signature: BASE64.encode(self.pair.sign(text.as_bytes())),
        }
    }

    /// Whether `signed` is what we would sign: Ed25519 signatures are deterministic.
    pub(super) fn signed(&self, signed: &SignedHead) -> bool {
        signed.said().is_some_and(|head| self.sign(&head) == *signed)
    }

    /// A signature over `text`, which may be long, for the purpose `domain`: base64url without padding.
    pub(super) fn vouch(&self, domain: &str, text: &str) -> String {
        let digest = hex(digest(&SHA256, text.as_bytes()).as_ref());
        BASE64.encode(self.pair.sign(format!("{domain}\n{digest}\n").as_bytes()))
    }

    /// Whether `signature` is what we would put under `text`.
    pub(super) fn vouches(&self, domain: &str, text: &str, signature: &str) -> bool {
        self.vouch(domain, text) == signature
    }

    fn load(path: &Path) -> Result<Self, AuditError> {
        let meta = fs::metadata(path).map_err(AuditError::file("read", path))?;
        let refuse = |problem| AuditError::Key { path: path.into(), problem };
        if meta.permissions().mode() & 0o077 != 0 {
            return Err(refuse("can be read by others: chmod 600"));
        }
        let text = Zeroizing::new(fs::read_to_string(path).map_err(AuditError::file("read", path))?);
        let seed = Zeroizing::new(BASE64.decode(text.trim()).unwrap_or_default());
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| {
            refuse("is not an audit key: restore it, or move it away to begin with a new one")
        })?;
        let public = BASE64.encode(pair.public_key().as_ref());
        Ok(Self { pair, public })
    }

    /// Makes sure that the public file names our key.
    fn publish(&self, path: PathBuf) -> Result<(), AuditError> {
        match fs::read_to_string(&path) {
            Ok(text) if text.lines().any(|line| line.trim() == self.public) => Ok(()),
            Ok(_) => Err(AuditError::Key { path, problem: "does not name the key in audit.key" }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                place(&path, &format!("{}\n", self.public), 0o644).map_err(AuditError::file("create", &path))
            }
            Err(error) => Err(AuditError::file("read", &path)(error)),
        }
    }
}

fn generate(path: &Path) -> io::Result<()> {
    let failed = |_| io::Error::other("no random key");
    let pair = Ed25519KeyPair::generate().map_err(failed)?;
    let seed = pair.seed().and_then(|seed| seed.as_be_bytes()).map_err(failed)?;
    let text = Zeroizing::new(BASE64.encode(seed.as_ref()));
    place(path, &text, 0o600)
}

/// Makes `path` with all of `text` at once; whoever came first wins, and nobody sees half a file.
fn place(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let draft = path.with_extension(format!("{}.draft", uuid::Uuid::now_v7().as_simple()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => path.parent().map_or(Ok(()), sync_dir),
    }
}

/// The public keys that a verifier trusts.
#[derive(Debug, Default)]
pub(super) struct PublicKeys(Vec<String>);

impl PublicKeys {
    /// Those of the public file below `dir`; none if there is no such file.
    ///
    /// # Errors
    /// [`AuditError::File`] if it cannot be read.
    pub(super) fn load(dir: &Path) -> Result<Self, AuditError> {
        let path = dir.join(PUBLIC);
        match File::open(&path).and_then(io::read_to_string) {
            Ok(text) => Ok(Self(text.lines().map(|line| line.trim().into()).collect())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(AuditError::file("read", &path)(error)),
        }
    }

    /// Whether one of these keys signed exactly this.
    pub(super) fn vouch_for(&self, signed: &SignedHead) -> bool {
        if !self.0.contains(&signed.key) {
            return false;
        }
        let (Ok(key), Ok(signature)) = (BASE64.decode(&signed.key), BASE64.decode(&signed.signature)) else {
            return false;
        };
        let text = SignedHead::signed_text(&signed.chain, signed.seq, &signed.head);
        UnparsedPublicKey::new(&ED25519, key).verify(text.as_bytes(), &signature).is_ok()
    }
}
