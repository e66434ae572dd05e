//! Makes `data/movies.csv` and `data/ratings.csv` out of `data/titles.txt`.
//!
//! `cargo run -p backfence-ratings --example make_data [FOLDER]`

use std::{env, error::Error, fs, path::PathBuf};

mod generate;

fn main() -> Result<(), Box<dyn Error>> {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data");
    let folder = PathBuf::from(env::args_os().nth(1).unwrap_or_else(|| own.into()));
    let titles = fs::read_to_string(folder.join("titles.txt"))?;
    let movies = generate::parse(&titles)?;
    fs::write(folder.join("movies.csv"), generate::movies_csv(&movies))?;
    fs::write(folder.join("ratings.csv"), generate::ratings_csv(&movies))?;
    Ok(())
}
