//! The indexer as its clients meet it: over HTTP, with restarts and crashes in between.

mod access;
mod admin;
mod api;
mod crash;
mod damage;
mod device;
mod format;
mod full;
mod identity;
mod power;
mod retention;
mod schema;
mod search;
mod snapshot;
mod support;
mod upstream;
mod write;
