//! What is asked, and the requests that it takes.

use backfence_client::{Error, Movie, Rating, Resolution, Session, UserId};

use crate::answer::{Answer, Titled};

/// What is asked of one movie.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum About {
    Find,
    View(UserId),
    Average,
    Rate(UserId, Rating),
    Delete(UserId),
}

/// A command with all that it needs.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Request {
    Movie(String, About),
    Change(u32),
    Status,
}

impl Request {
    pub(crate) async fn send(self, session: &mut Session) -> Result<Answer, Error> {
        match self {
            Self::Movie(title, about) => match resolve(session, &title).await? {
                Ok(titled) => ask(session, titled, about).await,
                Err(answer) => Ok(answer),
            },
            Self::Change(server) => {
                let change = session.change_status(server).await?;
                Ok(Answer::Changed(server, change))
            }
            Self::Status => Ok(Answer::Status(session.status().await?)),
        }
    }
}

/// The movie that a title stands for, or the answer that it stands for none, or
/// for several.
pub(crate) async fn resolve(
    session: &mut Session,
    title: &str,
) -> Result<Result<Titled, Answer>, Error> {
    let asked = title.trim().to_owned();
    Ok(match session.find(&asked).await? {
        Resolution::Found(movie) => {
            let label = label(session, &asked, &movie).await?;
            Ok(Titled { movie, label })
        }
        Resolution::Ambiguous(choices) => Err(Answer::Ambiguous(asked, choices)),
        Resolution::Unknown { near } => Err(Answer::Unknown(asked, near)),
    })
}

/// Asks about the movie, or does to it, what is wanted.
pub(crate) async fn ask(
    session: &mut Session,
    titled: Titled,
    about: About,
) -> Result<Answer, Error> {
    let movie = titled.movie.id;
    Ok(match about {
        About::Find => Answer::Found(titled),
        About::View(user) => Answer::Viewed(titled, user, session.view(user, movie).await?),
        About::Average => Answer::Average(titled, session.average(movie).await?),
        About::Rate(user, rating) => {
            let updated = session.rate(user, movie, rating).await?;
            Answer::Rated(titled, user, Some(rating), updated.id)
        }
        About::Delete(user) => {
            let updated = session.delete(user, movie).await?;
            Answer::Rated(titled, user, None, updated.id)
        }
    })
}

/// What to call the movie: its title, with the year where others bear it too, with
/// the id where even that is not enough. A title that was asked for without a year
/// or an id, and found, is nobody else's.
async fn label(session: &mut Session, asked: &str, movie: &Movie) -> Result<String, Error> {
    let told_apart = asked.starts_with('#') || asked.contains(|c: char| c.is_ascii_digit());
    if !told_apart {
        return Ok(movie.title.clone());
    }
    let Resolution::Ambiguous(others) = session.find(&movie.title).await? else {
        return Ok(movie.title.clone());
    };
    let twins = others.iter().filter(|other| other.year == movie.year);
    Ok(match twins.count() {
        0 | 1 => movie.to_string(),
        _ => format!("{movie} (#{})", movie.id),
    })
}
