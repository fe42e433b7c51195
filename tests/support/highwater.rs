//! The real program, run as an operator would.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::engine::Pair;
use super::wait::{eventually, patience, within};
use super::workspace::{self, Watched, Workspace, free_port, next_number};

/// How long a command may take, and a daemon to log or do what is waited for, on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a `highwater.toml`, and the program to run in it.
#[derive(Clone)]
pub struct Highwater {
    folder: Arc<TempDir>,
    settings: BTreeMap<String, String>,
    text: String,
    environment: Vec<(String, String)>,
    faults: Vec<String>,
    port: u16,
}

impl Highwater {
    /// For one database, named `main`.
    pub fn new(pair: &Pair) -> Highwater {
        Highwater::without_database().database("main", pair)
    }

    /// Without a database as yet: add some by [`Highwater::database`].
    pub fn without_database() -> Highwater {
        let folder = Arc::new(Workspace::get().folder("highwater-"));
        let port = free_port();
        let highwater = Highwater {
            folder,
            settings: BTreeMap::new(),
            text: String::new(),
            environment: Vec::new(),
            faults: Vec::new(),
            port,
        };
        highwater.setting("http.listen", &format!("127.0.0.1:{port}"))
    }

    /// Adds a database.
    pub fn database(self, name: &str, pair: &Pair) -> Highwater {
        self.setting(&format!("database.{name}.source"), &pair.source.url())
            .setting(&format!("database.{name}.target"), &pair.target.url())
    }

    /// Sets a key, by its dotted name. A value that is a number, a bool, a list or quoted text stands
    /// as it is; anything else is taken as text.
    pub fn setting(mut self, key: &str, value: &str) -> Highwater {
        let is_toml = value.parse::<f64>().is_ok()
            || matches!(value, "true" | "false")
            || value.starts_with(['[', '"', '{']);
        let value = if is_toml { value.to_owned() } else { format!("{value:?}") };
        self.settings.insert(key.to_owned(), value);
        self
    }

    /// Adds settings as they stand in a file: sections and lists of them.
    pub fn text(mut self, text: &str) -> Highwater {
        self.text.push_str(text);
        self
    }

    /// Removes a key that was set.
    pub fn without(mut self, key: &str) -> Highwater {
        self.settings.remove(key);
        self
    }

    /// Another address for HTTP, for a second daemon with the same settings.
    pub fn on_another_port(mut self) -> Highwater {
        self.port = free_port();
        let address = format!("127.0.0.1:{}", self.port);
        self.folder = Arc::new(Workspace::get().folder("highwater-"));
        self.setting("http.listen", &address)
    }

    /// Sets a variable of the environment.
    pub fn env(mut self, name: &str, value: &str) -> Highwater {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Kills the program at a named point, or has it fail there: `before_batch_commit=kill`,
    /// `before_batch_commit=error`, at the third passage `before_batch_commit@3=kill`.
    pub fn fault(mut self, fault: &str) -> Highwater {
        self.faults.push(fault.to_owned());
        self
    }

    /// Halts the program at a named point (`before_batch_commit`, `before_batch_commit@3`).
    pub fn pause_at(self, point: &str) -> (Highwater, Pause) {
        let file = Workspace::get().root().join(format!("pause-{}", next_number()));
        let highwater = self.fault(&format!("{point}=pause:{}", file.display()));
        (highwater, Pause { file })
    }

    /// Without the faults set so far.
    pub fn without_faults(mut self) -> Highwater {
        self.faults.clear();
        self
    }

    /// Where the program runs: its settings are in `highwater.toml` here.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a command to its end.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        let child = self.command(arguments).spawn().expect("highwater starts");
        let _watched = child.id().map(|pid| Workspace::get().watch(pid, "KILL"));
        let what = format!("highwater {}", arguments.join(" "));
        let output = within(PATIENCE, &what, child.wait_with_output()).await.expect("highwater runs");
        Output {
            what,
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts a command and lets it run.
    pub fn spawn(&self, arguments: &[&str]) -> Daemon {
        let mut child = self.command(arguments).spawn().expect("highwater starts");
        let pid = child.id().expect("a process that runs");
        let log = Gathered::default();
        let stdout = Gathered::default();
        log.gather(child.stderr.take().expect("its stderr"));
        stdout.gather(child.stdout.take().expect("its stdout"));
        let watched = Workspace::get().watch(pid, "KILL");
        Daemon {
            child,
            pid,
            log,
            stdout,
            port: self.port,
            _watched: watched,
            _folder: Arc::clone(&self.folder),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HIGHWATER") {
                command.env_remove(name);
            }
        }
        self.write_settings();
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("RUST_LOG")
            .env("HIGHWATER_FAULT", self.faults.join(","))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    fn write_settings(&self) -> PathBuf {
        let file = self.folder.path().join("highwater.toml");
        let lines: String = self.settings.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        fs::write(&file, lines + &self.text).expect("settings");
        file
    }
}

/// A program halted at a named point.
pub struct Pause {
    file: PathBuf,
}

impl Pause {
    /// Waits until the program has come to the point.
    pub async fn reached(&self) {
        let reached = self.file.with_extension("reached");
        eventually(PATIENCE, || async { reached.exists() }).await;
    }

    /// Lets the program go on.
    pub fn go_on(&self) {
        fs::write(&self.file, "").expect("a file");
    }
}

/// What a command left.
#[derive(Debug)]
pub struct Output {
    what: String,
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Itself, if the exit code is `code`; else panics with everything it printed.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Output {
        let Output { what, stdout, stderr, .. } = &self;
        assert!(self.code == Some(code), "{what}: exit {:?}, not {code}\n{stdout}\n{stderr}", self.code);
        self
    }

    /// Itself, if it ended well.
    #[track_caller]
    pub fn ok(self) -> Output {
        self.expect_code(0)
    }

    /// Itself, if a signal ended it, as a fault does.
    #[track_caller]
    pub fn killed(self) -> Output {
        assert!(self.code.is_none(), "{}: exit {:?}, not killed\n{}", self.what, self.code, self.stderr);
        self
    }

    /// Itself, if stdout or stderr has `text`.
    #[track_caller]
    pub fn says(self, text: &str) -> Output {
        let found = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(found, "{}: no {text:?} in\n{}\n{}", self.what, self.stdout, self.stderr);
        self
    }

    /// What `--json` printed.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        let parsed = serde_json::from_str(&self.stdout);
        parsed.unwrap_or_else(|error| panic!("{}: {error} in {}\n{}", self.what, self.stdout, self.stderr))
    }
}

/// A program that runs; killed when dropped.
pub struct Daemon {
    child: Child,
    pid: u32,
    log: Gathered,
    stdout: Gathered,
    port: u16,
    _watched: Watched,
    _folder: Arc<TempDir>,
}

impl Daemon {
    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// What it has printed so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Waits until the log has `text`; panics with the log's end when that does not come, or when the
    /// daemon ends before.
    pub async fn wait_for_log(&self, text: &str) {
        eventually(PATIENCE, || async {
            let has_ended = !workspace::is_running(self.pid);
            if has_ended {
                // Its last words may still be in the pipe.
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            let log = self.log();
            let found = log.contains(text);
            assert!(found || !has_ended, "the daemon ended without {text:?}:\n{}", end_of(&log));
            if found { Ok(()) } else { Err(format!("no {text:?} in the log:\n{}", end_of(&log))) }
        })
        .await;
    }

    /// Waits until `/syncz` answers 200.
    pub async fn wait_until_in_sync(&self) {
        eventually(PATIENCE, || async {
            match self.try_get("/syncz").await {
                Ok(Response { status: 200, .. }) => Ok(()),
                Ok(Response { status, body }) => Err(format!("{status} {body}\n{}", end_of(&self.log()))),
                Err(error) => Err(format!("{error}\n{}", end_of(&self.log()))),
            }
        })
        .await;
    }

    /// Waits until `/readyz` answers 503 with that reason.
    pub async fn wait_until_not_ready(&self, why: &str) {
        eventually(PATIENCE, || async {
            let Response { status, body } = self.get("/readyz").await;
            let said = status == 503 && body.contains(why);
            if said { Ok(()) } else { Err(format!("{status} {body}\n{}", end_of(&self.log()))) }
        })
        .await;
    }

    /// Waits until a table is stopped for a reason that has all of `words`.
    pub async fn wait_until_stopped(&self, table: &str, words: &[&str]) {
        eventually(PATIENCE, || async {
            let status = self.get("/api/status").await.json();
            let tables = status["databases"][0]["tables"].as_array().cloned().unwrap_or_default();
            let found = tables.into_iter().find(|t| t["table"] == table).unwrap_or_default();
            let reason = found["reason"].as_str().unwrap_or_default();
            let stopped = found["state"] == "stopped" && words.iter().all(|word| reason.contains(word));
            if stopped { Ok(()) } else { Err(format!("{table}: {found}\n{}", end_of(&self.log()))) }
        })
        .await;
    }

    /// Gets a page, waiting for the daemon to listen.
    pub async fn get(&self, path: &str) -> Response {
        eventually(PATIENCE, || async { self.try_get(path).await }).await
    }

    /// Gets a page, if the daemon listens.
    pub async fn try_get(&self, path: &str) -> std::io::Result<Response> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Response::parse(&answer).ok_or_else(|| std::io::Error::other("no HTTP answer"))
    }

    /// The process number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// Kills it by `SIGKILL` and waits for its end.
    pub async fn kill9(mut self) {
        self.child.kill().await.expect("it can be killed");
    }

    /// Sends a signal ("TERM", "STOP", "CONT").
    pub fn signal(&self, signal: &str) {
        workspace::signal(signal, &[self.pid]);
    }

    /// Asks it to end, and waits; the exit code, or `None` when a signal ended it.
    pub async fn terminate(self) -> Option<i32> {
        self.signal("TERM");
        self.wait().await
    }

    /// Waits for its end; the exit code, or `None` when a signal ended it.
    pub async fn wait(mut self) -> Option<i32> {
        let status = tokio::time::timeout(patience(PATIENCE), self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("the daemon does not end:\n{}", end_of(&self.log())));
        status.expect("a child").code()
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub body: String,
}

impl Response {
    fn parse(answer: &[u8]) -> Option<Response> {
        let answer = String::from_utf8_lossy(answer);
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split_whitespace().nth(1)?.parse().ok()?;
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let body = if chunked { without_chunks(body)? } else { body.to_owned() };
        Some(Response { status, body })
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }

    /// The value of a metric, by its whole name with labels.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let mut lines = self.body.lines();
        lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.trim().parse().ok())
    }
}

fn without_chunks(mut rest: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.push_str(after.get(..size)?);
        rest = after.get(size..)?.strip_prefix("\r\n")?;
    }
}

/// What a stream has brought so far.
#[derive(Clone, Default)]
struct Gathered(Arc<Mutex<Vec<u8>>>);

impl Gathered {
    fn gather(&self, mut stream: impl AsyncRead + Unpin + Send + 'static) {
        let gathered = self.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                let mut bytes = gathered.0.lock().unwrap_or_else(PoisonError::into_inner);
                bytes.extend_from_slice(&buffer[..length]);
            }
        });
    }

    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn end_of(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}
