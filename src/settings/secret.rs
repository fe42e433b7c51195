//! Where passwords come from: files and commands, read anew for each connection.

use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use secrecy::SecretString;
use tokio::process::Command;
use tokio::time::timeout;

use crate::error::{Error, Kind, Result};

/// How long a secret's file or command may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// How much of what a failed command said goes into the error.
const COMPLAINT_MAX: usize = 200;

/// Reads the secret in `file` at start-up; the error says what is wrong with the file.
/// Warns when everybody on the machine may read it.
pub(super) fn check_file(file: &Path) -> Result<SecretString, String> {
    let metadata = std::fs::metadata(file).map_err(|error| unreadable(file, &error))?;
    if !metadata.is_file() {
        return Err(format!("{} is not a plain file; it is read anew for each connection", file.display()));
    }
    if metadata.permissions().mode() & 0o004 != 0 {
        let file = file.display();
        tracing::warn!(%file, "everybody on this machine can read this secret; `chmod 600` the file");
    }
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
    trimmed(text).ok_or_else(|| format!("the file {} is empty", file.display()))
}

/// Reads the secret in `file`, without the newline at its end.
///
/// A file that can't be read is [`Kind::Unavailable`]: it may be in the middle of a rotation.
pub(super) async fn read_file(file: &Path) -> Result<SecretString> {
    let fail = |what: String| Error::new(Kind::Unavailable, format!("no secret: {what}"));
    let text = timed(TIME_LIMIT, tokio::fs::read_to_string(file))
        .await
        .map_err(|error| fail(unreadable(file, &error)))?;
    trimmed(text).ok_or_else(|| fail(format!("the file {} is empty", file.display())))
}

/// Runs `command` (program and arguments, no shell) and takes what it prints, without the newline
/// at its end, for the secret. Neither arguments nor output get into an error; what the command
/// itself complains of on stderr does.
pub(super) async fn run(command: &[String]) -> Result<SecretString> {
    run_within(TIME_LIMIT, command).await
}

async fn run_within(limit: Duration, command: &[String]) -> Result<SecretString> {
    let (program, arguments) =
        command.split_first().ok_or_else(|| Error::usage("the password command is empty"))?;
    let fail = |what: String| {
        Error::new(Kind::Unavailable, format!("no password: the command `{program}` {what}"))
            .remedy("run it by hand, as the user that highwater runs as; it must print the password only")
    };
    let mut process = Command::new(program);
    process.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = timed(limit, process.output()).await.map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => fail(format!("did not end within {limit:?}")),
        _ => fail(format!("can't be run: {error}")),
    })?;
    if !output.status.success() {
        return Err(fail(format!("failed ({}){}", output.status, complaint(&output.stderr))));
    }
    let text =
        String::from_utf8(output.stdout).map_err(|_| fail("printed something that is not text".into()))?;
    trimmed(text).ok_or_else(|| fail("printed nothing".into()))
}

async fn timed<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn unreadable(file: &Path, error: &io::Error) -> String {
    format!("the file {} can't be read: {error}", file.display())
}

fn complaint(stderr: &[u8]) -> String {
    match String::from_utf8_lossy(stderr).trim().lines().last() {
        Some(line) => format!(": {}", line.chars().take(COMPLAINT_MAX).collect::<String>()),
        None => String::new(),
    }
}

fn trimmed(mut text: String) -> Option<SecretString> {
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    if text.is_empty() { None } else { Some(SecretString::from(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn command(words: &[&str]) -> Vec<String> {
        words.iter().map(|&w| w.to_owned()).collect()
    }

    #[tokio::test]
    async fn a_command_gives_the_password_without_its_newline() {
        let secret = run(&command(&["printf", "p w\\r\\n\\n"])).await.unwrap();
        assert_eq!(secret.expose_secret(), "p w");
    }

    #[tokio::test]
    async fn a_failing_command_is_told_without_its_arguments_and_output() {
        let shell = command(&["sh", "-c", "echo leaked; echo sealed >&2; exit 7"]);
        let error = run(&shell).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("`sh`") && text.contains("7") && text.contains("sealed"), "{text}");
        assert!(!text.contains("leaked"), "{text}");
        assert_eq!(error.kind(), Kind::Unavailable);
        let absent = run(&command(&["/no/such/program"])).await.unwrap_err().to_string();
        assert!(absent.contains("can't be run"), "{absent}");
        let silent = run(&command(&["true"])).await.unwrap_err().to_string();
        assert!(silent.contains("printed nothing"), "{silent}");
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_given_up() {
        let hanging = command(&["sleep", "600"]);
        let error = run_within(Duration::from_millis(50), &hanging).await.unwrap_err().to_string();
        assert!(error.contains("did not end within 50ms"), "{error}");
    }

    #[tokio::test]
    async fn a_file_is_read_anew_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "first\n").unwrap();
        assert_eq!(read_file(&file).await.unwrap().expose_secret(), "first");
        std::fs::write(&file, "second\n").unwrap();
        assert_eq!(read_file(&file).await.unwrap().expose_secret(), "second");
        std::fs::write(&file, "\n").unwrap();
        assert!(read_file(&file).await.unwrap_err().to_string().contains("is empty"));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(read_file(&file).await.unwrap_err().kind(), Kind::Unavailable);
    }
}
