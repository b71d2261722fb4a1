//! Ends all that the drill has started and removes its folder, even if the drill is interrupted.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Acts when it is dropped, or when this process ends.
pub struct Guard(Child);

/// Where there is a /proc, every process whose folder is below the drill's is ended, frozen or not. PostgreSQL gets two seconds
/// to end by itself: killed at once, it would leave shared memory behind.
const WORK: &str = r#"
cat
kill -QUIT "$(head -n 1 "$1"/pg/cluster/postmaster.pid)"
drill=${1%/data}
for signal in QUIT KILL; do
    left=no
    for process in /proc/[0-9]*; do
        case $(readlink "$process"/cwd) in "$drill"/*) left=yes ;; *) continue ;; esac
        case $(cat "$process"/comm) in postgres) send=$signal ;; *) send=KILL ;; esac
        kill -"$send" "${process#/proc/}"
        kill -CONT "${process#/proc/}"
    done
    [ "$left" = no ] || sleep 2
done
rm -rf "$drill"
"#;

pub fn over(data_dir: &Path) -> Guard {
    let mut guard = Command::new("sh");
    guard.args(["-c", WORK, "sh"]).arg(data_dir).current_dir("/");
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
