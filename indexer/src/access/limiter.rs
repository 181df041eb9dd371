//! How often one address may guess a password: a few tries at once, then one now and then.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Tries that an address has at once: a person who mistypes is not kept waiting.
const TRIES: f64 = 10.0;
/// After that, one try each so often: 17,000 guesses a day, of which a password of ten characters need not fear one.
const RECOVERY: Duration = Duration::from_secs(5);
/// Addresses that are remembered. When there are more, those that have recovered are forgotten, then the one that was
/// seen the longest ago.
const ADDRESSES_MAX: usize = 10_000;

struct Tries {
    left: f64,
    at: Instant,
}

/// What each address has left.
#[derive(Default)]
pub(super) struct Limiter(Mutex<HashMap<IpAddr, Tries>>);

impl Limiter {
    /// Takes one try.
    ///
    /// # Errors
    /// How long to wait for the next one.
    pub fn take(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = network(peer);
        if all.len() >= ADDRESSES_MAX && !all.contains_key(&peer) {
            all.retain(|_, tries| left(tries, now) < TRIES);
            if all.len() >= ADDRESSES_MAX
                && let Some(oldest) = all.iter().min_by_key(|(_, tries)| tries.at).map(|(peer, _)| *peer)
            {
                all.remove(&oldest);
            }
        }
        let tries = all.entry(peer).or_insert(Tries { left: TRIES, at: now });
        tries.left = left(tries, now);
        tries.at = now;
        if tries.left < 1.0 {
            return Err(RECOVERY.mul_f64(1.0 - tries.left));
        }
        tries.left -= 1.0;
        Ok(())
    }

    /// Gives a try back: it was right.
    pub fn give_back(&self, peer: IpAddr) {
        if let Some(tries) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&network(peer)) {
            tries.left = (tries.left + 1.0).min(TRIES);
        }
    }
}

fn left(tries: &Tries, now: Instant) -> f64 {
    let recovered = now.saturating_duration_since(tries.at).as_secs_f64() / RECOVERY.as_secs_f64();
    (tries.left + recovered).min(TRIES)
}

/// One customer has a whole /64 of IPv6.
fn network(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => ip.into(),
            None => Ipv6Addr::from_bits(ip.to_bits() & !(u128::from(u64::MAX))).into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_run_out_for_one_address_and_come_back() {
        let (limiter, start) = (Limiter::default(), Instant::now());
        let (one, other) = ("2001:db8::1".parse().unwrap(), "2001:db8:0:1::1".parse().unwrap());
        let neighbour = "2001:db8::2".parse().unwrap();
        for _ in 0..10 {
            limiter.take(one, start).unwrap();
        }
        assert_eq!(limiter.take(neighbour, start).unwrap_err(), RECOVERY);
        limiter.take(other, start).unwrap();
        limiter.take(one, start + RECOVERY).unwrap();
        assert!(limiter.take(one, start + RECOVERY).is_err());
        limiter.give_back(one);
        limiter.take(one, start + RECOVERY).unwrap();
    }

    #[test]
    fn addresses_are_bounded() {
        let (limiter, start) = (Limiter::default(), Instant::now());
        for n in 0..ADDRESSES_MAX as u32 + 10 {
            limiter.take(IpAddr::from(n.to_be_bytes()), start).unwrap();
        }
        assert_eq!(limiter.0.lock().unwrap().len(), ADDRESSES_MAX);
    }
}
