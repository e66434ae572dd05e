//! Where a cluster on this machine keeps its ratings, logs and key.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use backfence_files::{make_folder, make_new_folder};
use backfence_process::{Environment, Exit, Failure};
use serde_json::{Value, json};
use xxhash_rust::xxh3::Xxh3Default;

use crate::state::write_private;

/// New folders that are tried before giving up.
const FRESH: u32 = 1_000;
/// Lines about skipped rows that are shown.
const SKIPPED: usize = 20;

/// The files that the servers load.
#[derive(Debug)]
pub(super) struct Data {
    folder: PathBuf,
    /// Of the contents of all of them.
    hash: String,
}

impl Data {
    /// # Errors
    ///
    /// A [`Failure`] that names the file that is not there.
    pub(super) fn read(folder: &Path) -> Result<Self, Failure> {
        let failure = |file: &Path, error: io::Error| {
            let file = file.display();
            let sentence =
                format!("cannot read {file}: {error}; --data names a folder that has it");
            Failure::new(Exit::Usage, sentence)
        };
        let mut hash = Xxh3Default::new();
        for name in ["movies.csv", "ratings.csv", "tags.csv"] {
            let path = folder.join(name);
            match File::open(&path).and_then(|file| feed(file, &mut hash)) {
                Err(error) if name == "tags.csv" && error.kind() == io::ErrorKind::NotFound => {}
                ended => ended.map_err(|error| failure(&path, error))?,
            }
            // So that no file's end is another's beginning.
            hash.update(&[0xff]);
        }
        let absolute = fs::canonicalize(folder).map_err(|error| failure(folder, error))?;
        Ok(Self {
            folder: absolute,
            hash: format!("{:032x}", hash.digest128()),
        })
    }

    pub(super) fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

fn feed(mut file: File, hash: &mut Xxh3Default) -> io::Result<()> {
    let mut part = vec![0; 1 << 20];
    loop {
        match file.read(&mut part)? {
            0 => return Ok(()),
            read => hash.update(&part[..read]),
        }
    }
}

/// A folder that this process alone uses.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Its lock goes when the process does.
    _lock: File,
}

impl Folder {
    /// Takes a folder, which is made where there is none.
    ///
    /// # Errors
    ///
    /// A [`Failure`] where another process has it.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let cannot = |error: io::Error| {
            let sentence = format!("cannot use the folder {}: {error}", path.display());
            Failure::new(Exit::Usage, sentence)
        };
        make_folder(path).map_err(cannot)?;
        let path = fs::canonicalize(path).map_err(cannot)?;
        let options = &mut OpenOptions::new();
        let lock = backfence_files::open(&path.join("running"), options.write(true));
        let lock = lock.map_err(cannot)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                let folder = path.display();
                let sentence = format!(
                    "{folder} is in use by another cluster; stop that one, or choose another \
                     folder with --state DIR"
                );
                Err(Failure::new(Exit::Refused, sentence))
            }
            Err(TryLockError::Error(error)) => Err(cannot(error)),
        }
    }

    /// A new folder in the user's.
    ///
    /// # Errors
    ///
    /// A [`Failure`] where it cannot be made.
    pub(super) fn fresh(user: &Path) -> Result<Self, Failure> {
        let cannot = |error: io::Error| {
            let sentence = format!("cannot make a folder in {}: {error}", user.display());
            Failure::new(Exit::Usage, sentence)
        };
        make_folder(user).map_err(cannot)?;
        for number in 1..=FRESH {
            let path = user.join(format!("fresh-{number}"));
            match make_new_folder(&path) {
                Ok(()) => return Self::open(&path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(cannot(error)),
            }
        }
        let sentence = format!(
            "there are {FRESH} folders fresh-N in {}; remove some, or use --state DIR",
            user.display()
        );
        Err(Failure::new(Exit::Refused, sentence))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes what the folder is used with, if that goes with what is kept there.
    ///
    /// # Errors
    ///
    /// A [`Failure`] where the ratings in it belong to other data, or to more servers.
    pub(super) fn keep(&self, data: &Data, replicas: u32) -> Result<(), Failure> {
        let note = self.path.join("cluster.json");
        let folder = self.path.display();
        if let Ok(text) = fs::read_to_string(&note) {
            let kept: Value = serde_json::from_str(&text).unwrap_or_default();
            let had = kept["replicas"].as_u64().unwrap_or(0);
            let refuse = |sentence| Err(Failure::new(Exit::Refused, sentence));
            let of = kept["data"].as_str().unwrap_or("other files");
            if kept["contents"].as_str() != Some(&data.hash) {
                let given = data.folder.display();
                return refuse(match Path::new(of) == data.folder {
                    true => format!(
                        "the files in {given} have changed since the ratings in {folder} were \
                         given; put them back, or begin anew with --fresh"
                    ),
                    false => format!(
                        "the ratings in {folder} belong to --data {of}, not to --data {given}; \
                         give the same, or begin anew with --fresh"
                    ),
                });
            }
            if had > u64::from(replicas) {
                return refuse(format!(
                    "the ratings in {folder} are kept by {had} servers, and --replicas {replicas} \
                     would leave some out; use --replicas {had}, or begin anew with --fresh"
                ));
            }
        }
        let kept = json!({
            "data": data.folder.display().to_string(),
            "contents": data.hash,
            "replicas": replicas,
        });
        write_private(&note, format!("{kept}\n")).map_err(|error| {
            Failure::new(Exit::Usage, format!("cannot write to {folder}: {error}"))
        })
    }

    /// The file of the cluster's key, which is made where there is none. It is moved into
    /// place whole: a key that is there is a key.
    ///
    /// # Errors
    ///
    /// A [`Failure`] where it cannot be made.
    pub(super) fn key(&self, environment: &Environment) -> Result<String, Failure> {
        let path = self.path.join("cluster.key");
        let name = path.display().to_string();
        if path.exists() {
            return Ok(name);
        }
        let key = [environment.random_u128(), environment.random_u128()];
        let key: Vec<u8> = key.iter().flat_map(|half| half.to_be_bytes()).collect();
        write_private(&path, &key).map_err(|error| {
            Failure::new(Exit::Usage, format!("cannot make the key {name}: {error}"))
        })?;
        Ok(name)
    }

    /// The first lines in which the first server says which rows it has skipped.
    pub(super) fn skipped(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path.join("server1.log")).unwrap_or_default();
        let rows = log.lines().filter(|line| line.contains(" WARN "));
        let rows = rows.filter_map(|line| Some(&line[line.find(": skipped ")? + 2..]));
        rows.take(SKIPPED).map(str::to_owned).collect()
    }
}

/// The log of a program, begun anew.
pub(super) fn log(path: &Path) -> io::Result<File> {
    let file = backfence_files::open(path, OpenOptions::new().append(true))?;
    file.set_len(0)?;
    Ok(file)
}
