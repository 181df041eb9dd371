//! What outlives one search: permits, scrolls and points in time.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::request::Request;
use crate::query::Refusal;
use crate::store::View;

/// Most searches that run at the same time, on machines with as many cores. Each one keeps a core busy, and ingestion
/// must get its share: there are no more of them than cores.
pub const PERMITS_MAX: usize = 8;
/// Searches that may wait for a permit; the next one is told to come again.
const WAITING_MAX: usize = 1_000;
/// Scrolls and points in time at once (Elasticsearch's `search.max_open_scroll_context`): each holds files open.
const CONTEXTS_MAX: usize = 500;
/// Longest time for which one may be kept without being asked.
pub const KEEP_ALIVE_MAX: Duration = Duration::from_secs(24 * 3600);

/// See the top of the file.
pub struct State {
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    contexts: Mutex<HashMap<String, Context>>,
    number: AtomicU64,
    random: std::collections::hash_map::RandomState,
    /// Cluster settings of searches that were set: limits, and as they were given.
    settings: Mutex<Limits>,
}

/// Limits that `PUT _cluster/settings` may set.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// `search.max_buckets`
    pub max_buckets: Option<usize>,
    /// `search.max_keep_alive`
    pub max_keep_alive: Option<Duration>,
    /// `action.auto_create_index`
    pub auto_create: Option<String>,
    /// What was set: (persistent, transient).
    pub given: [serde_json::Map<String, serde_json::Value>; 2],
}

/// A scroll, a point in time, or the answer of an asynchronous search.
#[derive(Clone)]
pub struct Context {
    /// What it sees.
    pub view: Arc<View>,
    /// What it is.
    pub kind: ContextKind,
    /// Who opened it; nobody else gets at it.
    owner: Arc<str>,
    keep: Duration,
    until: Instant,
}

/// The kinds of [`Context`].
#[derive(Clone)]
pub enum ContextKind {
    /// A point in time.
    Pit,
    /// A scroll: the search that gives the next page, and how many hits there are.
    Scroll {
        /// With `after` at the end of the last page.
        request: Arc<Request>,
        /// How many of the sort keys the request named.
        shown: usize,
        /// Hits in all.
        total: u64,
        /// The best score.
        max_score: Option<f32>,
    },
    /// An answer that waits to be fetched.
    Answer(Arc<str>),
}

/// How many searches may run at the same time on this machine.
pub fn permits() -> usize {
    std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, PERMITS_MAX))
}

impl Default for State {
    fn default() -> Self {
        State {
            permits: Arc::new(Semaphore::new(permits())),
            waiting: AtomicUsize::new(0),
            contexts: Mutex::new(HashMap::new()),
            number: AtomicU64::new(0),
            random: std::collections::hash_map::RandomState::new(),
            settings: Mutex::new(Limits::default()),
        }
    }
}

impl State {
    /// How many buckets an answer may hold, where it is not the default.
    pub fn buckets(&self) -> Option<usize> {
        self.limits().max_buckets
    }

    /// The limits that were set.
    pub fn limits(&self) -> Limits {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets limits.
    pub fn set_limits(&self, limits: Limits) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    fn check_keep(&self, keep: Duration, what: &str) -> Result<(), Refusal> {
        let most = self.limits().max_keep_alive.unwrap_or(KEEP_ALIVE_MAX);
        if keep > most {
            return Err(Refusal::argument(format!(
                "Keep alive for {what} ({}) is too large. It must be less than ({}). This limit can be set by changing the \
                 [search.max_keep_alive] cluster level setting.",
                short(keep),
                short(most)
            )));
        }
        Ok(())
    }

    /// Waits for the right to search.
    pub async fn permit(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Refusal::busy(permits()));
        }
        // A client that gives up drops this future; it must not go on counting as waiting.
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let _waiting = Waiting(&self.waiting);
        Arc::clone(&self.permits).acquire_owned().await.map_err(|_| Refusal::busy(permits()))
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<String, Context>> {
        let mut contexts = self.contexts.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        contexts.retain(|_, c| c.until > now);
        contexts
    }

    /// Keeps something of `owner` under a new id.
    fn open(&self, owner: &Arc<str>, view: Arc<View>, kind: ContextKind, keep: Duration) -> Result<String, Refusal> {
        self.check_keep(keep, if matches!(kind, ContextKind::Scroll { .. }) { "scroll" } else { "request" })?;
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let word = |salt: u64| {
            let mut hasher = self.random.build_hasher();
            hasher.write_u64(number);
            hasher.write_u64(salt);
            hasher.finish()
        };
        let id = format!("weir{:016x}{:016x}", word(1), word(2));
        let mut contexts = self.locked();
        if contexts.len() >= CONTEXTS_MAX {
            let mut r = Refusal::argument(format!(
                "Trying to create too many scroll contexts. Must be less than or equal to: [{CONTEXTS_MAX}]. This limit can be set \
                 by changing the [search.max_open_scroll_context] setting."
            ));
            r.status = 429;
            return Err(r);
        }
        contexts
            .insert(id.clone(), Context { view, kind, owner: Arc::clone(owner), keep, until: Instant::now() + keep });
        Ok(id)
    }

    /// What is kept under an id; it is kept on, for as long as asked or as before.
    fn get(&self, owner: &str, id: &str, keep: Option<Duration>) -> Result<Context, Refusal> {
        let mut contexts = self.locked();
        let context =
            contexts.get_mut(id).filter(|context| *context.owner == *owner).ok_or_else(|| Refusal::no_context(id))?;
        if let Some(keep) = keep {
            let scroll = matches!(context.kind, ContextKind::Scroll { .. });
            self.check_keep(keep, if scroll { "scroll" } else { "request" })?;
        }
        context.keep = keep.unwrap_or(context.keep);
        context.until = Instant::now() + context.keep;
        Ok(context.clone())
    }

    /// Puts a scroll at its next page.
    fn advance(&self, id: &str, request: Request) {
        if let Some(Context { kind: ContextKind::Scroll { request: r, .. }, .. }) = self.locked().get_mut(id) {
            *r = Arc::new(request);
        }
    }

    /// Lets go of what expired, and of the files of partitions that were dropped: as long as somebody reads a file, its
    /// bytes are not given back.
    pub fn let_go(&self) {
        for context in self.locked().values_mut() {
            match context.view.without_gone() {
                Ok(None) => {}
                Ok(Some(view)) => context.view = Arc::new(view),
                Err(error) => tracing::error!(%error, "a point in time holds files of a dropped partition"),
            }
        }
    }

    fn close(&self, owner: &str, id: &str) -> bool {
        let mut contexts = self.locked();
        contexts.get(id).is_some_and(|context| *context.owner == *owner) && contexts.remove(id).is_some()
    }

    fn close_all(&self, owner: &str, pits: bool) -> usize {
        let mut contexts = self.locked();
        let before = contexts.len();
        contexts.retain(|_, c| {
            *c.owner != *owner
                || match c.kind {
                    ContextKind::Pit => !pits,
                    ContextKind::Scroll { .. } => pits,
                    ContextKind::Answer(_) => true,
                }
        });
        before - contexts.len()
    }
}

/// What one principal keeps open: the same state for all, and each sees their own in it.
pub struct Own {
    state: Arc<State>,
    owner: Arc<str>,
}

impl std::ops::Deref for Own {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl Own {
    /// The part of somebody.
    pub fn new(state: Arc<State>, owner: Arc<str>) -> Self {
        Self { state, owner }
    }

    /// Keeps something under a new id.
    ///
    /// # Errors
    /// When there are too many, or it is to be kept too long.
    pub fn open(&self, view: Arc<View>, kind: ContextKind, keep: Duration) -> Result<String, Refusal> {
        self.state.open(&self.owner, view, kind, keep)
    }

    /// What is kept under an id; it is kept on, for as long as asked or as before.
    ///
    /// # Errors
    /// 404 when there is none, or it is another's.
    pub fn get(&self, id: &str, keep: Option<Duration>) -> Result<Context, Refusal> {
        self.state.get(&self.owner, id, keep)
    }

    /// Puts a scroll at its next page.
    pub fn advance(&self, id: &str, request: Request) {
        self.state.advance(id, request);
    }

    /// Forgets one; says whether it was there.
    pub fn close(&self, id: &str) -> bool {
        self.state.close(&self.owner, id)
    }

    /// Forgets all points in time, or all scrolls; says how many.
    pub fn close_all(&self, pits: bool) -> usize {
        self.state.close_all(&self.owner, pits)
    }
}

/// A span as Elasticsearch writes it: `2m`, `1d`.
fn short(span: Duration) -> String {
    let s = span.as_secs();
    match (s.is_multiple_of(86_400), s.is_multiple_of(3_600), s.is_multiple_of(60)) {
        _ if s == 0 => format!("{}ms", span.as_millis()),
        (true, ..) => format!("{}d", s / 86_400),
        (_, true, _) => format!("{}h", s / 3600),
        (_, _, true) => format!("{}m", s / 60),
        _ => format!("{s}s"),
    }
}
