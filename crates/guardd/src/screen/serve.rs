//! HTTP/1.1 without a framework between the socket and the answer: one runtime on one thread for each core, connections
//! dealt out in turn, so that no request is handed from thread to thread.

use std::{convert::Infallible, io, sync::Arc, thread, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};

use super::{desk::Desk, route};
use crate::http::{Bound, HttpError};

/// Most connections at one time; one more waits until another ends.
const CONNECTIONS_MAX: usize = 4_096;
/// How long a connection may take to send a request's head, its idle time before included.
const HEAD_WITHIN: Duration = Duration::from_secs(120);
/// How long accepting rests after the system refused a connection.
const REST: Duration = Duration::from_millis(50);

/// A connection, and its place among those that there may be.
type Dealt = (std::net::TcpStream, OwnedSemaphorePermit);

fn runtime() -> Result<Runtime, HttpError> {
    Builder::new_current_thread().enable_all().build().map_err(HttpError::Threads)
}

/// Serves with so many threads beside the one that accepts, for ever.
///
/// # Errors
/// A thread cannot be started.
pub(super) fn serve(bound: Bound, desk: &Arc<Desk>, threads: usize) -> Result<Infallible, HttpError> {
    let mut hands = Vec::with_capacity(threads);
    for number in 1..=threads {
        let (hand, dealt) = mpsc::unbounded_channel();
        let (runtime, desk) = (runtime()?, Arc::clone(desk));
        let run = move || runtime.block_on(answer(dealt, desk));
        thread::Builder::new().name(format!("screen-{number}")).spawn(run).map_err(HttpError::Threads)?;
        hands.push(hand);
    }
    runtime()?.block_on(deal(bound, &hands))
}

/// Accepts, and deals connections out in turn.
async fn deal(bound: Bound, hands: &[mpsc::UnboundedSender<Dealt>]) -> Result<Infallible, HttpError> {
    let listener = TcpListener::from_std(bound.into_listener()).map_err(HttpError::Threads)?;
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut turn = hands.iter().cycle();
    loop {
        let closed = |_| HttpError::Threads(io::Error::other("no room for connections"));
        let place = Arc::clone(&room).acquire_owned().await.map_err(closed)?;
        match listener.accept().await.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream) => {
                let gone = || HttpError::Threads(io::Error::other("a thread that answers has ended"));
                turn.next().and_then(|hand| hand.send((stream, place)).ok()).ok_or_else(gone)?;
            }
            Err(problem) => {
                tracing::warn!(%problem, "http-connection-refused");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// Answers on the connections that are dealt to this thread.
async fn answer(mut dealt: mpsc::UnboundedReceiver<Dealt>, desk: Arc<Desk>) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
    // Who has sent all lines of a stream and says so still reads the answers.
    http.half_close(true);
    while let Some((stream, place)) = dealt.recv().await {
        let stream = stream.set_nodelay(true).and_then(|()| TcpStream::from_std(stream));
        let stream = match stream {
            Ok(stream) => stream,
            Err(problem) => {
                tracing::warn!(%problem, "http-connection-refused");
                continue;
            }
        };
        let desk = Arc::clone(&desk);
        let service = service_fn(move |request| route::answer(Arc::clone(&desk), request));
        let connection = http.serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            // How a client's connection ends is the client's affair.
            drop(connection.await);
            drop(place);
        });
    }
}
