//! A Backfence replica: one copy of the ratings, gossiping with the others
