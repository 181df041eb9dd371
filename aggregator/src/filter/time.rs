//! Forms of written time: Joda's pattern letters as Logstash uses them, and the names of months and days.

pub mod format;
pub mod locale;
pub mod parse;
