//! TLS and mutual TLS on the Beats port and to an output.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use weir_aggregator::Settings;
use weir_daemon::tls::{TlsFiles, client_config};

use crate::bulk_server::BulkServer;
use crate::harness::{Aggregator, free_port, settings};
use crate::lumberjack_client::{document, exchange, window};

/// An authority and two certificates of it in `folder`: `ca.pem`, `server.pem`, `client.pem` and their keys.
fn certificates(folder: &Path) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

async fn deliver(aggregator: &Aggregator, files: TlsFiles) -> std::io::Result<Option<u32>> {
    let connector = TlsConnector::from(client_config(&files).unwrap());
    let stream = TcpStream::connect(aggregator.address).await?;
    let stream = connector.connect("localhost".try_into().unwrap(), stream).await?;
    exchange(stream, &window(&[document(5, 0, "secret")])).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_client_with_a_certificate_of_the_authority_is_served() {
    let server = BulkServer::start(true).await;
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let path = |name: &str| folder.path().join(name);
    let text = |name: &str| path(name).to_string_lossy().into_owned();
    let aggregator = Aggregator::start(Settings {
        tls_cert: text("server.pem"),
        tls_key: text("server.key"),
        tls_client_ca: text("ca.pem"),
        ..settings(&server)
    })
    .await;
    let with =
        TlsFiles { cert: Some(path("client.pem")), key: Some(path("client.key")), ca: Some(path("ca.pem")), crl: None };
    assert_eq!(deliver(&aggregator, with.clone()).await.unwrap(), Some(1));
    let without = TlsFiles { cert: None, key: None, ..with };
    assert!(!matches!(deliver(&aggregator, without).await, Ok(Some(_))), "no certificate, no service");
    assert_eq!(server.documents().len(), 1);
    let plain = TcpStream::connect(aggregator.address).await.unwrap();
    let answer = exchange(plain, &window(&[document(5, 1, "plain")])).await;
    assert!(!matches!(answer, Ok(Some(_))), "{answer:?}");
    aggregator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lumberjack_output_speaks_tls_to_another_aggregator() {
    let server = BulkServer::start(true).await;
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let text = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let last =
        Aggregator::start(Settings { tls_cert: text("server.pem"), tls_key: text("server.key"), ..settings(&server) })
            .await;
    let output = format!(
        "output {{ lumberjack {{ hosts => [\"localhost:{}\"] ssl_certificate => \"{}\" }} }}",
        last.address.port(),
        text("ca.pem")
    );
    std::fs::write(folder.path().join("to.conf"), output).unwrap();
    let first = Aggregator::start(Settings { pipelines: vec![text("to.conf")], ..settings(&server) }).await;
    let stream = TcpStream::connect(first.address).await.unwrap();
    assert_eq!(exchange(stream, &window(&[document(5, 0, "secret")])).await.unwrap(), Some(1));
    assert_eq!(server.messages("logs-weir"), ["secret"]);
    first.stop().await;
    last.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_and_tcp_inputs_speak_tls_to_clients_with_a_certificate() {
    let server = BulkServer::start(true).await;
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let path = |name: &str| folder.path().join(name);
    let tls = format!(
        "ssl_enabled => true ssl_certificate => '{0}/server.pem' ssl_key => '{0}/server.key' \
         ssl_certificate_authorities => ['{0}/ca.pem'] ssl_client_authentication => required",
        folder.path().display()
    );
    let (http, tcp) = (free_port().await, free_port().await);
    let inputs = format!("input {{ http {{ port => {http} {tls} }} tcp {{ port => {tcp} {tls} }} }}");
    std::fs::write(path("logstash.conf"), inputs).unwrap();
    let pipelines = vec![path("logstash.conf").to_string_lossy().into_owned()];
    let aggregator = Aggregator::start(Settings { pipelines, ..settings(&server) }).await;
    let ask = async |port: u16, files: &TlsFiles, text: &str| {
        let connector = TlsConnector::from(client_config(files).unwrap());
        let stream = loop {
            match TcpStream::connect(("127.0.0.1", port)).await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            }
        };
        let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await?;
        stream.write_all(text.as_bytes()).await?;
        stream.shutdown().await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let with =
        TlsFiles { cert: Some(path("client.pem")), key: Some(path("client.key")), ca: Some(path("ca.pem")), crl: None };
    let without = TlsFiles { cert: None, key: None, ..with.clone() };
    let post = |body: &str| {
        format!("POST /in HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    assert!(!ask(http, &without, &post("nobody")).await.is_ok_and(|answer| answer.contains("200")));
    let answer = ask(http, &with, &post("posted")).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(!ask(tcp, &without, "nobody\n").await.is_ok_and(|answer| !answer.is_empty()));
    ask(tcp, &with, "line\n").await.unwrap();
    while server.documents().len() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let mut messages = server.messages("logs-weir");
    messages.sort();
    assert_eq!(messages, ["line", "posted"], "and nothing of whom nobody knows");
    aggregator.stop().await;
}
