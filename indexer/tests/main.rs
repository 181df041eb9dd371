//! The indexer as its clients meet it: over HTTP, with restarts and crashes in between.

mod access;
mod admin;
mod api;
mod crash;
mod identity;
mod search;
mod support;
mod write;
