//! Real clients of the Beats port from PyPI: `pylogbeat` and `python-logstash-async`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bulk_server::BulkServer;
use crate::harness::{Aggregator, settings};

/// What the clients are and where they are put: a virtual environment in the target folder, made once.
const PACKAGES: [&str; 2] = ["pylogbeat==2.1.0", "python-logstash-async==4.1.0"];

/// Python with the clients, or why there is none.
fn python() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-clients");
    let python = folder.join("bin/python");
    if run(&python, &["-c", "import pylogbeat, logstash_async"]).is_ok() {
        return Ok(python);
    }
    run(Path::new("python3"), &["-m", "venv", &folder.to_string_lossy()])?;
    run(&python, &[&["-m", "pip", "install", "-q", "--disable-pip-version-check"], &PACKAGES[..]].concat())?;
    Ok(python)
}

fn run(program: &Path, arguments: &[&str]) -> Result<(), String> {
    let output =
        Command::new(program).args(arguments).output().map_err(|error| format!("{}: {error}", program.display()))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("{} {arguments:?}: {}", program.display(), errors.lines().last().unwrap_or("failed")))
}

const PYLOGBEAT: &str = "
import sys
from pylogbeat import PyLogBeatClient
client = PyLogBeatClient('127.0.0.1', int(sys.argv[1]), ssl_enable=False)
client.connect()
for batch in range(3):
    client.send([{'@timestamp': '2024-05-01T12:00:00.000Z', '@version': '1', 'message': f'pylogbeat {batch} {n}'} for n in range(7)])
client.close()
";

const LOGSTASH_ASYNC: &str = "
import logging, sys
from logstash_async.handler import AsynchronousLogstashHandler
handler = AsynchronousLogstashHandler(
    '127.0.0.1', int(sys.argv[1]), database_path=None, transport='logstash_async.transport.BeatsTransport')
logger = logging.getLogger('shop')
logger.setLevel(logging.INFO)
logger.addHandler(handler)
for n in range(10):
    logger.error('async %d', n)
handler.flush()
logging.shutdown()
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_from_pypi_deliver_everything_once() {
    let python = match tokio::task::spawn_blocking(python).await.unwrap() {
        Ok(python) => python,
        Err(reason) => {
            println!("left out: pylogbeat and python-logstash-async against the Beats port because {reason}");
            return;
        }
    };
    for (script, name, count) in [(PYLOGBEAT, "pylogbeat", 21), (LOGSTASH_ASYNC, "async", 10)] {
        let server = BulkServer::start(true).await;
        let aggregator = Aggregator::start(settings(&server)).await;
        let (python, port) = (python.clone(), aggregator.address.port().to_string());
        tokio::task::spawn_blocking(move || run(&python, &["-c", script, &port])).await.unwrap().unwrap();
        aggregator.metric_reaches("weir_aggregator_documents_delivered_total", count).await;
        let mut messages = server.messages("logs-weir");
        messages.sort();
        messages.dedup();
        assert_eq!(messages.len(), usize::try_from(count).unwrap(), "{messages:?}");
        assert!(messages.iter().all(|message| message.starts_with(name)), "{messages:?}");
        aggregator.stop().await;
    }
}
