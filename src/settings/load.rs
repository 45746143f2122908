//! From a [`Source`] to [`Settings`], or to everything that is wrong with it.

use std::path::{Path, PathBuf};

use config::{Value, ValueKind};
use secrecy::{ExposeSecret, SecretString};

use super::{
    InvalidSettings, Problem, Profile, Settings, Source,
    check::{self, Tree},
    guard,
    layers::{self, Layer},
    own_files::OwnFiles,
    problem::Report,
    signing,
};
use crate::domain::{Algorithm, SigningSecret};

/// The folder of prompts, in that of the settings.
const PROMPTS: &str = "prompts";

/// What came of a [`Source`].
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings, every rule checked.
    pub settings: Settings,
    /// What is allowed and yet worth a line at the start, sorted by key.
    pub warnings: Vec<Problem>,
}

/// Reads the layers of `source`, checks the whole, and says everything that is wrong at once.
///
/// Reads the files of `source` and the secret file they name; writes nothing.
///
/// # Errors
/// [`InvalidSettings`] with every problem. Files that are no TOML come alone, since what they would say
/// about the rest is not known.
pub fn load(source: &Source) -> Result<Loaded, InvalidSettings> {
    let known: Result<Profile, _> = source.profile.parse();
    let mut report = Report::new(known.clone().unwrap_or_else(|_| Profile::production()));
    let profile = match known {
        Ok(profile) => profile,
        Err(problem) => {
            report.refuse("profile", problem, "choose development, production or loadtest");
            return Err(report.into_invalid());
        }
    };
    let layers = layers::read(source, &profile, &mut report);
    assemble(profile, (layers, &source.dir), report)
}

/// The settings of development in `data_dir`, from what the binary brings along.
///
/// # Errors
/// None as long as that is complete, which a test holds.
pub(super) fn development(data_dir: &Path) -> Result<Settings, InvalidSettings> {
    let profile = Profile::development();
    let mut report = Report::new(profile.clone());
    let Some(Raw { mut settings, .. }) = raw(layers::built_in(&profile), &mut report) else {
        return Err(report.into_invalid());
    };
    settings.profile = profile;
    settings.data_dir = data_dir.into();
    Ok(complete(settings))
}

fn assemble(
    profile: Profile,
    (layers, dir): (Vec<Layer>, &Path),
    mut report: Report,
) -> Result<Loaded, InvalidSettings> {
    let raw = if report.is_broken() { None } else { raw(layers, &mut report) };
    let Some(Raw { mut settings, secret }) = raw else {
        return Err(report.into_invalid());
    };
    settings.profile = profile;
    settings.prompts_dir = Some(dir.join(PROMPTS));
    settings.jwt.secret = signing_secret(&settings, &secret, &mut report);
    signing::read(&mut settings.jwt.keys, &mut report);
    let settings = complete(settings);
    settings.check(&mut report);
    settings.tools.files.check(&OwnFiles::of(&settings, dir), &mut report);
    Ok(Loaded { settings, warnings: report.finish()? })
}

/// The settings as they were written, and `jwt.secret`, which no struct holds as a text.
struct Raw {
    settings: Settings,
    secret: SecretString,
}

/// What the layers say; what does not fit its key is reported and stands at its default.
fn raw(layers: Vec<Layer>, report: &mut Report) -> Option<Raw> {
    let mut sound = layers::defaults().into_tree();
    // A role that an operator took out of default.toml must not come back from the binary's copy.
    sound.insert("roles".into(), Tree::new().into());
    let read = layers::merge(layers).and_then(|merged| {
        check::tree(&merged, &mut sound, report);
        let secret = take_secret(&mut sound);
        Ok(Raw { settings: Value::from(sound).try_deserialize()?, secret })
    });
    read.map_err(|fault| report.refuse("settings", fault, "correct it")).ok()
}

fn take_secret(sound: &mut Tree) -> SecretString {
    let Some(ValueKind::Table(jwt)) = sound.get_mut("jwt").map(|jwt| &mut jwt.kind) else {
        return SecretString::default();
    };
    match jwt.remove("secret").map(|secret| secret.kind) {
        Some(ValueKind::String(text)) => text.into(),
        _ => SecretString::default(),
    }
}

/// The signing key from `jwt.secret` or `jwt.secret_file`; reports what is wrong with it, never the key.
fn signing_secret(settings: &Settings, secret: &SecretString, report: &mut Report) -> Option<SigningSecret> {
    const KEY: &str = "jwt.secret";
    const FILE: &str = "jwt.secret_file";
    let is_set = !secret.expose_secret().is_empty();
    let (key, text) = match &settings.jwt.secret_file {
        Some(_) if is_set => {
            report.refuse(KEY, "is set beside jwt.secret_file", "set one of the two");
            return None;
        }
        Some(path) => (FILE, guard::read_secret_file(FILE, path, report)?),
        None if is_set => (KEY, secret.clone()),
        None if settings.jwt.algorithm != Algorithm::Hs256 => return None,
        None => {
            let fix = "set jwt.secret_file or the variable JWT_SECRET_KEY; \
                       openssl rand -base64 48 prints a good one";
            report.require(!report.is_production(), KEY, ("is empty, and production generates none", fix));
            return None;
        }
    };
    if let Some(holder) = report.origin(KEY).map(PathBuf::from).filter(|_| is_set) {
        guard::check_holder(KEY, &holder, report);
    }
    let fix = "use a random one; openssl rand -base64 48 prints a good one";
    text.expose_secret().parse().map_err(|why| report.refuse(key, why, fix)).ok()
}

/// Puts in what follows from other keys.
fn complete(mut settings: Settings) -> Settings {
    settings.store.url = settings.store.url.within(&settings.data_dir);
    settings.tools.files.complete(&settings.data_dir);
    settings.server.allowed_hosts.iter_mut().for_each(|host| host.make_ascii_lowercase());
    settings.jwt.complete(&settings.server.public_url);
    settings
}
