//! Builds the web page (`ui/`) with Vite and hands its files to `src/ui.rs`, already compressed.
//!
//! Where Node.js is not there, or the packages cannot be fetched, weir is built without its page: a warning says why
//! now, and weir says so again at each start. `WEIR_UI=skip` leaves the page out on purpose.
//!
//! Everything happens in a copy below `OUT_DIR`: the sources stay as they are, cargo's own lock keeps two builds
//! apart, and the packages are fetched again only when the lock file is another one.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// What the page is made of. Not the whole folder: a developer's `node_modules` and `dist` lie there too.
const PARTS: [&str; 8] =
    ["src", "public", "index.html", "package.json", "package-lock.json", "vite.config.ts", "tsconfig.json", ".npmrc"];
/// The Node.js that Vite needs at least.
const NODE_MAJOR_MIN: u32 = 20;
/// Seconds npm waits for a registry; without an answer by then the page is left out.
const FETCH_TIMEOUT_MILLIS: &str = "20000";
/// Characters of a failed program's output that are shown.
const SHOWN_CHARS: usize = 2_000;

fn main() {
    for part in PARTS {
        println!("cargo::rerun-if-changed=ui/{part}");
    }
    println!("cargo::rerun-if-env-changed=WEIR_UI");
    // Cargo sets both for every build script.
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let listing = match page(&root.join("ui"), &out) {
        Ok(files) => list(&files),
        Err(problem) => {
            for line in format!("weir is built without its web page: {problem}").lines() {
                println!("cargo::warning={line}");
            }
            format!(
                "pub(super) static FILES: &[File] = &[];\npub(super) static MISSING: Option<&str> = Some({problem:?});\n"
            )
        }
    };
    if let Err(error) = fs::write(out.join("ui_files.rs"), listing) {
        println!("cargo::error=cannot write to OUT_DIR: {error}");
    }
}

/// Builds the page; answers the folder of its files and their names.
fn page(source: &Path, out: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    if env::var("WEIR_UI").is_ok_and(|wish| wish == "skip") {
        return Err("left out by WEIR_UI=skip".into());
    }
    let version = run(Command::new("node").arg("--version"))?;
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < NODE_MAJOR_MIN) {
        return Err(format!("it needs Node.js {NODE_MAJOR_MIN} or newer, and this is {}", version.trim()));
    }
    let (work, built) = (out.join("ui"), out.join("ui-dist"));
    let failed = |error: io::Error| format!("copying its sources: {error}");
    fs::create_dir_all(&work).map_err(failed)?;
    for part in PARTS {
        copy(&source.join(part), &work.join(part)).map_err(failed)?;
    }
    install(&work)?;
    run(Command::new("node")
        .args(["node_modules/vite/bin/vite.js", "build", "--logLevel", "warn"])
        .env("WEIR_UI_OUT", &built)
        .current_dir(&work))?;
    let mut files = Vec::new();
    collect(&built, "", &mut files).map_err(|error| format!("reading what was built: {error}"))?;
    if !files.iter().any(|(name, _)| name == "index.html") {
        return Err("Vite built no index.html".into());
    }
    files.sort();
    Ok(files)
}

/// Fetches the packages that the lock file names, unless they are there already.
fn install(work: &Path) -> Result<(), String> {
    let wanted = fs::read(work.join("package-lock.json")).map_err(|error| format!("package-lock.json: {error}"))?;
    let stamp = work.join("installed.lock");
    if fs::read(&stamp).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    run(Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" })
        .args(["ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"])
        .args(["--fetch-retries=1", "--fetch-timeout", FETCH_TIMEOUT_MILLIS])
        .current_dir(work))?;
    fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))
}

/// Runs a program to its end; answers what it printed, or what it complained about.
fn run(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().chars().take(SHOWN_CHARS).collect::<String>();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!("{name} failed ({})\n{}\n{}", output.status, text(&output.stderr), text(&output.stdout)))
}

/// Makes `to` the same as `from`, a file or a whole folder.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return fs::copy(from, to).map(|_| ());
    }
    match fs::remove_dir_all(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::create_dir_all(to)?,
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// The built files by name. Their compressed forms lie beside them.
fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or(OsStr::new("")).to_string_lossy().into_owned();
        if path.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), files)?;
        } else if !matches!(path.extension().and_then(OsStr::to_str), Some("br" | "gz")) {
            files.push((format!("{prefix}{name}"), path));
        }
    }
    Ok(())
}

/// The table that `src/ui.rs` includes.
fn list(files: &[(String, PathBuf)]) -> String {
    let mut text =
        String::from("pub(super) static MISSING: Option<&str> = None;\npub(super) static FILES: &[File] = &[\n");
    for (name, path) in files {
        let path = path.to_string_lossy();
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "    File {{ name: {name:?}, brotli: include_bytes!({:?}), gzip: include_bytes!({:?}) }},",
            format!("{path}.br"),
            format!("{path}.gz"),
        );
    }
    text + "];\n"
}
