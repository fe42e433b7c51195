//! Which names the page and the state answer to.
//!
//! A page of another site can have its own name lead to this machine (DNS rebinding); the browser then lets
//! its scripts read what we answer, on networks that the site itself can't reach. The `Host` header still has that
//! site's name. Probes and metrics answer any name: load balancers and Prometheus ask by whatever address they
//! know. Their answers hold no rows and no passwords; `/readyz` and `/syncz` name a server that can't be reached.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Served;

/// Refuses a request under a name that is not in `http.allowed_hosts`.
pub(super) async fn check(State(served): State<Arc<Served>>, request: Request, next: Next) -> Response {
    let host = host(request.uri(), request.headers());
    let http = &served.settings.http;
    let is_allowed = |host: &str| http.allows(host);
    if host.as_deref().is_some_and(is_allowed) {
        return next.run(request).await;
    }
    let said = match host {
        Some(host) => format!("{host:?} is not among `http.allowed_hosts`"),
        None => "the request names no host".to_string(),
    };
    let how = "set http.allowed_hosts to the names under which this page is opened, and restart highwater";
    (StatusCode::MISDIRECTED_REQUEST, format!("{said}\nfix: {how}\n")).into_response()
}

/// The host that a request names, without its port.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let named = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => headers.get(header::HOST)?.to_str().ok()?,
    };
    let without_port = match named.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !host.is_empty() => host,
        _ => named,
    };
    Some(without_port.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_no_part_of_the_host() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, text.parse().unwrap());
            host(&Uri::from_static("/"), &headers).unwrap()
        };
        assert_eq!(of("localhost:9187"), "localhost");
        assert_eq!(of("localhost"), "localhost");
        assert_eq!(of("[::1]:9187"), "[::1]");
        assert_eq!(of("[::1]"), "[::1]");
        assert_eq!(host(&Uri::from_static("/"), &HeaderMap::new()), None);
        let absolute = Uri::from_static("http://evil.example/");
        assert_eq!(host(&absolute, &HeaderMap::new()).as_deref(), Some("evil.example"));
    }
}
