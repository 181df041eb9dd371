//! Sessions of the web page, in memory: a restart asks everybody to log in again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom as _, SystemRandom};

use super::token::{same, sha256};
use crate::base64;

/// A session that was not used this long is over.
pub const IDLE_MAX: Duration = Duration::from_secs(8 * 3600);
/// A session is over after this time in any case.
pub const LIFE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Most sessions at once; the one that was not used the longest goes.
const SESSIONS_MAX: usize = 10_000;

struct Session {
    user: String,
    /// Hash of the password at login: a changed password ends the session.
    password: String,
    csrf: String,
    since: Instant,
    used: Instant,
}

/// What a page gets at login.
pub struct Opened {
    /// The value of the cookie.
    pub cookie: String,
    /// What the page sends in `X-Weir-CSRF`.
    pub csrf: String,
}

/// All sessions, by the SHA-256 of their cookies: what leaks from memory opens nothing.
#[derive(Default)]
pub struct Sessions(Mutex<HashMap<String, Session>>);

impl Sessions {
    /// Opens one for a user who proved who they are.
    ///
    /// # Errors
    /// When no random numbers are to be had.
    pub fn open(&self, user: &str, password: &str, now: Instant) -> Result<Opened, String> {
        let mut bytes = [0; 64];
        SystemRandom::new().fill(&mut bytes).map_err(|_| "the system gives no random numbers".to_owned())?;
        let (cookie, csrf) = (base64::encode_url(&bytes[..32]), base64::encode_url(&bytes[32..]));
        let session =
            Session { user: user.to_owned(), password: password.to_owned(), csrf: csrf.clone(), since: now, used: now };
        let mut all = self.locked(now);
        if all.len() >= SESSIONS_MAX
            && let Some(oldest) = all.iter().min_by_key(|(_, session)| session.used).map(|(key, _)| key.clone())
        {
            all.remove(&oldest);
        }
        all.insert(sha256(cookie.as_bytes()), session);
        Ok(Opened { cookie, csrf })
    }

    /// The user, the password's hash at login, and the CSRF token of a cookie that is good.
    pub fn find(&self, cookie: &str, now: Instant) -> Option<(String, String, String)> {
        let mut all = self.locked(now);
        let session = all.get_mut(&sha256(cookie.as_bytes()))?;
        session.used = now;
        Some((session.user.clone(), session.password.clone(), session.csrf.clone()))
    }

    /// Ends one.
    pub fn close(&self, cookie: &str) {
        self.locked(Instant::now()).remove(&sha256(cookie.as_bytes()));
    }

    fn locked(&self, now: Instant) -> std::sync::MutexGuard<'_, HashMap<String, Session>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = |since: Instant| now.saturating_duration_since(since);
        all.retain(|_, session| passed(session.used) < IDLE_MAX && passed(session.since) < LIFE_MAX);
        all
    }
}

/// Whether a request's token is the session's.
pub fn csrf_fits(given: Option<&[u8]>, expected: &str) -> bool {
    given.is_some_and(|given| same(given, expected.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_end_by_idleness_by_age_and_by_logout() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let opened = sessions.open("alice", "hash", start).unwrap();
        let almost = start + IDLE_MAX - Duration::from_secs(1);
        assert_eq!(sessions.find(&opened.cookie, almost).unwrap().0, "alice");
        assert!(sessions.find("other", almost).is_none());
        assert!(sessions.find(&opened.cookie, almost + IDLE_MAX).is_none());
        let opened = sessions.open("alice", "hash", start).unwrap();
        let mut now = start;
        while now < start + LIFE_MAX - IDLE_MAX / 2 {
            assert!(sessions.find(&opened.cookie, now).is_some());
            now += IDLE_MAX / 2;
        }
        assert!(sessions.find(&opened.cookie, start + LIFE_MAX).is_none());
        let opened = sessions.open("alice", "hash", Instant::now()).unwrap();
        sessions.close(&opened.cookie);
        assert!(sessions.find(&opened.cookie, Instant::now()).is_none());
        assert!(csrf_fits(Some(b"a"), "a") && !csrf_fits(Some(b"b"), "a") && !csrf_fits(None, "a"));
    }
}
