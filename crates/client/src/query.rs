//! What can be asked besides a movie and a rating.

use backfence_ratings::{MovieId, UserId};
use backfence_wire::v1;
use tokio::time::Instant;

use crate::{
    Client, Error, Found, Page, Ranked, Rated, Session, Tag, Title, answer,
    call::{Call, Effect},
    progress::Progress,
    session::wrong,
};

/// What to look for. All that is given has to agree.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Search {
    /// Words, each of which has to begin a word of the title. Blank for any.
    pub text: String,
    /// In any letter case, with or without punctuation. Blank for any.
    pub genre: String,
    /// `None` for any.
    pub year: Option<u16>,
}

impl Client {
    /// A page of all titles, by movie id: those after `after`, at most 1000. They
    /// never change, so it takes no session.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request.
    pub async fn titles(&self, after: Option<MovieId>) -> Result<Page<Title>, Error> {
        let after = after.map(|movie| movie.0);
        let request = v1::ListTitlesRequest {
            session: Vec::new(),
            query: Some(v1::ListTitles { after, limit: 0 }),
        };
        let deadline = Instant::now() + self.limit();
        let (mut preferred, progress) = (None, Progress::default());
        let call = Call::new(self, &mut preferred, deadline, Effect::None, &progress);
        let asked = call.run(request, |mut service, request| async move {
            service.list_titles(request).await
        });
        let (v1::ListTitlesResponse { titles, .. }, from) = asked.await?;
        answer::titles(titles).map_err(|why| wrong(&from, why))
    }
}

impl Session {
    /// Movies by words of their title, by genre, by year; at most 100.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request.
    pub async fn search(&mut self, search: &Search, limit: u32) -> Result<Found, Error> {
        let query = Some(v1::Search {
            text: search.text.clone(),
            genre: search.genre.clone(),
            year: search.year.map(u32::from),
            limit,
        });
        let request = |session| v1::SearchRequest { session, query };
        let asked = self.ask(request, |mut service, request| async move {
            service.search(request).await
        });
        let (v1::SearchResponse { session, found }, from) = asked.await?;
        self.observe(session, &from)?;
        answer::found(found).map_err(|why| wrong(&from, why))
    }

    /// A page of a user's ratings, or of all, by user and movie: those after
    /// `after`, at most 1000. No page is older than the one before.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request.
    pub async fn ratings(
        &mut self,
        user: Option<UserId>,
        after: Option<(UserId, MovieId)>,
    ) -> Result<Page<Rated>, Error> {
        let query = Some(v1::ListRatings {
            user_id: user.map(|user| user.0),
            after: after.map(|(user, movie)| v1::RatingKey {
                user_id: user.0,
                movie_id: movie.0,
            }),
            limit: 0,
        });
        let request = |session| v1::ListRatingsRequest { session, query };
        let asked = self.ask(request, |mut service, request| async move {
            service.list_ratings(request).await
        });
        let (v1::ListRatingsResponse { session, ratings }, from) = asked.await?;
        self.observe(session, &from)?;
        answer::ratings(ratings).map_err(|why| wrong(&from, why))
    }

    /// The movies with the highest average, of a genre or of any where it is blank,
    /// that have at least `min_ratings` ratings; at most 100.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request.
    pub async fn top(
        &mut self,
        genre: &str,
        min_ratings: u64,
        limit: u32,
    ) -> Result<Vec<Ranked>, Error> {
        let query = Some(v1::Top {
            genre: genre.to_owned(),
            min_ratings,
            limit,
        });
        let request = |session| v1::TopRequest { session, query };
        let asked = self.ask(request, |mut service, request| async move {
            service.top(request).await
        });
        let (v1::TopResponse { session, ranking }, from) = asked.await?;
        self.observe(session, &from)?;
        answer::ranking(ranking).map_err(|why| wrong(&from, why))
    }

    /// What users have called the movie, the most used first; at most 100.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request; [`Error::UnknownMovie`].
    pub async fn tags(&mut self, movie: MovieId) -> Result<Vec<Tag>, Error> {
        let query = Some(v1::ListTags { movie_id: movie.0 });
        let request = |session| v1::ListTagsRequest { session, query };
        let asked = self.ask(request, |mut service, request| async move {
            service.list_tags(request).await
        });
        let (v1::ListTagsResponse { session, tags }, from) = asked.await?;
        self.observe(session, &from)?;
        Ok(answer::tags(tags))
    }
}
