//! What foreign bytes may do: nothing but be refused, or mean what they say.
//!
//! Each function takes bytes of any kind, gives them to one decoder or parser of ours, and
//! checks what comes out: it must not panic, and what is accepted must survive being
//! written and read again. The fuzz targets in `fuzz/` call them under a nightly compiler;
//! `tests/corpus.rs` replays the corpus, and drawn changes of it, under the stable one.
//!
//! Not here: the file format of the database under a replica, which redb reads; damaged
//! files are in `store/tests/damage.rs`.

mod messages;
mod texts;

pub use messages::{client_request, peer_message, session_token, stored_state};
pub use texts::{address, history, movies_and_ratings, rating};

/// A target's name, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All of them, by the names of their folders in `fuzz/corpus`.
pub const TARGETS: [Target; 8] = [
    ("address", address),
    ("client_request", client_request),
    ("history", history),
    ("movies_and_ratings", movies_and_ratings),
    ("peer_message", peer_message),
    ("rating", rating),
    ("session_token", session_token),
    ("stored_state", stored_state),
];
