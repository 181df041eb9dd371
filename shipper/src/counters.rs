//! What the shipper counts. Looked up once, at start.

use weir_daemon::{Counter, Gauge, Metrics};

/// All counters of the shipper.
#[derive(Clone)]
pub(crate) struct Counters {
    pub(crate) events: Counter,
    pub(crate) bytes: Counter,
    pub(crate) windows: Counter,
    pub(crate) acked_events: Counter,
    pub(crate) sent_bytes: Counter,
    pub(crate) connections: Counter,
    pub(crate) connect_failures: Counter,
    pub(crate) corrupt: Counter,
    pub(crate) nul_bytes: Counter,
    pub(crate) truncated: Counter,
    pub(crate) partial: Counter,
    pub(crate) multiline: Counter,
    pub(crate) gaps: Counter,
    pub(crate) gap_bytes: Counter,
    pub(crate) refused: Counter,
    pub(crate) registry_ruined: Counter,
    pub(crate) registry_failures: Counter,
    pub(crate) io_errors: Counter,
    pub(crate) rescans: Counter,
    pub(crate) spooled: Counter,
    pub(crate) let_go: Counter,
    pub(crate) logs: Gauge,
    pub(crate) lag_bytes: Gauge,
    pub(crate) lag_seconds: Gauge,
    pub(crate) headroom_bytes: Gauge,
    pub(crate) held_bytes: Gauge,
    pub(crate) spool_bytes: Gauge,
    pub(crate) growth: Gauge,
    pub(crate) unlimited: Gauge,
    pub(crate) root_bytes: Gauge,
    pub(crate) root_free_bytes: Gauge,
    pub(crate) root_full_seconds: Gauge,
    pub(crate) connected: Gauge,
    pub(crate) watched: Gauge,
}

impl Counters {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let counter = |name, help| metrics.counter(name, help, &[]);
        let gauge = |name, help| metrics.gauge(name, help, &[]);
        Self {
            events: counter("weir_shipper_events_total", "Events put into windows."),
            bytes: counter("weir_shipper_read_bytes_total", "Bytes of log files that were taken in."),
            windows: counter("weir_shipper_windows_total", "Windows acknowledged."),
            acked_events: counter("weir_shipper_acked_events_total", "Events acknowledged."),
            sent_bytes: counter("weir_shipper_sent_bytes_total", "Bytes sent to aggregators."),
            connections: counter("weir_shipper_connections_total", "Connections made to aggregators."),
            connect_failures: counter("weir_shipper_connection_failures_total", "Connections that failed or broke."),
            corrupt: counter("weir_shipper_corrupt_lines_total", "Lines that are not what the log driver writes."),
            nul_bytes: counter("weir_shipper_nul_bytes_total", "NUL bytes that were skipped."),
            truncated: counter("weir_shipper_truncated_total", "Messages cut at max_line_bytes."),
            partial: counter("weir_shipper_partial_total", "Lines whose end did not come in time."),
            multiline: counter("weir_shipper_multiline_total", "Events joined of several lines."),
            gaps: counter("weir_shipper_gaps_total", "Gap records: stretches of a log that went away unread."),
            gap_bytes: counter("weir_shipper_gap_bytes_total", "Bytes of gaps, where their size is known."),
            refused: counter("weir_shipper_refused_events_total", "Events too long for the protocol."),
            registry_ruined: counter("weir_shipper_registry_ruined_total", "Registries that could not be used whole."),
            registry_failures: counter("weir_shipper_registry_failures_total", "Writes of the registry that failed."),
            io_errors: counter("weir_shipper_io_errors_total", "Files or folders that could not be read."),
            rescans: counter("weir_shipper_rescans_total", "Full scans because the kernel lost notifications."),
            spooled: counter("weir_shipper_spooled_files_total", "Rotated files that were copied to the spool."),
            let_go: counter("weir_shipper_let_go_total", "Deleted files given up unread because of held_bytes_max."),
            logs: gauge("weir_shipper_logs", "Logs that are followed."),
            lag_bytes: gauge("weir_shipper_lag_bytes", "Bytes on disk that are not read yet."),
            lag_seconds: gauge("weir_shipper_lag_seconds", "Seconds since the log that is most behind was read whole."),
            headroom_bytes: gauge(
                "weir_shipper_rotation_headroom_bytes",
                "Bytes that a log may grow by before rotation can delete unread ones, the least of all logs; -1: no log has a limit.",
            ),
            held_bytes: gauge("weir_shipper_held_bytes", "Bytes of deleted files that are held open."),
            spool_bytes: gauge("weir_shipper_spool_bytes", "Bytes of the spool."),
            growth: gauge(
                "weir_shipper_growth_bytes_per_second",
                "Bytes a second by which all logs grow, over a minute.",
            ),
            unlimited: gauge("weir_shipper_unlimited_logs", "Containers whose logs are never rotated (no max-size)."),
            root_bytes: gauge("weir_shipper_docker_root_size_bytes", "Size of the file system of the Docker root."),
            root_free_bytes: gauge(
                "weir_shipper_docker_root_free_bytes",
                "Free bytes of the file system of the Docker root.",
            ),
            root_full_seconds: gauge(
                "weir_shipper_docker_root_full_seconds",
                "Seconds until the file system of the Docker root is full at the present rate; -1: it does not fill.",
            ),
            connected: gauge("weir_shipper_connected", "1 while there is a connection to an aggregator."),
            watched: gauge("weir_shipper_watches", "Folders that the kernel watches for us."),
        }
    }
}
