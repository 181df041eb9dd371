//! Making, changing and deleting indices, their aliases, settings and templates: one change at a time.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, PoisonError};

use serde_json::{Map, Value};

use super::catalog::Templates;
use super::decide::Shard;
use super::indexing::Work;
use super::partition::{Partition, Payload};
use super::request::Targets as _;
use super::sequencer::Message;
use super::{INDICES_MAX, Index, Store, check_name, id, now_ms, open, shutting_down};
use crate::error::{Error, Result};

impl Store {
    /// The index that writes to `name` go to, made when it is not there.
    ///
    /// # Errors
    /// 400 for a name that cannot be.
    pub fn index_for_writing(&self, name: &str) -> Result<Arc<Index>> {
        self.target(name)
    }

    /// Makes an index. Blocks.
    ///
    /// # Errors
    /// 400 when it is there, or what was given cannot be.
    pub fn create_index(&self, name: &str, given: &Value) -> Result<Arc<Index>> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = self.shared.catalog.get(name) {
            return Err(Error::new(
                400,
                "resource_already_exists_exception",
                format!("index [{name}/{}] already exists", index.uuid()),
            )
            .with("index_uuid", index.uuid().into())
            .with("index", name.into()));
        }
        if self.shared.catalog.all().iter().any(|index| index.has_alias(name)) {
            return Err(Error::new(
                400,
                "invalid_index_name_exception",
                format!("Invalid index name [{name}], already exists as alias"),
            )
            .with("index", name.into()));
        }
        self.make(name, given)
    }

    /// With `changing` held.
    pub(super) fn make(&self, name: &str, given: &Value) -> Result<Arc<Index>> {
        check_name(name)?;
        if self.shared.catalog.all().len() >= INDICES_MAX {
            return Err(Error::new(
                400,
                "validation_exception",
                format!("there are {INDICES_MAX} indices already; delete some"),
            ));
        }
        let folder = self.shared.config.data_dir.join("indices").join(name);
        let index = Index::new(name, folder.clone(), id::fresh() | 1, now_ms());
        let mut layers = self.shared.catalog.templates_for(name);
        layers.push(given.clone());
        for layer in &layers {
            if let Some(settings) = layer.get("settings").and_then(Value::as_object) {
                index.merge_settings(settings)?;
            }
            for (alias, options) in layer.get("aliases").and_then(Value::as_object).into_iter().flatten() {
                check_name(alias).map_err(|error| Error::new(400, "invalid_alias_name_exception", error.reason))?;
                index.set_alias(alias, Some(alias_options(options)?));
            }
        }
        fs::create_dir_all(&folder)?;
        for layer in &layers {
            if let Some(mappings) = layer.get("mappings").filter(|mappings| !mappings.is_null())
                && let Err(error) = index.put_mapping(mappings)
            {
                fs::remove_dir_all(&folder)?;
                return Err(error);
            }
        }
        let payload = Payload { created_ms: index.created_ms, ..Payload::default() };
        let partition = Partition::create(&folder, 1, payload).inspect_err(|_| {
            if let Err(error) = fs::remove_dir_all(&folder) {
                tracing::warn!(%error, "the folder of an index that could not be made is left");
            }
        })?;
        index.push_partition(Arc::new(partition));
        // With its meta.json an index is complete.
        index.save()?;
        weir_daemon::files::sync_dir(&self.shared.config.data_dir.join("indices"))?;
        self.take_on(index)
    }

    /// Lets an index that is on the disk be written and searched.
    fn take_on(&self, index: Index) -> Result<Arc<Index>> {
        let index = Arc::new(index);
        let newest = index.partitions().last().map(|partition| partition.payload()).unwrap_or_default();
        self.shared.catalog.insert(Arc::clone(&index));
        self.indexing.send(Work::Open(Arc::clone(&index))).map_err(|_| shutting_down())?;
        let (answer, done) = sync_channel(1);
        let shard = Box::new(Shard::new(Arc::clone(&index), newest.next_seq, newest.marks.clone()));
        self.sequencer.send(Message::Open { shard, answer }).map_err(|_| shutting_down())?;
        done.recv().map_err(|_| shutting_down())?;
        Ok(index)
    }

    /// Makes a folder that was prepared below the data folder (see [`freeze::finish_partition`]) the index `name`.
    /// Blocks while every file of it is checked.
    ///
    /// # Errors
    /// 400 when there is an index or an alias of that name, or its files are damaged: the folder is then where it was.
    pub(crate) fn adopt(&self, name: &str, prepared: &Path) -> Result<Arc<Index>> {
        check_name(name)?;
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let catalog = &self.shared.catalog;
        if catalog.get(name).is_some() || catalog.all().iter().any(|index| index.has_alias(name)) {
            return Err(Error::new(
                400,
                "resource_already_exists_exception",
                format!("there is an index or alias [{name}] already"),
            ));
        }
        if catalog.all().len() >= INDICES_MAX {
            return Err(Error::new(
                400,
                "validation_exception",
                format!("there are {INDICES_MAX} indices already; delete some"),
            ));
        }
        let indices = self.shared.config.data_dir.join("indices");
        let folder = indices.join(name);
        fs::rename(prepared, &folder)?;
        let opened = open::open_index(name, &folder).and_then(|(index, damaged)| match damaged.into_iter().next() {
            None => Ok(index),
            Some((path, problem)) => Err(format!("{}: {problem}", path.display())),
        });
        let index = match opened {
            Ok(index) => index,
            Err(problem) => {
                fs::rename(&folder, prepared)?;
                return Err(Error::new(400, "corrupt_index_exception", format!("[{name}] is damaged: {problem}")));
            }
        };
        weir_daemon::files::sync_dir(&indices)?;
        self.take_on(index)
    }

    /// Deletes an index and its bytes. Blocks.
    ///
    /// # Errors
    /// 500 when its files cannot be removed.
    pub fn delete_index(&self, index: &Arc<Index>) -> Result<()> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if index.gone.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.shared.catalog.remove(&index.name);
        let (answer, done) = sync_channel(1);
        self.sequencer.send(Message::Close { uid: index.uid, answer }).map_err(|_| shutting_down())?;
        done.recv().map_err(|_| shutting_down())?;
        let (answer, done) = sync_channel(1);
        self.indexing.send(Work::Close { uid: index.uid, answer }).map_err(|_| shutting_down())?;
        done.recv().map_err(|_| shutting_down())?;
        // Out of the way in one step: a crash in the middle of removing must not leave half an index.
        let trash = self.shared.config.data_dir.join(format!("deleted-{:016x}", index.uid));
        fs::rename(&index.folder, &trash)?;
        weir_daemon::files::sync_dir(&self.shared.config.data_dir.join("indices"))?;
        for partition in std::mem::take(&mut *index.partitions.write().unwrap_or_else(PoisonError::into_inner)) {
            partition.gone.store(true, Ordering::Release);
        }
        fs::remove_dir_all(&trash)?;
        Ok(())
    }

    /// Index templates by name.
    pub fn templates(&self) -> Map<String, Value> {
        self.shared.catalog.templates()
    }

    /// Sets or removes an index template, durably. False when there was none to remove.
    ///
    /// # Errors
    /// 400 past the limit, 500 when it cannot be saved.
    pub fn set_template(&self, name: &str, template: Option<Value>) -> Result<bool> {
        self.shared.catalog.set_template(Templates::Composable, name, template)
    }

    /// Templates of the older kind (`_template`) by name.
    pub fn legacy_templates(&self) -> Map<String, Value> {
        self.shared.catalog.legacy_templates()
    }

    /// Sets or removes a template of the older kind, durably. False when there was none to remove.
    ///
    /// # Errors
    /// 400 past the limit, 500 when it cannot be saved.
    pub fn set_legacy_template(&self, name: &str, template: Option<Value>) -> Result<bool> {
        self.shared.catalog.set_template(Templates::Legacy, name, template)
    }

    /// Which indices a write may make (`action.auto_create_index`); `None`: any.
    pub fn set_auto_create(&self, rule: Option<String>) {
        *self.auto_create.write().unwrap_or_else(PoisonError::into_inner) = rule;
    }

    pub(super) fn may_create(&self, name: &str) -> Result<()> {
        let held = self.auto_create.read().unwrap_or_else(PoisonError::into_inner);
        let Some(rule) = held.as_deref() else { return Ok(()) };
        let verdict = match rule {
            "true" => Some(true),
            "false" => Some(false),
            patterns => patterns.split(',').map(str::trim).find_map(|pattern| {
                let (pattern, may) = match pattern.strip_prefix('-') {
                    Some(pattern) => (pattern, false),
                    None => (pattern.strip_prefix('+').unwrap_or(pattern), true),
                };
                crate::mapping::wildcard(pattern, name).then_some(may)
            }),
        };
        if verdict == Some(true) {
            return Ok(());
        }
        let missing = Error::index_not_found(name);
        let why = format!("{} and [action.auto_create_index] is [{rule}]", missing.reason);
        Err(Error { reason: why, ..missing })
    }

    /// Sets or removes an alias of an index, durably.
    ///
    /// # Errors
    /// 400 for a name that cannot be, 500 when it cannot be saved.
    pub fn set_alias(&self, index: &Index, alias: &str, options: Option<Value>) -> Result<()> {
        if options.is_some() {
            if self.shared.catalog.get(alias).is_some() {
                return Err(Error::new(
                    400,
                    "invalid_alias_name_exception",
                    format!(
                        "Invalid alias name [{alias}]: an index or data stream exists with the same name as the alias"
                    ),
                ));
            }
            check_name(alias).map_err(|error| Error::new(400, "invalid_alias_name_exception", error.reason))?;
        }
        index.set_alias(alias, options);
        Ok(index.save()?)
    }

    /// Lays settings over those of an index, durably.
    ///
    /// # Errors
    /// 500 when they cannot be saved.
    pub fn put_settings(&self, index: &Index, given: &Map<String, Value>) -> Result<()> {
        index.merge_settings(given)?;
        Ok(index.save()?)
    }
}

/// What stands beside an alias, as it is kept and shown: `routing` is both routings.
///
/// # Errors
/// 400 for an option that weir does not have, and for a filter that is no query.
pub fn alias_options(given: &Value) -> Result<Value> {
    let mut options = Map::new();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    for (option, value) in given.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        match option.as_str() {
            "is_write_index" | "is_hidden" => _ = options.insert(option.clone(), value.clone()),
            "filter" => {
                crate::query::dsl::parse(value)?;
                options.insert(option.clone(), value.clone());
            }
            "index_routing" | "search_routing" => _ = options.insert(option.clone(), text(value).into()),
            "routing" => {
                for both in ["index_routing", "search_routing"] {
                    options.entry(both).or_insert_with(|| text(value).into());
                }
            }
            "index" | "alias" | "indices" | "aliases" | "must_exist" => {}
            other => return Err(Error::illegal_argument(format!("alias option [{other}] is not supported"))),
        }
    }
    Ok(Value::Object(options))
}
