//! The HTTP side: `server` takes connections and reads requests within limits, [`ENDPOINTS`] says who answers what,
//! and each endpoint is a function from a [`Call`] to a [`Reply`] in a file of its own.
//!
//! To add an endpoint, copy a neighbour's file and list it in [`ENDPOINTS`].

mod call;
mod cors;
pub mod filter_path;
mod reply;
mod server;
mod stall;

mod alerts;
mod analyze;
mod api;
mod async_search;
mod bulk;
mod cat;
mod cluster;
mod cluster_settings;
mod data_stream;
mod delete_by_query;
mod denied;
pub mod doc;
mod explain;
mod field_caps;
mod field_mapping;
mod indices;
mod legacy_template;
mod mixed;
pub mod openapi;
pub(crate) mod patterns;
mod pipelines;
mod root;
mod saved;
mod scroll;
mod search;
mod session;
mod snapshot;
mod stats;
mod status;
pub(crate) mod tail;
mod update;
mod upkeep;
mod validate;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub(crate) use api::{Asked, around_of, asked};
pub use call::{Call, Query};
pub use pipelines::Workbench;
pub use reply::{Body, JSON, Reply, TEXT};
pub(crate) use search::body as body_of;
pub(crate) use server::serve;
pub(crate) use status::own as own_status;

use crate::access::Principal;
use crate::access::gate::Gate;
use crate::error::Result;
use crate::search::state::{Own, State};
use crate::settings::Config;
use crate::store::{Narrow, Store};

/// Every endpoint, by family. Of several that fit a path, the one with more literal segments answers.
#[rustfmt::skip] // One a line, so that families are added without touching their neighbours.
pub static ENDPOINTS: &[&[Endpoint]] = &[
    root::ENDPOINTS,
    bulk::ENDPOINTS,
    doc::ENDPOINTS,
    update::ENDPOINTS,
    indices::ENDPOINTS,
    legacy_template::ENDPOINTS,
    stats::ENDPOINTS,
    cluster::ENDPOINTS,
    cluster_settings::ENDPOINTS,
    cat::ENDPOINTS,
    upkeep::ENDPOINTS,
    search::ENDPOINTS,
    explain::ENDPOINTS,
    scroll::ENDPOINTS,
    field_caps::ENDPOINTS,
    field_mapping::ENDPOINTS,
    validate::ENDPOINTS,
    analyze::ENDPOINTS,
    data_stream::ENDPOINTS,
    async_search::ENDPOINTS,
    delete_by_query::ENDPOINTS,
    api::ENDPOINTS,
    tail::ENDPOINTS,
    alerts::ENDPOINTS,
    patterns::ENDPOINTS,
    pipelines::ENDPOINTS,
    status::ENDPOINTS,
    saved::ENDPOINTS,
    openapi::ENDPOINTS,
    session::ENDPOINTS,
    snapshot::ENDPOINTS,
    crate::ui::ENDPOINTS,
];

/// What all requests share. One for the process.
pub struct Shared {
    /// Checked settings.
    pub config: Config,
    /// Indices and documents; endpoints go through [`Context::store`].
    pub(crate) all: Arc<Store>,
    /// Permits of searches, scrolls, points in time; endpoints go through [`Context::search`].
    pub(crate) state: Arc<State>,
    /// Users, tokens and sessions.
    pub gate: Gate,
    /// Rules, what fires, silences.
    pub alerts: crate::alerts::Alerts,
    /// Snapshots and where they are kept.
    pub snapshots: Arc<crate::snapshot::Snapshots>,
    /// The cluster that is shown instead of what is kept here.
    pub(crate) upstream: Option<Arc<crate::upstream::Upstream>>,
    /// Counters, for `/metrics`.
    pub metrics: weir_daemon::Metrics,
    /// Present troubles, for `/health` and `_cluster/health`.
    pub health: weir_daemon::Health,
    /// When the process is to stop; long answers end then.
    pub shutdown: weir_daemon::Shutdown,
}

/// What an endpoint works on: what all share, narrowed to who asks.
pub struct Context {
    shared: Arc<Shared>,
    /// Who asks; `None` at endpoints that are open to everybody.
    pub principal: Option<Principal>,
    /// Indices and documents that they may see.
    pub store: Arc<Narrow>,
    /// Scrolls and points in time that are theirs.
    pub search: Own,
}

impl std::ops::Deref for Context {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Context {
    /// For somebody, or for nobody.
    pub fn new(shared: Arc<Shared>, principal: Option<Principal>) -> Self {
        let owner = principal.as_ref().map_or_else(|| "".into(), |who| Arc::clone(&who.name));
        let store = Arc::new(Narrow::new(Arc::clone(&shared.all), principal.clone()));
        let search = Own::new(Arc::clone(&shared.state), owner);
        Self { shared, principal, store, search }
    }
}

/// What an endpoint's function gives back.
pub type Answer = Pin<Box<dyn Future<Output = Result<Reply>> + Send>>;

/// One row of the table of endpoints.
pub struct Endpoint {
    /// `GET`, `POST`, …; a `HEAD` that nobody lists is answered as `GET` without the body.
    pub methods: &'static [&'static str],
    /// Literal segments and `{names}`: `/{index}/_doc/{id}`.
    pub path: &'static str,
    /// The query parameters that it understands, beside [`COMMON`]. Any other is answered with 400, as Elasticsearch
    /// does, so that no option is silently ignored.
    pub params: &'static [&'static str],
    /// The function: `|call| Box::pin(search(call))`.
    pub run: fn(Call) -> Answer,
}

/// Query parameters that every endpoint understands.
pub const COMMON: [&str; 5] = ["pretty", "human", "error_trace", "filter_path", "format"];
