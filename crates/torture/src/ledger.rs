//! What must be there at rest.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, ensure};
use backfence_client::{Client, Error, MovieId, Prepared, Session, UserId, UserRating};
use tokio::time::Instant;

use crate::{cells::Cell, journal::Journals};

/// How long an answer may take when there are no faults.
const ANSWER: Duration = Duration::from_secs(30);

/// Each acknowledged update is visible, or superseded by a later one; and the averages are
/// those of the ratings. All servers hold the same, so it does not matter which is asked.
///
/// # Errors
///
/// What is missing.
pub(crate) async fn check(client: &Client, journals: &Journals) -> anyhow::Result<()> {
    let mut session = client.session();
    for (cell, sent) in journals.cells() {
        let (user, movie) = (cell.user(), cell.movie());
        let seen = answered(&mut session, async |session| {
            session.view(user, movie).await
        })
        .await?;
        check_cell(cell, seen, &sent)?;
    }
    check_averages(&mut session).await
}

fn check_cell(
    cell: Cell,
    seen: Option<UserRating>,
    sent: &[(Prepared, bool)],
) -> anyhow::Result<()> {
    // Of two with the same time either may win: the ids that decide are told to nobody.
    let acknowledged = sent.iter().filter(|(_, acknowledged)| *acknowledged);
    let last = acknowledged.map(|(update, _)| update.time).max();
    let is_seen = |update: &Prepared| match seen {
        Some(seen) => seen.update == Some(update.id) && update.rating == Some(seen.rating),
        None => update.rating.is_none(),
    };
    let seen_ones = sent.iter().filter(|(update, _)| is_seen(update));
    let shown = seen_ones.map(|(update, _)| update.time).max();
    ensure!(
        shown >= last && (shown.is_some() || seen.is_none()),
        "{cell:?} shows {seen:?}, dated {shown:?}, and the last that was acknowledged is {last:?}"
    );
    Ok(())
}

/// Totals are kept beside the ratings; an update that took effect twice would show there.
async fn check_averages(session: &mut Session) -> anyhow::Result<()> {
    let mut totals = BTreeMap::<MovieId, (u64, u64)>::new();
    let mut after: Option<(UserId, MovieId)> = None;
    loop {
        let page = answered(session, async |session| session.ratings(None, after).await).await?;
        for rated in &page.items {
            let (sum, count) = totals.entry(rated.movie).or_default();
            *sum += u64::from(rated.rating.ten_thousandths());
            *count += 1;
        }
        after = page.items.last().map(|rated| (rated.user, rated.movie));
        if !page.more || after.is_none() {
            break;
        }
    }
    for (movie, (sum, count)) in totals {
        let average = answered(session, async |session| session.average(movie).await).await?;
        let average = average.with_context(|| format!("movie {movie} has no average"))?;
        let expected = sum as f64 / (10_000 * count) as f64;
        ensure!(
            average.ratings == count && (average.average - expected).abs() < 1e-9,
            "movie {movie} has an average of {average:?}; its {count} ratings have {expected}"
        );
    }
    Ok(())
}

/// Asks until there is an answer.
async fn answered<T>(
    session: &mut Session,
    mut ask: impl AsyncFnMut(&mut Session) -> Result<T, Error>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + ANSWER;
    loop {
        match ask(session).await {
            Ok(answer) => return Ok(answer),
            Err(error) if Instant::now() > deadline => {
                return Err(error).context("at rest there is no answer");
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use backfence_client::{SessionId, Time, UpdateId};
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;
    use crate::cells::rating;

    #[test]
    fn a_lost_update_is_noticed() {
        let cell = Cell::draw(&mut StdRng::seed_from_u64(1), 0);
        let update = |sequence, given: bool| Prepared {
            id: UpdateId::new(SessionId(7), sequence),
            time: Time(sequence),
            user: cell.user(),
            movie: cell.movie(),
            rating: given.then(|| rating(sequence)),
        };
        let shown = |sequence| {
            Some(UserRating {
                rating: rating(sequence),
                update: Some(UpdateId::new(SessionId(7), sequence)),
            })
        };
        let sent = [
            (update(1, true), true),
            (update(2, true), true),
            (update(3, true), false),
        ];
        let check = |seen| check_cell(cell, seen, &sent).is_ok();
        assert!(check(shown(2)) && check(shown(3)));
        assert!(!check(shown(1)) && !check(shown(4)) && !check(None));
        let taken_back = [(update(1, true), true), (update(2, false), false)];
        let check = |seen| check_cell(cell, seen, &taken_back).is_ok();
        assert!(check(shown(1)) && check(None) && !check(shown(2)));
        assert!(check_cell(cell, None, &[(update(1, true), false)]).is_ok());
    }
}
