//! Why requests fail, as errors name it.

use std::fmt;

use tonic::Code;

/// Makes the enum and all that is said of each reason from one table.
macro_rules! reasons {
    ($($(#[$meaning:meta])* $reason:ident, $text:literal, $code:ident;)*) => {
        /// Why a request failed: the reason of a `google.rpc.ErrorInfo` with domain
        /// `backfence`, and of a [`Refused`](crate::v1::Refused). A later version may give
        /// others, so both stay texts on the wire.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Reason {
            $($(#[$meaning])* $reason,)*
        }

        impl Reason {
            /// Each of them, in the order of `frontend.proto`.
            pub const ALL: &[Self] = &[$(Self::$reason),*];

            /// Its name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$reason => $text,)*
                }
            }

            /// The status of a call that fails for it.
            pub const fn code(self) -> Code {
                match self {
                    $(Self::$reason => Code::$code,)*
                }
            }

            /// Reads a name from the wire; `None` for one that this version does not know.
            pub fn read(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$reason),)*
                    _ => None,
                }
            }
        }
    };
}

reasons! {
    /// No replica is there and will serve.
    AllBusy, "ALL_BUSY", Unavailable;
    /// No replica that answered has what the session has seen.
    Behind, "BEHIND", DeadlineExceeded;
    /// The update may or may not take effect.
    OutcomeUnknown, "OUTCOME_UNKNOWN", DeadlineExceeded;
    /// No movie has that id.
    UnknownMovie, "UNKNOWN_MOVIE", NotFound;
    /// No server has that number.
    UnknownServer, "UNKNOWN_SERVER", NotFound;
    /// The request makes no sense.
    Invalid, "INVALID", InvalidArgument;
    /// The session token is none of ours, or was altered.
    BadToken, "BAD_TOKEN", InvalidArgument;
    /// The session token was sealed with another cluster key.
    OtherClusterKey, "OTHER_CLUSTER_KEY", FailedPrecondition;
    /// The session token claims to have seen what never was.
    ForgedTimestamp, "FORGED_TIMESTAMP", FailedPrecondition;
    /// The update is dated too far ahead.
    ClockAhead, "CLOCK_AHEAD", FailedPrecondition;
    /// The update is dated too long ago.
    TooLate, "TOO_LATE", FailedPrecondition;
    /// Another update has the same id.
    UpdateIdReused, "UPDATE_ID_REUSED", AlreadyExists;
    /// The numbers of the session's updates would leave too many gaps.
    TooManyGaps, "TOO_MANY_GAPS", FailedPrecondition;
    /// Too many updates wait for others.
    LogFull, "LOG_FULL", ResourceExhausted;
    /// The server that was asked for does not answer.
    ServerAway, "SERVER_AWAY", Unavailable;
    /// No other server is there to retire the one that was asked for.
    RetiresItself, "RETIRES_ITSELF", FailedPrecondition;
    /// The server has loaded other movies than those that the ids are of.
    OtherData, "OTHER_DATA", FailedPrecondition;
    /// A server of the cluster is too old for such an update.
    NeedsUpgrade, "NEEDS_UPGRADE", FailedPrecondition;
    /// The server to be retired is running.
    StillRunning, "STILL_RUNNING", FailedPrecondition;
    /// The server to be retired is away.
    NeedsForce, "NEEDS_FORCE", FailedPrecondition;
    /// The call is for operators, and has no token of one.
    NoOperatorToken, "NO_OPERATOR_TOKEN", Unauthenticated;
    /// The operator token was not made with the cluster's key.
    BadOperatorToken, "BAD_OPERATOR_TOKEN", Unauthenticated;
    /// The operator token is of another time than now.
    ExpiredOperatorToken, "EXPIRED_OPERATOR_TOKEN", Unauthenticated;
    /// A replica gave an answer that fits no such request.
    WrongAnswer, "WRONG_ANSWER", Internal;
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
