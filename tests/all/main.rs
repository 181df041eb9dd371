//! Whole-system tests: the built `weir` binary on real Docker, with real clients, through kills and bad input.
//!
//! `support` is what they are made of. What a machine cannot run (no root, no Docker, no network) prints
//! `left out: … because …` and passes; `tests/run` repeats those lines at the end.

mod alerts;
mod bad_input;
mod demo;
mod deploy;
mod kills;
mod pipeline_commands;
mod real_client;
mod real_docker;
mod rules;
mod snapshots;
mod soak;
mod support;
mod swarm;
mod syslog_driver;
mod systemd;
mod three_nodes;
mod tls;
mod upstream;
