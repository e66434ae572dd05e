//! Whether a front end's stream may ask for anything yet.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use backfence_process::{Answer, Owed, Rpc, Unproved};
use backfence_wire::v1::{ServeReply, ServeRequest, serve_reply::Outcome, serve_request::Body};
use tokio::time::{Sleep, sleep};
use tonic::Status;

use crate::{
    copy::{Copy, Told},
    gossip::MESSAGE,
};

/// Who a front end is called: it has no number.
const FRONT_END: &str = "the front end that calls";

/// With a cluster key a front end proves first that it has it too.
#[derive(Debug)]
pub(super) enum Greeting {
    /// Its Hello is awaited.
    Hello(Pin<Box<Sleep>>),
    /// It has been answered, and the proof is awaited.
    Proof(Pin<Box<Sleep>>, Owed),
    /// It may ask.
    Over,
}

/// What becomes of a request.
pub(super) enum Heard {
    /// It may be served.
    Serve(ServeRequest),
    /// It was part of the greeting; this is the answer.
    Answer(Told<ServeReply>),
    /// It was part of the greeting.
    Nothing,
}

impl Greeting {
    pub(super) fn of(copy: &Copy) -> Self {
        match copy.key.is_there() {
            true => Self::Hello(Box::pin(sleep(MESSAGE))),
            false => Self::Over,
        }
    }

    /// Ready when it has taken too long.
    pub(super) fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        match self {
            Self::Over => Poll::Pending,
            Self::Hello(late) | Self::Proof(late, _) => late
                .as_mut()
                .poll(context)
                .map(|()| Status::deadline_exceeded("no Hello and proof came in time")),
        }
    }

    /// Takes in a request.
    ///
    /// # Errors
    ///
    /// Where the front end does not prove itself: nothing more is to be served.
    pub(super) fn hear(&mut self, copy: &Copy, request: ServeRequest) -> Result<Heard, Status> {
        let is_hello = matches!(request.body, Some(Body::Hello(_)));
        if matches!(self, Self::Hello(_)) && !is_hello && copy.key.accepts_keyless() {
            // A program before 0.2 says no Hello.
            *self = Self::Over;
        }
        let refused = |why| copy.unproved(why, FRONT_END);
        match (&*self, request.body) {
            (Self::Over, Some(Body::Hello(hello))) => {
                copy.notice_key(&hello.nonce, FRONT_END);
                let body = Some(Body::Hello(hello));
                Ok(Heard::Serve(ServeRequest { body, ..request }))
            }
            (Self::Over, body) => Ok(Heard::Serve(ServeRequest { body, ..request })),
            (Self::Hello(_), Some(Body::Hello(hello))) => {
                let own = copy.called(Rpc::Serve);
                let answer = copy.key.answer(&own, None, &hello.nonce, copy.nonce());
                let Some(Answer { nonce, proof, owed }) = answer.map_err(refused)? else {
                    *self = Self::Over;
                    let body = Some(Body::Hello(hello));
                    return Ok(Heard::Serve(ServeRequest { body, ..request }));
                };
                *self = Self::Proof(Box::pin(sleep(MESSAGE)), owed);
                let Told { mut what, after } = copy.hello();
                (what.nonce, what.proof) = (nonce.to_vec(), Some(proof));
                let what = ServeReply {
                    number: request.number,
                    outcome: Some(Outcome::Hello(what)),
                    ..ServeReply::default()
                };
                Ok(Heard::Answer(Told { what, after }))
            }
            (Self::Proof(_, owed), Some(Body::Proof(proof))) => {
                owed.hear(Some(&proof)).map_err(refused)?;
                *self = Self::Over;
                Ok(Heard::Nothing)
            }
            (Self::Hello(_) | Self::Proof(..), _) => Err(refused(Unproved::Silent)),
        }
    }
}
