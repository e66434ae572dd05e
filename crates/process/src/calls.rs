//! The limits of each call: what has to arrive, and to be read, in time.

use std::{
    future::{Future, ready},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Sleep;
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use crate::callers::{Arriving, Call, Client};

/// How long a request may take to arrive; of one that is a stream, its first part.
const ARRIVE: Duration = Duration::from_secs(5);
/// The methods of which the request, or the response, is a stream.
const STREAMS: [&str; 4] = ["/Serve", "/Gossip", "/Watch", "/ServerReflectionInfo"];

/// Lays the limits on each call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits;

impl<S> Layer<S> for Limits {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited(inner)
    }
}

/// A service whose calls are limited.
#[derive(Clone, Debug)]
pub(crate) struct Limited<S>(S);

type Answering<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

impl<S> Service<Request<Body>> for Limited<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answering<S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(caller) = request.extensions().get::<Client>().cloned() else {
            return Box::pin(self.0.call(request));
        };
        let Some(mut call) = caller.call() else {
            return Box::pin(ready(Ok(too_many("in work").into_http())));
        };
        let path = request.uri().path();
        let is_stream = STREAMS.iter().any(|method| path.ends_with(method));
        let request = request.map(|body| {
            Body::new(Sent {
                body,
                caller,
                is_open: false,
                is_stream,
                arriving: None,
            })
        });
        let answered = self.0.call(request);
        Box::pin(async move {
            let response = answered.await?;
            if !is_stream {
                call.answered();
            }
            Ok(response.map(|body| Body::new(Answer { body, _call: call })))
        })
    }
}

fn too_many(what: &str) -> Status {
    Status::unavailable(format!(
        "too many calls of this connection are {what}; try again when some have ended"
    ))
}

/// What a client sends. It takes a place while the rest of it is waited for.
struct Sent {
    body: Body,
    caller: Client,
    /// No more is waited for in time: the first part of a stream has come.
    is_open: bool,
    is_stream: bool,
    arriving: Option<(Pin<Box<Sleep>>, Arriving)>,
}

impl Sent {
    /// Waits a while for the rest.
    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        let (deadline, _) = match &mut self.arriving {
            Some(arriving) => arriving,
            none => match self.caller.arriving() {
                Some(place) => none.insert((Box::pin(tokio::time::sleep(ARRIVE)), place)),
                None => return Poll::Ready(too_many("half sent")),
            },
        };
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Status::deadline_exceeded(format!(
            "the request has not arrived within {ARRIVE:?}; send it whole"
        )))
    }
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let sent = &mut *self;
        match Pin::new(&mut sent.body).poll_frame(context) {
            Poll::Pending if sent.is_open => Poll::Pending,
            Poll::Pending => sent.poll_rest(context).map(|late| Some(Err(late))),
            Poll::Ready(frame) => {
                if sent.is_stream {
                    sent.is_open = true;
                    sent.arriving = None;
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What a client is sent; with it the call ends.
struct Answer {
    body: Body,
    _call: Call,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
