//! weir's images as `deploy/image` makes them, from the binaries that the tests run.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::docker::Engine;
use super::repository;

/// The images of [`save`] and [`load`]: program and tag.
const IMAGES: [(&str, &str); 2] = [("weir", "weir:test"), ("weir-shipper", "weir-shipper:test")];

/// The binary of `program`: from the folder `WEIR_TEST_BINARIES`, else the one that cargo has built for these tests.
fn binary(program: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os("WEIR_TEST_BINARIES") {
        return Path::new(&folder).join(program);
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_weir")).with_file_name(program);
    if !binary.exists() {
        // Only this package's tests were asked for, and cargo has not built the other's binary.
        let args = ["build", "--quiet", "--workspace", "--bin", program];
        let status = Command::new("cargo").args(args).current_dir(repository()).status().unwrap();
        assert!(status.success(), "cargo {}", args.join(" "));
    }
    binary
}

/// Makes the images on `engine`.
pub fn load(engine: &Engine) {
    for (program, tag) in IMAGES {
        let mut command = Command::new(repository().join("deploy/image"));
        command.args(["--tag", tag, "--binary"]).arg(binary(program)).env("DOCKER_HOST", engine.host());
        if program == "weir-shipper" {
            command.arg("--shipper");
        }
        let made = command.output().unwrap();
        assert!(made.status.success(), "deploy/image: {}", String::from_utf8_lossy(&made.stderr));
    }
}

/// Makes the images on `engine`, each under a second name too, and saves them to a file in `folder` for `docker load`.
pub fn save(engine: &Engine, folder: &Path) -> PathBuf {
    load(engine);
    let file = folder.join("images.tar");
    let mut args = vec!["save".to_owned(), "-o".to_owned(), file.display().to_string()];
    for (_, tag) in IMAGES {
        engine.docker(&["tag", tag, &format!("{tag}2")]);
        args.extend([tag.to_owned(), format!("{tag}2")]);
    }
    engine.docker(&args.iter().map(String::as_str).collect::<Vec<_>>());
    file
}
