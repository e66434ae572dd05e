//! How measurements are shown.

use std::{
    fmt::Display,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, ensure};
use backfence_ratings::Base;
use serde::Serialize;

/// Prints a report for people, or as one JSON object in one line.
pub(crate) fn show(report: &(impl Serialize + Display), json: bool) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut stdout, report)?;
        writeln!(stdout)?;
    } else {
        write!(stdout, "{report}")?;
    }
    stdout.flush().context("cannot write to stdout")
}

/// The data set to measure with.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Data {
    /// The folder with movies.csv and ratings.csv.
    #[arg(long, default_value = "data", value_name = "DIR")]
    data: PathBuf,
}

impl Data {
    /// The files in this folder.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self {
            data: folder.to_owned(),
        }
    }

    /// The folder, which has both files.
    pub(crate) fn folder(&self) -> anyhow::Result<&Path> {
        for file in ["movies.csv", "ratings.csv"] {
            let file = self.data.join(file);
            ensure!(
                file.is_file(),
                "there is no {}; name a folder that has it with --data",
                file.display()
            );
        }
        Ok(&self.data)
    }

    /// The movies in it.
    pub(crate) fn movies(&self) -> anyhow::Result<Arc<[u32]>> {
        let folder = self.folder()?;
        let (movies, ratings) = (folder.join("movies.csv"), folder.join("ratings.csv"));
        let base = Base::load(&movies, &ratings, false)?.base;
        let movies: Arc<[u32]> = base.catalogue().iter().map(|movie| movie.id.0).collect();
        ensure!(
            !movies.is_empty(),
            "there are no movies in {}",
            folder.display()
        );
        Ok(movies)
    }
}

/// The middle one, or the lower of the two in the middle. `None` without values.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle_one() {
        for (values, expected) in [
            (vec![], None),
            (vec![3.0], Some(3.0)),
            (vec![9.0, 1.0, 5.0], Some(5.0)),
            (vec![4.0, 1.0, 3.0, 2.0], Some(2.0)),
        ] {
            assert_eq!(median(values.clone()), expected, "{values:?}");
        }
    }
}
