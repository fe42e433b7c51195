//! The folders of this test process, and the guard that clears up after it.
//!
//! The guard is a small shell program in a process group of its own that reads a pipe held by the
//! tests. The pipe ends when the test process does (done, Ctrl-C, `SIGKILL`); the guard then ends
//! the processes named in `pids/` and removes the folders. So nothing depends on destructors.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use super::clock;

const GUARD: &str = r#"
cat >/dev/null
cd "$1" || exit
each() { for file in pids/*; do [ -e "$file" ] && "$@" "$file" "${file##*/}"; done; }
ask() { kill -"$(cat "$1")" "$2"; }
force() { kill -KILL "$2"; }
alive() {
    read -r status <"/proc/$2/stat" || return
    case ${status##*) } in Z*) ;; *) left=yes ;; esac
}
each ask
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    left=no; each alive
    [ "$left" = no ] && break
    sleep 0.1
done
each force
cd / && rm -rf "$1" "$2"
"#;

/// The folders of this test process.
pub struct Workspace {
    root: PathBuf,
    disk: PathBuf,
    _pipe_of_guard: ChildStdin,
}

impl Workspace {
    /// The one of this process, made at its first use.
    pub fn get() -> &'static Workspace {
        clock::start();
        static WORKSPACE: OnceLock<Workspace> = OnceLock::new();
        WORKSPACE.get_or_init(|| Workspace::create().expect("a folder for the tests and its guard"))
    }

    fn create() -> io::Result<Workspace> {
        let place = std::env::var_os("HIGHWATER_TEST_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let (root, disk) = (new_root(&place)?, new_root(&std::env::temp_dir())?);
        fs::create_dir(root.join("pids"))?;
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .args([&root, &disk])
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pipe = guard.stdin.take().ok_or_else(|| io::Error::other("the guard has no pipe"))?;
        Ok(Workspace { root, disk, _pipe_of_guard: pipe })
    }

    /// Where everything of this test process is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where what must not be in memory is.
    pub fn disk(&self) -> &Path {
        &self.disk
    }

    /// A new folder that goes when dropped, or with the test process.
    pub fn folder(&self, label: &str) -> TempDir {
        new_folder(label, &self.root)
    }

    /// As [`Workspace::folder`], where the system has its temporary files, for what behaves differently in
    /// memory.
    pub fn folder_on_disk(&self, label: &str) -> TempDir {
        new_folder(label, &self.disk)
    }

    /// Has the guard end process `pid` by `signal` ("QUIT") should the tests die. Hold on to the
    /// answer while the process runs.
    pub fn watch(&self, pid: u32, signal: &str) -> Watched {
        let file = self.root.join("pids").join(pid.to_string());
        fs::write(&file, signal).expect("a note for the guard");
        Watched { file }
    }
}

fn new_root(place: &Path) -> io::Result<PathBuf> {
    let root = tempfile::Builder::new().prefix("highwater-test-").tempdir_in(place)?.keep();
    // A server may run as another user, who must be able to reach its own folder below.
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755))?;
    Ok(root)
}

fn new_folder(label: &str, place: &Path) -> TempDir {
    let folder = tempfile::Builder::new().prefix(label).tempdir_in(place);
    folder.expect("a folder for a test")
}

/// A process known to the guard; forgotten when dropped.
pub struct Watched {
    file: PathBuf,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

/// Sends `signal` ("KILL") to the processes; those that are gone are passed over.
pub fn signal(signal: &str, pids: &[u32]) {
    let pids = pids.iter().map(u32::to_string);
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"signal=$1; shift; for pid; do kill -"$signal" "$pid"; done"#, "kill", signal]);
    shell.args(pids).stderr(Stdio::null()).status().expect("sh");
}

/// Whether the process runs (a zombie does not).
pub fn is_running(pid: u32) -> bool {
    parent_and_state(pid).is_some_and(|(_, state)| state != 'Z' && state != 'X')
}

/// The processes whose parent is `pid`.
pub fn children(pid: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&child| parent_and_state(child).is_some_and(|(parent, _)| parent == pid))
        .collect()
}

fn parent_and_state(pid: u32) -> Option<(u32, char)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in brackets, may hold anything: what follows the last bracket counts.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((fields.next()?.parse().ok()?, state))
}

/// A number this process has not given before, from 1.
pub fn next_number() -> u32 {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// A port of 127.0.0.1 nobody listens on. It lies below the range from which the system takes the
/// ports of outgoing connections, so that it stays free across a restart of its server.
pub fn free_port() -> u16 {
    static STEPS: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(97);
    for _ in 0..12_000 {
        let step = first.wrapping_add(STEPS.fetch_add(1, Ordering::Relaxed)) % 12_000;
        let port = 20_000 + u16::try_from(step).expect("below 12,000");
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between 20000 and 32000");
}
