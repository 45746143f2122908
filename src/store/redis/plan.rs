//! A transaction while it is planned: what was read, what is to be written, what is to be told.
//!
//! Nothing is locked. The script that settles it first looks whether all that was read is still so.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_redis::redis;

use super::{db::Db, names::Names};
use crate::{
    domain::Timestamp,
    store::{ChangeKind, StoreError, feed},
};

/// How long a record stays beyond its end: the indexes that name it are cleaned by then.
const KEPT_AFTER: std::time::Duration = std::time::Duration::from_hours(1);

/// A key, and a field if it is a hash.
type Cell = (String, String);

/// What is planned.
pub(super) struct Plan<'a> {
    db: &'a Db,
    /// What was there.
    read: BTreeMap<Cell, Option<String>>,
    /// What is to be there.
    written: BTreeMap<Cell, Option<String>>,
    commands: Vec<Vec<String>>,
    told: Vec<(Timestamp, String)>,
    /// Whether somebody is locked out by it.
    is_grave: bool,
}

impl<'a> Plan<'a> {
    pub(super) fn new(db: &'a Db) -> Self {
        let (read, written) = (BTreeMap::new(), BTreeMap::new());
        Self { db, read, written, commands: Vec::new(), told: Vec::new(), is_grave: false }
    }

    /// What keys are called.
    pub(super) fn names(&self) -> &'a Names {
        &self.db.names
    }

    /// The store, for looking around: what is read there may have changed when the plan is settled.
    pub(super) fn db(&self) -> &'a Db {
        self.db
    }

    /// Whether there is nothing to be done.
    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty() && self.told.is_empty()
    }

    /// Whether it takes a credential back: then a replica has to have it before that is answered.
    pub(super) fn is_grave(&self) -> bool {
        self.is_grave
    }

    /// Says that it takes a credential back.
    pub(super) fn locks_out(&mut self) {
        self.is_grave = true;
    }

    /// The text under `key`, as it will be; if it changes before the plan is settled, all is planned anew.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn get(&mut self, key: &str) -> Result<Option<String>, StoreError> {
        let cell = (key.to_owned(), String::new());
        if let Some(known) = self.written.get(&cell).or_else(|| self.read.get(&cell)) {
            return Ok(known.clone());
        }
        let text = self.db.get(key).await?;
        self.read.insert(cell, text.clone());
        Ok(text)
    }

    /// Reads `keys` in one go, for [`get`](Self::get) to find them; not at all if all of them are known.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn look_at(&mut self, mut keys: Vec<String>) -> Result<(), StoreError> {
        keys.retain(|key| !self.read.contains_key(&(key.clone(), String::new())));
        let texts = self.db.get_all(&keys).await?;
        for (key, text) in keys.into_iter().zip(texts) {
            self.read.entry((key, String::new())).or_insert(text);
        }
        Ok(())
    }

    /// The text in a field of a hash, as [`get`](Self::get).
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) async fn get_field(&mut self, key: &str, field: &str) -> Result<Option<String>, StoreError> {
        let cell = (key.to_owned(), field.to_owned());
        // What was decided on is what has to be so still.
        if let Some(known) = self.read.get(&cell) {
            return Ok(known.clone());
        }
        let text: Option<String> = self.db.ask(redis::cmd("HGET").arg(key).arg(field)).await?;
        self.read.insert(cell, text.clone());
        Ok(text)
    }

    /// Puts `text` under `key`, where it stays; until a while after `until`, if that is to come.
    pub(super) fn set(&mut self, key: String, text: String, until: Option<Timestamp>) {
        let mut command = vec!["SET".to_owned(), key.clone(), text.clone()];
        if let Some(end) = until.filter(|until| *until > Timestamp::now()) {
            command.extend(["PXAT".to_owned(), end.plus(KEPT_AFTER).millis().to_string()]);
        }
        self.commands.push(command);
        self.written.insert((key, String::new()), Some(text));
    }

    /// Takes away what is under `key`.
    pub(super) fn delete(&mut self, key: String) {
        self.commands.push(vec!["DEL".to_owned(), key.clone()]);
        self.written.insert((key, String::new()), None);
    }

    /// Takes away what is under `key`, since it should have been `what` and does not read, and the `member` that stands
    /// for it in `index`.
    pub(super) fn drop_unreadable(&mut self, key: String, what: &'static str, (index, member): (&str, &str)) {
        self.db.unreadable(what);
        self.delete(key);
        self.then(["ZREM", index, member]);
    }

    /// A command whose first word after its name is its one key.
    pub(super) fn then<const N: usize>(&mut self, command: [&str; N]) {
        self.commands.push(command.into_iter().map(str::to_owned).collect());
    }

    /// Tells everybody of `what`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn tell(&mut self, what: &ChangeKind) -> Result<(), StoreError> {
        self.is_grave |= matches!(what, ChangeKind::Revoked(_));
        self.told.push((Timestamp::now(), what.to_row()?));
        Ok(())
    }

    /// Keys and arguments of the script. `same` is a key that has to have that text besides.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if there is too much of it to count.
    pub(super) fn into_script(
        self,
        same: (String, String),
    ) -> Result<(Vec<String>, Vec<String>), StoreError> {
        let now = Timestamp::now();
        let names = &self.db.names;
        let touched: BTreeSet<&String> = self
            .read
            .keys()
            .map(|(key, _)| key)
            .chain(self.commands.iter().filter_map(|c| c.get(1)))
            .collect();
        let mut keys = vec![names.feed(), names.feed_counter(), same.0.clone()];
        keys.extend(touched.into_iter().cloned());
        let checks = self.read.len() + 1;
        let mut arguments =
            vec![checks.to_string(), self.commands.len().to_string(), self.told.len().to_string()];
        arguments.extend([same.0, String::new(), format!("+{}", same.1)]);
        for ((key, field), text) in self.read {
            arguments.extend([key, field, text.map_or_else(|| "-".to_owned(), |text| format!("+{text}"))]);
        }
        for command in self.commands {
            arguments.push(command.len().to_string());
            arguments.extend(command);
        }
        for (at, what) in self.told {
            arguments.extend([at.micros().to_string(), what]);
        }
        arguments.extend([now.minus(feed::KEPT).micros().to_string(), feed::PRUNED_PER_WRITE.to_string()]);
        Ok((keys, arguments))
    }
}
