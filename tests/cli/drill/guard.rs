//! Stops the drill's PostgreSQL and removes its folder, even if the drill is interrupted.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Acts when it is dropped, or when this process ends.
pub struct Guard(Child);

pub fn over(data_dir: &Path) -> Guard {
    let work = "cat; kill -QUIT \"$(head -n 1 \"$1\"/pg/cluster/postmaster.pid)\"; rm -rf \"${1%/data}\"";
    let mut guard = Command::new("sh");
    guard.args(["-c", work, "sh"]).arg(data_dir);
    // A process group of its own, so that Ctrl-C reaches only the drill.
    guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    Guard(guard.spawn().expect("a guard"))
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
