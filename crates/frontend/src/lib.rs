//! The Backfence front end: sends each request to a replica that can serve it
