//! A small file system of its own on a loop device, for tests of full disks and power cuts. Needs root.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// ext4 in a file, mounted; unmounted when dropped.
pub(crate) struct Device {
    folder: tempfile::TempDir,
}

impl Device {
    /// # Errors
    /// Why there can be none: it is to be said that the test was left out.
    pub(crate) fn new(megabytes: u64) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("mounting needs root".to_owned());
        }
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        std::fs::create_dir(folder.path().join("mounted")).map_err(|error| error.to_string())?;
        let image = folder.path().join("image");
        let file = std::fs::File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(megabytes << 20).map_err(|error| error.to_string())?;
        // No bytes kept back for root: what is free is free.
        step(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image))?;
        let device = Self { folder };
        device.mount()?;
        Ok(device)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    pub(crate) fn mount(&self) -> Result<(), String> {
        step(Command::new("mount").args(["-o", "loop"]).arg(self.folder.path().join("image")).arg(self.path()))
    }

    pub(crate) fn unmount(&self) -> Result<(), String> {
        step(Command::new("umount").arg(self.path()))
    }

    /// Cuts the power: nothing that was not synced reaches the device any more. `FS_IOC_SHUTDOWN`, without a flush of the
    /// file system's own journal.
    pub(crate) fn cut(&self) -> Result<(), String> {
        let script = "import fcntl, os, struct, sys\n\
                      fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";
        step(Command::new("python3").args(["-c", script]).arg(self.path()))
    }

    /// Fills what is free, to the last byte, with somebody else's file; gives its path.
    pub(crate) fn fill(&self) -> PathBuf {
        let path = self.path().join("somebody-elses");
        let mut file = std::fs::File::create(&path).unwrap();
        for size in [1 << 20, 1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![7; size]).is_ok() {}
        }
        path
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // Not mounted when a test ended in between; there is nothing to be done about it.
        let _ = Command::new("umount").arg(self.path()).stderr(Stdio::null()).status();
    }
}

fn step(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{:?} cannot be run: {error}", command.get_program()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("{:?} failed: {said}", command.get_program()))
}

/// A process that can be stopped in its tracks.
pub(crate) fn freeze(id: u32) {
    let pid = rustix::process::Pid::from_raw(id as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
}

/// The example binary, which cargo builds beside the tests.
pub(crate) fn example() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("examples/serve")
}

/// Room that a folder takes on its file system: free bytes before and after differ by this.
pub(crate) fn free_bytes(path: &Path) -> u64 {
    let stat = rustix::fs::statvfs(path).unwrap();
    stat.f_bavail * stat.f_frsize
}
