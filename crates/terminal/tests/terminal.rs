//! The client in a real pseudo-terminal: editing, completion, choice, waiting, Ctrl-C,
//! end of input, resize.
#![cfg(unix)]

#[allow(dead_code)]
mod house;

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command, time::Instant};

use house::{
    House, LIMIT, TODO, Terminal,
    fake::{self, Fault, fail, said},
    wait_until,
};
use tonic::Code;

const VIEWED: &str = "The rating that user 1 gave to movie Toy Story was 4.0";

#[test]
fn a_command_is_given_at_once_or_asks() {
    let house = House::new();
    let mut terminal = house.open(&[]);
    terminal.does("view Toy Story", VIEWED);
    terminal.does("rate toy story 4.5", "Your update has been sent");
    terminal.does(
        "VIEW toy story",
        "The rating that user 1 gave to movie Toy Story was 4.5",
    );
    terminal.says("rate toy story");
    terminal.sees("What rating (0-5)? ");
    terminal.does("1", "Your update has been sent");
    // The number is part of the title, so the rating is asked for.
    terminal.says("rate babylon 5");
    terminal.sees("What rating (0-5)? ");
    terminal.does("3", "Your update has been sent");
    terminal.does("rate toy story 7", "INVALID: ratings go from 0 to 5");
    terminal.says("rate");
    terminal.sees("Which movie? ");
    terminal.says("Toy Story");
    terminal.sees("What rating (0-5)? ");
    terminal.does("2.5", "Your update has been sent");
    terminal.does("change 9", "there is no server 9; there are 1, 2, 3");
    terminal.does(
        "search --fnord",
        "INVALID: there is no option --fnord; help search shows more",
    );
    terminal.says("quit");
    terminal.sees("Okay thanks for coming!");
    terminal.ends_with(0);
}

/// A title and a rating, or the title of a sequel.
#[test]
fn a_number_behind_a_title_may_be_part_of_it() {
    let house = House::new();
    let mut terminal = house.open(&[]);
    let which = "Which one (1-2, Enter for none)? ";
    terminal.says("rate alien 3");
    terminal.sees("alien 3 can mean two things:");
    terminal.sees("   1  Alien (1979), rated 3.0\r\n");
    terminal.sees("   2  Alien 3 (1992), with no rating yet\r\n");
    terminal.sees(which);
    terminal.says("1");
    terminal.sees("\nYour update has been sent\r\nAlien (1979): 3.0\r\n");
    terminal.says("rate alien 3");
    terminal.sees(which);
    terminal.says("3");
    terminal.sees("INVALID: type 1 or 2, or nothing for none");
    terminal.says("2");
    terminal.sees("What rating (0-5)? ");
    terminal.says("4.5");
    terminal.sees("\nYour update has been sent\r\nAlien 3 (1992): 4.5\r\n");
    terminal.says("rate alien 3");
    terminal.sees(which);
    terminal.says("");
    terminal.sees(TODO);
    // Nothing else can be meant here.
    terminal.says("rate \"alien (1979)\" 5");
    terminal.sees("\nYour update has been sent\r\nAlien (1979): 5.0\r\n");
    terminal.says("delete alien");
    terminal.sees("\nYour update has been sent\r\nAlien (1979): no rating\r\n");
    assert_eq!(house.world.lock().unwrap().taken.len(), 4);
}

#[test]
fn every_line_of_one_write_is_done() {
    let house = House::new();
    let mut terminal = house.open(&[]);
    terminal.types("rate toy story 1\rrate hamlet (1990) 2\rview toy story\rrate unrated\r3\r");
    for line in [
        "Toy Story (1995): 1.0",
        "Hamlet (1990): 2.0",
        "The rating that user 1 gave to movie Toy Story was 1.0",
        "Unrated (1950): 3.0",
    ] {
        terminal.sees(&format!("\n{line}\r\n"));
    }
    terminal.sees(TODO);
    terminal.does(
        "view #3",
        "The rating that user 1 gave to movie Hamlet (1990) was 2.0",
    );
}

#[test]
fn every_line_of_a_paste_is_done() {
    let house = House::new();
    let mut terminal = house.open(&[]);
    terminal.types("\x1b[200~rate toy story 1\nrate unrated\r\n2\nview unrated\n\x1b[201~\r");
    terminal.sees("\nToy Story (1995): 1.0\r\n");
    terminal.sees("What would you like to do? rate unrated\r\n");
    terminal.sees("What rating (0-5)? 2\r\n");
    terminal.sees("\nUnrated (1950): 2.0\r\n");
    terminal.sees("\nThe rating that user 1 gave to movie Unrated was 2.0\r\n");
    terminal.sees(TODO);
    terminal.says("quit");
    terminal.ends_with(0);
}

#[test]
fn what_is_typed_ahead_is_done_in_order() {
    let house = House::new();
    let mut terminal = house.open(&[]);
    fail(&house.world, (0..4).map(|_| Fault::Hang));
    terminal.says("view Toy Story");
    terminal.sees("waiting for ");
    terminal.types("rate unrated 1\raverage Toy Story\rview Unr");
    house.world.lock().unwrap().forget_faults();
    terminal.sees("\nUnrated (1950): 1.0\r\n");
    terminal.sees("\n3.75 is the average rating for Toy Story (2 ratings)\r\n");
    terminal.sees(TODO);
    terminal.does(
        "ated",
        "The rating that user 1 gave to movie Unrated was 1.0",
    );
}

/// The sentence of the original, and which servers it is about.
#[test]
fn who_is_busy_is_said() {
    let house = House::new();
    let mut terminal = house.open(&[]);
    let busy = || Fault::Say(said(Code::Unavailable, "ALL_BUSY", &[]));
    terminal.does("change 2", "Server status changed from online to offline");
    let (sentence, which) = (
        "All servers are currently busy, please try again later",
        "Server 2 is offline; servers 1, 3 are over-loaded",
    );
    fail(&house.world, [busy()]);
    terminal.says("view Toy Story");
    terminal.sees(&format!("\n{sentence}\r\n{which}\r\n"));
    terminal.sees(TODO);
    fail(&house.world, [busy()]);
    let (code, stdout, stderr) = house.run(&["find", "Toy Story"], "");
    assert_eq!((code, stdout.as_str()), (5, ""));
    assert_eq!(stderr, format!("{which}\nerror: {sentence}\n"));
}

/// Of a list that is longer than the screen the newest is where the eye is.
#[test]
fn a_long_list_shows_the_newest_last() {
    let house = House::new();
    let mut terminal = house.open(&[]);
    for (movie, rating) in [(1, 1), (2, 2), (3, 3)] {
        let answer = "Your update has been sent";
        terminal.does(&format!("rate #{movie} {rating}"), answer);
    }
    let order = |terminal: &mut Terminal| {
        terminal.says("ratings");
        terminal.sees("┌");
        let table = terminal.sees(TODO);
        (table.find("Toy Story") < table.find("Hamlet"), table)
    };
    let (before, table) = order(&mut terminal);
    assert!(!table.contains("newest last"), "{table}");
    terminal.resize_to(80, 7);
    let (after, table) = order(&mut terminal);
    assert!(
        before != after && table.contains("3 ratings, the newest last; --limit N"),
        "{table}"
    );
}

#[test]
fn stars_stand_beneath_the_sentence() {
    let house = House::new();
    let mut terminal = house.open(&[]);
    terminal.says("view Toy Story");
    terminal.sees(&format!("\n{VIEWED}\r\n★★★★☆\r\n"));
}

#[test]
fn lines_are_edited_and_kept_for_the_next_time() {
    let house = House::new();
    let mut terminal = house.open(&[]);
    // Home, and a letter that was forgotten.
    terminal.types("iew Toy Story\x01v");
    terminal.does("", VIEWED);
    terminal.says("quit");
    terminal.ends_with(0);
    let history = house.state.path().join("backfence/history");
    let mode = fs::metadata(&history).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(&history).unwrap();
    assert!(text.contains("view Toy Story"), "{text}");

    let mut terminal = house.open(&[]);
    // Twice up: `quit` was the last line.
    terminal.types("\x1b[A\x1b[A");
    terminal.does("", VIEWED);
    terminal.says("quit");
    terminal.ends_with(0);
    let before = fs::read_to_string(&history).unwrap();
    let mut terminal = house.open(&["--no-history"]);
    terminal.does(
        "average Toy Story",
        "3.75 is the average rating for Toy Story (2 ratings)",
    );
    terminal.says("quit");
    terminal.ends_with(0);
    assert_eq!(fs::read_to_string(&history).unwrap(), before);
}

#[test]
fn the_menu_is_short_after_the_first_time() {
    let house = House::new();
    let mut terminal = Terminal::start(house.command(&["--user", "1"]));
    terminal.sees("  find     a movie's year and genres");
    terminal.sees("  help     everything else, and how");
    terminal.sees(TODO);
    terminal.says("quit");
    terminal.ends_with(0);
    let mut terminal = Terminal::start(house.command(&["--user", "1"]));
    let before = terminal.sees(TODO);
    assert!(before.contains("find, view, average, rate, delete, change, quit; help shows more"));
    assert!(!before.contains("a movie's year"), "{before}");
}

#[test]
fn tab_completes_commands_and_titles() {
    let house = House::new();
    let mut terminal = house.open(&[]);
    terminal.types("aver\t");
    terminal.sees("average ");
    // The titles come in the background: Tab until they are there.
    terminal.types("unr");
    let deadline = Instant::now() + LIMIT;
    loop {
        terminal.types("\t");
        if terminal.0.exp_regex("Unrated \\(1950\\)").is_ok() {
            break;
        }
        assert!(Instant::now() < deadline, "nothing is completed");
    }
    terminal.does("", "Unrated has no ratings yet");
    terminal.says("find");
    terminal.sees("Which movie? ");
    terminal.types("the m\t");
    terminal.sees("Matrix, The (1999)");
    terminal.does(
        "",
        "Matrix, The was made in (1999) and has the genres Action",
    );
}

#[test]
fn tab_completes_options_genres_and_servers() {
    let house = House::new();
    let mut terminal = house.open(&[]);
    terminal.types("search --ge\t");
    terminal.sees("--genre ");
    terminal.types("sci\t");
    terminal.sees("Sci-Fi ");
    terminal.says("");
    terminal.sees("Babylon 5");
    terminal.sees(TODO);
    terminal.says("status");
    terminal.sees(TODO);
    terminal.types("change 3 of\t");
    terminal.does("", "Server status changed from online to offline");
    terminal.types("session \t");
    terminal.sees("reset ");
    terminal.types("\x03");
    terminal.sees(TODO);
    terminal.says("log");
    terminal.sees("Which server? ");
    terminal.types("\t\t");
    terminal.0.exp_regex("1 +2 +3").unwrap();
    terminal.types("\x03");
    terminal.sees(TODO);
}

/// Each command asks for what it lacks.
#[test]
fn every_command_asks_for_what_it_needs() {
    let house = House::new();
    let mut terminal = house.open(&[]);
    let (mine, all) = (
        house.state.path().join("mine.csv"),
        house.state.path().join("all.csv"),
    );
    fs::write(&mine, "userId,movieId,rating\n1,2,4.5\n1,99,1\n").unwrap();
    for (command, question, given, line) in [
        ("user", "Which user? ", "2", "User 2 has given 1 rating"),
        (
            "gossip",
            "Which server? ",
            "1",
            "Server 1 is gossiping with servers 2, 3",
        ),
        (
            "log --limit 1",
            "Which server? ",
            "4",
            "there is no server 4",
        ),
        ("retire", "Which server? ", "one", "INVALID: give a number"),
        ("list", "Search for what? ", "alien", "Alien 3"),
        ("tags", "Which movie? ", "Toy Story", "users"),
        (
            "import",
            "Which file? ",
            mine.to_str().unwrap(),
            "Imported 1, skipped 1",
        ),
        (
            "export",
            "Which file? ",
            all.to_str().unwrap(),
            "Wrote 4 ratings to ",
        ),
    ] {
        terminal.says(command);
        terminal.sees(question);
        terminal.says(given);
        terminal.sees(line);
        if command == "retire" {
            terminal.sees(question);
            terminal.types("\x03");
        }
        terminal.sees(TODO);
    }
    assert!(fs::read_to_string(&all).unwrap().contains("\n1,2,4.5,"));
    terminal.does(
        "import nowhere.csv",
        "cannot read nowhere.csv: No such file or directory (os error 2)",
    );
}

#[test]
fn hints_say_how_a_line_may_go_on() {
    let house = House::new();
    let mut terminal = house.open(&[]);
    terminal.types("rate");
    terminal.sees("rate TITLE RATING");
    // Only what is typed counts.
    terminal.says("");
    terminal.sees("Which movie? ");
}

#[test]
fn an_ambiguous_title_is_a_numbered_choice() {
    let house = House::new();
    let mut terminal = house.open(&[]);
    terminal.says("rate hamlet 3");
    terminal.sees("Several movies match \"hamlet\":");
    terminal.sees("   1  Hamlet (1990), #3");
    terminal.sees("   2  Hamlet (1996), #4");
    terminal.sees("Which one (1-2, Enter for none)? ");
    terminal.does("2", "Your update has been sent");
    terminal.does(
        "view #4",
        "The rating that user 1 gave to movie Hamlet (1996) was 3.0",
    );
    terminal.says("view");
    terminal.sees("Which movie? ");
    terminal.says("hamlet");
    terminal.sees("Which one (1-2, Enter for none)? ");
    terminal.says("");
    terminal.sees(TODO);
    terminal.says("view hamlet");
    terminal.sees("Which one (1-2, Enter for none)? ");
    terminal.does("toy story", VIEWED);
    terminal.does("view toi story", "toi story is not in our database yet");
}

#[test]
fn what_is_waited_for_is_said_and_ctrl_c_gives_it_up() {
    let house = House::new();
    let mut terminal = house.open(&["--timeout", "60s"]);
    terminal.does("view Toy Story", VIEWED);
    let missing = [("server", "1"), ("incarnation", "77"), ("number", "17")];
    let behind = || Fault::Say(said(Code::DeadlineExceeded, "BEHIND", &missing));
    fail(
        &house.world,
        [behind(), Fault::Hang, Fault::Hang, Fault::Hang, Fault::Hang],
    );
    // Without colours too the line is taken away: moving is no colour.
    terminal.says("view Toy Story");
    terminal.sees("waiting for update 17 of server 1 (Ctrl-C gives up)");
    terminal.0.send_control('c').unwrap();
    terminal.sees("\x1b[K\x1b[A\r\nGiven up\r\n");
    terminal.sees(TODO);
    house.world.lock().unwrap().forget_faults();
    terminal.does("view Toy Story", VIEWED);

    // Toy Story is looked up, then Toy Story 3.
    fail(&house.world, [Fault::None, Fault::None, Fault::Hang]);
    terminal.says("rate Toy Story 3");
    wait_until(|| fake::all_met(&house.world));
    terminal.0.send_control('c').unwrap();
    terminal.sees("\nGiven up; it may still take effect\r\n");
    terminal.sees(TODO);
    terminal.does("delete Toy Story", "Your update has been sent");
    terminal.says("quit");
    terminal.ends_with(0);
}

/// Columns that a terminal shows the text in, for the characters of these tests.
fn columns(text: &str) -> usize {
    let wide = |c: char| ('\u{2e80}'..='\u{9fff}').contains(&c) || ('！'..='～').contains(&c);
    let width = |c: char| match c {
        '\u{300}'..='\u{36f}' => 0,
        c if wide(c) => 2,
        _ => 1,
    };
    text.chars().map(width).sum()
}

#[test]
fn wide_characters_fit_into_sixty_columns() {
    let house = House::new();
    let mut terminal = Terminal::start(house.command(&["--user", "1"]));
    terminal.resize(60);
    terminal.sees(TODO);
    terminal.types("find 千と千尋");
    // Home, the end again, and one letter taken back.
    terminal.types("\x01\x05x\x7f");
    terminal.does(
        "の神隠し",
        "千と千尋の神隠し was made in (2001) and has the genres Anime",
    );
    terminal.does("rate 千と千尋の神隠し 5", "Your update has been sent");
    terminal.does("rate ＡＫＩＲＡ 3.5", "Your update has been sent");
    for command in [
        "ratings",
        "search --genre anime",
        "top --genre anime --min-ratings 1",
    ] {
        terminal.says(command);
        terminal.sees("┌");
        let table = terminal.sees("┘");
        let mut lines: Vec<_> = table.lines().map(columns).collect();
        // Without the corners, which were looked for.
        lines[0] += 1;
        *lines.last_mut().unwrap() += 1;
        assert!(lines.len() > 4 && lines[0] <= 60, "{command}: {table}");
        assert!(
            lines.iter().all(|&width| width == lines[0]),
            "{command}: {lines:?} {table}"
        );
    }
    terminal.says("tags 千と千尋");
    terminal.sees("千と千尋 is not in our database yet");
    terminal.sees("Did you mean:");
    let rest = terminal.sees(TODO);
    assert!(rest.lines().all(|line| columns(line) <= 60), "{rest}");
    // A sentence is parted at a blank.
    terminal.says("find Toy Story");
    let genres = "Adventure|Animation|Children|Comedy|Fantasy";
    terminal.sees(&format!(
        "\nToy Story was made in (1995) and has the genres\r\n{genres}\r\n"
    ));
}

#[test]
fn a_watched_status_is_shown_again_until_ctrl_c() {
    let house = House::new();
    let mut at_prompt = house.open(&[]);
    at_prompt.says("status --watch");
    let words = ["--user", "1", "status", "--watch"];
    let mut alone = Terminal::start(house.command(&words));
    for terminal in [&mut at_prompt, &mut alone] {
        terminal.sees("online");
        terminal.sees("┘");
        // Shown again, over what was there.
        terminal.sees("\x1b[H\x1b[2J");
    }
    let changed = house.run(&["change", "1"], "");
    assert_eq!(changed.0, 0);
    for terminal in [&mut at_prompt, &mut alone] {
        terminal.sees("offline");
        terminal.0.send_control('c').unwrap();
    }
    alone.ends_with(0);
    at_prompt.sees(TODO);
    at_prompt.does("view Toy Story", VIEWED);
}

/// Replies do not come, so that the bar stands still; then the rest is given.
#[test]
fn an_import_shows_how_far_it_is() {
    let house = House::new();
    let file = house.state.path().join("mine.csv");
    let rows: String = (0..60).map(|user| format!("{user},1,3.5\n")).collect();
    fs::write(&file, format!("userId,movieId,rating\n{rows}")).unwrap();
    // The session opens, ten ratings are taken, and then nobody answers for a while.
    let answered = (0..11).map(|_| Fault::None);
    fail(&house.world, answered.chain((0..1000).map(|_| Fault::Hang)));
    let words = [
        "--timeout",
        "300ms",
        "import",
        file.to_str().unwrap(),
        "--sessions",
        "1",
    ];
    let mut terminal = Terminal::start(house.command(&words));
    terminal.sees("10/60");
    terminal.0.send_control('c').unwrap();
    terminal.sees("Interrupted; run the same command to continue\r\n");
    terminal.ends_with(130);
    // Only what is left counts for the rate, and for the time that it takes.
    house.world.lock().unwrap().forget_faults();
    let answered = (0..11).map(|_| Fault::None);
    fail(&house.world, answered.chain((0..1000).map(|_| Fault::Hang)));
    let mut terminal = Terminal::start(house.command(&words));
    terminal.sees("/50 ");
    house.world.lock().unwrap().forget_faults();
    terminal.sees("Imported 50 (10 already done), skipped 0");
    terminal.ends_with(0);
    assert_eq!(house.world.lock().unwrap().taken.len(), 60);
}

#[test]
fn help_is_at_the_prompt() {
    let house = House::new();
    let mut terminal = house.open(&[]);
    terminal.says("help");
    terminal.sees("  search WORDS [--genre G] [--year Y]");
    terminal.sees(TODO);
    terminal.says("help rate");
    terminal.sees("Usage: rate TITLE RATING");
    terminal.sees(TODO);
    terminal.does(
        "help fnord",
        "INVALID: there is no command fnord; type help",
    );
    terminal.does(
        "fnord",
        "INVALID: type find, view, average, rate, delete, change or quit",
    );
}

#[test]
fn what_is_wrong_with_a_line_is_said_plainly() {
    let house = House::new();
    let mut terminal = house.open(&[]);
    let original = "\nINVALID: type find, view, average, rate, delete, change or quit\r\n";
    for (line, hint) in [
        (
            "raet toy story 3",
            "Did you mean rate? Type help for all commands\r\n",
        ),
        ("fnord", "Type help for all commands\r\n"),
    ] {
        terminal.says(line);
        terminal.sees(&format!("{original}{hint}"));
    }
    terminal.sees(TODO);
    for (line, sentence) in [
        ("top --limit 0", "--limit 0: give a number from 1 to 100"),
        (
            "top --limit one",
            "--limit one: give a number from 1 to 100",
        ),
        (
            "search --year 20x5",
            "--year 20x5: give a year, such as 1995",
        ),
        ("change one", "server one: give a number, 1 or more"),
        ("change 1 away", "status away: give one of online, offline"),
        ("status 1", "1 is one word too many"),
        ("top --limit", "--limit needs a value"),
        (
            "user one",
            "id one: a user id is a number from 0 to 4294967295",
        ),
        ("top --limit 1 --limit 2", "give --limit only once"),
    ] {
        let command = line.split(' ').next().unwrap();
        let line_shown = format!("INVALID: {sentence}; help {command} shows more");
        terminal.does(line, &line_shown);
    }
    terminal.says("?");
    terminal.sees("  search WORDS [--genre G] [--year Y]");
    terminal.sees(TODO);
    terminal.says("exit");
    terminal.sees("Okay thanks for coming!");
    terminal.ends_with(0);
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    let house = House::new();
    let menu = |change: fn(&mut Command) -> &mut Command| {
        let mut command = house.command(&["--user", "1"]);
        change(&mut command);
        Terminal::start(command).sees("leave")
    };
    assert!(menu(|command| command.env_remove("NO_COLOR")).contains("\x1b[1m"));
    assert!(!menu(|command| command.env("NO_COLOR", "1")).contains('\x1b'));
    assert!(!menu(|command| command.env_remove("NO_COLOR").arg("--no-color")).contains('\x1b'));
}
