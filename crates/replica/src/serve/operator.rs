//! What a front end and an operator ask of a replica. It comes seldom, each enters the core for itself.

use backfence_wire::v1::{
    Declined, ServeReply,
    serve_reply::{Gossiping, Outcome, Retired, StatusChanged, UnknownServer},
    serve_request::Body,
};

use super::reply::{at_once, invalid, refused, reply, shown, wire_ids};
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
        Body::Retire(asked) => retire(copy, asked.server, asked.force),
        Body::Describe(_) => at_once(reply(Outcome::Description(copy.describe()))),
        Body::Digest(_) => shown(copy.look(inspect::digest), Outcome::ValueDigest),
        Body::Log(asked) => {
            let log = |replica: &_| inspect::log(replica, asked.limit);
            shown(copy.look(log), Outcome::Log)
        }
        Body::AtRisk(asked) => {
            let at_risk = |replica: &_| copies::at_risk(replica, asked.limit);
            shown(copy.look(at_risk), Outcome::AtRisk)
        }
        Body::GossipNow(_) => {
            let peers = wire_ids(&copy.pull_all());
            at_once(reply(Outcome::Gossiping(Gossiping { peers })))
        }
        Body::Update(_)
        | Body::CopiedUpdate(_)
        | Body::Query(_)
        | Body::Cancel(_)
        | Body::Proof(_) => return None,
    })
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

/// An operator's decision, so it is not declined for over-load; nor by a replica that
/// may have to retire another before it can go on.
fn retire(copy: &Copy, server: u32, force: bool) -> Told<ServeReply> {
    if copy.is_full() {
        return at_once(reply(Outcome::Declined(Declined::DiskFull.into())));
    }
    match copy.retire(server, force) {
        Ok(Told { what, after }) => {
            tracing::info!(server, already = what, "retired a server for good");
            let what = reply(Outcome::Retired(Retired { already: what }));
            Told { what, after }
        }
        Err(NotRetired::Unknown { known }) => {
            at_once(reply(Outcome::UnknownServer(UnknownServer { known })))
        }
        Err(why) => at_once(refused(why.reason(), &why)),
    }
}
