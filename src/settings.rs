//! From file, environment and flags to the settings of each role.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use tokio::net::TcpListener;
use weir_daemon::settings::{Mistake, Sources};

use crate::cli::{Common, PipelineFlags, ShipperFlags, StoreFlags};
use crate::pipelines::BUILT_IN;

/// The sections of `weir.toml`, one a role.
pub const SECTIONS: [&str; 3] = ["shipper", "aggregator", "indexer"];
/// Read when no `--config` is given and the file is there.
const DEFAULT_FILE: &str = "weir.toml";
/// Holds what shipper and indexer keep, each in a folder of its own.
const DEFAULT_DATA_DIR: &str = "weir-data";

/// Settings as typed, before any role has looked at them.
pub struct Typed {
    sources: Sources,
    /// The settings file that was read.
    pub file: Option<PathBuf>,
}

impl Typed {
    /// Reads the settings file, lays the environment and `--set` over it.
    ///
    /// # Errors
    /// Everything that is wrong before any key is looked at.
    pub fn read(common: &Common) -> Result<Self, Vec<Mistake>> {
        let file = common.config.clone().or_else(|| Path::new(DEFAULT_FILE).exists().then(|| DEFAULT_FILE.into()));
        let mut sources = match &file {
            Some(path) => {
                let origin = path.display().to_string();
                let text = std::fs::read_to_string(path).map_err(|error| {
                    vec![Mistake::new(&origin, format!("cannot be read: {error}"), "give another file with --config")]
                })?;
                Sources::parse(&text, &origin, &SECTIONS).map_err(|mistake| vec![mistake])?
            }
            None => Sources::default(),
        };
        sources.overlay_environment(&SECTIONS, std::env::vars())?;
        let mut mistakes = Vec::new();
        for assignment in &common.set {
            let parts = assignment.split_once('=').and_then(|(key, value)| Some((key.split_once('.')?, value)));
            match parts {
                Some(((section, key), value)) if SECTIONS.contains(&section) => sources.set(section, key, value),
                _ => mistakes.push(Mistake::new(
                    format!("--set {assignment}"),
                    "is not SECTION.KEY=VALUE",
                    format!("sections are {}", SECTIONS.join(", ")),
                )),
            }
        }
        if common.insecure {
            SECTIONS.iter().for_each(|section| sources.set(section, "insecure", "true"));
        }
        if mistakes.is_empty() { Ok(Self { sources, file }) } else { Err(mistakes) }
    }

    /// Lays the data folder over: each role that keeps something has a folder in it.
    pub fn data_dir(&mut self, flags: &StoreFlags) {
        for section in ["shipper", "indexer"] {
            let folder = match &flags.data_dir {
                Some(folder) => folder.join(section),
                None if self.sources.has(section, "data_dir") => continue,
                None => Path::new(DEFAULT_DATA_DIR).join(section),
            };
            self.text(section, "data_dir", Some(&folder.to_string_lossy()));
        }
    }

    /// Whether file, environment or a flag has set this key.
    pub fn has(&self, section: &str, key: &str) -> bool {
        self.sources.has(section, key)
    }

    /// Tells a role where the next one listens, unless file, environment or flags say it.
    pub fn connect(&mut self, section: &str, key: &str, scheme: &str, listener: &TcpListener) {
        if self.sources.has(section, key) {
            return;
        }
        if let Ok(mut address) = listener.local_addr() {
            if address.ip().is_unspecified() {
                // All addresses of this machine are listened on; nobody can connect to "all".
                let is_v4 = address.is_ipv4();
                address.set_ip(if is_v4 { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
            }
            self.list(section, key, &[format!("{scheme}{address}")]);
        }
    }

    /// Lays the shipper's flags over.
    pub fn shipper_flags(&mut self, flags: &ShipperFlags) {
        self.text("shipper", "docker_root", flags.docker_root.as_deref().map(Path::to_string_lossy).as_deref());
        self.list("shipper", "paths", &flags.path);
    }

    /// Lays the aggregator's flags over.
    pub fn pipeline_flags(&mut self, flags: &PipelineFlags) {
        let paths: Vec<_> = flags.pipelines.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        self.list("aggregator", "pipelines", &paths);
    }

    /// Lays one flag over, when it was given.
    pub fn text(&mut self, section: &str, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.sources.set_text(section, key, value);
        }
    }

    /// Lays one repeatable flag over, when it was given.
    pub fn list<S: AsRef<str>>(&mut self, section: &str, key: &str, values: &[S]) {
        if !values.is_empty() {
            self.sources.set_list(section, key, values);
        }
    }

    /// The shipper's settings, checked.
    ///
    /// # Errors
    /// Every mistake, with `shipper.` before its key.
    pub fn shipper(&self) -> Result<weir_shipper::Config, Vec<Mistake>> {
        self.role::<weir_shipper::Settings, _>("shipper", weir_shipper::Settings::check)
    }

    /// The aggregator's settings, checked.
    ///
    /// # Errors
    /// Every mistake, with `aggregator.` before its key.
    pub fn aggregator(&self) -> Result<weir_aggregator::Config, Vec<Mistake>> {
        let config = self.role::<weir_aggregator::Settings, _>("aggregator", weir_aggregator::Settings::check)?;
        // Somebody who names files and errs must be told, not served with others.
        let named = self.sources.has("aggregator", "pipelines");
        Ok(if named { config } else { config.with_built_in_pipelines(BUILT_IN) })
    }

    /// The indexer's settings, checked.
    ///
    /// # Errors
    /// Every mistake, with `indexer.` before its key.
    pub fn indexer(&self) -> Result<weir_indexer::Config, Vec<Mistake>> {
        self.role::<weir_indexer::Settings, _>("indexer", weir_indexer::Settings::check)
    }

    /// The indexer's settings as typed, for tasks that need no more than where things are.
    ///
    /// # Errors
    /// The first unknown key or value of a wrong type.
    pub fn indexer_as_typed(&self) -> Result<weir_indexer::Settings, Mistake> {
        self.sources.section("indexer")
    }

    fn role<S: serde::de::DeserializeOwned + Default, C>(
        &self,
        section: &str,
        check: impl Fn(&S) -> Result<C, Vec<Mistake>>,
    ) -> Result<C, Vec<Mistake>> {
        let settings = self.sources.section::<S>(section).map_err(|mistake| vec![mistake])?;
        check(&settings).map_err(|mistakes| {
            let named = |m: Mistake| Mistake::new(format!("{section}.{}", m.key), m.problem, m.hint);
            mistakes.into_iter().map(named).collect()
        })
    }
}
