//! The connections of the HTTP side: few at a time, none for long, and none at replay's expense.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The most connections at a time.
const MOST: usize = 64;

/// How long a connection may be idle, and the head of a request may take to come.
pub(super) const HEAD: Duration = Duration::from_secs(20);

/// The most bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;

/// A pause after an error of accepting that concerns more than one connection (no descriptor is left).
const PAUSE: Duration = Duration::from_secs(1);

/// How long answers that are under way may take once the daemon stops.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Answers requests until `stop`. The head of each has to come within `head`.
pub(super) async fn serve(listener: TcpListener, app: Router, head: Duration, stop: CancellationToken) {
    let slots = Arc::new(Slots::new(MOST));
    let mut open = JoinSet::new();
    loop {
        let stream = tokio::select! {
            stream = accept(&listener) => stream,
            Some(_) = open.join_next(), if !open.is_empty() => continue,
            () = stop.cancelled() => break,
        };
        let slot = tokio::select! {
            slot = slots.take() => slot,
            () = stop.cancelled() => break,
        };
        open.spawn(converse(stream, slot, app.clone(), head, stop.clone()));
    }
    // Dropped, the connections that are left are closed.
    let _ = timeout(LAST_ANSWERS, async { while open.join_next().await.is_some() {} }).await;
}

/// The next connection.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::debug!(%error, "no connection could be accepted");
                if !is_of_one_connection(&error) {
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves one connection until it ends, is idle for too long, or makes room for another.
async fn converse(stream: TcpStream, slot: Slot, app: Router, head: Duration, stop: CancellationToken) {
    let evicted = slot.evicted.clone();
    let slot = Arc::new(slot);
    let app = TowerToHyperService::new(app);
    let answering = service_fn(move |request: Request<Incoming>| {
        let (answer, slot) = (app.call(request), slot.clone());
        slot.is_idle(false);
        async move {
            let answer = answer.await;
            slot.is_idle(true);
            answer
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(HEAD_BYTES);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), answering));
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection to the HTTP side ended");
                }
                return;
            }
            () = evicted.cancelled() => return,
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// The places for connections.
struct Slots {
    permits: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    /// Those that wait for a request, in the order in which they began to.
    idle: BTreeMap<u64, CancellationToken>,
}

impl Slots {
    fn new(most: usize) -> Self {
        Slots { permits: Arc::new(Semaphore::new(most)), state: Mutex::default() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place. Where none is free, the connection that has waited longest for its request makes room: a client
    /// that means to ask does so at once.
    async fn take(self: &Arc<Self>) -> Slot {
        let permit = loop {
            if let Ok(permit) = self.permits.clone().try_acquire_owned() {
                break permit;
            }
            let oldest = self.state().idle.pop_first();
            if let Some((_, evicted)) = oldest {
                evicted.cancel();
            }
            // The semaphore is never closed; if it were, the next turn would find that out again.
            if let Ok(permit) = self.permits.clone().acquire_owned().await {
                break permit;
            }
        };
        let slot = Slot {
            slots: self.clone(),
            evicted: CancellationToken::new(),
            waits_as: Mutex::new(None),
            _permit: permit,
        };
        slot.is_idle(true);
        slot
    }
}

/// The place of one connection, free again when it is dropped.
struct Slot {
    slots: Arc<Slots>,
    /// Whether it is to make room.
    evicted: CancellationToken,
    waits_as: Mutex<Option<u64>>,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    fn is_idle(&self, idle: bool) {
        let mut waits_as = self.waits_as.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.slots.state();
        if let Some(number) = waits_as.take() {
            state.idle.remove(&number);
        }
        if idle {
            let number = state.next;
            state.next += 1;
            state.idle.insert(number, self.evicted.clone());
            *waits_as = Some(number);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.is_idle(false);
    }
}
