//! Imports and exports.

#[allow(dead_code)]
mod house;

use std::{fs, path::Path};

use backfence_ratings::{Base, MovieId, UserId};
use house::{
    House,
    fake::{self, Fault, fail, said},
};
use tonic::Code;

fn csv(folder: &Path, rows: &str) -> String {
    let path = folder.join("mine.csv");
    fs::write(&path, format!("userId,movieId,rating,timestamp\n{rows}")).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn what_is_imported_is_exported() {
    let server = House::new();
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..200)
        .map(|row| format!("{},{},{}.5,0\n", 10 + row % 20, 1 + row % 9, row % 5))
        .collect();
    let path = csv(folder.path(), &rows);
    let (code, stdout, stderr) = server.run(&["import", &path, "--sessions", "7"], "");
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(stdout, "Imported 200, skipped 0\n");
    assert!(!folder.path().join("mine.csv.progress").exists());

    // Of several rows of one user and movie the last one counts.
    let mut expected = std::collections::BTreeMap::new();
    for row in [(1, 1, "4.0"), (2, 1, "3.5"), (3, 2, "5.0")] {
        expected.insert((row.0, row.1), row.2.to_owned());
    }
    for row in rows.lines() {
        let columns: Vec<_> = row.split(',').collect();
        let key = (columns[0].parse().unwrap(), columns[1].parse().unwrap());
        expected.insert(key, columns[2].to_owned());
    }
    let (code, stdout, _) = server.run(&["export"], "");
    let mut lines = stdout.lines();
    assert_eq!(
        (code, lines.next()),
        (0, Some("userId,movieId,rating,timestamp"))
    );
    let found: Vec<_> = lines
        .map(|line| line.rsplit_once(',').unwrap().0.to_owned())
        .collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|((user, movie), rating)| format!("{user},{movie},{rating}"))
        .collect();
    assert_eq!(found, expected);
    let file = folder.path().join("out.csv");
    let (code, nothing, _) = server.run(&["export", "-o", file.to_str().unwrap()], "");
    assert_eq!((code, nothing.as_str()), (0, ""));
    assert_eq!(fs::read_to_string(file).unwrap(), stdout);
}

/// An export that fails leaves the earlier one, and nothing else.
#[cfg(unix)]
#[test]
fn an_export_that_fails_leaves_the_earlier_one() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    let server = House::new();
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (
        folder.path().join("out.csv"),
        folder.path().join("link.csv"),
    );
    fs::write(&file, "earlier").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("out.csv", &link).unwrap();
    let export = |path: &Path| server.run(&["export", "-o", path.to_str().unwrap()], "");
    let names = || fs::read_dir(folder.path()).unwrap().count();

    // The session opens, and then the ratings are refused.
    let refused = Fault::Say(said(Code::Internal, "INTERNAL", &[]));
    fail(&server.world, [refused]);
    let (code, stdout, stderr) = export(&link);
    assert_ne!((code, stdout.as_str()), (0, ""), "{stderr}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "earlier");
    assert_eq!(names(), 2);

    // Nobody answers, and Ctrl-C ends it.
    fail(&server.world, (0..9).map(|_| Fault::Hang));
    let words = ["export", "-o", file.to_str().unwrap()];
    let mut terminal = house::Terminal::start(server.command(&words));
    house::wait_until(|| names() == 3);
    terminal.types("\x03");
    terminal.ends_with(130);
    assert_eq!(fs::read_to_string(&file).unwrap(), "earlier");
    assert_eq!(names(), 2);
    server.world.lock().unwrap().forget_faults();

    let (code, all, _) = server.run(&["export"], "");
    assert_eq!(code, 0);
    assert_eq!(export(&link).0, 0);
    assert_eq!(
        (fs::read_to_string(&file).unwrap(), names()),
        (all.clone(), 2)
    );
    assert!(link.is_symlink());
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert_eq!(export(Path::new("/dev/stdout")), (0, all, String::new()));
    assert_eq!(export(Path::new("/dev/null")).0, 0);
    assert!(!Path::new("/dev/null").is_file());
    let (code, _, stderr) = export(&folder.path().join("none/out.csv"));
    assert!(code == 2 && stderr.contains("none/out.csv"), "{stderr}");
    assert_eq!(names(), 2);
}

/// Replies are lost, the program stops, and starts again: every row once.
#[test]
fn an_import_goes_on_where_it_was_interrupted() {
    let server = House::new();
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..60)
        .map(|row| format!("{row},{},3.5\n", 1 + row % 9))
        .collect();
    let path = csv(folder.path(), &rows);
    let import = || {
        server.run(
            &["--timeout", "500ms", "import", &path, "--sessions", "3"],
            "",
        )
    };
    // Three sessions open, ten updates pass, one is done and not told, one refused.
    let faults = (0..13).map(|_| Fault::None);
    let lost = Fault::SayAfter(said(Code::ResourceExhausted, "LOG_FULL", &[]));
    fail(&server.world, faults.chain([lost]));
    let (code, stdout, stderr) = import();
    assert_eq!((code, stdout.as_str()), (4, ""), "{stderr}");
    assert!(
        stderr.contains("run the same command to continue the import"),
        "{stderr}"
    );
    let before = server.world.lock().unwrap().taken.len();
    assert!((11..60).contains(&before), "{before}");

    // Its movies are of other data than those that are loaded now.
    server.world.lock().unwrap().data = "d2".to_owned();
    let (code, _, stderr) = import();
    assert!(code == 4 && stderr.contains("OTHER_DATA"), "{stderr}");
    assert_eq!(server.world.lock().unwrap().taken.len(), before);
    server.world.lock().unwrap().data = "d1".to_owned();

    let (code, stdout, stderr) = import();
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(
        stdout.starts_with("Imported ") && stdout.contains(" already done), skipped 0"),
        "{stdout}"
    );
    let world = server.world.lock().unwrap();
    // One update for each row: none was made anew.
    assert_eq!(world.taken.len(), 60);
    assert!(world.arrivals.values().any(|&arrivals| arrivals == 2));
}

/// After so long a row that was being sent is looked for, and given again where it is not.
#[test]
fn an_import_that_goes_on_too_late_gives_every_row() {
    let server = House::new();
    let folder = tempfile::tempdir().unwrap();
    let path = csv(folder.path(), "1,1,3.5\n2,2,4.5\n");
    let import = || server.run(&["import", &path, "--sessions", "1"], "");
    let refused = |reason| said(Code::FailedPrecondition, reason, &[]);
    let full = || said(Code::ResourceExhausted, "LOG_FULL", &[]);
    // A session opens, and the first row is done and not told.
    fail(&server.world, [Fault::None, Fault::SayAfter(full())]);
    assert_eq!(import().0, 4);
    // It is found, and the second is not taken.
    let late = || Fault::Say(refused("TOO_LATE"));
    let looks = [Fault::None, late(), Fault::None, Fault::None];
    fail(&server.world, looks.into_iter().chain([Fault::Say(full())]));
    let (code, _, stderr) = import();
    assert_eq!(
        (code, server.world.lock().unwrap().taken.len()),
        (4, 1),
        "{stderr}"
    );
    // It is looked for in vain.
    fail(&server.world, [Fault::None, late()]);
    let (code, _, stderr) = import();
    assert_eq!((code, stderr.as_str()), (0, ""));
    let world = server.world.lock().unwrap();
    assert!(world.taken.keys().map(|id| id.sequence).eq([1, 3]));
}

/// A quote that is never closed spoils its line, and no other; lines are those of an
/// editor.
#[test]
fn rows_that_make_no_sense_are_named_with_their_lines() {
    let check = |rows: &str, given: u64, named: &[&str]| {
        let server = House::new();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.csv");
        fs::write(&path, format!("userId,movieId,rating,comment\n{rows}")).unwrap();
        let path = path.to_str().unwrap();
        let (code, stdout, stderr) = server.run(&["import", path], "");
        let expected = format!("Imported {given}, skipped {}\n", named.len());
        assert_eq!((code, stdout), (4, expected), "{rows}{stderr}");
        let said: Vec<_> = stderr.lines().collect();
        assert_eq!(said, named, "{rows}");
        assert_eq!(server.world.lock().unwrap().taken.len() as u64, given);
    };
    let unclosed = |line| format!("line {line} skipped: a quote is not closed in this line");
    check(
        "10,1,4.5,\"great film\n10,2,3,ok\n10,3,2,bad\n11,1,1,meh\n",
        3,
        &[&unclosed(2)],
    );
    check(
        "10,1,4.5,\"in two\nlines\"\n\n\r\n10,2,\"3\",1\n10,3,2,\"",
        1,
        &[
            &unclosed(2),
            "line 3 skipped: it has no rating",
            &unclosed(7),
        ],
    );
}

/// The same row as for a server that loads the file: the latest, among equals the last.
#[test]
fn of_several_rows_the_latest_counts() {
    let check = |header: &str, rows: &str, rating: &str, skipped: u64, says: &str| {
        let server = House::new();
        let file = server.state.path().join("mine.csv");
        let text = format!("{header}\n{rows}");
        fs::write(&file, &text).unwrap();
        let (code, stdout, stderr) = server.run(&["import", file.to_str().unwrap()], "");
        assert!(stdout.ends_with(&format!("skipped {skipped}\n")));
        assert_eq!((code == 0, stderr.as_str()), (skipped == 0, says));
        let (_, viewed, _) = server.run(&["--user", "7", "view", "Toy Story"], "");
        assert!(viewed.ends_with(&format!(" was {rating}\n")), "{viewed}");
        if header.ends_with(",rating,timestamp") {
            let loaded = Base::read(fake::MOVIES.as_bytes(), text.as_bytes(), false).unwrap();
            let found = loaded.base.rating(UserId(7), MovieId(1)).unwrap();
            assert_eq!(found.to_string(), rating);
        }
    };
    let movielens = "userId,movieId,rating,timestamp";
    let later = "line 3 skipped: user 7 rates movie 1 later in line 2, which counts\n";
    check(movielens, "7,1,2,101\n7,1,3,100\n", "2.0", 1, later);
    check(movielens, "7,1,2,100\n7,1,3,100\n", "3.0", 0, "");
    check(movielens, "7,1,2,100\n1,1,1,1\n7,1,3,101\n", "3.0", 0, "");
    check("userId,movieId,rating", "7,1,2\n7,1,3\n", "3.0", 0, "");
    let fifth = "userId,movieId,rating,comment,timestamp";
    check(fifth, "7,1,2,\"a, b\",101\n7,1,3,,100\n", "2.0", 1, later);
}

/// What is refused leaves no note that would stand in the way of the corrected file.
#[test]
fn files_that_cannot_be_imported_leave_no_note() {
    let server = House::new();
    let file = server.state.path().join("mine.csv");
    let note = server.state.path().join("mine.csv.progress");
    let import = |file: &Path| server.run(&["import", file.to_str().unwrap()], "1,1,1\n");
    for header in [
        "userId;movieId;rating",
        "userId,movieId,rating_timestamp,rating",
        "userId,movieId,ratings",
        "",
    ] {
        fs::write(&file, format!("{header}\n7,1,5,1.0\n")).unwrap();
        let (code, _, stderr) = import(&file);
        assert!(code == 2 && stderr.contains("right file?"), "{stderr}");
        assert!(!note.exists(), "{header}");
    }
    fs::write(
        &file,
        " userId , movieId,\"rating\",rating_timestamp\n7,1,4.000000,x\n",
    )
    .unwrap();
    assert_eq!(import(&file).0, 0);

    #[cfg(unix)]
    for path in ["fifo", "/dev/stdin", "."] {
        let path = server.state.path().join(path);
        if path.ends_with("fifo") {
            let made = std::process::Command::new("mkfifo").arg(&path).status();
            assert!(made.unwrap().success());
        }
        let (code, _, stderr) = import(&path);
        assert!(code == 2 && stderr.contains("no plain file"), "{stderr}");
        let note = format!("{}.progress", path.display());
        assert!(!Path::new(&note).exists(), "{note}");
    }
}

#[test]
fn bad_rows_and_files_are_named() {
    let server = House::new();
    let folder = tempfile::tempdir().unwrap();
    let path = csv(folder.path(), "1,1,4.5\n1,99,3\nx,1,3\n1,1,9\n1,1\n");
    let (code, stdout, stderr) = server.run(&["import", &path], "");
    assert_eq!((code, stdout.as_str()), (4, "Imported 1, skipped 4\n"));
    for why in [
        "there is no movie 99",
        "\"x\" is no number",
        "go from 0 to 5",
        "has no rating",
    ] {
        assert!(stderr.contains(why), "{stderr}");
    }
    let other = folder.path().join("other.csv");
    fs::write(&other, "a,b\n").unwrap();
    let (code, _, stderr) = server.run(&["import", other.to_str().unwrap()], "");
    assert_eq!(code, 2);
    assert!(stderr.contains("is it the right file?"), "{stderr}");
    let (code, _, stderr) = server.run(&["import", "/nowhere.csv"], "");
    assert_eq!(code, 2);
    assert!(stderr.contains("/nowhere.csv"), "{stderr}");

    fs::write(
        folder.path().join("mine.csv.progress"),
        "backfence import 1 0 0\n",
    )
    .unwrap();
    let (code, _, stderr) = server.run(&["import", &path], "");
    assert_eq!(code, 4);
    assert!(
        stderr.contains("another file that was interrupted"),
        "{stderr}"
    );
}
