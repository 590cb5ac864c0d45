//! Bodies of answers: all at once, or as they are made. Bodies of requests: read within a bound and a time.

use core::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};
use std::{future::poll_fn, time::Duration};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::{sync::mpsc, time::timeout};

use super::refusal::{Refusal, refusal};

/// How long the next piece of a request's body may take.
const PIECE_WITHIN: Duration = Duration::from_secs(30);

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Payload {
    /// Known when the answer begins.
    Whole(Option<Bytes>),
    /// Made while it is sent; whoever makes it waits for the reader.
    Flow(mpsc::Receiver<Bytes>),
}

impl Payload {
    pub(super) fn of(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Some(bytes.into()))
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Flow(pieces) => pieces.poll_recv(context).map(|piece| Some(Ok(Frame::data(piece?)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Flow(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Self::Flow(_) => SizeHint::new(),
        }
    }
}

/// The next piece of a request's body; nothing at its end.
///
/// # Errors
/// The caller is silent or gone.
pub(super) async fn piece(body: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
    loop {
        let frame = timeout(PIECE_WITHIN, poll_fn(|context| Pin::new(&mut *body).poll_frame(context))).await;
        match frame {
            Ok(None) => return Ok(None),
            Ok(Some(Ok(frame))) => {
                // Trailers say nothing here.
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
            Ok(Some(Err(problem))) => {
                return Err(refusal(400, "broken-body", "The body broke off", problem.to_string()));
            }
            Err(_) => {
                let detail = format!("nothing came for {} s", PIECE_WITHIN.as_secs());
                return Err(refusal(408, "silent-body", "The body did not come", detail));
            }
        }
    }
}

/// A whole body of at most `max` bytes.
///
/// # Errors
/// It is longer, or does not come.
pub(super) async fn whole(mut body: Incoming, max: usize) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    while let Some(piece) = piece(&mut body).await? {
        if bytes.len().saturating_add(piece.len()) > max {
            let detail =
                format!("more than {max} bytes; ask for fewer subjects at once, or use /v1/screen/stream");
            return Err(refusal(413, "body-too-long", "The body is too long", detail));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}
