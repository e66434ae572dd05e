//! What a front end and an operator ask of a replica. It comes seldom, each enters the core for itself.

use std::sync::Arc;

use backfence_wire::v1::{
    Declined, ServeReply,
    serve_reply::{Gossiping, Outcome, Retired, StatusChanged, UnknownServer},
    serve_request::{Body, Retire},
};
use tokio::time::Instant;

use super::reply::{at_once, invalid, overloaded, refused, reply, shown, wire_ids};
use crate::{
    copies,
    copy::{Copy, Told},
    inspect,
    members::NotRetired,
};

/// The reply to an operator; `None` for what only sessions ask. None of it is declined for
/// over-load.
pub(super) fn answer(copy: &Copy, body: &Body) -> Option<Told<ServeReply>> {
    Some(match body {
        Body::ChangeStatus(asked) => at_once(change_status(copy, asked.wanted)),
        Body::Hello(_) => shown(copy.hello(), Outcome::Hello),
        Body::Describe(_) => at_once(reply(Outcome::Description(copy.describe()))),
        Body::Log(asked) => {
            let log = |replica: &_| inspect::log(replica, asked.limit);
            shown(copy.look(log), Outcome::Log)
        }
        Body::GossipNow(_) => {
            let peers = wire_ids(&copy.pull_all());
            at_once(reply(Outcome::Gossiping(Gossiping { peers })))
        }
        Body::Digest(_)
        | Body::AtRisk(_)
        | Body::Update(_)
        | Body::CopiedUpdate(_)
        | Body::Query(_)
        | Body::Cancel(_)
        | Body::Retire(_)
        | Body::Proof(_) => return None,
    })
}

/// A look at all writes, or at the whole log.
#[derive(Clone, Copy)]
pub(super) enum Look {
    Digest,
    AtRisk { limit: u32 },
}

impl Look {
    /// `None` for what is no such look.
    pub(super) const fn read(body: &Body) -> Option<Self> {
        match body {
            Body::Digest(_) => Some(Self::Digest),
            Body::AtRisk(asked) => Some(Self::AtRisk { limit: asked.limit }),
            _ => None,
        }
    }

    /// What is seen, in its turn.
    pub(super) async fn shown(self, copy: Arc<Copy>) -> ServeReply {
        let asked = Arc::clone(&copy);
        let look = move || match self {
            Self::Digest => shown(asked.look(inspect::digest), Outcome::ValueDigest),
            Self::AtRisk { limit } => {
                let at_risk = |replica: &_| copies::at_risk(replica, limit);
                shown(asked.look(at_risk), Outcome::AtRisk)
            }
        };
        match copy.long.run(true, look).await {
            Some(Told { what, after }) => {
                copy.reach(after).await;
                what
            }
            None => overloaded(),
        }
    }
}

fn change_status(copy: &Copy, wanted: i32) -> ServeReply {
    let wanted = match backfence_wire::wanted(wanted) {
        Ok(wanted) => wanted,
        Err(malformed) => return invalid(&malformed),
    };
    let (from, to) = copy.change_status(wanted);
    tracing::info!(?from, ?to, "status changed");
    reply(Outcome::StatusChanged(StatusChanged {
        from: from.into(),
        to: to.into(),
    }))
}

/// A server that was retired, as soon as it may be told.
pub(super) struct Retiring {
    server: u32,
    already: Told<bool>,
}

/// An operator's decision, so it is not declined for over-load; nor by a replica that
/// may have to retire another before it can go on. `Err` is the reply where it is not done.
pub(super) fn retire(copy: &Copy, asked: &Retire) -> Result<Retiring, Box<ServeReply>> {
    let &Retire { server, force } = asked;
    if copy.is_full() {
        return Err(Box::new(reply(Outcome::Declined(
            Declined::DiskFull.into(),
        ))));
    }
    let why = match copy.retire(server, force) {
        Ok(already) => {
            tracing::info!(server, already = already.what, "retired a server for good");
            return Ok(Retiring { server, already });
        }
        Err(why) => why,
    };
    Err(Box::new(match why {
        NotRetired::Unknown { known } => reply(Outcome::UnknownServer(UnknownServer { known })),
        NotRetired::Retired => reply(Outcome::Declined(Declined::Leaving.into())),
        why => refused(why.reason(), &why),
    }))
}

impl Retiring {
    /// The reply once it would outlive this replica's disk, or at the deadline.
    pub(super) async fn noted(self, copy: Arc<Copy>, deadline: Instant) -> ServeReply {
        let Told { what, after } = self.already;
        let noted = copy.noted(self.server, after, deadline).await;
        reply(Outcome::Retired(Retired {
            already: what,
            servers: noted.servers.into_iter().collect(),
            missing: noted.missing.into_iter().collect(),
        }))
    }
}
