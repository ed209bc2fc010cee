//! The scripts' options: `-n 5`, `-n5`, `--numaddrs 5`, `--numaddrs=5`, or the beginning of a long name.

use std::collections::VecDeque;

use super::QUESTIONS_MAX;
use super::twister::Twister;

/// An option of a script.
pub struct Options {
    /// Its letter.
    pub short: char,
    /// Its long name; empty if it has none.
    pub long: &'static str,
    /// What it is if it is not given; `None` for switches.
    pub default: Option<&'static str>,
}

/// An option with a value.
pub const fn valued(short: char, long: &'static str, default: &'static str) -> Options {
    Options { short, long, default: Some(default) }
}

/// A switch.
pub const fn switch(short: char, long: &'static str) -> Options {
    Options { short, long, default: None }
}

/// What was given.
pub struct Given {
    options: &'static [Options],
    /// Letters with their values, in order; switches have none.
    values: Vec<(char, Option<String>)>,
    seed: u64,
}

impl Given {
    /// Reads the words of a command line.
    pub fn read(options: &'static [Options], seed: u64, words: &[String]) -> Result<Self, String> {
        let mut values: Vec<(char, Option<String>)> = Vec::new();
        let mut words: VecDeque<String> = words.iter().cloned().collect();
        while let Some(word) = words.pop_front() {
            let (option, attached) = find(options, &word)?;
            let value = match (option.default, attached) {
                (None, None) => None,
                (None, Some(_)) if word.starts_with("--") => {
                    return Err(format!("{} takes no value", shortened(&word)));
                }
                // `-Nc` is `-N -c`.
                (None, Some(letters)) => {
                    words.push_front(format!("-{letters}"));
                    None
                }
                (Some(_), Some(value)) => Some(value),
                (Some(_), None) => {
                    let needed = || format!("{} needs a value", shortened(&word));
                    Some(words.pop_front().ok_or_else(needed)?)
                }
            };
            values.retain(|(short, _)| *short != option.short);
            values.push((option.short, value));
        }
        let mut given = Self { options, values, seed };
        let with_seed = given.values.iter().any(|(short, _)| *short == 's');
        if with_seed {
            // CPython takes the magnitude of a seed.
            given.seed = given.number('s')?.unsigned_abs();
            given.values.retain(|(short, _)| *short != 's');
        }
        Ok(given)
    }

    /// The seed.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// The stream of random numbers that the seed gives.
    pub fn stream(&self) -> Twister {
        Twister::new(self.seed)
    }

    /// The words again, without seed and answers.
    pub fn words(&self) -> Vec<String> {
        let kept = self.values.iter().filter(|(short, _)| *short != 'c');
        kept.flat_map(|(short, value)| {
            [Some(format!("-{short}")), value.clone()].into_iter().flatten()
        })
        .collect()
    }

    /// The value of an option.
    pub fn text(&self, short: char) -> &str {
        let given = self.values.iter().find(|(given, _)| *given == short);
        let default = || self.options.iter().find(|option| option.short == short)?.default;
        given.and_then(|(_, value)| value.as_deref()).or_else(default).unwrap_or_default()
    }

    /// Whether a switch is there.
    pub fn has(&self, short: char) -> bool {
        self.values.iter().any(|(given, _)| *given == short)
    }

    /// A whole number.
    pub fn number(&self, short: char) -> Result<i64, String> {
        let text = self.text(short).trim();
        let number = text.parse::<i64>();
        number.map_err(|_| format!("-{short} '{}': give a whole number", shortened(text)))
    }

    /// A number of things that are asked about, or made.
    pub fn count(&self, short: char) -> Result<i64, String> {
        let number = self.number(short)?;
        match number <= QUESTIONS_MAX {
            true => Ok(number),
            false => Err(format!("-{short} {number}: give at most {QUESTIONS_MAX}")),
        }
    }

    /// A size: a whole number, or one with k, m or g, powers of 1024.
    pub fn size(&self, short: char) -> Result<i64, String> {
        let text = self.text(short).trim();
        let refused =
            || format!("-{short} '{}': give a number, or one with k, m or g", shortened(text));
        let units = [('k', 10), ('m', 20), ('g', 30)];
        let unit = units.iter().find_map(|&(unit, shift)| {
            let digits = text.strip_suffix(unit).or(text.strip_suffix(unit.to_ascii_uppercase()));
            Some((digits?, shift))
        });
        let (digits, shift) = unit.unwrap_or((text, 0));
        let number = digits.trim().parse::<i64>().map_err(|_| refused())?;
        let size = number.checked_mul(1 << shift);
        // Beyond, a product of a size and a random number is no longer exact.
        size.filter(|size| (-1..1 << 50).contains(size)).ok_or_else(refused)
    }

    /// Whole numbers, separated by commas; `None` if the value is -1, which asks for random ones.
    pub fn list(&self, short: char) -> Result<Option<Vec<i64>>, String> {
        let text = self.text(short);
        if text == "-1" {
            return Ok(None);
        }
        let numbers: Result<Vec<i64>, _> =
            text.split(',').map(|part| part.trim().parse()).collect();
        let numbers = numbers.map_err(|_| {
            format!("-{short} '{}': give whole numbers with commas between", shortened(text))
        })?;
        Ok(Some(numbers))
    }
}

/// The option that a word names, and a value that is attached to it.
fn find<'a>(options: &'a [Options], word: &str) -> Result<(&'a Options, Option<String>), String> {
    let unknown = || {
        let names: Vec<String> =
            options.iter().map(|option| format!("-{}", option.short)).collect();
        format!("no option '{}': give some of {}", shortened(word), names.join(" "))
    };
    if let Some(long) = word.strip_prefix("--") {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        let exact = options.iter().find(|option| !name.is_empty() && option.long == name);
        let mut begun =
            options.iter().filter(|option| !name.is_empty() && option.long.starts_with(name));
        let only = begun.next().filter(|_| begun.next().is_none());
        return exact.or(only).map(|option| (option, value)).ok_or_else(unknown);
    }
    let mut letters = word.strip_prefix('-').ok_or_else(unknown)?.chars();
    let letter = letters.next().ok_or_else(unknown)?;
    let option = options.iter().find(|option| option.short == letter).ok_or_else(unknown)?;
    let rest = letters.as_str();
    Ok((option, (!rest.is_empty()).then(|| rest.to_owned())))
}

pub fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &[Options] =
        &[valued('s', "seed", "0"), valued('a', "asize", "1k"), valued('n', "addresses", "5"), {
            switch('c', "compute")
        }];

    fn given(line: &str) -> Result<Given, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Given::read(OPTIONS, 3, &words)
    }

    #[test]
    fn options_are_read_as_the_scripts_read_them() {
        let all = given("-s -7 -a16k --addresses=2 -c").unwrap();
        assert_eq!((all.seed(), all.size('a'), all.number('n')), (7, Ok(16 << 10), Ok(2)));
        assert_eq!(all.words(), ["-a", "16k", "-n", "2"]);
        let few = given("--addr 9 -n 1").unwrap();
        assert_eq!((few.seed(), few.size('a'), few.number('n')), (3, Ok(1024), Ok(1)));
    }

    #[test]
    fn what_is_wrong_is_told() {
        assert!(given("-q").err().unwrap().contains("-s -a -n -c"));
        assert!(given("--a 3").is_err(), "two options begin so");
        assert!(given("-cs7").unwrap().has('c') && given("-cs7").unwrap().seed() == 7);
        assert!(given("-a").is_err() && given("-c3").is_err() && given("x").is_err());
        assert!(given("-s x").is_err());
        for bad in ["", "k", "1.5k", "99999999999g", "-2"] {
            let words = ["-a".to_owned(), bad.to_owned()];
            assert!(Given::read(OPTIONS, 0, &words).unwrap().size('a').is_err(), "{bad}");
        }
    }
}
