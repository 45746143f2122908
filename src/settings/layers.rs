//! The layers of settings, read and laid over each other: files, variables, `--set`.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use config::{Config, ConfigError, FileFormat, Format, Map, Value, ValueKind};

use super::{
    Profile,
    check::{self, Tree},
    guard, nearest,
    problem::Report,
    schema::{self, Place},
};

/// What a variable that is a setting starts with.
const PREFIX: &str = "PORTCULLIS__";
/// A variable that other servers know too, and its key; ours wins over it.
const SHARED: (&str, &str) = ("JWT_SECRET_KEY", "jwt.secret");
/// `default.toml` as it was when this binary was built.
const DEFAULTS: &str = include_str!("../../settings/default.toml");
/// The profiles that the binary brings along.
const PROFILES: [(&str, &str); 3] = [
    ("development", include_str!("../../settings/development.toml")),
    ("production", include_str!("../../settings/production.toml")),
    ("loadtest", include_str!("../../settings/loadtest.toml")),
];

/// Where settings are read from. Nothing else is looked at, not even this process's own environment.
#[derive(Clone)]
pub struct Source {
    /// The folder with `default.toml`, `<profile>.toml` and `local.toml`. What of these the binary brings
    /// along may be missing.
    pub dir: PathBuf,
    /// The name of the profile.
    pub profile: String,
    /// Variables: `PORTCULLIS__SECTION__KEY` and `JWT_SECRET_KEY` are settings, every other is ignored.
    pub environment: BTreeMap<String, String>,
    /// The command line's `--set`: key path and value, written like the value of a variable. The last word.
    pub overrides: Vec<(String, String)>,
}

impl fmt::Debug for Source {
    /// Names only: the values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables: Vec<_> = self.environment.keys().filter(|name| name.starts_with(PREFIX)).collect();
        let flags: Vec<_> = self.overrides.iter().map(|(key, _)| key).collect();
        f.debug_struct("Source")
            .field("dir", &self.dir)
            .field("profile", &self.profile)
            .field("environment", &variables)
            .field("overrides", &flags)
            .finish()
    }
}

/// One layer.
///
/// It is collected below one root key, because config reads the keys of a layer's first level as paths:
/// `"a.b"` would be two keys, and `"a[9999999999]"` that many empty values.
#[derive(Debug, Clone)]
pub(super) struct Layer(Tree);

const ROOT: &str = "settings";

impl config::Source for Layer {
    fn clone_into_box(&self) -> Box<dyn config::Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(Map::from([(ROOT.to_owned(), Value::from(self.0.clone()))]))
    }
}

/// All layers of `source`, the later ones to be laid over the earlier.
pub(super) fn read(source: &Source, profile: &Profile, report: &mut Report) -> Vec<Layer> {
    if !source.dir.is_dir() {
        let shown = source.dir.display().to_string();
        report.warn(
            &shown,
            "there is no such folder of settings",
            "what the binary brings along is in force",
        );
    } else {
        guard::check_settings_file(&source.dir, report);
    }
    let mut layers = vec![
        file(&source.dir, "default", report).unwrap_or_else(defaults),
        profile_file(&source.dir, profile, report),
    ];
    layers.extend(file(&source.dir, "local", report));
    layers.push(environment(&source.environment, report));
    layers.push(overrides(&source.overrides, report));
    layers
}

/// The layers that the binary brings along.
pub(super) fn built_in(profile: &Profile) -> Vec<Layer> {
    [Some(defaults()), built_in_profile(profile)].into_iter().flatten().collect()
}

/// `default.toml` as it was when this binary was built.
pub(super) fn defaults() -> Layer {
    compiled(DEFAULTS)
}

/// The layers as one tree, later ones over earlier ones. A list replaces a list.
///
/// # Errors
/// What config says.
pub(super) fn merge(layers: Vec<Layer>) -> Result<Tree, ConfigError> {
    let builder = layers.into_iter().fold(Config::builder(), |builder, layer| builder.add_source(layer));
    let merged = builder.build()?.cache.into_table()?;
    merged
        .into_iter()
        .find(|(key, _)| key == ROOT)
        .map_or_else(|| Ok(Tree::new()), |(_, tree)| tree.into_table())
}

impl Layer {
    /// The tree itself.
    pub(super) fn into_tree(self) -> Tree {
        self.0
    }
}

fn profile_file(dir: &Path, profile: &Profile, report: &mut Report) -> Layer {
    if let Some(layer) = file(dir, profile.name(), report) {
        return layer;
    }
    built_in_profile(profile).unwrap_or_else(|| {
        let known = PROFILES.map(|(name, _)| name);
        let nearest = nearest::name(profile.name(), known).unwrap_or_default();
        let path = dir.join(format!("{profile}.toml"));
        let fix = format!("write it, or choose {}; the nearest is {nearest}", known.join(", "));
        report.refuse_file("profile", format!("there is no {}", path.display()), &fix);
        Layer(Tree::new())
    })
}

fn built_in_profile(profile: &Profile) -> Option<Layer> {
    PROFILES.into_iter().find(|(name, _)| *name == profile.name()).map(|(_, text)| compiled(text))
}

/// A layer without an origin, since nobody can change it there.
fn compiled(text: &str) -> Layer {
    // A test holds that these parse; an empty layer would be refused for what it lacks, never used.
    Layer(FileFormat::Toml.parse(None, text).unwrap_or_default())
}

/// The layer of `<dir>/<name>.toml`; `None` if there is no such file. One that cannot be used is reported.
fn file(dir: &Path, name: &str, report: &mut Report) -> Option<Layer> {
    let path = dir.join(format!("{name}.toml"));
    let origin = path.display().to_string();
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(fault) if fault.kind() == ErrorKind::NotFound => return None,
        Err(fault) => {
            report.refuse_file(
                &origin,
                format!("cannot be read: {fault}"),
                "make it a file that this user can read",
            );
            return Some(Layer(Tree::new()));
        }
    };
    guard::check_settings_file(&path, report);
    let tree = match String::from_utf8(bytes) {
        Ok(text) => parse(&origin, &text, report),
        Err(_) => {
            report.refuse_file(&origin, "is not UTF-8", "save it as UTF-8");
            Tree::new()
        }
    };
    Some(Layer(tree))
}

/// Parses the TOML of a file. Reports what is wrong by its line, and never shows it: it may hold a secret.
fn parse(origin: &str, text: &str, report: &mut Report) -> Tree {
    let parse =
        |text: &str| FileFormat::Toml.parse(Some(&origin.to_owned()), text).map_err(|e| e.to_string());
    match parse(text) {
        Ok(tree) => tree,
        Err(message) => {
            let place = place_of(&message).unwrap_or_else(|| {
                // Numbers out of range come without a place: it is the first line that fails like the whole.
                let lines: Vec<_> = text.split_inclusive('\n').collect();
                let fails = |n: &usize| {
                    parse(&lines.iter().take(*n).copied().collect::<String>())
                        .is_err_and(|why| why == message)
                };
                (1..=lines.len()).find(fails).map(|n| format!("line {n}")).unwrap_or_default()
            });
            let what = message.lines().last().unwrap_or_default();
            report.refuse_file(origin, format!("is not TOML at {place}: {what}"), "correct that line");
            Tree::new()
        }
    }
}

/// `line 3, column 10` out of the parser's message.
fn place_of(message: &str) -> Option<String> {
    let (_, place) = message.lines().next()?.split_once(" at ")?;
    Some(place.to_owned())
}

fn environment(variables: &BTreeMap<String, String>, report: &mut Report) -> Layer {
    let mut tree = Tree::new();
    let (shared, shared_key) = SHARED;
    if let Some(text) = variables.get(shared) {
        put(&mut tree, shared_key, Spoken { text, origin: format!("the variable {shared}") }, report);
    }
    for (name, text) in variables {
        if let Some(path) = name.strip_prefix(PREFIX) {
            let path = path.to_ascii_lowercase().replace("__", ".");
            put(&mut tree, &path, Spoken { text, origin: format!("the variable {name}") }, report);
        }
    }
    Layer(tree)
}

fn overrides(flags: &[(String, String)], report: &mut Report) -> Layer {
    let mut tree = Tree::new();
    for (path, text) in flags {
        put(&mut tree, path, Spoken { text, origin: format!("--set {path}") }, report);
    }
    Layer(tree)
}

/// A value as text, and where it came from.
struct Spoken<'a> {
    text: &'a str,
    origin: String,
}

/// Puts a value at its key, read by the key's kind; reports a path that is no key.
fn put(tree: &mut Tree, path: &str, value: Spoken<'_>, report: &mut Report) {
    let parts: Vec<&str> = path.split('.').collect();
    let Place::Key(key) = schema::place(&parts) else {
        let at = schema::shown(&parts);
        report.came_from(&at, &value.origin);
        check::refuse_unknown(&at, &parts, report);
        return;
    };
    let mut nested = Value::new(Some(&value.origin), key.kind.read(value.text));
    if let ValueKind::Array(entries) = &mut nested.kind {
        *entries = entries.drain(..).map(|entry| Value::new(Some(&value.origin), entry.kind)).collect();
    }
    insert(tree, &parts, nested);
}

fn insert(tree: &mut Tree, parts: &[&str], value: Value) {
    match parts {
        [] => {}
        [last] => {
            tree.insert((*last).to_owned(), value);
        }
        [first, rest @ ..] => {
            let below = tree.entry((*first).to_owned()).or_insert_with(|| Value::from(Tree::new()));
            if let ValueKind::Table(below) = &mut below.kind {
                insert(below, rest, value);
            }
        }
    }
}
