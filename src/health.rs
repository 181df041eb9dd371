//! `weir health`: asks a role's health page; made for container health checks, where there is no curl.

use std::process::ExitCode;

use hyper::Method;

use crate::http;

/// Prints what the role says of itself. Exit code 0 when it is well, 1 when it is not or does not answer.
///
/// # Errors
/// When it does not answer.
pub async fn run(access: &http::AccessFlags, url: &str) -> Result<ExitCode, String> {
    let (status, body) = http::ask(access, Method::GET, url, None).await?;
    println!("{}", String::from_utf8_lossy(&body).trim_end());
    Ok(if status.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
