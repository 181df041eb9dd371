//! `weir certs`: a certificate authority of one's own, certificates for the roles from it, and their renewal.
//!
//! The folder holds `ca.pem` and `ca.key`, for each name `NAME.pem` and `NAME.key`, and `crl.pem`, the list of what was
//! revoked. Keys are readable for their owner
//! alone. Each certificate serves both sides of a connection: a shipper shows it to the aggregator, the aggregator to
//! the shipper and to the indexer.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use time::{Duration, OffsetDateTime};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_crl;
use x509_parser::pem::parse_x509_pem;

/// The authority outlives many certificates: replacing it means touching every node.
const AUTHORITY_DAYS: i64 = 3_650;
/// Begin of validity before now, for nodes whose clocks are behind.
const CLOCK_SLACK: Duration = Duration::hours(1);

/// `weir certs`.
#[derive(Debug, Args)]
pub struct CertsFlags {
    /// Folder of authority and certificates
    #[arg(long, value_name = "DIR", default_value = "certs", global = true)]
    pub dir: PathBuf,
    #[command(subcommand)]
    pub task: Task,
}

/// What to do with certificates.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Make the certificate authority
    Init,
    /// Make a certificate and its key: weir certs issue aggregator --host aggregator --host 10.0.0.7
    Issue {
        /// Name of the files
        name: String,
        /// Host name or IP address that it is good for (repeatable) [default: the name, localhost and 127.0.0.1]
        #[arg(long)]
        host: Vec<String>,
        /// Days that it is good for
        #[arg(long, default_value_t = 365)]
        days: i64,
    },
    /// Make anew, with the same names, every certificate that ends soon
    Rotate {
        /// Renew what ends within so many days
        #[arg(long, default_value_t = 30)]
        within: i64,
        /// Days that the new ones are good for
        #[arg(long, default_value_t = 365)]
        days: i64,
    },
    /// Put a certificate on the revocation list crl.pem: roles that have it as tls_crl refuse it
    Revoke {
        /// Name of the files
        name: String,
    },
}

/// Does it, and says what was written.
///
/// # Errors
/// A sentence for people; files that are there are not touched then.
pub fn run(flags: &CertsFlags) -> Result<(), String> {
    match &flags.task {
        Task::Init => init(&flags.dir),
        Task::Issue { name, host, days } => {
            let standard = || vec![name.clone(), "localhost".to_owned(), "127.0.0.1".to_owned()];
            issue(&flags.dir, name, if host.is_empty() { standard() } else { host.clone() }, *days)
        }
        Task::Rotate { within, days } => rotate(&flags.dir, *within, *days),
        Task::Revoke { name } => revoke(&flags.dir, name),
    }
}

fn init(folder: &Path) -> Result<(), String> {
    let (certificate, key) = (folder.join("ca.pem"), folder.join("ca.key"));
    if certificate.exists() || key.exists() {
        return Err(format!(
            "{} holds an authority already; every certificate from it would stop working (give another folder with --dir)",
            folder.display()
        ));
    }
    fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let pair = new_key()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "weir authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, AUTHORITY_DAYS);
    let authority = params.self_signed(&pair).map_err(|error| format!("cannot make the authority: {error}"))?;
    write(&key, &pair.serialize_pem(), 0o600)?;
    write(&certificate, &authority.pem(), 0o644)?;
    println!("{}  the authority: every role gets it as tls_ca", certificate.display());
    println!("{}  its key: needed to issue and rotate, nowhere else; keep it off the nodes", key.display());
    Ok(())
}

fn issue(folder: &Path, name: &str, hosts: Vec<String>, days: i64) -> Result<(), String> {
    check_name(name)?;
    let issuer = issuer(folder)?;

    let pair = new_key()?;
    let mut params = CertificateParams::new(hosts).map_err(|error| format!("a --host cannot be used: {error}"))?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    set_validity(&mut params, days);
    let certificate = params.signed_by(&pair, &issuer).map_err(|error| format!("cannot make {name}: {error}"))?;
    let (path, key_path) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    write(&key_path, &pair.serialize_pem(), 0o600)?;
    write(&path, &certificate.pem(), 0o644)?;
    let hosts: Vec<_> = params.subject_alt_names.iter().map(host_text).collect();
    println!("{}  good for {} until {}", path.display(), hosts.join(", "), params.not_after.date());
    Ok(())
}

fn check_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let taken = ["ca", "crl"].contains(&name);
    if name.is_empty() || taken || name.starts_with('.') || !name.chars().all(plain) {
        return Err(format!("{name:?} cannot be a file name of a certificate: use letters, digits, - _ and ."));
    }
    Ok(())
}

fn issuer(folder: &Path) -> Result<Issuer<'static, KeyPair>, String> {
    let authority = read(&folder.join("ca.pem"), "make it with `weir certs init`")?;
    let key = read(&folder.join("ca.key"), "it is on the machine where `weir certs init` was run")?;
    let key = KeyPair::from_pem(&key).map_err(|error| format!("ca.key cannot be used: {error}"))?;
    Issuer::from_ca_cert_pem(&authority, key).map_err(|error| format!("ca.pem cannot be used: {error}"))
}

/// Adds a certificate to the list, and signs the list anew. What was on it stays on it.
fn revoke(folder: &Path, name: &str) -> Result<(), String> {
    check_name(name)?;
    let issuer = issuer(folder)?;
    let path = folder.join(format!("{name}.pem"));
    let unusable = |error: &dyn std::fmt::Display| format!("{} is no certificate: {error}", path.display());
    let text = read(&path, "the certificate itself is needed: its number goes on the list")?;
    let (_, pem) = parse_x509_pem(text.as_bytes()).map_err(|error| unusable(&error))?;
    let certificate = pem.parse_x509().map_err(|error| unusable(&error))?;
    let list_path = folder.join("crl.pem");
    let now = OffsetDateTime::now_utc();
    let mut revoked = if list_path.exists() { listed(&list_path)? } else { Vec::new() };
    if revoked.iter().any(|(serial, _)| serial == certificate.raw_serial()) {
        println!("{name} is on the list already");
        return Ok(());
    }
    revoked.push((certificate.raw_serial().to_vec(), now));
    let params = CertificateRevocationListParams {
        this_update: now - CLOCK_SLACK,
        // Nobody is there to sign it anew each week; a list is good until the next one is written.
        next_update: now + Duration::days(AUTHORITY_DAYS),
        crl_number: SerialNumber::from(now.unix_timestamp().unsigned_abs()),
        issuing_distribution_point: None,
        revoked_certs: revoked
            .iter()
            .map(|(serial, at)| RevokedCertParams {
                serial_number: SerialNumber::from_slice(serial),
                revocation_time: *at,
                reason_code: None,
                invalidity_date: None,
            })
            .collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = params.signed_by(&issuer).and_then(|list| list.pem());
    write(&list_path, &list.map_err(|error| format!("cannot make the list: {error}"))?, 0o644)?;
    println!(
        "{}  refuses {name} and {} others: give it to every role as tls_crl",
        list_path.display(),
        revoked.len() - 1
    );
    Ok(())
}

/// The serial numbers on a list, and since when they are there.
fn listed(path: &Path) -> Result<Vec<(Vec<u8>, OffsetDateTime)>, String> {
    let unusable = |error: &dyn std::fmt::Display| format!("{} is no revocation list: {error}", path.display());
    let text = read(path, "")?;
    let (_, pem) = parse_x509_pem(text.as_bytes()).map_err(|error| unusable(&error))?;
    let (_, list) = parse_x509_crl(&pem.contents).map_err(|error| unusable(&error))?;
    list.iter_revoked_certificates()
        .map(|one| {
            let at = OffsetDateTime::from_unix_timestamp(one.revocation_date.timestamp());
            Ok((one.raw_serial().to_vec(), at.map_err(|error| unusable(&error))?))
        })
        .collect()
}

fn rotate(folder: &Path, within: i64, days: i64) -> Result<(), String> {
    let limit = OffsetDateTime::now_utc() + Duration::days(within);
    let entries = fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let mut renewed = 0;
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "pem")) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if name == "ca" || name == "crl" {
            continue;
        }
        let (ends, hosts) = names_and_end(path)?;
        if ends <= limit {
            issue(folder, &name, hosts, days)?;
            renewed += 1;
        }
    }
    println!("{renewed} renewed; running roles take changed files up by themselves");
    Ok(())
}

/// When a certificate ends, and which hosts it is good for.
fn names_and_end(path: &Path) -> Result<(OffsetDateTime, Vec<String>), String> {
    let unusable = |error: &dyn std::fmt::Display| format!("{} is no certificate: {error}", path.display());
    let text = read(path, "")?;
    let (_, pem) = parse_x509_pem(text.as_bytes()).map_err(|error| unusable(&error))?;
    let certificate = pem.parse_x509().map_err(|error| unusable(&error))?;
    let names = certificate.subject_alternative_name().map_err(|error| unusable(&error))?;
    let hosts = names.map(|names| names.value.general_names.iter().filter_map(general_name).collect());
    let ends = OffsetDateTime::from_unix_timestamp(certificate.validity().not_after.timestamp());
    Ok((ends.map_err(|error| unusable(&error))?, hosts.unwrap_or_default()))
}

fn general_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(host) => Some((*host).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv4Addr::from(bytes).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
        },
        _ => None,
    }
}

fn host_text(name: &SanType) -> String {
    match name {
        SanType::DnsName(host) => host.to_string(),
        SanType::IpAddress(address) => address.to_string(),
        other => format!("{other:?}"),
    }
}

fn new_key() -> Result<KeyPair, String> {
    KeyPair::generate().map_err(|error| format!("cannot make a key: {error}"))
}

fn set_validity(params: &mut CertificateParams, days: i64) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now - CLOCK_SLACK;
    params.not_after = now + Duration::days(days);
}

fn read(path: &Path, hint: &str) -> Result<String, String> {
    let hint = if hint.is_empty() { String::new() } else { format!(" ({hint})") };
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}{hint}", path.display()))
}

/// Replaces a file at once, so that a role that looks for changes never reads half of it.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), String> {
    let temporary = path.with_extension("tmp");
    // A left-over would keep its own mode.
    if temporary.exists() {
        fs::remove_file(&temporary).map_err(|error| format!("cannot remove {}: {error}", temporary.display()))?;
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary);
    file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issued_certificates_are_renewed_with_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        init(folder).unwrap();
        assert!(init(folder).unwrap_err().contains("already"));
        issue(folder, "aggregator", vec!["aggregator".into(), "10.0.0.7".into()], 10).unwrap();
        let (before, hosts) = names_and_end(&folder.join("aggregator.pem")).unwrap();
        assert_eq!(hosts, ["aggregator", "10.0.0.7"]);
        rotate(folder, 5, 365).unwrap();
        assert_eq!(names_and_end(&folder.join("aggregator.pem")).unwrap().0, before);
        rotate(folder, 30, 365).unwrap();
        let (after, hosts) = names_and_end(&folder.join("aggregator.pem")).unwrap();
        assert!(after > before);
        assert_eq!(hosts, ["aggregator", "10.0.0.7"]);
    }

    #[test]
    fn keys_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        init(folder.path()).unwrap();
        let mode = fs::metadata(folder.path().join("ca.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_list_of_revoked_certificates_grows() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        init(folder).unwrap();
        for name in ["one", "two"] {
            issue(folder, name, vec![name.into()], 10).unwrap();
            revoke(folder, name).unwrap();
            revoke(folder, name).unwrap();
        }
        assert_eq!(listed(&folder.join("crl.pem")).unwrap().len(), 2);
        rotate(folder, 30, 365).unwrap();
        assert!(revoke(folder, "three").unwrap_err().contains("certificate itself"));
    }

    #[test]
    fn a_name_cannot_leave_the_folder() {
        for name in ["", "ca", "crl", "../x", "a/b", ".hidden"] {
            assert!(
                issue(Path::new("unused"), name, vec![], 1).unwrap_err().contains("cannot be a file name"),
                "{name}"
            );
        }
    }
}
