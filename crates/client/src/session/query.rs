//! What can be asked.

use backfence_process::Address;
use backfence_ratings::{Average, MovieId, UserId, UserRating};
use backfence_wire::{v1, v1::front_end_client::FrontEndClient};
use tokio::time::Instant;
use tonic::transport::Channel;

use super::{Session, wrong};
use crate::{
    Client, Error, Found, Page, Ranked, Rated, Resolution, Server, Tag, Title,
    call::{Call, Effect},
    progress::Progress,
    read,
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
        let (titles, from) = self.list_titles(after, 0).await?;
        read::titles(titles.titles).map_err(|why| wrong(&from, why))
    }

    /// Of the data that the servers have loaded, for [`Session::set_fingerprint`]: the ids of
    /// movies are of these. Empty where the front end does not say it.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request.
    pub async fn fingerprint(&self) -> Result<String, Error> {
        let (titles, _) = self.list_titles(None, 1).await?;
        Ok(titles.fingerprint)
    }

    async fn list_titles(
        &self,
        after: Option<MovieId>,
        limit: u32,
    ) -> Result<(v1::ListTitlesResponse, Address), Error> {
        let after = after.map(|movie| movie.0);
        let request = v1::ListTitlesRequest {
            session: Vec::new(),
            query: Some(v1::ListTitles { after, limit }),
        };
        let deadline = Instant::now() + self.limit();
        let (mut preferred, progress) = (None, Progress::default());
        let call = Call::new(self, &mut preferred, deadline, Effect::None, &progress);
        let asked = call.run(
            request,
            |mut service: FrontEndClient<Channel>, request| async move {
                service.list_titles(request).await
            },
        );
        asked.await
    }
}

impl Session {
    /// The movie that a title stands for, in any letter case, with or without the
    /// year, the article in front or behind; or `#` and a movie's id.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request.
    pub async fn find(&mut self, title: &str) -> Result<Resolution, Error> {
        let title = title.to_owned();
        let request = |session| v1::FindRequest { session, title };
        let asked = self.ask(request, |mut service, request| async move {
            service.find(request).await
        });
        let (reply, from) = asked.await?;
        read::resolution(reply.resolution).map_err(|why| wrong(&from, why))
    }

    /// The rating that the user gave to the movie, if any.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request; [`Error::UnknownMovie`].
    pub async fn view(
        &mut self,
        user: UserId,
        movie: MovieId,
    ) -> Result<Option<UserRating>, Error> {
        let fingerprint = self.fingerprint.clone();
        let request = |session| v1::ViewRequest {
            session,
            user_id: user.0,
            movie_id: movie.0,
            fingerprint,
        };
        let asked = self.ask(request, |mut service, request| async move {
            service.view(request).await
        });
        let (reply, from) = asked.await?;
        let rating = reply.rating.map(read::rating).transpose();
        rating.map_err(|why| wrong(&from, why))
    }

    /// The average of the movie's ratings, if there are any.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request; [`Error::UnknownMovie`].
    pub async fn average(&mut self, movie: MovieId) -> Result<Option<Average>, Error> {
        let fingerprint = self.fingerprint.clone();
        let request = |session| v1::AverageRequest {
            session,
            movie_id: movie.0,
            fingerprint,
        };
        let asked = self.ask(request, |mut service, request| async move {
            service.average(request).await
        });
        let (reply, from) = asked.await?;
        read::average(&reply).map_err(|why| wrong(&from, why))
    }

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
        let (reply, from) = asked.await?;
        read::found(reply.found).map_err(|why| wrong(&from, why))
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
        let (reply, from) = asked.await?;
        read::ratings(reply.ratings).map_err(|why| wrong(&from, why))
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
        let (reply, from) = asked.await?;
        read::ranking(reply.ranking).map_err(|why| wrong(&from, why))
    }

    /// What users have called the movie, the most used first; at most 100.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request; [`Error::UnknownMovie`].
    pub async fn tags(&mut self, movie: MovieId) -> Result<Vec<Tag>, Error> {
        let query = Some(v1::ListTags { movie_id: movie.0 });
        let fingerprint = self.fingerprint.clone();
        let request = |session| v1::ListTagsRequest {
            session,
            query,
            fingerprint,
        };
        let asked = self.ask(request, |mut service, request| async move {
            service.list_tags(request).await
        });
        let (reply, _) = asked.await?;
        Ok(read::tags(reply.tags))
    }

    /// Every server that the front end knows of, by number.
    ///
    /// # Errors
    ///
    /// [`Error`], as every request.
    pub async fn status(&mut self) -> Result<Vec<Server>, Error> {
        let deadline = Instant::now() + self.client.limit();
        let (reply, from): (v1::StatusResponse, _) = self
            .call(
                deadline,
                Effect::None,
                v1::StatusRequest {},
                |mut service, request| async move { service.status(request).await },
            )
            .await?;
        let servers: Result<Vec<_>, _> = reply.servers.into_iter().map(read::server).collect();
        servers.map_err(|why| wrong(&from, why))
    }
}
