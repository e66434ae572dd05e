//! What replies have in common.

use backfence_wire::v1;

/// A reply that says what the session has now seen.
pub(super) trait Reply {
    /// Can be taken once.
    fn session(&mut self) -> Option<v1::Session>;
}

macro_rules! replies {
    ($($reply:ident)*) => {
        $(impl Reply for v1::$reply {
            fn session(&mut self) -> Option<v1::Session> {
                self.session.take()
            }
        })*
    };
}

replies! {
    FindResponse ViewResponse AverageResponse UpdateResponse SearchResponse
    ListRatingsResponse TopResponse ListTagsResponse
}
