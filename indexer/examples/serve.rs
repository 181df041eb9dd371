//! The indexer alone, for tests and measurements: `serve DATA_DIR [ADDRESS] [key=value …]`. Prints the address it listens
//! on, and stops cleanly on SIGTERM or SIGINT.

use weir_daemon::settings::Sources;
use weir_daemon::{Metrics, Shutdown};
use weir_indexer::Settings;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("usage: serve DATA_DIR [ADDRESS] [key=value …]")?;
    let address = args.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());
    weir_daemon::logging::start(weir_daemon::logging::Format::Auto, "info");
    let mut sources = Sources::default();
    sources.set("indexer", "data_dir", &folder);
    sources.set("indexer", "listen", &address);
    for option in args {
        let (key, value) = option.split_once('=').ok_or("options are key=value")?;
        sources.set("indexer", key, value);
    }
    let settings: Settings = sources.section("indexer").map_err(|mistake| mistake.to_string())?;
    let config = settings.check().map_err(|mistakes| format!("{mistakes:?}"))?;
    let listener = tokio::net::TcpListener::bind(config.listen).await?;
    let local = listener.local_addr()?;
    let shutdown = Shutdown::new();
    let told = shutdown.clone();
    tokio::spawn(async move {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            _ = terminate.recv() => {}
            interrupted = tokio::signal::ctrl_c() => interrupted?,
        }
        told.cancel();
        Ok::<_, std::io::Error>(())
    });
    println!("listening on {local}");
    weir_indexer::run(config, listener, Metrics::new(), shutdown).await?;
    Ok(())
}
