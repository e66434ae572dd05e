//! A front end's stream: requests in, replies out, matched by number.
//!
//! All that has arrived is one batch, and what comes of it leaves together. So batches form
//! by themselves: the longer one takes, the more arrives for the next.

mod batch;
mod greeting;
mod operator;
mod query;
mod reply;
mod waiting;

pub(crate) use self::waiting::leave_it;

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use backfence_process::CancellationToken;
use backfence_wire::v1::{ServeReply, ServeRequest, serve_reply::Outcome, serve_request::Body};
use tokio_stream::{Stream, wrappers::WatchStream};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::{Status, Streaming};

use self::{
    greeting::{Greeting, Heard},
    waiting::Waiting,
};
use crate::{
    copy::{Copy, Identity, Told},
    unwritten::Position,
};

/// Most requests of a batch; the rest is in the next.
const BATCH: usize = 128;
/// Replies of one stream that wait for the disk; beyond, no more is read from it.
const UNWRITTEN: usize = 1024;

/// Serves one front end until it goes, or this replica does: the replies, made as they are
/// asked for. So a front end that does not read is not read from either. Queries that wait
/// then are dropped; what the disk is about to have is still told.
pub(crate) struct Serving {
    copy: Arc<Copy>,
    /// `None` once nothing more is read.
    requests: Option<Streaming<ServeRequest>>,
    shutdown: Pin<Box<WaitForCancellationFutureOwned>>,
    /// How far the disk is, at each step; `None` where nothing is kept.
    written: Option<WatchStream<Position>>,
    /// Whenever what this replica says in its Hello has changed; `None` where the front end
    /// has said none.
    identity: Option<WatchStream<Identity>>,
    greeting: Greeting,
    /// Why nothing more comes, to be told last.
    failed: Option<Status>,
    /// Replies that may leave.
    ready: VecDeque<ServeReply>,
    /// Replies that wait for the disk, in the order in which it reaches them.
    unwritten: VecDeque<Told<ServeReply>>,
    waiting: Waiting,
}

impl Serving {
    pub(crate) fn new(
        copy: Arc<Copy>,
        requests: Streaming<ServeRequest>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            written: copy.written(),
            greeting: Greeting::of(&copy),
            failed: None,
            copy,
            requests: Some(requests),
            identity: None,
            shutdown: Box::pin(shutdown.cancelled_owned()),
            ready: VecDeque::new(),
            unwritten: VecDeque::new(),
            waiting: Waiting::default(),
        }
    }

    /// Takes in how far the disk has come, and what has been waited for.
    fn poll_waiting(&mut self, context: &mut Context<'_>) {
        while let (Some(written), false) = (&mut self.written, self.unwritten.is_empty())
            && let Poll::Ready(Some(reached)) = Pin::new(written).poll_next(context)
        {
            let written = self.unwritten.iter();
            let count = written.take_while(|told| told.after <= reached).count();
            let told = self.unwritten.drain(..count);
            self.ready.extend(told.map(|told| told.what));
        }
        while let Some(mut reply) = self.waiting.poll(context) {
            reply.now_us = self.copy.tells().0;
            self.ready.push_back(reply);
        }
        while let Some(identity) = &mut self.identity
            && let Poll::Ready(Some(_)) = Pin::new(identity).poll_next(context)
        {
            let Told { what, after } = self.copy.hello();
            let what = ServeReply {
                outcome: Some(Outcome::Hello(what)),
                ..ServeReply::default()
            };
            if self.copy.has_reached(after) {
                self.ready.push_back(what);
            } else {
                self.unwritten.push_back(Told { what, after });
            }
        }
    }

    /// Takes all that has arrived and answers it. Whether there was anything.
    fn poll_batch(&mut self, context: &mut Context<'_>) -> bool {
        let Some(requests) = &mut self.requests else {
            return false;
        };
        let mut has_ended = self.shutdown.as_mut().poll(context).is_ready();
        let room = UNWRITTEN.saturating_sub(self.unwritten.len()).min(BATCH);
        let (mut batch, mut greeted) = (Vec::new(), None);
        if let Poll::Ready(late) = self.greeting.poll_late(context) {
            self.failed = Some(late);
            has_ended = true;
        }
        while !has_ended && batch.len() < room {
            match Pin::new(&mut *requests).poll_next(context) {
                Poll::Ready(Some(Ok(request))) => {
                    if let Some(Body::Hello(_)) = request.body {
                        self.identity = Some(WatchStream::from_changes(self.copy.identity()));
                    }
                    match self.greeting.hear(&self.copy, request) {
                        Ok(Heard::Serve(request)) => batch.push(request),
                        Ok(Heard::Answer(answer)) => greeted = Some(answer),
                        Ok(Heard::Nothing) => {}
                        Err(refused) => {
                            self.failed = Some(refused);
                            has_ended = true;
                        }
                    }
                }
                Poll::Ready(Some(Err(_)) | None) => has_ended = true,
                Poll::Pending => break,
            }
        }
        let is_news = has_ended || !batch.is_empty() || greeted.is_some();
        if !is_news {
            return false;
        }
        let now_us = self.copy.tells().0;
        let mut tell = |mut told: Told<ServeReply>| {
            told.what.now_us = now_us;
            if self.copy.has_reached(told.after) {
                self.ready.push_back(told.what);
            } else {
                self.unwritten.push_back(told);
            }
        };
        greeted.into_iter().for_each(&mut tell);
        batch::answer(&self.copy, batch, &mut self.waiting, tell);
        if has_ended {
            self.requests = None;
            self.waiting = Waiting::default();
        }
        is_news
    }
}

impl Stream for Serving {
    type Item = Result<ServeReply, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let serving = self.get_mut();
        loop {
            if let Some(reply) = serving.ready.pop_front() {
                return Poll::Ready(Some(Ok(reply)));
            }
            serving.poll_waiting(context);
            if serving.ready.is_empty() && !serving.poll_batch(context) {
                let is_over = serving.requests.is_none() && serving.unwritten.is_empty();
                return if is_over {
                    Poll::Ready(serving.failed.take().map(Err))
                } else {
                    Poll::Pending
                };
            }
        }
    }
}
