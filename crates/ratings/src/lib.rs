//! Movies, titles and ratings: the application that Backfence replicates
