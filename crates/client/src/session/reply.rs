//! What replies have in common.

use backfence_wire::v1;

/// A reply that says what the session has now seen.
pub(super) trait Reply {
    /// Can be taken once.
    fn session(&mut self) -> Option<v1::Session>;

    /// Of the data that its movies' ids are of; `None` where it tells none. Can be taken
    /// once.
    fn fingerprint(&mut self) -> Option<String> {
        None
    }
}

macro_rules! replies {
    ($($reply:ident)* ; of movies $($with_ids:ident)*) => {
        $(impl Reply for v1::$reply {
            fn session(&mut self) -> Option<v1::Session> {
                self.session.take()
            }
        })*
        $(impl Reply for v1::$with_ids {
            fn session(&mut self) -> Option<v1::Session> {
                self.session.take()
            }

            fn fingerprint(&mut self) -> Option<String> {
                Some(std::mem::take(&mut self.fingerprint))
            }
        })*
    };
}

replies! {
    ViewResponse AverageResponse UpdateResponse ListTagsResponse;
    of movies FindResponse SearchResponse ListRatingsResponse TopResponse
}
