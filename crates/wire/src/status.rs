//! What a server's status is set to.

use crate::{Malformed, v1::ServerStatus};

/// The status that a change asks for: online or offline. `None` turns it round.
///
/// # Errors
///
/// [`Malformed`] for anything else.
pub fn wanted(status: i32) -> Result<Option<ServerStatus>, Malformed> {
    match ServerStatus::try_from(status) {
        Ok(ServerStatus::Unspecified) => Ok(None),
        Ok(wanted @ (ServerStatus::Online | ServerStatus::Offline)) => Ok(Some(wanted)),
        _ => Err(Malformed("a server is set online or offline")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_set_online_or_offline() {
        let check = |status: i32, expected: Option<Option<ServerStatus>>| {
            assert_eq!(wanted(status).ok(), expected, "{status}");
        };
        check(0, Some(None));
        check(1, Some(Some(ServerStatus::Online)));
        check(2, Some(Some(ServerStatus::Offline)));
        for nonsense in [3, 4, 5, -1, i32::MAX] {
            check(nonsense, None);
        }
    }
}
