//! Decides whether an address may be listened on: loopback always, any other only with TLS and credentials.

use std::net::SocketAddr;

use crate::settings::Mistake;

/// Refuses to put a plain or open port where others can reach it.
///
/// # Errors
/// A mistake under the key `listen` when `address` is not loopback, `insecure` was not spelled out, and TLS or
/// credentials are missing.
pub fn check(address: SocketAddr, tls: bool, credentials: bool, insecure: bool) -> Result<(), Mistake> {
    if address.ip().is_loopback() || insecure || (tls && credentials) {
        return Ok(());
    }
    let missing = match (tls, credentials) {
        (false, false) => "TLS and credentials",
        (false, true) => "TLS",
        (true, _) => "credentials",
    };
    Err(Mistake::new(
        "listen",
        format!("{address} can be reached from other machines, and {missing} are not set"),
        "set them, listen on 127.0.0.1, or say `insecure = true` (--insecure) if the network itself is trusted",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_open_by_default() {
        let loopback = "127.0.0.1:9200".parse().unwrap();
        let outside = "0.0.0.0:9200".parse().unwrap();
        assert!(check(loopback, false, false, false).is_ok());
        assert!(check(outside, false, false, false).unwrap_err().problem.contains("TLS and credentials"));
        assert!(check(outside, true, false, false).is_err());
        assert!(check(outside, true, true, false).is_ok());
        assert!(check(outside, false, false, true).is_ok());
    }
}
