//! HTTP for programs beside the daemon: bounded connections, bounded waiting, answers at once.
//!
//! Decides nothing about what is answered.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, http::HeaderValue};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, runtime::Builder, sync::Semaphore};

/// Most connections at one time; one more waits until another ends.
const CONNECTIONS_MAX: usize = 1_024;
/// How long a connection may take to send a request's head, its idle time before included. Longer than gateways keep
/// idle connections (nginx: 60 s), so that they end them and not we.
const HEAD_WITHIN: Duration = Duration::from_secs(120);
/// How long accepting rests after the system refused a connection.
const REST: Duration = Duration::from_millis(50);

/// An address that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// It cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// No threads.
    #[error("cannot start the threads that serve HTTP")]
    Threads(#[source] io::Error),
}

/// A socket that listens, before anything is served on it.
#[derive(Debug)]
pub struct Bound {
    listener: std::net::TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Listens; connections wait until they are served.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub fn bind(address: SocketAddr) -> Result<Self, HttpError> {
        let bind = || {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok(Self { address: listener.local_addr()?, listener })
        };
        bind().map_err(|source| HttpError::Bind { address, source })
    }

    /// Where it listens; the port is the system's choice if 0 was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The socket, for who serves it by itself.
    #[must_use]
    pub fn into_listener(self) -> std::net::TcpListener {
        self.listener
    }

    /// Serves with so many threads, for ever.
    ///
    /// # Errors
    /// The threads cannot be started.
    pub fn serve(self, router: Router, threads: usize) -> Result<Infallible, HttpError> {
        let runtime = Builder::new_multi_thread().worker_threads(threads.max(1)).enable_all().build();
        let runtime = runtime.map_err(HttpError::Threads)?;
        runtime.block_on(async {
            let listener = TcpListener::from_std(self.listener).map_err(HttpError::Threads)?;
            // On a worker rather than here, where every connection would be handed from thread to thread.
            let served = tokio::spawn(serve(listener, router)).await;
            served.map_err(|ended| HttpError::Threads(io::Error::other(ended)))
        })
    }
}

async fn serve(listener: TcpListener, router: Router) -> Infallible {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
    loop {
        let place = Arc::clone(&room).acquire_owned().await;
        let accepted =
            listener.accept().await.and_then(|(stream, _)| stream.set_nodelay(true).map(|()| stream));
        let stream = match accepted {
            Ok(stream) => stream,
            Err(problem) => {
                tracing::warn!(%problem, "http-connection-refused");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = http.serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            // How a client's connection ends is the client's affair.
            drop(connection.await);
            drop(place);
        });
    }
}

/// The media type of [`metric`]'s text.
pub const METRICS_TYPE: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4");

/// One metric in Prometheus' text format 0.0.4: its kind, and a value for each set of labels, which may be empty.
pub fn metric(
    name: &str,
    kind: &str,
    values: impl IntoIterator<Item = (Option<(&'static str, String)>, u64)>,
) -> String {
    let line = |(label, value): (Option<(&str, String)>, u64)| {
        let label = label.map(|(label, of)| format!("{{{label}=\"{of}\"}}")).unwrap_or_default();
        format!("{name}{label} {value}\n")
    };
    let lines: String = values.into_iter().map(line).collect();
    format!("# TYPE {name} {kind}\n{lines}")
}
