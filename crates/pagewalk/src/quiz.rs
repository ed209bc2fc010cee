//! `pagewalk quiz`: exercises, drawn from a seed.
//!
//! ```text
//!   TOPIC, --seed, options of the topic ──► Quiz ──► text, --sheet, --json, --html
//! ```
//!
//! What stands behind TOPIC and is no option of ours is the topic's; ours may stand there, too.

use std::path::Path;
use std::process::ExitCode;

use pagewalk_exercises::ostep::wants_answers;
use pagewalk_exercises::{Quiz, all_topics, html, quiz, sheet, text};

use crate::args::QuizArgs;
use crate::failure::Failure;
use crate::options::plain;
use crate::run::print;

/// Prints a quiz, or the list of topics.
///
/// # Errors
/// If there is no such quiz.
pub fn run(mut args: QuizArgs) -> Result<ExitCode, Failure> {
    take_ours(&mut args);
    let Some(topic) = &args.topic else {
        print(&topics())?;
        return Ok(ExitCode::SUCCESS);
    };
    read_addresses(topic, &mut args.options)?;
    args.answers |= wants_answers(topic, &args.options);
    let given = args.seed.as_deref().unwrap_or("0");
    let seed = given.parse::<u64>();
    let seed = seed.map_err(|_| Failure::bad_value("seed", given, "give a whole number"))?;
    let refused = |error| Failure::refused(format_args!("quiz '{topic}'"), error);
    let quiz = quiz(topic, seed, &args.options).map_err(refused)?;
    print(&rendered(&args, quiz)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Puts what the file of the scripts' option `-f` has in its place, so that the exercise is complete
/// in itself.
fn read_addresses(topic: &str, options: &mut [String]) -> Result<(), Failure> {
    let names = ["-f", "--addressfile"];
    let place = options.iter().position(|word| names.contains(&word.as_str()));
    let Some(place) = place.filter(|_| topic == "ostep:policy") else { return Ok(()) };
    if let Some([option, path]) = options.get_mut(place..place + 2) {
        let text = std::fs::read_to_string(&*path)
            .map_err(|error| Failure::bad_file(Path::new(&path), plain(&error)))?;
        *option = "-a".into();
        *path = text.split_whitespace().collect::<Vec<_>>().join(",");
    }
    Ok(())
}

fn rendered(args: &QuizArgs, quiz: Quiz) -> Result<String, Failure> {
    let quiz = if args.answers { quiz } else { quiz.without_answers() };
    match (args.json, args.html, args.sheet) {
        (true, false, false) => Ok(quiz.json()),
        (false, true, false) => Ok(html(&quiz)),
        (false, false, true) => Ok(sheet(&quiz)),
        (false, false, false) => Ok(text(&quiz)),
        _ => Err(Failure::refused("quiz", "give one of --json, --html and --sheet")),
    }
}

/// Takes our options from those of the topic.
fn take_ours(args: &mut QuizArgs) {
    let mut options = Vec::new();
    let mut words = std::mem::take(&mut args.options).into_iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--answers" => args.answers = true,
            "--json" => args.json = true,
            "--html" => args.html = true,
            "--sheet" => args.sheet = true,
            "--seed" => args.seed = words.next().or(args.seed.take()),
            _ => match word.strip_prefix("--seed=") {
                Some(seed) => args.seed = Some(seed.into()),
                None => options.push(word),
            },
        }
    }
    args.options = options;
}

/// The topics, a line each.
fn topics() -> String {
    let width = all_topics().iter().map(|topic| topic.name.len()).max().unwrap_or(0);
    let lines = all_topics().iter().map(|topic| {
        let variants = match topic.variants {
            [] => String::new(),
            variants => format!("\n{:width$}  variants: {}", "", variants.join(", ")),
        };
        format!("{:width$}  {}{variants}\n", topic.name, topic.about)
    });
    lines.collect()
}
