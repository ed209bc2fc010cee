//! `pagewalk demo`: scenarios as text or data.

use std::path::Path;
use std::process::ExitCode;

use pagewalk_scenario::{
    BUILT_IN, Overrides, Player, Scenario, ScenarioError, StoryOptions, check, find, parse, scene,
    story,
};
use pagewalk_step::{Grain, State};

use crate::args::DemoArgs;
use crate::failure::Failure;
use crate::run::print;

/// Lists the scenarios, or tells one.
///
/// # Errors
/// What is wrong with the name or the file; or if the text cannot be written.
pub fn run(args: &DemoArgs) -> Result<ExitCode, Failure> {
    let Some(name) = &args.name else {
        print(&list()?)?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut player = open(name, &overrides(args)?)?;
    print(&told(args, &mut player)?)?;
    let wrong = if overrides(args)?.is_empty() { check(&mut player) } else { Vec::new() };
    for error in &wrong {
        eprintln!("error: {}", shown(error));
    }
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The scenario of this name or in this file, ready to be played.
///
/// # Errors
/// What is wrong with it, with the line.
pub fn open(name: &str, overrides: &Overrides) -> Result<Player, Failure> {
    let scenario = scenario(name, overrides)?;
    Player::new(scenario).map_err(|error| refused(&error))
}

fn scenario(name: &str, overrides: &Overrides) -> Result<Scenario, Failure> {
    if let Some(built_in) = find(name) {
        let file = format!("{name}.toml");
        return parse(built_in.text, &file, overrides).map_err(|error| refused(&error));
    }
    if !is_file(name) {
        let problem = "there is no such scenario: `pagewalk demo` lists them; a file ends in .toml";
        return Err(Failure::refused(name, problem));
    }
    let text = std::fs::read_to_string(name).map_err(|error| Failure::refused(name, error))?;
    parse(&text, name, overrides).map_err(|error| refused(&error))
}

/// Whether a name is that of a scenario's file, rather than of a scenario that comes with the command.
pub fn is_file(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|ending| ending == "toml")
}

fn refused(error: &ScenarioError) -> Failure {
    Failure::shown(shown(error))
}

/// The error with its line.
fn shown(error: &ScenarioError) -> String {
    let mut text = String::new();
    let theme = miette::GraphicalTheme::unicode_nocolor();
    let handler = miette::GraphicalReportHandler::new_themed(theme).with_links(false);
    match handler.render_report(&mut text, error) {
        // The problem comes behind the word for all errors.
        Ok(()) => text.trim_matches('\n').trim_start_matches([' ', '×']).to_owned(),
        Err(_) => error.to_string(),
    }
}

/// One line for each scenario.
fn list() -> Result<String, Failure> {
    let mut text = String::new();
    let width = BUILT_IN.iter().map(|scenario| scenario.name.len()).max().unwrap_or(0);
    for built_in in BUILT_IN {
        let scenario = scenario(built_in.name, &Overrides::default())?;
        text += &format!("{:width$}  {}\n", built_in.name, scenario.title);
    }
    Ok(text)
}

fn overrides(args: &DemoArgs) -> Result<Overrides, Failure> {
    let frames = args.frames.as_deref().map(|frames| {
        frames.parse().map_err(|_| Failure::bad_value("frames", frames, "not a number of frames"))
    });
    Ok(Overrides {
        mmu: args.mmu.clone(),
        tlb: args.tlb.clone(),
        policy: args.policy.clone(),
        frames: frames.transpose()?,
    })
}

fn told(args: &DemoArgs, player: &mut Player) -> Result<String, Failure> {
    let grain = Grain::by_name(&args.by).unwrap_or(Grain::Event);
    if let Some(step) = &args.step {
        let state = one(step, player)?;
        return match args.json {
            true => json(&state),
            false => Ok(scene(&state, player.scenario())),
        };
    }
    if args.json {
        return json(&all(player, grain));
    }
    let options = StoryOptions { grain, backwards: args.backwards, pictures: !args.brief };
    Ok(story(player, &options))
}

fn one(step: &str, player: &mut Player) -> Result<State, Failure> {
    let last = player.last_step();
    let number = step.parse().ok().filter(|&step| step <= last);
    let problem = || Failure::bad_value("step", step, format!("steps are 0 to {last}"));
    player.state_at(number.ok_or_else(problem)?).map_err(Failure::unusable)
}

/// The states at the steps of a story.
fn all(player: &mut Player, grain: Grain) -> Vec<State> {
    let steps = (0..=player.last_step())
        .filter(|&step| step == 0 || player.kind(step).is_some_and(|kind| kind.is_stop(grain)));
    let steps: Vec<u64> = steps.collect();
    steps.into_iter().filter_map(|step| player.state_at(step).ok()).collect()
}

fn json(data: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(data);
    text.map(|text| text + "\n").map_err(|error| Failure::not_written("standard output", error))
}
