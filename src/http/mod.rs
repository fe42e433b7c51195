//! What an operator, a probe or Prometheus asks of a running daemon over HTTP. Read only.

mod answers;
mod connections;
mod hosts;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics;
use crate::settings::Settings;
use crate::status::{Board, DatabaseStatus};

/// What answers are made of.
struct Served {
    boards: Vec<Board>,
    settings: Arc<Settings>,
    metrics: metrics::Handle,
}

impl Served {
    fn statuses(&self) -> Vec<DatabaseStatus> {
        self.boards.iter().map(Board::status).collect()
    }
}

type Shared = State<Arc<Served>>;

/// Serves `/metrics`, `/healthz`, `/readyz`, `/syncz`, `/api/status` and the page at `/` until `stop`.
pub async fn serve(
    listener: TcpListener,
    boards: Vec<Board>,
    settings: Arc<Settings>,
    metrics: metrics::Handle,
    stop: CancellationToken,
) {
    let app = router(Served { boards, settings, metrics });
    connections::serve(listener, app, connections::HEAD, stop).await;
}

fn router(served: Served) -> Router {
    let served = Arc::new(served);
    // What shows tables and addresses answers to known names only.
    let shown = Router::new()
        .route("/", get(page))
        .route("/api/status", get(status))
        .route_layer(from_fn_with_state(served.clone(), hosts::check));
    Router::new()
        .merge(shown)
        .route("/metrics", get(measured))
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        .route("/syncz", get(in_sync))
        .fallback(nowhere)
        .layer(map_response(with_headers))
        .with_state(served)
}

/// Every answer is about this moment, and is what it says it is.
async fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn page() -> Response {
    let nonce = format!("{:032x}", rand::random::<u128>());
    let policy = format!(
        "default-src 'none'; connect-src 'self'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let page = include_str!("page.html").replace("{nonce}", &nonce);
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy.as_str()),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, page).into_response()
}

async fn measured(State(served): Shared) -> Response {
    let format = (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    ([format], served.metrics.render()).into_response()
}

async fn healthy() -> &'static str {
    "ok\n"
}

async fn ready(State(served): Shared) -> Response {
    ok_unless(&answers::not_ready(&served.statuses()))
}

async fn in_sync(State(served): Shared) -> Response {
    ok_unless(&answers::not_in_sync(&served.statuses(), served.settings.replay.in_sync_lag))
}

async fn status(State(served): Shared) -> Response {
    axum::Json(answers::Report::new(&served.settings, served.statuses())).into_response()
}

async fn nowhere(uri: Uri) -> Response {
    let there = "there are /, /metrics, /healthz, /readyz, /syncz, /api/status";
    (StatusCode::NOT_FOUND, format!("nothing is at {}; {there}\n", uri.path())).into_response()
}

/// 200, or 503 with the reasons, one a line.
fn ok_unless(reasons: &[String]) -> Response {
    if reasons.is_empty() {
        return "ok\n".into_response();
    }
    let lines: String = reasons.iter().map(|reason| answers::one_line(reason) + "\n").collect();
    (StatusCode::SERVICE_UNAVAILABLE, lines).into_response()
}
