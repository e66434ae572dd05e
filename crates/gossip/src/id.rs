//! Names: replicas, sessions, updates.

use core::fmt;

/// One life of one server.
///
/// The protocol assumes that an id is never used again once a process that used
/// it may have forgotten what it issued. Hence the incarnation: a server that
/// starts with less than it knew takes a new one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId {
    /// The server's number, from 1.
    pub server: u32,
    /// When this life began, in milliseconds since 1970, made greater than any
    /// incarnation known for the server.
    pub incarnation: u64,
}

impl ReplicaId {
    /// The replica of server `server` in its life `incarnation`.
    pub const fn new(server: u32, incarnation: u64) -> Self {
        Self {
            server,
            incarnation,
        }
    }

    /// The end of a server: an incarnation that no process ever has. Where it is a
    /// member, all lives of the server are retired, and there will be no other.
    pub const fn end(server: u32) -> Self {
        Self::new(server, u64::MAX)
    }

    /// Whether this is the mark that its server has ended.
    pub const fn is_end(self) -> bool {
        self.incarnation == u64::MAX
    }

    /// Whether this is `last`, or a life of its server before that.
    pub(crate) const fn is_up_to(self, last: Self) -> bool {
        self.server == last.server && self.incarnation <= last.incarnation
    }

    /// Whether this is a later life of the same server as `life`, or its end.
    pub(crate) const fn is_after(self, life: Self) -> bool {
        self.server == life.server && self.incarnation > life.incarnation
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_end() {
            return write!(f, "{}@end", self.server);
        }
        write!(f, "{}@{}", self.server, self.incarnation)
    }
}

impl fmt::Debug for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names a session: 128 random bits, drawn by the client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SessionId(pub u128);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// Names an update: the paper's cid, the same on every retry, everywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpdateId {
    /// The session that made the update.
    pub session: SessionId,
    /// 1, 2, 3, ... within the session.
    pub sequence: u64,
}

impl UpdateId {
    /// Update number `sequence` of `session`.
    pub const fn new(session: SessionId, sequence: u64) -> Self {
        Self { session, sequence }
    }
}

impl fmt::Display for UpdateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.session, self.sequence)
    }
}

impl fmt::Debug for UpdateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}:{}", self.session, self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString as _};

    use super::*;

    #[test]
    fn names_are_told_as_they_are_written() {
        let session = SessionId(0xabc);
        let update = UpdateId::new(session, 7);
        for (shown, debugged, expected) in [
            (
                ReplicaId::new(2, 5).to_string(),
                format!("{:?}", ReplicaId::new(2, 5)),
                ["2@5", "2@5"],
            ),
            (
                ReplicaId::end(2).to_string(),
                format!("{:?}", ReplicaId::end(2)),
                ["2@end", "2@end"],
            ),
            (
                session.to_string(),
                format!("{session:?}"),
                ["00000000000000000000000000000abc", "abc"],
            ),
            (
                update.to_string(),
                format!("{update:?}"),
                ["00000000000000000000000000000abc:7", "abc:7"],
            ),
        ] {
            assert_eq!([&*shown, &*debugged], expected);
        }
    }
}
