//! The aggregator: Lumberjack in, Logstash pipelines in the middle, `_bulk` out. In the order in which an event meets
//! them:
//! - `settings`: what was typed, and what it means;
//! - `receive`: the Beats port, and one connection on it;
//! - `input`: the other inputs of pipeline files;
//! - `start`: binds and runs them;
//! - `event`: the one event type;
//! - `work`: from a received document to the buffers of the outputs;
//! - `engine`: the pipeline that runs now, and its reloading;
//! - `pipeline`: text to checked program, and the program run on events;
//! - `filter`: what a program is made of, one filter to a file;
//! - `level`: which level a line states;
//! - `service_budget`: what a service may have kept;
//! - `ledger`: what was dropped, counted; `recent`: examples of it; `slow`: which filter takes long;
//! - `batch`: what some windows have become, and which acknowledgements wait for it;
//! - `output`: delivery;
//! - `glob`: names of files with stars in them; `front`: the beginning of a text.
//!
//! It keeps nothing on disk, acknowledges nothing before it is delivered, and can be killed at any moment.

mod batch;
mod engine;
pub mod event;
pub mod filter;
mod front;
mod glob;
pub mod input;
mod ledger;
pub mod level;
mod output;
pub mod pipeline;
mod receive;
mod recent;
mod service_budget;
mod settings;
mod slow;
mod start;
mod work;

pub use engine::PipelineFiles;
pub use settings::{Config, Settings};

use std::sync::Arc;

use thiserror::Error;
use tokio::net::TcpListener;
use weir_daemon::{Health, Metrics, Shutdown, admin};

use engine::{Builder, Engine};
use ledger::Ledger;
use output::build::Surroundings;
use output::elasticsearch::Elasticsearch;
use pipeline::Diagnostic;
use pipeline::template::Template;
use receive::Receiver;
use receive::budget::Budget;
use service_budget::ServiceBudgets;

/// Why an aggregator cannot start, or had to stop.
#[derive(Debug, Error)]
pub enum Error {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        reason: std::io::Error,
    },
    /// Pipeline files are wrong.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Pipelines(Vec<Diagnostic>),
}

/// The names of all inputs and of all outputs that pipeline files may use; those of the filters are in
/// [`filter::FILTERS`].
pub fn inputs_and_outputs() -> (Vec<&'static str>, Vec<&'static str>) {
    (input::build::names(), output::build::names())
}

/// Reads the pipeline files of `config`, their inputs and outputs too, and tells every mistake in them: errors, and what
/// is suspicious. Nothing is started.
pub fn check(config: &Config) -> Vec<Diagnostic> {
    let (metrics, health) = (Metrics::new(), Health::new());
    let surroundings = Surroundings {
        bulk: config.bulk.clone(),
        index: config.index.clone(),
        metrics: metrics.clone(),
        health: health.clone(),
    };
    let cluster = Arc::new(Elasticsearch::new(Vec::new(), config.bulk.clone(), &metrics, health));
    let builder = Builder { surroundings, cluster, insecure: config.insecure };
    match builder.build(config.files.read(), 1) {
        Ok((_, _, warnings)) => warnings,
        Err(mistakes) => mistakes,
    }
}

/// Runs the aggregator on a bound Beats listener until shutdown; then what was received whole is delivered and
/// acknowledged, within ten seconds. If the pipeline files have inputs that end (standard input, files to be read once)
/// and no others, it ends with them.
///
/// # Errors
/// When it cannot start.
pub async fn run(config: Config, listener: TcpListener, metrics: Metrics, shutdown: Shutdown) -> Result<(), Error> {
    let health = Health::new();
    let index = config.index;
    let surroundings = Surroundings {
        bulk: config.bulk.clone(),
        index: index.clone(),
        metrics: metrics.clone(),
        health: health.clone(),
    };
    let cluster = Arc::new(Elasticsearch::new(config.hosts, config.bulk, &metrics, health.clone()));
    let builder = Builder { surroundings, cluster, insecure: config.insecure };
    let (pipeline, inputs, warnings) = builder.build(config.files.read(), 1).map_err(Error::Pipelines)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let bound = start::bind(inputs, &listener).await?;
    let admin_listener = match config.admin {
        Some(address) => Some(start::listen(address).await?),
        None => None,
    };

    let budgets =
        (!config.service_budgets.is_empty()).then(|| Arc::new(ServiceBudgets::new(config.service_budgets, &metrics)));
    let told = budgets.clone().map(|budgets| (budgets, Template::parse(&index)));
    let ledger = config.ledger_index.map(|index| Ledger::new(index, told, &metrics));
    let engine = Engine::new(pipeline, ledger.clone(), budgets, config.beats_fields, config.slow_filter, &metrics);

    // Everything that can fail is done. What runs here ends by `shutdown`, the later by the end of the earlier.
    let admin_server = admin_listener.map(|listener| {
        let routes = admin::routes(metrics.clone(), health.clone()).merge(recent::routes(engine.clone()));
        tokio::spawn(admin::serve(listener, routes, shutdown.clone()))
    });
    let events_are_over = Shutdown::new();
    let keeping = ledger.map(|ledger| {
        let engine = engine.clone();
        tokio::spawn(ledger.keep(move || engine.cluster(), events_are_over.clone()))
    });
    let reloading = (!config.pipelines_reload.is_zero() && !config.files.uses_built_in()).then(|| {
        let reload = engine.clone().reload(config.files, builder, config.pipelines_reload, health, shutdown.clone());
        tokio::spawn(reload)
    });
    let receiver =
        Receiver::new(engine.clone(), config.receive.clone(), Budget::new(config.memory_bytes_max), &metrics);
    let receiving = tokio::spawn(receiver.clone().serve(listener, config.tls, Arc::default(), shutdown.clone()));
    start::run(bound, &receiver, config.receive.connection_bytes_max, &shutdown).await;
    finish("the Beats port", receiving).await;
    events_are_over.cancel();
    if let Some(task) = keeping {
        finish("the drop ledger", task).await;
    }
    if let Some(task) = reloading {
        finish("the reloading of pipelines", task).await;
    }
    if let Some(task) = admin_server
        && let Some(Err(error)) = finish("the admin port", task).await
    {
        tracing::warn!(%error, "the admin port broke");
    }
    Ok(())
}

async fn finish<T>(what: &str, task: tokio::task::JoinHandle<T>) -> Option<T> {
    match task.await {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::error!(%error, "{what} broke down");
            None
        }
    }
}
