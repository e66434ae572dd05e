//! A data set for tests that need none in particular, and a cluster's key.

use std::{fs, io::Write as _, path::Path};

use anyhow::Context as _;

const MOVIES: &str = "\
movieId,title,genres
1,Toy Story (1995),Adventure|Animation|Children|Comedy|Fantasy
2,Jumanji (1995),Adventure|Children|Fantasy
3,\"Matrix, The (1999)\",Action|Sci-Fi|Thriller
4,Amélie (2001),Comedy|Romance
5,Babylon 5,Sci-Fi
6,Emma (1996),Comedy|Drama|Romance
7,Emma (1996),Romance
8,Nobody Rated This (2003),Drama
";

const RATINGS: &str = "\
userId,movieId,rating,timestamp
1,1,4.0,964982703
1,3,5.0,964982931
2,1,3.5,964982224
2,2,3.0,964983815
3,4,4.5,964982931
3,6,2.0,964982400
";

/// Writes `movies.csv` and `ratings.csv` with a few movies, among them Toy Story,
/// which user 1 rated 4.0, and one movie called `last`.
///
/// # Errors
///
/// If the folder cannot be written to.
pub fn write_small_data(folder: &Path, last: &str) -> anyhow::Result<()> {
    let movies = format!("{MOVIES}9,{last} (2020),Drama\n");
    for (name, text) in [("movies.csv", movies.as_str()), ("ratings.csv", RATINGS)] {
        let file = folder.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// Writes a key for the front ends of a cluster, which only its owner can read.
pub(crate) fn write_key(path: &Path) -> anyhow::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(&[7; 32]));
    written.with_context(|| format!("cannot write {}", path.display()))
}
