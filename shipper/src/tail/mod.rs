//! Following one log through its files: `reader` reads one open file (plain or gzip), `part` is one file of a log with its
//! positions, `listing` finds the files in the folder, `adopt` says what they are to the log, and `chain` knows where
//! reading stands, through every kind of rotation.

mod adopt;
mod chain;
mod listing;
mod part;
mod reader;

pub(crate) use chain::{Chain, Look, News};
pub(crate) use part::JUMP;
