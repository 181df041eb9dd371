//! Finds out who asks: HTTP Basic with a user's password, `ApiKey` or `Bearer` with a token, or the cookie of a session.
//!
//! Where nobody is in the book and the settings name nobody, everybody may do everything: that is for loopback, which
//! `weir_daemon::exposure` sees to. Once somebody was there, credentials are needed until the process ends, so that
//! removing the last user does not open the door.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hyper::Method;
use hyper::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::Semaphore;

use super::audit::{Audit, Event};
use super::book::Book;
use super::limiter::Limiter;
use super::session::{Opened, Sessions, csrf_fits};
use super::{Principal, Reach, Role, password, token};
use crate::base64;

/// How often, at most, the file is looked at for a change.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// A password that was right is taken without hashing it again for this long: programs send it with every request.
const VERIFIED_FOR: Duration = Duration::from_secs(300);
/// Most such passwords.
const VERIFIED_MAX: usize = 1_000;
/// Passwords hashed at the same time: each takes 19 MiB and a core.
const HASHING_MAX: usize = 2;
/// The cookie of a session, where there is no TLS.
const COOKIE_PLAIN: &str = "weir_session";
/// The same with TLS: browsers let nobody but this host set it.
const COOKIE_SECURE: &str = "__Host-weir_session";
/// What the page sends with every request that is not a GET.
pub const CSRF_HEADER: HeaderName = HeaderName::from_static("x-weir-csrf");

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No credentials came.
    Missing,
    /// They are not good.
    Wrong,
    /// Too many wrong passwords from this address; seconds until the next try.
    Limited(u32),
    /// A session without the page's token.
    Csrf,
}

/// See the top of the file.
pub struct Gate {
    file: PathBuf,
    book: Mutex<Loaded>,
    /// User and password of the settings: an admin.
    own: Option<(String, [u8; 32])>,
    required: AtomicBool,
    verified: Mutex<HashMap<[u8; 32], Verified>>,
    /// Keeps what is remembered of passwords useless elsewhere.
    salt: [u8; 32],
    tries: Limiter,
    hashing: Arc<Semaphore>,
    sessions: Sessions,
    /// What was tried.
    pub audit: Audit,
}

struct Loaded {
    book: Arc<Book>,
    modified: Option<SystemTime>,
    looked: Instant,
}

struct Verified {
    user: String,
    until: Instant,
}

impl Gate {
    /// A gate with the file of users and tokens, and with a user of the settings.
    ///
    /// # Errors
    /// When the file is there and cannot be used, or no random numbers are to be had.
    pub fn open(file: &Path, own: Option<(&str, &str)>, audit_folder: &Path) -> Result<Self, String> {
        let modified = modified(file);
        let book = Book::load(file)?;
        let mut salt = [0; 32];
        SystemRandom::new().fill(&mut salt).map_err(|_| "the system gives no random numbers".to_owned())?;
        let own = own.map(|(user, password)| (user.to_owned(), digest_of(&salt, user, password)));
        let required = AtomicBool::new(own.is_some() || !book.is_empty());
        Ok(Self {
            file: file.to_owned(),
            book: Mutex::new(Loaded { book: Arc::new(book), modified, looked: Instant::now() }),
            own,
            required,
            verified: Mutex::default(),
            salt,
            tries: Limiter::default(),
            hashing: Arc::new(Semaphore::new(HASHING_MAX)),
            sessions: Sessions::default(),
            audit: Audit::new(audit_folder),
        })
    }

    /// Whether credentials are needed.
    pub fn is_required(&self) -> bool {
        // A user who was just added counts.
        self.book();
        self.required.load(Ordering::Relaxed)
    }

    /// The book, read again when the file has changed. One that cannot be read leaves the one before in use.
    fn book(&self) -> Arc<Book> {
        let mut loaded = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.looked.elapsed() >= LOOK_INTERVAL {
            loaded.looked = Instant::now();
            let now = modified(&self.file);
            if now != loaded.modified {
                match Book::load(&self.file) {
                    Ok(book) => {
                        tracing::info!(users = book.users.len(), tokens = book.tokens.len(), "users have changed");
                        if !book.is_empty() {
                            self.required.store(true, Ordering::Relaxed);
                        }
                        (loaded.book, loaded.modified) = (Arc::new(book), now);
                        self.verified.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    }
                    Err(error) => tracing::warn!(error, "changed users cannot be used; the ones before stay"),
                }
            }
        }
        Arc::clone(&loaded.book)
    }

    /// Who asks.
    ///
    /// # Errors
    /// Why they are not let in.
    pub async fn who(
        &self,
        method: &Method,
        headers: &HeaderMap,
        peer: IpAddr,
        tls: bool,
    ) -> Result<Principal, Denied> {
        if !self.is_required() {
            return Ok(Principal::anybody());
        }
        if let Some(given) = headers.get(AUTHORIZATION) {
            let given = given.to_str().map_err(|_| Denied::Wrong)?;
            let (scheme, rest) = given.split_once(' ').ok_or(Denied::Wrong)?;
            return match scheme.to_ascii_lowercase().as_str() {
                "basic" => {
                    let text = base64::decode(rest.trim()).and_then(|bytes| String::from_utf8(bytes).ok());
                    let (user, password) =
                        text.as_deref().and_then(|text| text.split_once(':')).ok_or(Denied::Wrong)?;
                    self.password(user, password, peer).await
                }
                "apikey" | "bearer" => self.token(rest, peer),
                _ => Err(Denied::Wrong),
            };
        }
        let Some(cookie) = cookie(headers, tls) else { return Err(Denied::Missing) };
        let (principal, csrf) = self.session(cookie).ok_or(Denied::Wrong)?;
        let safe = matches!(*method, Method::GET | Method::HEAD);
        if !safe && !csrf_fits(headers.get(CSRF_HEADER).map(|value| value.as_bytes()), &csrf) {
            return Err(Denied::Csrf);
        }
        Ok(principal)
    }

    /// Whoever has this password.
    ///
    /// # Errors
    /// It is wrong, or was tried too often.
    pub async fn password(&self, user: &str, given: &str, peer: IpAddr) -> Result<Principal, Denied> {
        let key = digest_of(&self.salt, user, given);
        let book = self.book();
        let now = Instant::now();
        if self.remembered(&key, user, now)
            && let Some(principal) = self.user(&book, user)
        {
            return Ok(principal);
        }
        if let Err(wait) = self.tries.take(peer, now) {
            self.audit.note(Event::LoginLimited, user, peer, "too many wrong passwords from this address");
            return Err(Denied::Limited(wait.as_secs() as u32 + 1));
        }
        let own = self.own.as_ref().is_some_and(|(name, digest)| name == user && token::same(&key, digest));
        let right = own || given.len() <= password::BYTES_MAX && self.hash_fits(&book, user, given).await;
        let principal = if right { self.user(&book, user) } else { None };
        let Some(principal) = principal else {
            self.audit.note(Event::LoginFailed, user, peer, "wrong user or password");
            return Err(Denied::Wrong);
        };
        self.tries.give_back(peer);
        self.audit.note(Event::Login, user, peer, "password");
        self.remember(key, user, now);
        Ok(principal)
    }

    async fn hash_fits(&self, book: &Book, user: &str, given: &str) -> bool {
        // The user of the settings goes before one of that name in the file.
        let is_own = self.own.as_ref().is_some_and(|(name, _)| name == user);
        let hash = book.users.get(user).filter(|_| !is_own).map(|user| user.password.clone());
        let given = given.to_owned();
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&self.hashing).acquire_owned().await else { return false };
        let verified = tokio::task::spawn_blocking(move || {
            let right = password::verify(&given, hash.as_deref());
            drop(permit);
            right
        });
        verified.await.unwrap_or(false)
    }

    fn remembered(&self, key: &[u8; 32], user: &str, now: Instant) -> bool {
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        verified.get(key).is_some_and(|known| known.until > now && known.user == user)
    }

    fn remember(&self, key: [u8; 32], user: &str, now: Instant) {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= VERIFIED_MAX {
            verified.retain(|_, known| known.until > now);
        }
        if verified.len() < VERIFIED_MAX {
            verified.insert(key, Verified { user: user.to_owned(), until: now + VERIFIED_FOR });
        }
    }

    fn user(&self, book: &Book, user: &str) -> Option<Principal> {
        if self.own.as_ref().is_some_and(|(name, _)| name == user) {
            return Some(Principal { name: user.into(), role: Role::Admin, reach: Reach::default() });
        }
        let found = book.users.get(user)?;
        Some(Principal { name: user.into(), role: found.may.role, reach: found.may.reach.clone() })
    }

    fn token(&self, encoded: &str, peer: IpAddr) -> Result<Principal, Denied> {
        let book = self.book();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        match token::find(&book, encoded) {
            Some((_, found)) if found.ends.is_none_or(|ends| now < ends) => Ok(Principal {
                name: format!("token:{}", found.name).into(),
                role: found.may.role,
                reach: found.may.reach.clone(),
            }),
            Some((_, found)) => {
                self.audit.note(Event::LoginFailed, &format!("token:{}", found.name), peer, "the token has ended");
                Err(Denied::Wrong)
            }
            None => {
                self.audit.note(Event::LoginFailed, "", peer, "no such token");
                Err(Denied::Wrong)
            }
        }
    }

    /// What ends a user's sessions when it changes.
    fn stamp(&self, book: &Book, user: &str) -> Option<String> {
        match &self.own {
            Some((name, digest)) if name == user => Some(base64::encode(digest)),
            _ => Some(book.users.get(user)?.password.clone()),
        }
    }

    /// Opens a session of the page for somebody whose password was right.
    ///
    /// # Errors
    /// A sentence.
    pub fn open_session(&self, principal: &Principal) -> Result<Opened, String> {
        let stamp = self.stamp(&self.book(), &principal.name).ok_or_else(|| "the user is gone".to_owned())?;
        self.sessions.open(&principal.name, &stamp, Instant::now())
    }

    /// The user and the CSRF token of the session that a request's cookie names.
    pub fn session_of(&self, headers: &HeaderMap, tls: bool) -> Option<(Principal, String)> {
        self.session(cookie(headers, tls)?)
    }

    /// Ends the session that a request's cookie names.
    pub fn close_session(&self, headers: &HeaderMap, tls: bool) {
        if let Some(cookie) = cookie(headers, tls) {
            self.sessions.close(cookie);
        }
    }

    fn session(&self, cookie: &str) -> Option<(Principal, String)> {
        let (user, stamp, csrf) = self.sessions.find(cookie, Instant::now())?;
        let book = self.book();
        let principal = self.user(&book, &user).filter(|_| self.stamp(&book, &user).as_ref() == Some(&stamp));
        if principal.is_none() {
            self.sessions.close(cookie);
        }
        Some((principal?, csrf))
    }
}

/// `Set-Cookie` of a session; an empty value takes it away.
pub fn set_cookie(value: &str, tls: bool) -> String {
    let (name, secure) = if tls { (COOKIE_SECURE, "; Secure") } else { (COOKIE_PLAIN, "") };
    let life = if value.is_empty() { 0 } else { super::session::LIFE_MAX.as_secs() };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={life}{secure}")
}

fn cookie(headers: &HeaderMap, tls: bool) -> Option<&str> {
    let name = if tls { COOKIE_SECURE } else { COOKIE_PLAIN };
    headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).find_map(|value| {
        value.split(';').find_map(|pair| pair.trim().split_once('=').filter(|(key, _)| *key == name)).map(|(_, v)| v)
    })
}

fn digest_of(salt: &[u8; 32], user: &str, password: &str) -> [u8; 32] {
    let mut bytes = salt.to_vec();
    bytes.extend((user.len() as u64).to_be_bytes());
    bytes.extend(user.as_bytes());
    bytes.extend(password.as_bytes());
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, &bytes).as_ref());
    out
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::super::book::{FILE, Grant, Token, User};
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn basic(user: &str, password: &str) -> String {
        format!("Basic {}", base64::encode(format!("{user}:{password}").as_bytes()))
    }

    #[tokio::test]
    async fn passwords_tokens_and_sessions_open_the_gate() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let made = token::make().unwrap();
        let ended = token::make().unwrap();
        Book::change(&file, |book| {
            let may = |role| Grant { role, reach: Reach::default() };
            let password = password::hash("alice's password")?;
            book.users.insert("alice".to_owned(), User { password, may: may(Role::Read) });
            for (made, ends) in [(&made, None), (&ended, Some(1))] {
                let token = Token { name: "t".into(), hash: made.hash.clone(), may: may(Role::Ingest), made: 0, ends };
                book.tokens.insert(made.id.clone(), token);
            }
            Ok(())
        })
        .unwrap();
        let gate = Gate::open(&file, Some(("root", "root's password")), folder.path()).unwrap();
        let peer = IpAddr::from([10, 0, 0, 1]);
        let ask = async |value: &str| {
            gate.who(&Method::GET, &headers(&[(AUTHORIZATION, value)]), peer, false).await.map(|who| who.role)
        };
        assert_eq!(ask(&basic("alice", "alice's password")).await, Ok(Role::Read));
        assert_eq!(ask(&basic("root", "root's password")).await, Ok(Role::Admin));
        assert_eq!(ask(&format!("ApiKey {}", made.encoded)).await, Ok(Role::Ingest));
        assert_eq!(ask(&format!("Bearer {}", made.encoded)).await, Ok(Role::Ingest));
        for wrong in [
            basic("alice", "root's password"),
            basic("root", "alice's password"),
            basic("nobody", "nobody"),
            format!("ApiKey {}", ended.encoded),
            "Digest x".to_owned(),
            "Basic".to_owned(),
        ] {
            assert_eq!(ask(&wrong).await, Err(Denied::Wrong), "{wrong}");
        }
        let none = gate.who(&Method::GET, &HeaderMap::new(), peer, false).await;
        assert_eq!(none.err(), Some(Denied::Missing));

        let alice = gate.password("alice", "alice's password", peer).await.unwrap();
        let opened = gate.open_session(&alice).unwrap();
        let cookie = format!("a=b; {COOKIE_PLAIN}={}", opened.cookie);
        let page = headers(&[(COOKIE, &cookie)]);
        assert_eq!(&*gate.who(&Method::GET, &page, peer, false).await.unwrap().name, "alice");
        assert_eq!(gate.who(&Method::POST, &page, peer, false).await.err(), Some(Denied::Csrf));
        let page = headers(&[(COOKIE, &cookie), (CSRF_HEADER, &opened.csrf)]);
        assert!(gate.who(&Method::POST, &page, peer, false).await.is_ok());
        // With TLS only the cookie that no other host can set counts.
        assert!(gate.who(&Method::POST, &page, peer, true).await.is_err());
    }

    #[tokio::test]
    async fn guessing_is_slowed_down_and_what_is_known_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let gate = Gate::open(&folder.path().join(FILE), Some(("root", "root's password")), folder.path()).unwrap();
        let (peer, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        gate.password("root", "root's password", peer).await.unwrap();
        let mut limited = 0;
        for n in 0..14 {
            match gate.password("root", &format!("guess {n}"), peer).await {
                Err(Denied::Limited(seconds)) => {
                    assert!((1..=6).contains(&seconds));
                    limited += 1;
                }
                other => assert_eq!(other.err(), Some(Denied::Wrong)),
            }
        }
        assert!(limited >= 1, "ten tries at once, and then one now and then");
        gate.password("root", "root's password", peer).await.unwrap();
        assert_eq!(gate.password("root", "guess", other).await.err(), Some(Denied::Wrong));
    }

    #[tokio::test]
    async fn a_changed_password_ends_sessions_and_the_last_user_leaves_the_door_shut() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let set = |password: Option<&str>| {
            Book::change(&file, |book| {
                book.users.clear();
                if let Some(password) = password {
                    let may = Grant { role: Role::Read, reach: Reach::default() };
                    book.users.insert("alice".to_owned(), User { password: password::hash(password)?, may });
                }
                Ok(())
            })
            .unwrap();
        };
        set(Some("the first password"));
        let gate = Gate::open(&file, None, folder.path()).unwrap();
        let peer = IpAddr::from([10, 0, 0, 1]);
        let reread = || {
            let mut loaded = gate.book.lock().unwrap();
            loaded.looked = Instant::now().checked_sub(LOOK_INTERVAL).unwrap();
            loaded.modified = None;
        };
        let alice = gate.password("alice", "the first password", peer).await.unwrap();
        let opened = gate.open_session(&alice).unwrap();
        assert!(gate.session(&opened.cookie).is_some());
        set(Some("the second password"));
        reread();
        assert!(gate.session(&opened.cookie).is_none());
        assert!(gate.password("alice", "the first password", peer).await.is_err());
        set(None);
        reread();
        assert!(gate.is_required());
        std::fs::write(&file, "not json").unwrap();
        reread();
        assert!(gate.is_required());
    }
}
