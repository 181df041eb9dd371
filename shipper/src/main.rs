//! `weir-shipper`: the shipper alone, for nodes.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use weir_daemon::settings::{Mistake, Sources};
use weir_daemon::{Metrics, Shutdown, admin, logging, service};
use weir_shipper::{Config, Settings};

/// The sections that `weir.toml` may have; only `[shipper]` is read here.
const SECTIONS: [&str; 4] = ["weir", "shipper", "aggregator", "indexer"];

/// Follows container logs and plain files, and sends their lines to an aggregator.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// What to do instead of shipping.
    #[command(subcommand)]
    task: Option<Task>,
    /// Settings file (TOML, section [shipper]).
    #[arg(long, short, global = true, env = "WEIR_CONFIG")]
    config: Option<PathBuf>,
    /// Any key of the section, as KEY=VALUE; goes before file and environment. May be given again.
    #[arg(long = "set", short, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// A glob of plain files to follow. May be given again.
    #[arg(long, value_name = "GLOB")]
    path: Vec<String>,
}

/// Tasks beside shipping.
#[derive(Subcommand)]
enum Task {
    /// Ask the shipper that runs with these settings whether it is well; exits with 1 when it is not
    Health,
    /// Print what it follows, and how far behind it is
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    logging::start(logging::Format::Auto, "info");
    let config = match read_settings(&arguments) {
        Ok(config) => config,
        Err(mistakes) => {
            for mistake in mistakes {
                eprintln!("{mistake}");
            }
            return ExitCode::from(2);
        }
    };
    match arguments.task {
        Some(Task::Health) => return health(&config),
        Some(Task::Status { json }) => return status(&config, json),
        None => {}
    }
    // Only the connection lives here; the harvester has a thread of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime.map_err(|error| error.to_string()).and_then(|runtime| {
        runtime.block_on(async {
            let shutdown = Shutdown::new();
            tokio::spawn(stop_on_signal(shutdown.clone()));
            tokio::spawn(service::notify(shutdown.clone()));
            weir_shipper::run(config, Metrics::new(), shutdown).await.map_err(|error| error.to_string())
        })
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn health(config: &Config) -> ExitCode {
    let Some(address) = config.admin() else {
        eprintln!("there is no admin port to ask: shipper.admin is empty");
        return ExitCode::FAILURE;
    };
    match admin::ask_health(address) {
        Ok((well, told)) => {
            println!("{told}");
            if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("http://{address}/health does not answer: {error} (is the shipper running?)");
            ExitCode::FAILURE
        }
    }
}

fn status(config: &Config, json: bool) -> ExitCode {
    let asked = config.admin().ok_or_else(|| "there is no admin port to ask: shipper.admin is empty".to_owned());
    match asked.and_then(|address| weir_shipper::status(address, json)) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn read_settings(arguments: &Arguments) -> Result<Config, Vec<String>> {
    let one = |error: String| vec![error];
    let mut sources = match &arguments.config {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| one(format!("{}: {error}", path.display())))?;
            Sources::parse(&text, &path.display().to_string(), &SECTIONS).map_err(|error| one(error.to_string()))?
        }
        None => Sources::default(),
    };
    let told = |mistakes: Vec<Mistake>| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>();
    sources.overlay_environment(&SECTIONS, std::env::vars()).map_err(told)?;
    for pair in &arguments.set {
        let (key, value) = pair.split_once('=').ok_or_else(|| one(format!("--set {pair}: not KEY=VALUE")))?;
        sources.set("shipper", key, value);
    }
    let mut settings: Settings = sources.section("shipper").map_err(|error| one(error.to_string()))?;
    settings.paths.extend(arguments.path.iter().cloned());
    settings.check().map_err(told)
}

async fn stop_on_signal(shutdown: Shutdown) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    shutdown.cancel();
}
