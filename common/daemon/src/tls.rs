//! TLS 1.2 and 1.3 from PEM files through rustls: for servers (with or without client certificates) and for clients,
//! with revocation lists, read again when the files change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::client::WebPkiServerVerifier;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// How often, at most, the files are looked at for a change. A renewed certificate is in use this much later.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

/// What can be wrong with certificates.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file could not be read.
    #[error("cannot read {path}: {reason} (is it a PEM file, and readable for this user?)")]
    File {
        /// The file.
        path: String,
        /// What the reader said.
        reason: String,
    },
    /// rustls refused what the files hold, such as a key that does not fit its certificate.
    #[error("certificate {path}: {reason}")]
    Refused {
        /// The certificate's file.
        path: String,
        /// What rustls said.
        reason: String,
    },
}

/// PEM files of one side of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our certificate chain.
    pub cert: Option<PathBuf>,
    /// The key of `cert`.
    pub key: Option<PathBuf>,
    /// The authority that the other side's certificate must come from. For a server: clients must show one.
    pub ca: Option<PathBuf>,
    /// Lists of certificates of `ca` that are not good any more.
    pub crl: Option<PathBuf>,
}

/// A server's configuration: TLS 1.2 and 1.3, `cert` and `key`, and client certificates from `ca` when that is set.
///
/// # Errors
/// A file that cannot be read, or a key that does not fit.
pub fn server_config(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let missing = |what: &str| TlsError::File { path: what.to_owned(), reason: "not set".to_owned() };
    let cert = files.cert.as_deref().ok_or_else(|| missing("tls_cert"))?;
    let key = files.key.as_deref().ok_or_else(|| missing("tls_key"))?;
    let refused = |reason: String| TlsError::Refused { path: cert.display().to_string(), reason };
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(error.to_string()))?;
    let builder = match &files.ca {
        Some(ca) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(
                Arc::new(authorities(ca)?),
                Arc::new(rustls::crypto::ring::default_provider()),
            );
            let verifier = match &files.crl {
                Some(crl) => verifier.with_crls(revocations(crl)?).only_check_end_entity_revocation(),
                None => verifier,
            };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| refused(error.to_string()))?)
        }
        None => builder.with_no_client_auth(),
    };
    let config =
        builder.with_single_cert(chain(cert)?, private_key(key)?).map_err(|error| refused(error.to_string()))?;
    Ok(Arc::new(config))
}

/// A client's configuration: servers must show a certificate from `ca`; `cert` and `key` are shown when they are set.
///
/// # Errors
/// A file that cannot be read, a missing `ca`, or a key that does not fit.
pub fn client_config(files: &TlsFiles) -> Result<Arc<ClientConfig>, TlsError> {
    let Some(ca) = &files.ca else {
        return Err(TlsError::File { path: "tls_ca".to_owned(), reason: "not set".to_owned() });
    };
    let refused = |reason: String| TlsError::Refused { path: ca.display().to_string(), reason };
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(error.to_string()))?;
    let builder = match &files.crl {
        None => builder.with_root_certificates(authorities(ca)?),
        Some(crl) => {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(authorities(ca)?), provider)
                .with_crls(revocations(crl)?)
                .only_check_end_entity_revocation()
                .build()
                .map_err(|error| refused(error.to_string()))?;
            builder.with_webpki_verifier(verifier)
        }
    };
    let config = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => builder
            .with_client_auth_cert(chain(cert)?, private_key(key)?)
            .map_err(|error| TlsError::Refused { path: cert.display().to_string(), reason: error.to_string() })?,
        _ => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// The file of authorities that this system trusts, where it has one in a usual place.
#[must_use]
pub fn system_authorities() -> Option<PathBuf> {
    // Debian, Alpine and Arch; Fedora; openSUSE.
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| unreadable(path, &error))?.collect();
    let certificates = certificates.map_err(|error| unreadable(path, &error))?;
    if certificates.is_empty() { Err(unreadable(path, &"it holds no certificate")) } else { Ok(certificates) }
}

fn revocations(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let lists: Result<Vec<_>, _> =
        CertificateRevocationListDer::pem_file_iter(path).map_err(|error| unreadable(path, &error))?.collect();
    let lists = lists.map_err(|error| unreadable(path, &error))?;
    // A list that was meant and is not there must not let everybody in.
    if lists.is_empty() { Err(unreadable(path, &"it holds no revocation list")) } else { Ok(lists) }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| unreadable(path, &error))
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in chain(path)? {
        store.add(certificate).map_err(|error| unreadable(path, &error))?;
    }
    Ok(store)
}

fn unreadable(path: &Path, reason: &dyn std::fmt::Display) -> TlsError {
    TlsError::File { path: path.display().to_string(), reason: reason.to_string() }
}

/// A configuration that follows its files: `get` gives the newest that could be loaded.
pub struct Reloading<C> {
    files: TlsFiles,
    load: fn(&TlsFiles) -> Result<Arc<C>, TlsError>,
    state: Mutex<State<C>>,
}

struct State<C> {
    config: Arc<C>,
    modified: Vec<Option<SystemTime>>,
    looked: Instant,
}

impl<C> Reloading<C> {
    /// Loads now, and again whenever a file has changed: `load` is [`server_config`] or [`client_config`].
    ///
    /// # Errors
    /// When the first load fails.
    pub fn new(files: TlsFiles, load: fn(&TlsFiles) -> Result<Arc<C>, TlsError>) -> Result<Self, TlsError> {
        let state = State { config: load(&files)?, modified: modified(&files), looked: Instant::now() };
        Ok(Self { files, load, state: Mutex::new(state) })
    }

    /// The configuration for the next connection. A changed file that cannot be loaded leaves the old one in use, and
    /// says so in the log.
    pub fn get(&self) -> Arc<C> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= RELOAD_INTERVAL {
            state.looked = Instant::now();
            let now = modified(&self.files);
            if now != state.modified {
                match (self.load)(&self.files) {
                    Ok(config) => {
                        tracing::info!("certificates have changed and are in use");
                        state.config = config;
                        state.modified = now;
                    }
                    Err(error) => tracing::warn!(%error, "changed certificates cannot be used; the old ones stay"),
                }
            }
        }
        state.config.clone()
    }
}

fn modified(files: &TlsFiles) -> Vec<Option<SystemTime>> {
    [&files.cert, &files.key, &files.ca, &files.crl]
        .into_iter()
        .map(|path| path.as_ref().and_then(|path| path.metadata().ok()?.modified().ok()))
        .collect()
}
