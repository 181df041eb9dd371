//! The command line's way to a role: one small request over HTTP or HTTPS, with credentials, the whole answer back.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use hyper::body::Bytes;
use hyper::{Method, StatusCode};
use weir_daemon::client::{Credentials, Host, Payload, split};
use weir_daemon::tls::{TlsFiles, system_authorities};

/// Longest wait for an answer: a person is waiting too.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// Most bytes of an answer that are taken; 10,000 long lines fit.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Flags of whatever asks a role. Secrets come from files or the environment: the command line is for everybody to see.
#[derive(Clone, Debug, Default, Args)]
pub struct AccessFlags {
    /// Name of a user
    #[arg(long, value_name = "NAME", env = "WEIR_USER")]
    pub user: Option<String>,
    /// File with the user's password [default: the variable WEIR_PASSWORD]
    #[arg(long, value_name = "FILE", env = "WEIR_PASSWORD_FILE")]
    pub password_file: Option<PathBuf>,
    /// File with an API key, as `weir tokens add` shows it [default: the variable WEIR_API_KEY]
    #[arg(long, value_name = "FILE", env = "WEIR_API_KEY_FILE")]
    pub api_key_file: Option<PathBuf>,
    /// PEM file of the authority of an https address [default: those that the system trusts]
    #[arg(long, value_name = "FILE", env = "WEIR_CA")]
    pub ca: Option<PathBuf>,
    /// PEM file of a certificate to show
    #[arg(long, value_name = "FILE", env = "WEIR_CERT")]
    pub cert: Option<PathBuf>,
    /// PEM file of its key
    #[arg(long, value_name = "FILE", env = "WEIR_KEY")]
    pub key: Option<PathBuf>,
}

impl AccessFlags {
    fn credentials(&self) -> Result<Credentials, String> {
        let secret = |file: &Option<PathBuf>, variable: &str| match file {
            Some(path) => std::fs::read_to_string(path)
                .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                .map_err(|error| format!("cannot read {}: {error}", path.display())),
            None => Ok(std::env::var(variable).unwrap_or_default()),
        };
        let user = self.user.clone().unwrap_or_default();
        let password = if user.is_empty() { String::new() } else { secret(&self.password_file, "WEIR_PASSWORD")? };
        Ok(Credentials {
            user,
            password,
            api_key: secret(&self.api_key_file, "WEIR_API_KEY")?,
            ..Credentials::default()
        })
    }

    fn tls(&self) -> TlsFiles {
        let ca = self.ca.clone().or_else(system_authorities);
        TlsFiles { ca, cert: self.cert.clone(), key: self.key.clone(), crl: None }
    }

    /// The host of a URL, and what follows it.
    ///
    /// # Errors
    /// A sentence: the URL, the credentials or the certificates cannot be used.
    pub fn host(&self, url: &str) -> Result<(Host, String), String> {
        let (base, path) = split(url)?;
        let host = Host::new(&base, &self.credentials()?, &self.tls(), ANSWER_TIME_MAX)?;
        Ok((host.answering(ANSWER_BYTES_MAX), path))
    }
}

/// Sends a request, as JSON when there is a body, and gives status and body.
///
/// # Errors
/// A sentence for people: who could not be reached, and why.
pub async fn ask(
    access: &AccessFlags,
    method: Method,
    url: &str,
    body: Option<String>,
) -> Result<(StatusCode, Bytes), String> {
    let (host, path) = access.host(url)?;
    let payload = body.map_or_else(Payload::default, |body| Payload {
        bytes: body.into(),
        content_type: Some("application/json"),
        gzip: false,
    });
    let answer = host.send(method, &path, payload).await;
    let answer = answer.map_err(|error| format!("{error} (is weir running there?)"))?;
    let status = StatusCode::from_u16(answer.status).map_err(|error| error.to_string())?;
    if status == StatusCode::UNAUTHORIZED {
        return Err(format!("{} wants credentials: --user with --password-file, or --api-key-file", host.address()));
    }
    Ok((status, answer.body))
}
