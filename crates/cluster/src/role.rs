//! The parts that programs play in a cluster.

use std::fmt;

/// One program of the cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// The registry.
    Registry,
    /// The replica with this server number, from 1.
    Replica(u32),
    /// A front end, from 1.
    FrontEnd(u32),
}

impl Role {
    /// The program that plays it.
    pub(crate) const fn program(self) -> &'static str {
        match self {
            Self::Registry => "backfence-registry",
            Self::Replica(_) => "backfence-replica",
            Self::FrontEnd(_) => "backfence-frontend",
        }
    }

    /// How the line begins that it prints when it is ready.
    pub(crate) const fn ready_line(self) -> &'static str {
        match self {
            Self::Registry => "REGISTRY READY",
            Self::Replica(_) => "SERVER READY",
            Self::FrontEnd(_) => "CLIENT CAN NOW CONNECT",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry => f.write_str("registry"),
            Self::Replica(number) => write!(f, "server{number}"),
            Self::FrontEnd(number) => write!(f, "frontend{number}"),
        }
    }
}
