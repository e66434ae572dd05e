//! Titles and genres of movies that nobody has seen.

use std::io::{self, Write};

use rand::{RngExt as _, rngs::StdRng};

const PLAIN: [&str; 48] = [
    "Last", "Silent", "Broken", "Golden", "Little", "Dark", "Lost", "Second", "Wild", "Hidden",
    "Blue", "Final", "Strange", "Burning", "Winter", "Summer", "Night", "Day", "House", "River",
    "King", "Queen", "Man", "Woman", "Girl", "Boy", "City", "Road", "Island", "Garden", "War",
    "Love", "Death", "Return", "Secret", "Story", "Heart", "Blood", "Moon", "Star", "Ghost",
    "Train", "Letter", "Dream", "Stranger", "Brother", "Sister", "Father",
];
const STARTS: [&str; 24] = [
    "Ka", "Mor", "Bel", "Tri", "San", "Val", "Ori", "Dun", "Fer", "Gal", "Hel", "Jas", "Lin",
    "Nor", "Pel", "Quin", "Ros", "Sel", "Tam", "Ul", "Ver", "Wes", "Yor", "Zan",
];
const MIDDLES: [&str; 20] = [
    "a", "e", "i", "o", "u", "an", "el", "ir", "on", "us", "ar", "en", "is", "or", "un", "al",
    "er", "il", "ol", "ur",
];
const ENDS: [&str; 20] = [
    "dor", "mira", "ton", "ville", "ska", "lin", "rado", "beth", "nik", "sen", "tara", "vis",
    "gan", "rell", "mond", "chi", "no", "ria", "stein", "ko",
];
const GENRES: [&str; 18] = [
    "Drama",
    "Comedy",
    "Thriller",
    "Romance",
    "Action",
    "Horror",
    "Documentary",
    "Crime",
    "Adventure",
    "Sci-Fi",
    "Children",
    "Animation",
    "Mystery",
    "Fantasy",
    "War",
    "Western",
    "Musical",
    "Film-Noir",
];

/// A title column: quoted where it has a comma, mostly with a year.
pub(crate) fn title(random: &mut StdRng) -> String {
    let words = random.random_range(1..=4);
    let mut title = String::new();
    for word in 0..words {
        let name = word == 0 || random.random_ratio(1, 4);
        title.push_str(if word == 0 { "" } else { " " });
        if name && random.random_ratio(3, 4) {
            for part in [&STARTS[..], &MIDDLES, &ENDS] {
                title.push_str(pick(part, random));
            }
        } else {
            title.push_str(pick(&PLAIN, random));
        }
    }
    let article = random.random_ratio(1, 4);
    let year = match random.random_ratio(19, 20) {
        true => format!(" ({})", random.random_range(1920..=2025)),
        false => String::new(),
    };
    if article {
        format!("\"{title}, The{year}\"")
    } else {
        format!("{title}{year}")
    }
}

/// A genres column: none to four, the common ones more often.
pub(crate) fn write_genres(out: &mut impl Write, random: &mut StdRng) -> io::Result<()> {
    let count = random.random_range(0..=4_usize);
    let mut genres: Vec<&str> = (0..count)
        .map(|_| {
            let below = random.random_range(1..=GENRES.len());
            GENRES[random.random_range(0..below)]
        })
        .collect();
    genres.sort_unstable();
    genres.dedup();
    if genres.is_empty() {
        return out.write_all(b"(no genres listed)");
    }
    out.write_all(genres.join("|").as_bytes())
}

fn pick<'a>(words: &[&'a str], random: &mut StdRng) -> &'a str {
    words[random.random_range(0..words.len())]
}
