//! A base that is kept in a file: found again, made anew when it has to be, and never
//! used when it is not what was written.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
    time::{Duration, SystemTime},
};

use backfence_ratings::{Base, How, Kept, LoadError, Making, MovieId, Ratings, Step, UserId};

const MOVIES: &str = "movieId,title,genres\n1,Toy Story (1995),Comedy|Children\n\
    7,\"Matrix, The (1999)\",Action|Sci-Fi\n9,Babylon 5,(no genres listed)\n";
const RATINGS: &str = "userId,movieId,rating,timestamp\n1,1,4.0,100\n1,7,0.5,200\n2,1,3.5,300\n";
const TAGS: &str = "userId,movieId,tag,timestamp\n1,7,kung fu,5\n2,7,Kung Fu,6\n";

/// Sources and a folder to keep the base in.
struct Data {
    folder: tempfile::TempDir,
    strict: bool,
    verify: bool,
}

impl Data {
    fn new() -> Self {
        let data = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            strict: false,
            verify: false,
        };
        data.write("movies.csv", MOVIES);
        data.write("ratings.csv", RATINGS);
        data.write("tags.csv", TAGS);
        data
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).expect("it is written");
    }

    fn base_dir(&self) -> PathBuf {
        self.file("base")
    }

    fn keep(&self) -> Result<Kept, LoadError> {
        self.keep_in(&self.base_dir(), |_| {})
    }

    fn keep_in(&self, folder: &Path, step: impl Fn(Step) + Sync) -> Result<Kept, LoadError> {
        let making = Making {
            movies: &self.file("movies.csv"),
            ratings: &self.file("ratings.csv"),
            strict: self.strict,
            verify: self.verify,
        };
        Base::keep(folder, &making, step)
    }

    fn loaded(&self) -> Base {
        let (movies, ratings) = (self.file("movies.csv"), self.file("ratings.csv"));
        Base::load(&movies, &ratings, false)
            .expect("good data")
            .base
    }

    /// Keeps it, which has to make it, for a reason that has this text.
    fn made(&self, reason: &str) -> Kept {
        let kept = self.keep().expect("good data");
        let How::Made { why } = &kept.how else {
            panic!("{} instead of made since {reason}", kept.how);
        };
        assert!(why.contains(reason), "{why} instead of {reason}");
        assert_same(&kept.loaded.base, &self.loaded());
        kept
    }

    fn found(&self) -> Kept {
        let kept = self.keep().expect("good data");
        assert!(matches!(kept.how, How::Found), "{}", kept.how);
        assert_same(&kept.loaded.base, &self.loaded());
        kept
    }
}

/// Both answer everything alike.
fn assert_same(one: &Base, other: &Base) {
    assert_eq!(one.fingerprint(), other.fingerprint());
    assert!(one.catalogue().iter().eq(other.catalogue().iter()));
    assert!(one.iter().eq(other.iter()));
    for movie in other.catalogue().iter() {
        assert_eq!(one.total(movie.id), other.total(movie.id));
        assert!(one.tags(movie.id).eq(other.tags(movie.id)));
        let title = &movie.title;
        assert_eq!(
            one.catalogue().resolve(title),
            other.catalogue().resolve(title)
        );
        let wrong = title.replace('o', "p");
        assert_eq!(
            one.catalogue().resolve(&wrong),
            other.catalogue().resolve(&wrong)
        );
    }
    for (movie, user, rating) in other.iter() {
        assert_eq!(one.rating(user, movie), Some(rating));
    }
}

#[test]
fn it_is_made_once_and_found_then() {
    let data = Data::new();
    data.made("there is none yet");
    let kept = data.found();
    let value = Ratings::new(kept.loaded.base.into());
    let (listed, _) = value.list(Some(UserId(1)), None, 10);
    let seconds: Vec<_> = listed
        .iter()
        .map(|row| (row.movie.0, row.seconds))
        .collect();
    assert_eq!(seconds, [(1, 100), (7, 200)]);
    assert_eq!(
        value.base().tags(MovieId(7)).collect::<Vec<_>>(),
        [("kung fu", 2)]
    );
    assert_eq!(value.top("sci fi", 0, 5).len(), 1);
}

#[test]
fn it_is_made_anew_when_a_source_changes_comes_or_goes() {
    let data = Data::new();
    data.made("none yet");
    data.write("ratings.csv", &format!("{RATINGS}3,9,1.0,400\n"));
    data.made("the data have changed");
    data.found();
    fs::remove_file(data.file("tags.csv")).expect("it was there");
    data.made("tags.csv has come or gone");
    data.write("tags.csv", TAGS);
    data.made("tags.csv has come or gone");
    data.write("tags.csv", &TAGS.replace("fu", "fuu"));
    data.made("the data have changed");
    data.found();
}

#[test]
fn only_a_look_at_the_contents_tells_a_change_that_leaves_length_and_time() {
    let mut data = Data::new();
    let made = data.made("none yet");
    let file = data.file("ratings.csv");
    let changed = fs::metadata(&file)
        .and_then(|file| file.modified())
        .expect("a file");
    data.write("ratings.csv", &RATINGS.replace("3.5", "2.5"));
    let opened = fs::File::options().write(true).open(&file).expect("a file");
    opened.set_modified(changed).expect("the time is set");
    let kept = data.keep().expect("good data");
    assert!(matches!(kept.how, How::Found), "{}", kept.how);
    assert_eq!(
        kept.loaded.base.fingerprint(),
        made.loaded.base.fingerprint()
    );
    data.verify = true;
    data.made("the contents of the data have changed");
    data.found();
}

#[test]
fn a_damaged_a_torn_and_a_foreign_file_are_made_anew() {
    let mut data = Data::new();
    data.verify = true;
    let file = data.made("none yet").file;
    let whole = fs::read(&file).expect("it is there");
    let put = |bytes: &[u8]| {
        fs::remove_file(&file).expect("it is there");
        fs::write(&file, bytes).expect("it is written");
    };
    for length in [0, 1, 23, whole.len() / 2, whole.len() - 1] {
        put(&whole[..length]);
        data.made("was cut short");
    }
    for at in (0..whole.len()).step_by(41) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        put(&bytes);
        data.made("it ");
    }
    put(b"something quite different, and longer than the end of a base");
    data.made("no base of this version");
    data.found();
}

#[test]
fn what_a_start_reads_is_checked_at_every_start() {
    let data = Data::new();
    let file = data.made("none yet").file;
    let mut bytes = fs::read(&file).expect("it is there");
    let title = bytes.windows(9).position(|bytes| bytes == b"Toy Story");
    bytes[title.expect("the title is there")] = b'B';
    fs::remove_file(&file).expect("it is there");
    fs::write(&file, bytes).expect("it is written");
    data.made("it is damaged");
}

#[test]
fn a_rest_of_a_crash_is_in_nobodys_way() {
    let data = Data::new();
    let file = data.made("none yet").file;
    fs::remove_file(&file).expect("it is there");
    let rest = file.with_extension("new");
    fs::write(&rest, "half of a base").expect("it is written");
    let mut permissions = fs::metadata(&rest).expect("a file").permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&rest, permissions).expect("it is set");
    data.made("none yet");
    assert!(!rest.exists());
}

#[test]
fn the_old_one_serves_who_has_it() {
    let data = Data::new();
    let old = data.made("none yet").loaded.base;
    data.write("ratings.csv", &RATINGS.replace("4.0", "1.0"));
    let new = data.made("the data have changed").loaded.base;
    let rating = |base: &Base| {
        base.rating(UserId(1), MovieId(1))
            .expect("it is there")
            .to_string()
    };
    assert_eq!(
        (rating(&old), rating(&new)),
        ("4.0".to_owned(), "1.0".to_owned())
    );
}

#[test]
fn of_many_at_once_one_makes_it() {
    let data = Data::new();
    let made = Mutex::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let kept = data.keep().expect("good data");
                assert_same(&kept.loaded.base, &data.loaded());
                match kept.how {
                    How::Found => {}
                    How::Made { .. } => *made.lock().unwrap() += 1,
                    How::InMemory { why } => panic!("{why}"),
                }
            });
        }
    });
    assert_eq!(*made.lock().unwrap(), 1);
}

#[test]
fn where_it_cannot_be_kept_it_is_in_memory() {
    let data = Data::new();
    // A folder cannot be made where a file is.
    let kept = data
        .keep_in(&data.file("movies.csv"), |_| {})
        .expect("good data");
    let How::InMemory { why } = &kept.how else {
        panic!("{}", kept.how);
    };
    assert!(why.contains("movies.csv"), "{why}");
    assert_same(&kept.loaded.base, &data.loaded());
}

#[test]
fn skipped_rows_are_told_at_every_start_and_refused_strictly() {
    let mut data = Data::new();
    data.write("ratings.csv", &format!("{RATINGS}3,1,6.0,1\n"));
    let told = data.made("none yet").loaded.skipped;
    assert_eq!(told.count, 1);
    assert_eq!(data.found().loaded.skipped, told);
    data.strict = true;
    let error = data.keep().expect_err("a row is bad").to_string();
    assert!(error.contains("ratings.csv:5: rating `6.0`"), "{error}");
}

#[test]
fn a_source_that_changes_meanwhile_is_an_error() {
    let data = Data::new();
    let file = data.file("ratings.csv");
    let later = SystemTime::now() + Duration::from_secs(100);
    let error = data.keep_in(&data.base_dir(), |step| {
        if step == Step::Writing {
            let file = fs::File::options().write(true).open(&file).expect("a file");
            file.set_modified(later).expect("the time is set");
        }
    });
    let error = error.expect_err("it changed").to_string();
    assert!(error.contains("changed while it was read"), "{error}");
    data.made("");
}

#[test]
fn two_sets_have_two_files() {
    let (one, other) = (Data::new(), Data::new());
    let kept = one.made("none yet");
    let both = other.keep_in(&one.base_dir(), |_| {}).expect("good data");
    assert!(matches!(both.how, How::Made { .. }), "{}", both.how);
    assert_ne!(kept.file, both.file);
    one.found();
}
