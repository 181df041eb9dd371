//! How many connections a listener has, in all and of each peer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The permits of one listener.
#[derive(Debug)]
pub struct Peers {
    permits: Arc<Semaphore>,
    of_peer_max: usize,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One place among the connections. Given back when dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
    peer: IpAddr,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Peers {
    /// At most `max` connections, and `of_peer_max` of one address.
    pub fn new(max: usize, of_peer_max: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(max)), of_peer_max, open: Arc::default() }
    }

    /// Waits until there is room for one more connection: to be called before `accept`, so that the peers wait in the
    /// kernel's queue and not here.
    pub async fn room(&self) -> Option<OwnedSemaphorePermit> {
        // None only if the semaphore were closed, which nothing does.
        self.permits.clone().acquire_owned().await.ok()
    }

    /// The place of a connection from `peer`, unless it has too many already.
    pub fn place(&self, permit: OwnedSemaphorePermit, peer: IpAddr) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_peer = open.entry(peer).or_default();
        if *of_peer >= self.of_peer_max {
            return None;
        }
        *of_peer += 1;
        Some(Place { _permit: permit, peer, open: self.open.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_peer) = open.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                open.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_are_counted_by_peer_and_given_back() {
        let peers = Peers::new(3, 2);
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = peers.place(peers.room().await.unwrap(), one).unwrap();
        let _second = peers.place(peers.room().await.unwrap(), one).unwrap();
        assert!(peers.place(peers.room().await.unwrap(), one).is_none(), "two of one peer");
        let _third = peers.place(peers.room().await.unwrap(), other).unwrap();
        assert_eq!(peers.permits.available_permits(), 0);
        drop(first);
        assert!(peers.place(peers.room().await.unwrap(), one).is_some());
        assert_eq!(peers.open.lock().unwrap().len(), 2);
    }
}
