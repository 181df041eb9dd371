//! What Docker leaves on disk for each container: the lines of its json-file log, and `config.v2.json` beside it.

mod config;
mod limits;
mod line;

pub(crate) use config::Metadata;
pub(crate) use limits::Limits;
pub(crate) use line::{Exact, Line, Output, by_position, is_clean, is_time, parse};
