//! The commands, as they are typed at the prompt and given to `--do`.
//!
//! ```text
//!   step [GRAIN] [N]      run [BREAK]        go PLACE     state, code, registers, pages, …
//!   back [GRAIN] [N]      run-back [BREAK]   cause        hex, decimal, binary
//!
//!   BREAK   what all must hold: swap-in, address=0x1000..0x2000, frame=7, slot=3, process=2,
//!           counter=pswpin:10; several of them with "or" between
//! ```

use pagewalk_step::{Base, Break, Grain, Kind};

use crate::number::{address, count};
use crate::step::panels::Panel;

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// So many steps of a grain, forwards or backwards.
    Step { grain: Grain, times: u64, back: bool },
    /// To where one of these holds; without any, to one of those that are set.
    Run { breaks: Vec<Break>, back: bool },
    /// These are set, too.
    Break(Vec<Break>),
    /// None is set any more.
    Clear,
    /// To a place.
    Go(String),
    /// To the start.
    Start,
    /// Back to what caused this: the eviction behind a swap-in.
    Cause,
    /// Numbers are written so.
    Base(Base),
    /// Everything is shown, or one part.
    Show(Option<Panel>),
    /// What happened, and why.
    What,
    /// The state as JSON.
    Json,
    /// What there is to be said.
    Help,
    /// It is over.
    Quit,
}

/// The help, also for the terminal.
pub const HELP: &str = "\
step [GRAIN] [N]   N steps forward; GRAIN: reference, access, event, instruction, fault, end
back [GRAIN] [N]   N steps back
run [BREAK]        forward to where BREAK holds, or one of those set with break, or the end
run-back [BREAK]   back to where it does, or to the start
break BREAK        set a break; clear takes all away
go PLACE           to a step; of a program to instruction N, or to thing K behind it: N.K
start, end         to the start, to the end
cause              from a swap-in back to the eviction that it undoes
what, state        what happened; everything
PANEL              code, registers, regions, pages, frames, tlb, swap, queues, counters, output,
                   processes
hex, decimal, binary   how numbers are written
json, help, quit

BREAK: a kind (fault, swap-in, swap-out, evict, zero-fill, copy, store, tlb-miss, system-call, …),
address=FROM[..TO], frame=N, slot=N, process=N, counter=NAME:N; with spaces between all must hold,
with 'or' between one of them.
";

/// The commands of a text, which semicolons or newlines separate.
pub fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split([';', '\n']).map(str::trim).filter(|command| !command.is_empty())
}

/// Reads a command.
///
/// # Errors
/// What was expected.
pub fn parse(text: &str) -> Result<Verb, String> {
    let mut words = text.split_whitespace();
    let verb = words.next().unwrap_or_default();
    let rest: Vec<&str> = words.collect();
    let nothing = |parsed: Verb| match rest.as_slice() {
        [] => Ok(parsed),
        [word, ..] => Err(format!("{verb} takes nothing, and got '{word}'")),
    };
    match verb {
        "step" | "s" | "forward" | "f" => steps(&rest, false),
        "back" | "b" => steps(&rest, true),
        "run" | "r" => Ok(Verb::Run { breaks: breaks(&rest)?, back: false }),
        "run-back" | "rb" => Ok(Verb::Run { breaks: breaks(&rest)?, back: true }),
        "break" if rest.is_empty() => Err("give what to break on, such as swap-in".into()),
        "break" => Ok(Verb::Break(breaks(&rest)?)),
        "clear" => nothing(Verb::Clear),
        "go" | "g" => match rest.as_slice() {
            [place] => Ok(Verb::Go((*place).to_owned())),
            _ => Err("give a place, such as 12 or 12.3".into()),
        },
        "start" => nothing(Verb::Start),
        "end" => nothing(Verb::Step { grain: Grain::End, times: 1, back: false }),
        "cause" | "c" => nothing(Verb::Cause),
        "hex" => nothing(Verb::Base(Base::Hexadecimal)),
        "decimal" | "dec" => nothing(Verb::Base(Base::Decimal)),
        "binary" | "bin" => nothing(Verb::Base(Base::Binary)),
        "what" => nothing(Verb::What),
        "state" => nothing(Verb::Show(None)),
        "json" => nothing(Verb::Json),
        "help" | "?" => nothing(Verb::Help),
        "quit" | "q" => nothing(Verb::Quit),
        name => match Panel::by_name(name) {
            Some(panel) => nothing(Verb::Show(Some(panel))),
            None => Err("there is no such command; help lists them".into()),
        },
    }
}

/// `[GRAIN] [N]`, in any order.
fn steps(words: &[&str], back: bool) -> Result<Verb, String> {
    let (mut grain, mut times) = (Grain::Instruction, 1);
    for word in words {
        if let Some(found) = Grain::by_name(word) {
            grain = found;
        } else if word.starts_with(|c: char| c.is_ascii_digit()) {
            times = count(word)?;
        } else {
            let names: Vec<_> = Grain::ALL.iter().map(|grain| grain.name()).collect();
            return Err(format!("'{word}' is no grain: give {}", names.join(", ")));
        }
    }
    Ok(Verb::Step { grain, times, back })
}

/// Breaks with `or` between them.
fn breaks(words: &[&str]) -> Result<Vec<Break>, String> {
    let groups = words.split(|word| *word == "or").filter(|group| !group.is_empty());
    groups.map(one_break).collect()
}

fn one_break(words: &[&str]) -> Result<Break, String> {
    let mut wanted = Break::default();
    for word in words {
        match word.split_once('=') {
            None => {
                let found = Kind::ALL.into_iter().find(|kind| kind.name() == *word);
                wanted.kind = Some(found.ok_or_else(|| no_kind(word))?);
            }
            Some(("address" | "addr", range)) => wanted.addresses = Some(addresses(range)?),
            Some(("frame", number)) => wanted.frame = Some(address(number)?),
            Some(("slot", number)) => wanted.slot = Some(address(number)?),
            Some(("process" | "pid", number)) => {
                let number = address(number)?;
                wanted.process = Some(u32::try_from(number).map_err(|_| "no such process")?);
            }
            Some(("counter", counter)) => {
                let (name, value) = counter
                    .split_once(':')
                    .ok_or("give counter=NAME:VALUE, such as counter=pswpin:10")?;
                wanted.counter = Some((name.to_owned(), count(value)?));
            }
            Some((name, _)) => {
                return Err(format!(
                    "'{name}=' is no part of a break: give address=, frame=, slot=, process= or \
                     counter="
                ));
            }
        }
    }
    Ok(wanted)
}

fn no_kind(word: &str) -> String {
    let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    format!("'{word}' is no kind of thing: give one of {}", names.join(", "))
}

/// `FROM` or `FROM..TO`.
fn addresses(text: &str) -> Result<(u64, u64), String> {
    match text.split_once("..") {
        None => {
            let from = address(text)?;
            Ok((from, from.saturating_add(1)))
        }
        Some((from, to)) => {
            let (from, to) = (address(from)?, address(to)?);
            if from < to { Ok((from, to)) } else { Err(format!("{text} is empty")) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commands_are_read() {
        let step = |grain, times, back| Ok(Verb::Step { grain, times, back });
        assert_eq!(parse("step"), step(Grain::Instruction, 1, false));
        assert_eq!(parse("back fault 3"), step(Grain::Fault, 3, true));
        assert_eq!(parse("s 2M reference"), step(Grain::Reference, 2_000_000, false));
        let swap_in = Break { kind: Some(Kind::SwapIn), ..Break::default() };
        let slot = Break { slot: Some(3), kind: Some(Kind::Evict), ..Break::default() };
        assert_eq!(
            parse("run swap-in or evict slot=3"),
            Ok(Verb::Run { breaks: vec![swap_in, slot], back: false })
        );
        let range = Break { addresses: Some((0x1000, 0x2000)), ..Break::default() };
        assert_eq!(parse("break addr=0x1000..0x2000"), Ok(Verb::Break(vec![range])));
        assert_eq!(parse("tlb"), Ok(Verb::Show(Some(Panel::Tlb))));
        assert_eq!(split("a; b\n;c ").collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, said) in [
            ("jump", "help lists them"),
            ("step far", "reference, access"),
            ("run swapin", "swap-in"),
            ("run swap=1", "slot="),
            ("run address=2..1", "empty"),
            ("run counter=pswpin", "counter=pswpin:10"),
            ("cause 1", "takes nothing"),
            ("go", "12.3"),
            ("break", "swap-in"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in ".{0,40}") {
            for command in split(&text) {
                let _ = parse(command);
            }
        }
    }
}
