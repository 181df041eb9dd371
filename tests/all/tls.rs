//! TLS as others see it: openssl's s_client and curl against the indexer and the Beats port, with every kind of wrong
//! certificate; certificates and revocation lists that change while the roles run; and a line's way through all three
//! roles over mutual TLS.

use std::fs;
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::support::say::left_out;
use super::support::weir::{Part, Place, run};
use super::support::{http, until};

/// Longer than the roles take to look at their files again, on a busy machine.
const RELOAD: Duration = Duration::from_secs(60);
/// The roles give a handshake 10 s; a machine that is busy adds to that.
const CUT_OFF: Duration = Duration::from_secs(60);

/// Certificates of one authority, and of a stranger.
fn certificates(folder: &Path) {
    let certs = |args: &[&str]| {
        let output = run(folder, &[&["certs"], args].concat());
        assert!(output.status.success(), "weir certs {args:?}: {output:?}");
    };
    certs(&["init"]);
    for name in ["indexer", "aggregator", "shipper", "stolen", "other"] {
        certs(&["issue", name]);
    }
    certs(&["issue", "ended", "--days", "0"]);
    certs(&["revoke", "other"]);
    certs(&["--dir", "strange", "init"]);
    certs(&["--dir", "strange", "issue", "shipper"]);
}

/// The TLS settings of a role, with what its clients must show.
fn secured(command: &mut Command, section: &str, name: &str, ca: &str, crl: &str) {
    for (key, value) in [("tls_cert", format!("certs/{name}.pem")), ("tls_key", format!("certs/{name}.key"))] {
        command.args(["--set", &format!("{section}.{key}={value}")]);
    }
    command.args([
        "--set",
        &format!("{section}.{ca}=certs/ca.pem"),
        "--set",
        &format!("{section}.{crl}=certs/crl.pem"),
    ]);
}

fn start(place: &mut Place) {
    let mut indexer = place.command(Part::Indexer);
    secured(&mut indexer, "indexer", "indexer", "tls_ca", "tls_crl");
    place.start_as(Part::Indexer, indexer);
    let mut aggregator = place.command(Part::Aggregator);
    secured(&mut aggregator, "aggregator", "aggregator", "tls_client_ca", "tls_client_crl");
    for (key, value) in [
        ("output", format!("https://{}", place.search)),
        ("output_ca", "certs/ca.pem".to_owned()),
        ("output_cert", "certs/aggregator.pem".to_owned()),
        ("output_key", "certs/aggregator.key".to_owned()),
        ("output_crl", "certs/crl.pem".to_owned()),
    ] {
        aggregator.args(["--set", &format!("aggregator.{key}={value}")]);
    }
    place.start_as(Part::Aggregator, aggregator);
    for address in [place.search, place.beats] {
        until("a TLS port", RELOAD, || TcpStream::connect(address).map_err(|error| error.to_string()));
    }
}

/// What s_client says of a handshake with `address`. With TLS 1.3 a server refuses a certificate after the client took
/// the handshake for done: a request is sent, and the answer or the alert waited for.
fn s_client(folder: &Path, address: SocketAddr, args: &[&str]) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &address.to_string(), "-CAfile", "certs/ca.pem", "-verify_return_error"])
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // It may have ended already, with its reason on standard error.
    let _ = std::io::Write::write_all(&mut input, b"GET /health HTTP/1.1\r\nhost: weir\r\nconnection: close\r\n\r\n");
    let kept_open = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(2));
        drop(input);
    });
    let Output { stdout, stderr, .. } = child.wait_with_output().unwrap();
    kept_open.join().unwrap();
    format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr))
}

fn curl(folder: &Path, address: SocketAddr, args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "30", &format!("https://localhost:{}/_count", address.port())])
        .args(["--resolve", &format!("localhost:{}:127.0.0.1", address.port())])
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap();
    (
        output.status.code(),
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
    )
}

#[test]
fn handshakes_are_refused_for_every_reason_there_is() {
    for program in ["openssl", "curl"] {
        if Command::new(program).arg("--version").output().is_err() {
            return left_out("TLS as openssl and curl see it", &format!("there is no {program}"));
        }
    }
    let mut place = Place::empty();
    let folder = place.folder().to_owned();
    certificates(&folder);
    start(&mut place);
    let (search, beats) = (place.search, place.beats);
    let good = ["-cert", "certs/shipper.pem", "-key", "certs/shipper.key"];

    for address in [search, beats] {
        // A slow handshake, begun first and looked at last.
        let slow = TcpStream::connect(address).unwrap();
        for version in ["-tls1_2", "-tls1_3"] {
            let text = s_client(&folder, address, &[&[version], &good[..]].concat());
            assert!(text.contains("Verification: OK") && !text.contains("alert"), "{version} to {address}: {text}");
        }
        for version in ["-tls1", "-tls1_1"] {
            // Without the lowered level openssl itself would refuse to offer it.
            let text = s_client(&folder, address, &[&[version, "-cipher", "ALL:@SECLEVEL=0"], &good[..]].concat());
            let told = text.contains("alert protocol version") || text.contains("alert handshake failure");
            assert!(told && !text.contains("HTTP/1.1"), "{version} to {address}: {text}");
        }
        for (name, folder_of, alert) in [
            ("", "", "certificate required"),
            // Both authorities have one name: it is the signature that is wrong.
            ("shipper", "strange", "decrypt error"),
            ("ended", "certs", "certificate expired"),
            ("other", "certs", "certificate revoked"),
        ] {
            let (cert, key) = (format!("{folder_of}/{name}.pem"), format!("{folder_of}/{name}.key"));
            let shown = ["-cert", cert.as_str(), "-key", key.as_str()];
            for version in ["-tls1_2", "-tls1_3"] {
                let mut args = vec![version];
                args.extend(if name.is_empty() { &[][..] } else { &shown[..] });
                let text = s_client(&folder, address, &args);
                // TLS 1.2 has no alert of its own for a missing certificate.
                let told = text.contains(alert) || name.is_empty() && text.contains("alert handshake failure");
                assert!(told, "{version} with {name:?} of {folder_of:?} to {address}: {text}");
            }
        }
        // A client that does not know the authority does not go on.
        let text = s_client(&folder, address, &[&["-CAfile", "strange/ca.pem"], &good[..]].concat());
        assert!(text.contains("verify error"), "{address}: {text}");

        slow.set_read_timeout(Some(CUT_OFF)).unwrap();
        let read = (&slow).read(&mut [0; 16]);
        assert!(
            matches!(read, Ok(0)) || read.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset),
            "a client that says nothing is still connected to {address}: {read:?}"
        );
    }

    let pair = |name: &str| {
        [
            "--cacert".into(),
            "certs/ca.pem".into(),
            "--cert".into(),
            format!("certs/{name}.pem"),
            "--key".into(),
            format!("certs/{name}.key"),
        ]
    };
    let with = |name: &str| {
        let args = pair(name);
        curl(&folder, search, &args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let (code, text) = with("shipper");
    assert!(code == Some(0) && text.contains("\"count\":"), "{code:?} {text}");
    // 60: the server's certificate cannot be verified; 35 and 56: the server ended the handshake or the connection.
    assert!(matches!(curl(&folder, search, &["--cacert", "strange/ca.pem"]).0, Some(35 | 60)));
    assert!(matches!(curl(&folder, search, &["--cacert", "certs/ca.pem"]).0, Some(35 | 56)));
    for name in ["ended", "other"] {
        assert!(matches!(with(name).0, Some(35 | 56)), "{name}");
    }
    let old = curl(&folder, search, &["--cacert", "certs/ca.pem", "--tls-max", "1.1", "--ciphers", "ALL:@SECLEVEL=0"]);
    assert_eq!(old.0, Some(35), "{}", old.1);
    // Plain HTTP is no TLS.
    assert!(http::get(search, "/").is_err());

    // A certificate that was good is stolen, and put on the list; the roles take the list up while they run.
    assert_eq!(with("stolen").0, Some(0));
    assert!(run(&folder, &["certs", "revoke", "stolen"]).status.success());
    for address in [search, beats] {
        until("the new list to be used", RELOAD, || {
            let text = s_client(&folder, address, &["-cert", "certs/stolen.pem", "-key", "certs/stolen.key"]);
            if text.contains("certificate revoked") { Ok(()) } else { Err(text) }
        });
    }
    assert_eq!(with("shipper").0, Some(0), "others are not concerned");

    // So is a renewed certificate.
    let serial = |address: SocketAddr| {
        let text = s_client(&folder, address, &[&["-showcerts"], &good[..]].concat());
        let pem = text.split("-----BEGIN CERTIFICATE-----").nth(1).map(str::to_owned);
        pem.and_then(|pem| pem.split("-----END").next().map(str::to_owned)).unwrap_or(text)
    };
    let before = (serial(search), serial(beats));
    assert!(run(&folder, &["certs", "rotate", "--within", "1000"]).status.success());
    until("the renewed certificates to be used", RELOAD, || {
        let now = (serial(search), serial(beats));
        if now.0 != before.0 && now.1 != before.1 { Ok(()) } else { Err("the old ones are used".to_owned()) }
    });
    // The aggregator shows its renewed certificate to the indexer, too: a line goes all the way.
    let line = folder.join("app.log");
    fs::write(&line, "ERROR the line that went over TLS\n").unwrap();
    let mut shipper = place.command(Part::Shipper);
    for (key, value) in [
        ("paths", line.display().to_string()),
        ("tls_ca", "certs/ca.pem".to_owned()),
        ("tls_cert", "certs/shipper.pem".to_owned()),
        ("tls_key", "certs/shipper.key".to_owned()),
        ("tls_crl", "certs/crl.pem".to_owned()),
    ] {
        shipper.args(["--set", &format!("shipper.{key}={value}")]);
    }
    place.start_as(Part::Shipper, shipper);
    let started = Instant::now();
    until("the line", RELOAD, || {
        let args = pair("shipper");
        let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
        args.extend(["-G", "--data-urlencode", "q=message:\"went over TLS\""]);
        let (code, text) = curl(&folder, search, &args);
        if text.contains("\"count\":1") {
            Ok(())
        } else {
            Err(format!("{code:?} {text} after {:?}", started.elapsed()))
        }
    });
    place.check_alive();
}
