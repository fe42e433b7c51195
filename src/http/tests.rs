use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::*;
use crate::state::{Phase, TableState};
use crate::status::{Role, TableStatus};

struct Server {
    address: std::net::SocketAddr,
    boards: Vec<Board>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

async fn server(statuses: Vec<DatabaseStatus>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let boards: Vec<Board> = statuses.into_iter().map(Board::new).collect();
    let stop = CancellationToken::new();
    let settings = Arc::new(Settings::with_databases(Vec::new()));
    let task = tokio::spawn(serve(
        listener,
        boards.clone(),
        settings,
        metrics::Handle::apart().unwrap(),
        stop.clone(),
    ));
    Server { address, boards, stop, task }
}

impl Server {
    /// Status, head and body of the answer.
    async fn ask(&self, method: &str, path: &str) -> (u16, String, String) {
        self.ask_as("localhost", method, path).await
    }

    async fn ask_as(&self, host: &str, method: &str, path: &str) -> (u16, String, String) {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(Duration::from_secs(5), socket.read_to_string(&mut answer)).await.unwrap().unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase(), body.to_string())
    }

    async fn get(&self, path: &str) -> (u16, String, String) {
        self.ask("GET", path).await
    }
}

fn table(lag_seconds: Option<f64>) -> TableStatus {
    TableStatus {
        table: "<b>orders</b>".to_string(),
        state: TableState::Replaying,
        reason: None,
        rows: 1,
        bytes: 1,
        rows_copied: 1,
        bytes_copied: 1,
        chunks_done: 1,
        chunks: 1,
        lag_rows: Some(0),
        lag_seconds,
        watermark_time: Some(1.0),
        parked: 0,
        waiting_lookups: 0,
        exempt: crate::ledger::Exempt::default(),
    }
}

fn in_step(name: &str) -> DatabaseStatus {
    let mut status =
        DatabaseStatus::unknown(name, &"postgres://prod/a", &"postgres://staging/a", Role::Active);
    status.phase = Some(Phase::Replaying);
    status.capture_sound = true;
    status.measured_at = Some(Instant::now());
    status.inspected_at = Some(Instant::now());
    status.tables = vec![table(Some(0.0))];
    status
}

#[tokio::test]
async fn the_process_is_healthy_whatever_the_databases_are() {
    let server = server(vec![DatabaseStatus::unknown("a", &"x", &"y", Role::Connecting)]).await;
    assert_eq!(server.get("/healthz").await.0, 200);
}

#[tokio::test]
async fn ready_is_whoever_works_or_stands_by() {
    let server = server(vec![
        DatabaseStatus::unknown("a", &"x", &"y", Role::Connecting),
        DatabaseStatus::unknown("b", &"x", &"y", Role::Standby),
    ])
    .await;
    let (status, _, body) = server.get("/readyz").await;
    assert_eq!((status, body.as_str()), (503, "a: not connected yet\n"));
    server.boards[0].update(|s| s.error = Some("no such host\nat all".to_string()));
    assert_eq!(server.get("/readyz").await.2, "a: no such host at all\n", "one reason is one line");
    server.boards[0].update(|s| s.role = Role::Active);
    assert_eq!(server.get("/readyz").await.0, 200);
}

#[tokio::test]
async fn in_sync_only_when_every_database_is() {
    let server = server(vec![in_step("a"), in_step("b")]).await;
    assert_eq!(server.get("/syncz").await.0, 200);
    server.boards[1].update(|s| s.tables[0].lag_seconds = Some(99.0));
    let (status, _, body) = server.get("/syncz").await;
    assert_eq!(status, 503);
    assert_eq!(body, "b: <b>orders</b>: it is 99.0 s behind\n");
    server.boards[1].update(|s| s.tables[0].lag_seconds = None);
    assert_eq!(server.get("/syncz").await.0, 503, "unknown is a no");
    server.boards[1].update(|s| s.role = Role::Standby);
    let (status, _, body) = server.get("/syncz").await;
    assert!(status == 503 && body.contains("lease"), "a standby is not in sync: {body}");
}

#[tokio::test]
async fn the_status_is_json_with_next_steps() {
    let server = server(vec![in_step("a")]).await;
    let (status, head, body) = server.get("/api/status").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/json"), "{head}");
    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(json["schema_version"], 1);
    assert_eq!(json["in_sync"], true);
    assert_eq!(json["databases"][0]["tables"][0]["table"], "<b>orders</b>");
    assert!(json["next_steps"][0].as_str().unwrap().contains("final-sync"));
}

#[tokio::test]
async fn the_page_is_whole_and_guarded() {
    let server = server(vec![in_step("a")]).await;
    let (status, head, body) = server.get("/").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/html; charset=utf-8"), "{head}");
    let nonce = head.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert!(body.contains(&format!("<script nonce=\"{nonce}\">")));
    assert!(!body.contains("{nonce}") && !body.contains("innerHTML"), "names are never markup");
    assert!(!body.contains("https://") && !body.contains("http://"), "no external assets");
    let (_, other, _) = server.get("/").await;
    assert!(!other.contains(nonce), "a nonce is used once");
}

#[tokio::test]
async fn nothing_is_kept_by_caches() {
    let server = server(vec![in_step("a")]).await;
    for path in ["/", "/metrics", "/healthz", "/readyz", "/syncz", "/api/status", "/nowhere"] {
        let (_, head, _) = server.get(path).await;
        assert!(head.contains("cache-control: no-store"), "{path}: {head}");
    }
    let (_, head, _) = server.get("/metrics").await;
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
}

#[tokio::test]
async fn other_methods_and_paths_are_refused() {
    let server = server(vec![in_step("a")]).await;
    let (status, head, body) = server.ask("HEAD", "/api/status").await;
    assert_eq!((status, body.as_str()), (200, ""));
    assert!(head.contains("content-length"), "{head}");
    let (status, head, _) = server.ask("POST", "/api/status").await;
    assert_eq!(status, 405);
    assert!(head.contains("allow: get,head"), "{head}");
    let (status, _, body) = server.get("/favicon.ico").await;
    assert!(status == 404 && body.contains("/metrics"), "{body}");
}

#[tokio::test]
async fn it_ends_when_told_even_with_a_client_that_says_nothing() {
    let server = server(vec![in_step("a")]).await;
    let _silent = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(server.get("/healthz").await.0, 200);
    server.stop.cancel();
    timeout(Duration::from_secs(3), server.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_foreign_name_is_shown_neither_page_nor_state() {
    let server = server(vec![in_step("a")]).await;
    for host in ["evil.example", "evil.example:9187", "localhost.evil.example", "10.1.2.3"] {
        for path in ["/", "/api/status"] {
            let (status, _, body) = server.ask_as(host, "GET", path).await;
            assert_eq!(status, 421, "{host} {path}");
            assert!(body.contains("http.allowed_hosts") && !body.contains("orders"), "{body}");
        }
        for path in ["/metrics", "/healthz", "/readyz", "/syncz"] {
            assert_eq!(server.ask_as(host, "GET", path).await.0, 200, "{host} {path}");
        }
    }
    for host in ["localhost", "LOCALHOST:9187", "127.0.0.1:80", "[::1]:9187", "[::1]"] {
        assert_eq!(server.ask_as(host, "GET", "/api/status").await.0, 200, "{host}");
    }
}

#[tokio::test]
async fn a_connection_that_asks_nothing_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/", get(healthy));
    tokio::spawn(connections::serve(listener, app, Duration::from_millis(200), CancellationToken::new()));
    let whole = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let half = "GET / HTTP/1.1\r\nHost: localhost\r\nX-Half:";
    for begun in [String::new(), "GET / HT".to_string(), half.to_string(), whole.to_string() + half] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(begun.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = timeout(Duration::from_secs(20), socket.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "{begun:?} is kept open");
        assert_eq!(answer.starts_with(b"HTTP/1.1 200"), begun.starts_with(whole), "{begun:?}");
    }
}

#[tokio::test]
async fn a_new_client_is_served_before_those_that_wait() {
    let server = server(vec![in_step("a")]).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    assert_eq!(server.get("/metrics").await.0, 200);
    let mut answer = Vec::new();
    let first = timeout(Duration::from_secs(5), silent[0].read_to_end(&mut answer)).await;
    assert!(first.is_ok(), "the connection that waited longest made room");
}
