//! TLS with certificates on both sides, several aggregators, and connections that have had their time.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use weir_daemon::tls::{TlsFiles, server_config};

use crate::container::{Container, counted};
use crate::shipper::Shipper;
use crate::sink::Sink;

/// An authority of this name, with its certificate in `<name>.pem`.
fn authority(folder: &Path, name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join(format!("{name}.pem")), issuer.pem()).unwrap();
    issuer
}

/// A certificate of `authority` in `<name>.pem` and its key in `<name>.key`.
fn certificate(folder: &Path, name: &str, authority: &CertifiedIssuer<'static, KeyPair>) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let signed = params.signed_by(&key, authority).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    std::fs::write(folder.join(format!("{name}.pem")), signed.pem()).unwrap();
}

/// TLS in front of a sink; shakes hands only with clients that show a certificate of the authority. Ends with the test.
struct Front {
    port: u16,
    refused: Arc<AtomicU64>,
    taken: Arc<AtomicU64>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Front {
    fn start(sink: std::net::SocketAddr, files: TlsFiles) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (refused, taken) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (refusals, takings) = (refused.clone(), taken.clone());
        runtime.spawn(async move {
            loop {
                let (plain, _) = listener.accept().await.unwrap();
                // Read anew each time: a renewed certificate of ours is in use at once.
                let acceptor = TlsAcceptor::from(server_config(&files).unwrap());
                match acceptor.accept(plain).await {
                    Ok(mut secure) => {
                        takings.fetch_add(1, Ordering::Relaxed);
                        let mut inner = TcpStream::connect(sink).await.unwrap();
                        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut secure, &mut inner).await });
                    }
                    Err(_) => {
                        refusals.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
        Self { port, refused, taken, runtime: Some(runtime) }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[test]
fn certificates_that_change_are_used_without_a_restart() {
    let sink = Sink::start();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (ours, foreign) = (authority(folder.path(), "ca"), authority(folder.path(), "foreign"));
    certificate(folder.path(), "server", &ours);
    // The shipper's own certificate is one that the server does not take, for now.
    certificate(folder.path(), "client", &foreign);
    let files = TlsFiles {
        cert: Some(path("server.pem")),
        key: Some(path("server.key")),
        ca: Some(path("ca.pem")),
        ..TlsFiles::default()
    };
    let front = Front::start(sink.address, files);
    let mut shipper = Shipper::new(sink.address)
        .set(&format!("aggregators=localhost:{}", front.port))
        .set(&format!("tls_ca={}", path("ca.pem").display()))
        .set(&format!("tls_cert={}", path("client.pem").display()))
        .set(&format!("tls_key={}", path("client.key").display()));
    let mut container = Container::create(&shipper.root(), "abc");
    container.count(0..5000);
    shipper.start();
    sink.wait("a refusal", |_| front.refused.load(Ordering::Relaxed) > 0);
    assert_eq!(sink.count(), 0);
    certificate(folder.path(), "client", &ours);
    sink.wait_for(5000);
    assert_eq!(sink.messages(""), counted(0..5000));
    assert!(front.taken.load(Ordering::Relaxed) > 0);
}

#[test]
fn another_aggregator_takes_over_from_one_that_is_gone() {
    let (first, second) = (Sink::start(), Sink::start());
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut shipper =
        Shipper::new(first.address).set(&format!("aggregators={nobody},{},{}", first.address, second.address));
    let mut container = Container::create(&shipper.root(), "abc");
    shipper.start();
    let both = || first.count() + second.count();
    container.count(0..100);
    first.wait("all lines on one of them", |_| both() == 100);
    // Whichever it is takes no more; the other one is found.
    let (used, other) = if first.count() > 0 { (&first, &second) } else { (&second, &first) };
    used.silence(true);
    container.count(100..200);
    other.wait("the other one", |other| {
        used.hang_up();
        other.count() > 0
    });
    used.silence(false);
    let mut messages = Vec::new();
    first.wait("all lines", |_| {
        messages = [first.messages(""), second.messages("")].concat();
        messages.sort();
        messages.dedup();
        messages.len() == 200
    });
    assert_eq!(messages, counted(0..200));
}

#[test]
fn load_spreads_over_aggregators_as_connections_have_had_their_time() {
    let (first, second) = (Sink::start(), Sink::start());
    let mut shipper = Shipper::new(first.address)
        .set(&format!("aggregators={},{}", first.address, second.address))
        .set("connection_ttl=100ms");
    let mut container = Container::create(&shipper.root(), "abc");
    shipper.start();
    let mut n = 0;
    first.wait("lines on both", |_| {
        container.count(n..n + 1);
        n += 1;
        first.count() > 0 && second.count() > 0
    });
    first.wait("all lines", |_| first.count() + second.count() == n);
    let mut messages = [first.messages(""), second.messages("")].concat();
    messages.sort();
    assert_eq!(messages, counted(0..n));
    assert_eq!(first.repeated() + second.repeated(), 0, "a connection ends between windows");
}
