//! The shipper as a process of its own, into a sink that acknowledges and stores as the indexer does.

mod container;
mod delivery;
mod lines;
mod rotation;
mod shipper;
mod sink;
