//! Bytes that should be text.

use std::str::FromStr as _;

use backfence_checker::{History, check};
use backfence_process::Address;
use backfence_ratings::{Base, Rating};

/// Longer histories are refused here: the check takes longer than its bytes suggest.
const OPERATIONS: usize = 2000;

/// A recorded history: read, judged, and the same when it is written and read again.
pub fn history(bytes: &[u8]) {
    let Ok(read) = History::parse(bytes) else {
        return;
    };
    let mut written = Vec::new();
    read.write_to(&mut written)
        .expect("a vector takes everything");
    let again = History::parse(&*written).expect("what was read can be read again");
    assert!(
        read.operations().eq(again.operations()),
        "a history is not written the same"
    );
    if read.size().operations <= OPERATIONS {
        assert_eq!(check(&read).is_ok(), check(&again).is_ok());
    }
}

/// Movies and ratings as CSV, parted by a form feed: strictly, and with bad rows skipped.
pub fn movies_and_ratings(bytes: &[u8]) {
    let at = bytes
        .iter()
        .position(|&byte| byte == b'\x0c')
        .unwrap_or(bytes.len());
    let (movies, ratings) = bytes.split_at(at);
    let ratings = ratings.get(1..).unwrap_or_default();
    let strict = Base::read(movies, ratings, true);
    let skipping = Base::read(movies, ratings, false);
    if let Ok(strict) = strict {
        let skipping = skipping.expect("what is taken strictly is taken with bad rows skipped");
        assert_eq!(strict.base.fingerprint(), skipping.base.fingerprint());
        let titles: Vec<_> = strict
            .base
            .catalogue()
            .iter()
            .map(|movie| movie.title.clone())
            .collect();
        for title in titles.iter().take(20) {
            // Whatever the title, asking for it ends.
            let _ = strict.base.catalogue().resolve(title);
        }
    }
}

/// A rating, as somebody types it: what is read prints as the same rating.
pub fn rating(bytes: &[u8]) {
    if let Ok(read) = Rating::from_str(&String::from_utf8_lossy(bytes)) {
        assert_eq!(read.to_string().parse(), Ok(read));
    }
}

/// An address, as somebody types it: what is read prints as the same address.
pub fn address(bytes: &[u8]) {
    if let Ok(read) = Address::from_str(&String::from_utf8_lossy(bytes)) {
        assert_eq!(read.to_string().parse(), Ok(read));
    }
}
