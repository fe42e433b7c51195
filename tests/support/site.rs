//! What a server of any kind needs: a folder, a user to run as, a process that dies with the tests.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::wait::patience;
use super::workspace::{self, Watched, Workspace};

/// How long a server may take to start on an idle machine, recovery included.
const PATIENCE: Duration = Duration::from_secs(60);

/// The folder of one server, and the process that runs there. Both go with the value, or with the
/// test process.
pub struct Site {
    account: Option<Account>,
    folder: TempDir,
    running: Mutex<Option<Running>>,
}

/// A user of the system.
pub struct Account {
    pub name: String,
    user: u32,
    group: u32,
}

struct Running {
    child: Child,
    _watched: Watched,
}

/// The files of a stopped server, to go back to.
pub struct Snapshot {
    folder: TempDir,
}

impl Site {
    /// The folder, which belongs from now on to the first of `users` that exists if we are root: servers
    /// refuse to run as root.
    pub fn new(folder: TempDir, users: &[&str]) -> Site {
        let account = account(users);
        if let Some(account) = &account {
            let given = chown(folder.path(), Some(account.user), Some(account.group));
            given.expect("the server's folder for its user");
        }
        Site { account, folder, running: Mutex::new(None) }
    }

    /// Whom the server runs as, when that is not ourselves.
    pub fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the server has its data.
    pub fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    /// A program to run as we are, in the folder.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir(self.folder()).stdin(Stdio::null());
        command
    }

    /// A program to run as the server's user, in the folder.
    pub fn command_as_user(&self, program: impl AsRef<Path>) -> Command {
        let mut command = self.command(program);
        if let Some(account) = &self.account {
            command.uid(account.user).gid(account.group);
        }
        command
    }

    /// Starts the server and waits until `is_ready`, which is given its process number and what it
    /// has logged since. `end_by` is the signal that ends it should the tests die.
    pub fn launch(&self, mut command: Command, end_by: &str, is_ready: impl Fn(u32, &str) -> bool) {
        let mut running = self.running();
        assert!(running.is_none(), "the server runs already");
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_file()).expect("server log");
        let before = self.log().len();
        command.process_group(0).stdout(Stdio::null()).stderr(log);
        let mut child = command.spawn().expect("the server starts");
        let watched = Workspace::get().watch(child.id(), end_by);
        let end = Instant::now() + patience(PATIENCE);
        while !is_ready(child.id(), self.log().get(before..).unwrap_or_default()) {
            if let Some(status) = child.try_wait().expect("the server can be waited for") {
                panic!("the server did not start ({status}):\n{}", self.log());
            }
            assert!(Instant::now() < end, "the server is not ready in time:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        *running = Some(Running { child, _watched: watched });
    }

    /// The process number of the server.
    pub fn pid(&self) -> u32 {
        self.running().as_ref().expect("the server runs").child.id()
    }

    /// Stops the server in good order, by `signal`.
    pub fn stop(&self, signal: &str) {
        let mut running = self.running().take().expect("the server runs");
        workspace::signal(signal, &[running.child.id()]);
        running.child.wait().expect("the server ends");
    }

    /// Kills every process of the server at once by `SIGKILL`.
    pub fn crash(&self) {
        let running = self.running().take().expect("the server runs");
        kill_whole(running);
    }

    /// A copy of the files of a stopped or crashed server.
    pub fn snapshot(&self) -> Snapshot {
        assert!(self.running().is_none(), "stop the server before its files are copied");
        let folder = Workspace::get().folder("snapshot-");
        copy_folder(&self.data(), &folder.path().join("data"));
        Snapshot { folder }
    }

    /// Puts the files of `snapshot` in the place of those of this stopped server.
    pub fn restore(&self, snapshot: &Snapshot) {
        assert!(self.running().is_none(), "stop the server before its files are replaced");
        fs::remove_dir_all(self.data()).expect("old files removed");
        copy_folder(&snapshot.folder.path().join("data"), &self.data());
    }

    fn log_file(&self) -> PathBuf {
        self.folder().join("log")
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(running) = self.running().take() {
            kill_whole(running);
        }
    }
}

fn kill_whole(mut running: Running) {
    let pid = running.child.id();
    // Halted first, so that it can't start a successor for a child that dies before it.
    workspace::signal("STOP", &[pid]);
    let mut all = workspace::children(pid);
    all.push(pid);
    workspace::signal("KILL", &all);
    let _ = running.child.wait();
    while all.iter().any(|&pid| workspace::is_running(pid)) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn copy_folder(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(status.expect("cp").success(), "copying {}", from.display());
}

/// The first of `users` that the system knows, else `nobody`, when we are root.
fn account(users: &[&str]) -> Option<Account> {
    if fs::metadata("/proc/self").expect("/proc").uid() != 0 {
        return None;
    }
    let known = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let find = |name: &&str| {
        let line = known.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map_while(|field| field.parse().ok());
        Some(Account { name: (*name).to_owned(), user: numbers.next()?, group: numbers.next()? })
    };
    let found = users.iter().chain(&["nobody"]).find_map(find);
    Some(found.expect("a user to run servers as: nobody"))
}
