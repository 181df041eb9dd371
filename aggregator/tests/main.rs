//! The aggregator from its ports: real sockets on 127.0.0.1, a `_bulk` server that misbehaves, a Lumberjack client.

mod allocations;
mod budgets;
mod bulk_server;
mod default_pipelines;
mod delivery;
mod documentation;
mod harness;
mod inputs;
mod level_accuracy;
mod logstash_cases;
mod lumberjack_client;
mod pipelines;
mod python_clients;
mod receive;
mod side_by_side;
mod syslog_clients;
mod tls;
