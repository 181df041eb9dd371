//! The `weir` program, a table of contents: read what was typed, build the roles, say where to look, wait, drain.

mod access;
mod certs;
mod check;
mod cli;
mod explain;
mod export;
mod golden;
mod health;
mod http;
mod pipelines;
mod run;
mod search;
mod settings;
mod setup_cluster;
mod workbench;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use tokio::net::TcpListener;
use weir_daemon::settings::Mistake;
use weir_daemon::{Metrics, Shutdown, logging};

use crate::cli::{All, Cli, Command, ShipperTask};
use crate::run::Role;
use crate::settings::Typed;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Two workers: weir is meant for small machines, and blocking work (fsync, searches) has threads of its own.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(command(cli));
            // Whatever still runs has had its deadline.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(format!("cannot start threads: {error}")),
    };
    match outcome {
        Ok(code) => code,
        Err(reason) => {
            eprintln!("weir: {reason}");
            ExitCode::FAILURE
        }
    }
}

async fn command(cli: Cli) -> Result<ExitCode, String> {
    let metrics = Metrics::new();
    match cli.command {
        None => everything(cli.all, &metrics).await?,
        Some(Command::Shipper { task: Some(ShipperTask::Status { common, address, json }), .. }) => {
            let configured = || Typed::read(&common).and_then(|typed| typed.shipper()).map(|config| config.admin());
            let address = match address {
                Some(address) => address,
                None => configured().map_err(told)?.ok_or("shipper.admin is empty: there is no port to ask")?,
            };
            print!("{}", weir_shipper::status(address, json)?);
        }
        Some(Command::Shipper { task: None, common, flags, store, aggregator }) => {
            logging::start(logging::Format::Auto, &common.log);
            let mut typed = Typed::read(&common).map_err(told)?;
            typed.data_dir(&store);
            typed.shipper_flags(&flags);
            typed.list("shipper", "aggregators", &aggregator);
            let config = typed.shipper().map_err(told)?;
            run::until_signal(vec![Role::shipper(config, &metrics)]).await?;
        }
        Some(Command::Aggregator { common, flags, listen, output }) => {
            logging::start(logging::Format::Auto, &common.log);
            let mut typed = Typed::read(&common).map_err(told)?;
            typed.pipeline_flags(&flags);
            typed.text("aggregator", "listen", listen.as_deref());
            typed.list("aggregator", "output", &output);
            let config = typed.aggregator().map_err(told)?;
            let listener = run::listen("aggregator", config.listen()).await?;
            run::until_signal(vec![Role::aggregator(config, listener, &metrics)]).await?;
        }
        Some(Command::Indexer { common, store, listen, upstream, upstream_user, upstream_ca }) => {
            logging::start(logging::Format::Auto, &common.log);
            let mut typed = Typed::read(&common).map_err(told)?;
            typed.data_dir(&store);
            typed.text("indexer", "listen", listen.as_deref());
            typed.list("indexer", "upstream", &upstream);
            typed.text("indexer", "upstream_user", upstream_user.as_deref());
            typed.text("indexer", "upstream_ca", upstream_ca.as_deref().map(Path::to_string_lossy).as_deref());
            let mut config = typed.indexer().map_err(told)?;
            // The pipelines that an aggregator with the same settings would use.
            config.workbench = typed.aggregator().ok().map(|aggregator| workbench(&aggregator));
            let listener = run::listen("indexer", config.listen).await?;
            println!("weir indexer: searches and writes on {}", url(&config, config.listen));
            run::until_signal(vec![Role::indexer(config, listener, &metrics)]).await?;
        }
        Some(Command::Check { common, mut flags, files }) => {
            flags.pipelines.extend(files);
            return check::run(&common, &flags);
        }
        Some(Command::Explain { last_dropped: Some(service), access, admin, .. }) => {
            explain::last_dropped(&service, &access, &admin).await?;
        }
        Some(Command::Explain { common, flags, files, .. }) => explain::run(&common, &flags, &files)?,
        Some(Command::Test { common, folder, write }) => {
            let options = Typed::read(&common).and_then(|typed| typed.aggregator()).map_err(told)?.load_options();
            match write {
                false => return golden::run(&folder, &options),
                true => golden::write(&folder, &options)?,
            }
        }
        Some(Command::Users(task)) => access::users(&task)?,
        Some(Command::Tokens(task)) => access::tokens(&task)?,
        Some(Command::Certs(flags)) => certs::run(&flags)?,
        Some(Command::Search(flags)) => search::run(&flags).await?,
        Some(Command::Health { access, url }) => return health::run(&access, &url).await,
        Some(Command::Export(flags)) => export::run(&flags).await?,
        Some(Command::SetupCluster(flags)) => setup_cluster::run(&flags).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// All roles in this process, connected over loopback exactly as they would be over a network.
async fn everything(mut flags: All, metrics: &Metrics) -> Result<(), String> {
    logging::start(logging::Format::Auto, &flags.common.log);
    let demo = if flags.demo { Some(Demo::start(&mut flags)?) } else { None };
    let mut typed = Typed::read(&flags.common).map_err(told)?;
    typed.data_dir(&flags.store);
    typed.shipper_flags(&flags.shipper);
    typed.pipeline_flags(&flags.pipelines);
    let (shipper, aggregator, indexer) = (typed.shipper(), typed.aggregator(), typed.indexer());
    let mistakes: Vec<Mistake> = [shipper.as_ref().err(), aggregator.as_ref().err(), indexer.as_ref().err()]
        .into_iter()
        .flatten()
        .flatten()
        .cloned()
        .collect();
    let (true, Ok(mut indexer)) = (mistakes.is_empty(), indexer) else { return Err(told(mistakes)) };
    // Each role is told the address that the next one really has, unless somebody has said where it is.
    let search = run::listen("indexer", indexer.listen).await?;
    let scheme = if typed.has("indexer", "tls_cert") { "https://" } else { "http://" };
    typed.connect("aggregator", "output", scheme, &search);
    let aggregator = typed.aggregator().map_err(told)?;
    indexer.workbench = Some(workbench(&aggregator));
    let beats = run::listen("aggregator", aggregator.listen()).await?;
    typed.connect("shipper", "aggregators", "", &beats);
    let shipper = typed.shipper().map_err(told)?;
    let addresses = (address_of(&search, indexer.listen), address_of(&beats, aggregator.listen()));
    announce(&typed, &shipper, &aggregator, &indexer, addresses, flags.demo);
    let roles = vec![
        Role::shipper(shipper, metrics),
        Role::aggregator(aggregator, beats, metrics),
        Role::indexer(indexer, search, metrics),
    ];
    let outcome = run::until_signal(roles).await;
    if let Some(demo) = demo {
        demo.stop().await;
    }
    outcome
}

/// What the page tries this process's pipelines with.
fn workbench(aggregator: &weir_aggregator::Config) -> Arc<dyn weir_indexer::Workbench> {
    Arc::new(workbench::Bench(aggregator.pipeline_files()))
}

/// The address that was bound, which differs from the one asked for where that left the port open.
fn address_of(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

/// Says what is watched and where to look, once, for people.
fn announce(
    typed: &Typed,
    shipper: &weir_shipper::Config,
    aggregator: &weir_aggregator::Config,
    indexer: &weir_indexer::Config,
    (search, beats): (SocketAddr, SocketAddr),
    demo: bool,
) {
    println!("weir {}", env!("CARGO_PKG_VERSION"));
    if let Some(file) = &typed.file {
        println!("  settings   {}", file.display());
    }
    if let Some(root) = shipper.docker_root() {
        match std::fs::read_dir(root) {
            Ok(entries) => {
                let containers = entries.flatten().filter(|entry| entry.path().is_dir()).count();
                println!("  watches    {} ({containers} containers now)", root.display());
            }
            Err(error) => {
                println!("  watches    {} (cannot be read now: {error}; looked for again each second)", root.display());
                if error.kind() == std::io::ErrorKind::NotFound && shipper.paths().is_empty() {
                    println!(
                        "             no Docker on this machine? Try `weir --demo`, or `weir --path '/var/log/*.log'`"
                    );
                }
            }
        }
    }
    for path in shipper.paths() {
        println!("  watches    {path}");
    }
    for path in aggregator.pipelines() {
        let built_in = if path.exists() { "" } else { " (not there; the built-in ones are used)" };
        println!("  pipelines  {}{built_in}", path.display());
    }
    println!("  data       {}", indexer.data_dir.display());
    let search = url(indexer, search);
    println!("  Beats      {beats}");
    println!("  search     {search}");
    println!();
    println!("  look       open {search} in a browser, or: weir search 'log.level:error'");
    if demo {
        println!("  demo       a make-believe stack is logging; Ctrl-C ends it and removes what it wrote");
    }
}

/// Where the indexer answers, as a URL.
fn url(indexer: &weir_indexer::Config, address: SocketAddr) -> String {
    let scheme = if indexer.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{address}")
}

/// The make-believe stack of `--demo`, which writes into a temporary folder that goes away with it.
struct Demo {
    folder: tempfile::TempDir,
    shutdown: Shutdown,
    writing: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Demo {
    fn start(flags: &mut All) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("weir-demo-").tempdir();
        let folder = folder.map_err(|error| format!("cannot make a temporary folder for the demo: {error}"))?;
        let root: PathBuf = folder.path().join("containers");
        std::fs::create_dir_all(&root).map_err(|error| format!("cannot make {}: {error}", root.display()))?;
        flags.shipper.docker_root = Some(root.clone());
        flags.store.data_dir.get_or_insert_with(|| folder.path().join("weir-data"));
        let shutdown = Shutdown::new();
        let writing = tokio::spawn(weir::demo::run(root, shutdown.clone()));
        Ok(Self { folder, shutdown, writing })
    }

    async fn stop(self) {
        self.shutdown.cancel();
        if let Ok(Err(error)) = self.writing.await {
            tracing::warn!(%error, "the demo could not write all its logs");
        }
        if let Err(error) = self.folder.close() {
            tracing::warn!(%error, "the demo's temporary folder could not be removed");
        }
    }
}

/// Mistakes as one text, one a line.
fn told(mistakes: Vec<Mistake>) -> String {
    let lines: Vec<_> = mistakes.iter().map(|mistake| format!("  {mistake}")).collect();
    format!("the settings cannot be used:\n{}", lines.join("\n"))
}
