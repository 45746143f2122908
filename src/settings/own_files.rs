//! What the server itself lives on: the folders and files that no client may reach through a file tool.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Settings, store::StoreUrl};

/// Where the server's own data, settings and secrets really are.
pub(super) struct OwnFiles {
    /// As it is written in the settings.
    pub(super) data_dir: PathBuf,
    /// The folder of the settings, if they come from one.
    pub(super) settings_dir: Option<PathBuf>,
    /// Each file that the settings name, with the key that names it.
    files: Vec<(String, PathBuf)>,
}

impl OwnFiles {
    /// Those of `settings`, which were read from `dir`.
    pub(super) fn of(settings: &Settings, dir: &Path) -> Self {
        let (jwt, tls, store) = (&settings.jwt, &settings.server.tls, &settings.store);
        let named = [
            ("jwt.secret_file", &jwt.secret_file),
            ("server.tls.private_key", &tls.private_key),
            ("server.tls.certificate", &tls.certificate),
            ("store.client_key_file", &store.client_key_file),
            ("store.client_certificate", &store.client_certificate),
            ("store.ca_file", &store.ca_file),
        ];
        let named =
            named.into_iter().filter_map(|(key, file)| Some((key.to_owned(), file.as_ref()?.clone())));
        let keys = jwt.keys.iter().enumerate();
        let keys =
            keys.map(|(n, key)| (format!("jwt.keys[{n}].private_key_file"), key.private_key_file.clone()));
        let store = match &settings.store.url {
            StoreUrl::Sqlite(file) => Some(("store.url".to_owned(), file.clone())),
            StoreUrl::Memory | StoreUrl::Redis(_) => None,
        };
        Self {
            data_dir: settings.data_dir.clone(),
            settings_dir: dir.is_dir().then(|| dir.to_owned()),
            files: named.chain(keys).chain(store).collect(),
        }
    }

    /// The key of a file that lies under `root`, a real path: itself, or the link by which it is named, which
    /// somebody who may write there would put a file of his own in the place of.
    pub(super) fn named_under(&self, root: &Path) -> Option<&str> {
        let is_under = |file: &Path| resolved(file).starts_with(root) || place(file).starts_with(root);
        self.files.iter().find(|(_, file)| is_under(file)).map(|(key, _)| &**key)
    }
}

/// As it really is, or will be once it is made.
pub(super) fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| place(path))
}

/// Where the name itself stands, whatever it leads to: the nearest folder above that is there, as it really is.
fn place(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let above = whole.ancestors().skip(1);
    let real = above.filter_map(|folder| Some((fs::canonicalize(folder).ok()?, folder))).next();
    let place = real.and_then(|(real, folder)| Some(real.join(whole.strip_prefix(folder).ok()?)));
    place.unwrap_or(whole)
}
