//! `weir users` and `weir tokens`: who may do what with the indexer. They write the file of users and tokens; a running
//! indexer takes the change up by itself.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use weir_indexer::access::book::{Book, FILE, Grant, Token, User, check_name};
use weir_indexer::access::{Reach, Role, password, token};

use crate::cli::{Common, StoreFlags};
use crate::settings::Typed;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// Where the file is.
#[derive(Debug, Args)]
pub struct Place {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub store: StoreFlags,
}

/// What is granted.
#[derive(Debug, Args)]
pub struct GrantFlags {
    /// ingest (add documents), read (search) or admin (everything)
    #[arg(long, default_value = "read")]
    pub role: String,
    /// Index that a reader sees, with * for any characters (repeatable) [default: all]
    #[arg(long, value_name = "PATTERN")]
    pub index: Vec<String>,
    /// Service that a reader sees, with * for any characters (repeatable) [default: all]
    #[arg(long, value_name = "PATTERN")]
    pub service: Vec<String>,
}

/// `weir users`.
#[derive(Debug, Subcommand)]
pub enum Users {
    /// Add somebody, or change what they may do and their password: weir users add alice --service 'shop-*'
    Add {
        /// Their name
        name: String,
        #[command(flatten)]
        grant: GrantFlags,
        /// File with the password; - for standard input [default: one is made and shown]
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
    /// Show everybody
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Take somebody away; their sessions end
    Remove {
        /// Their name
        name: String,
        #[command(flatten)]
        place: Place,
    },
}

/// `weir tokens`.
#[derive(Debug, Subcommand)]
pub enum Tokens {
    /// Make an API key and show it once: weir tokens add aggregator --role ingest
    Add {
        /// What it is called
        name: String,
        #[command(flatten)]
        grant: GrantFlags,
        /// Days that it is good for [default: for ever]
        #[arg(long)]
        days: Option<u64>,
        #[command(flatten)]
        place: Place,
    },
    /// Show all, without their secrets
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Take away every key of this name, or the one of this id
    Remove {
        /// Name or id
        name: String,
        #[command(flatten)]
        place: Place,
    },
}

impl Place {
    fn file(&self) -> Result<PathBuf, String> {
        let mut typed = Typed::read(&self.common).map_err(crate::told)?;
        typed.data_dir(&self.store);
        let settings = typed.indexer_as_typed().map_err(|mistake| mistake.to_string())?;
        Ok(settings.access_file.unwrap_or_else(|| settings.data_dir.join(FILE)))
    }
}

impl GrantFlags {
    fn check(&self) -> Result<Grant, String> {
        let role = Role::parse(&self.role)?;
        let reach = Reach { indices: self.index.clone(), services: self.service.clone() };
        if role != Role::Read && !reach.is_all() {
            return Err("--index and --service limit what is read: they go with --role read".to_owned());
        }
        if let Some(empty) = reach.indices.iter().chain(&reach.services).find(|pattern| pattern.trim().is_empty()) {
            return Err(format!("{empty:?} is no pattern"));
        }
        Ok(Grant { role, reach })
    }
}

/// Runs `weir users …`.
///
/// # Errors
/// A sentence for people.
pub fn users(task: &Users) -> Result<(), String> {
    match task {
        Users::Add { name, grant, password_file, place } => {
            check_name(name)?;
            let (may, file) = (grant.check()?, place.file()?);
            let (typed, made) = match password_file {
                Some(path) => (read_password(path)?, false),
                None => (password::random()?, true),
            };
            let hash = password::hash(&typed)?;
            let known = Book::change(&file, |book| {
                Ok(book.users.insert(name.clone(), User { password: hash, may: may.clone() }).is_some())
            })?;
            println!("{name} {} {} ({})", if known { "is now" } else { "is new:" }, shown(&may), file.display());
            if made {
                println!("password, shown this once: {typed}");
            }
        }
        Users::List { place } => {
            for (name, user) in &Book::load(&place.file()?)?.users {
                println!("{name:<24} {}", shown(&user.may));
            }
        }
        Users::Remove { name, place } => {
            Book::change(&place.file()?, |book| match book.users.remove(name) {
                Some(_) => Ok(()),
                None => Err(format!("there is no user {name}")),
            })?;
            println!("{name} is gone");
        }
    }
    Ok(())
}

/// Runs `weir tokens …`.
///
/// # Errors
/// A sentence for people.
pub fn tokens(task: &Tokens) -> Result<(), String> {
    match task {
        Tokens::Add { name, grant, days, place } => {
            check_name(name)?;
            let (may, file, made) = (grant.check()?, place.file()?, token::make()?);
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            let ends = days.map(|days| now.saturating_add(days.saturating_mul(DAY)));
            let (hash, id) = (made.hash.clone(), made.id.clone());
            let entry = Token { name: name.clone(), hash, may: may.clone(), made: now, ends };
            Book::change(&file, |book| Ok(book.tokens.insert(id, entry)))?;
            if std::io::stdout().is_terminal() {
                println!(
                    "{name} ({}), id {}, shown this once; send it as `Authorization: ApiKey …`:",
                    shown(&may),
                    made.id
                );
            } else {
                eprintln!("{name} ({}), id {}", shown(&may), made.id);
            }
            // Alone on its line, so that it can go into a file: weir tokens add … > token
            println!("{}", made.encoded);
        }
        Tokens::List { place } => {
            for (id, token) in &Book::load(&place.file()?)?.tokens {
                let ends = token.ends.map_or_else(String::new, |ends| format!(", ends {}", date(ends)));
                println!("{:<24} {id}  {}, made {}{ends}", token.name, shown(&token.may), date(token.made));
            }
        }
        Tokens::Remove { name, place } => {
            let gone = Book::change(&place.file()?, |book| {
                let before = book.tokens.len();
                book.tokens.retain(|id, token| id != name && token.name != *name);
                Ok(before - book.tokens.len())
            })?;
            if gone == 0 {
                return Err(format!("there is no token {name}"));
            }
            println!("{gone} gone");
        }
    }
    Ok(())
}

fn read_password(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().take(password::BYTES_MAX as u64 + 2).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(password::BYTES_MAX as u64 + 2).read_to_string(&mut text))
    };
    read.map_err(|error| format!("cannot read the password from {}: {error}", path.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn shown(may: &Grant) -> String {
    let mut text = may.role.name().to_owned();
    for (what, patterns) in [("indices", &may.reach.indices), ("services", &may.reach.services)] {
        if !patterns.is_empty() {
            text.push_str(&format!(", {what} {}", patterns.join(" ")));
        }
    }
    text
}

fn date(seconds: u64) -> String {
    let moment = jiff::Timestamp::from_second(i64::try_from(seconds).unwrap_or(i64::MAX));
    moment.map_or_else(|_| "never".to_owned(), |moment| moment.to_string()[..10].to_owned())
}
