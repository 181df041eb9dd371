//! Following one log through its files: `reader` reads one open file (plain or gzip), `chain` knows which files a log
//! is made of and in what order, through every kind of rotation.

mod chain;
mod reader;

pub(crate) use chain::{Chain, JUMP, Look};
