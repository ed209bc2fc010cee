//! Answer sheets: what is right is right however it is written, and nothing in a file can do harm.

use pagewalk_exercises::{Mark, Sheet, all_topics, grade, html, quiz, sheet, text};
use proptest::prelude::*;
use serde_json::{Value, json};

/// All topics, and all their variants.
fn names() -> Vec<String> {
    let of_topic = |topic: &pagewalk_exercises::Topic| {
        let variants = topic.variants.iter().map(|variant| format!("{}:{variant}", topic.name));
        let bare = (topic.name != "ostep").then(|| topic.name.to_owned());
        bare.into_iter().chain(variants).collect::<Vec<_>>()
    };
    all_topics().iter().flat_map(of_topic).collect()
}

/// A sheet with all answers.
fn filled(name: &str, seed: u64) -> String {
    let quiz = quiz(name, seed, &[]).unwrap();
    let mut sheet = sheet(&quiz);
    for (field, asked) in quiz.fields() {
        let line = format!("\n{field} =");
        assert!(sheet.contains(&line), "{field} in {sheet}");
        let answer = asked.answer.as_deref().unwrap();
        sheet = sheet.replacen(&line, &format!("{line} {answer}"), 1);
    }
    sheet
}

#[test]
fn right_answers_are_right_in_every_form() {
    for name in names() {
        for seed in 0..10 {
            let from_sheet = grade(&filled(&name, seed), false).unwrap();
            assert!(from_sheet.is_full(), "{name}: {}", from_sheet.text());
            let with_answers = quiz(&name, seed, &[]).unwrap().json();
            assert_eq!(grade(&with_answers, false).unwrap(), from_sheet);
            let empty = quiz(&name, seed, &[]).unwrap().without_answers();
            let graded = grade(&empty.json(), false).unwrap();
            assert!(graded.fields.iter().all(|field| field.mark == Mark::Missing));
            assert_eq!(graded.of, from_sheet.of);
            assert_eq!(grade(&sheet(&empty), false).unwrap(), graded);
        }
    }
}

/// What is shown without answers has none of them.
#[test]
fn exercises_do_not_give_answers_away() {
    for name in names() {
        let quiz = quiz(&name, 3, &[]).unwrap();
        let bare = quiz.clone().without_answers();
        assert_eq!(sheet(&quiz), sheet(&bare));
        for question in &quiz.questions {
            for sentence in &question.derivation {
                assert!(!bare.json().contains(sentence) && !html(&bare).contains(sentence));
                assert!(!text(&bare).contains(sentence));
            }
        }
        assert!(html(&quiz).contains("Answer key") && !html(&bare).contains("Answer key"));
    }
}

#[test]
fn one_seed_is_one_exercise() {
    for name in names() {
        let [first, second] = [(); 2].map(|()| quiz(&name, 7, &[]).unwrap());
        assert_eq!((text(&first), html(&first)), (text(&second), html(&second)));
        assert!(text(&first).lines().all(|line| line.chars().count() <= 100), "{}", text(&first));
    }
}

#[test]
fn fields_are_marked_one_by_one() {
    let quiz = quiz("linear:binary", 3, &[]).unwrap();
    let right = |name: &str| {
        let field = quiz.fields().find(|(field, _)| field == name).unwrap().1;
        field.answer.clone().unwrap()
    };
    let page = u64::from_str_radix(right("1.page").strip_prefix("0x").unwrap(), 16).unwrap();
    let sheet = format!(
        "topic = linear:binary\nseed = 3\n# a comment\n1.page = {page}\n1.offset = 0xffff\n\
         1.physical = somewhere\n2.PHYSICAL = {}\n",
        right("2.physical").to_uppercase()
    );
    let graded = grade(&sheet, true).unwrap();
    let mark = |name: &str| graded.fields.iter().find(|field| field.name == name).unwrap();
    assert_eq!(mark("1.page").mark, Mark::Right);
    assert_eq!(mark("1.offset").mark, Mark::Wrong);
    assert_eq!(mark("1.offset").expected, Some(right("1.offset")));
    assert_eq!(mark("1.physical").mark, Mark::Form);
    assert!(mark("1.physical").wanted.as_ref().unwrap().contains("or fault"));
    assert_eq!(mark("2.physical").mark, Mark::Right);
    assert_eq!(mark("2.page").mark, Mark::Missing);
    assert_eq!((graded.right, graded.of), (2, 15));
    assert!(graded.text().contains("1.physical  wrong form  somewhere; write a whole number"));
    assert!(grade(&sheet, false).unwrap().fields.iter().all(|field| field.expected.is_none()));
}

#[test]
fn json_answers_may_be_numbers_and_lists() {
    let answers = json!({ "topic": "replacement:fifo", "seed": 1,
        "answers": { "15.faults": 99, "15.resident": [1, 2], "1.victim": "none", "2.result": null } });
    let graded = grade(&answers.to_string(), false).unwrap();
    let mark = |name: &str| graded.fields.iter().find(|field| field.name == name).unwrap().mark;
    assert_eq!(mark("15.faults"), Mark::Wrong);
    assert_ne!(mark("15.resident"), Mark::Form);
    assert_eq!((mark("1.victim"), mark("2.result")), (Mark::Right, Mark::Missing));
}

#[test]
fn what_is_no_sheet_is_told() {
    for (sheet, told) in [
        ("", "no topic"),
        ("topic = linear", "no seed"),
        ("topic = linear\nseed = -1", "seed"),
        ("topic = linear\nseed = 1\nhello", "line 3"),
        ("topic = linear\nseed = 1\n1.page = 1\n1.page = 2", "line 4"),
        ("topic = lineal\nseed = 1", "base-bounds, segments, linear"),
        ("topic = linear:octal\nseed = 1", "decimal, binary"),
        ("topic = fork:x\nseed = 1", "no variants"),
        ("topic = linear\nseed = 1\noptions = -n 3", "no option"),
        ("topic = linear\nseed = 1\n9.page = 3", "1.page to 5.physical"),
        ("topic = ostep:policy\nseed = 1\noptions = -n 100001 -N", "1 to 100000"),
        ("topic = ostep:policy\nseed = 1\noptions = -C 100000 -n 100000 -N", "at most"),
        ("{", "line 1, column 1"),
        ("{\"topic\": 3}", "line 1"),
    ] {
        let problem = grade(sheet, false).err().unwrap_or_else(|| panic!("{sheet}")).to_string();
        assert!(problem.contains(told), "{sheet}: {problem}");
    }
}

/// Text that is nearly a sheet.
fn nearly() -> impl Strategy<Value = String> {
    let word = || {
        prop::sample::select(vec![
            "topic",
            "seed",
            "options",
            "1.page",
            "2.result",
            "=",
            " = ",
            "\n",
            "#",
            "{",
            "}",
            "\"",
            ":",
            ",",
            "linear",
            "ostep:freespace",
            "ostep:policy",
            "ostep:linear",
            "tlb",
            "0",
            "-1",
            "18446744073709551616",
            "0x",
            "2^64",
            "-A",
            "+1,-0",
            "-n",
            "-C",
            "none",
            "é",
            "\u{0}",
            "[",
            "]",
            "null",
            "-s",
            "-P",
            "1k",
            "-a",
        ])
    };
    prop::collection::vec(word(), 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_text_is_graded_or_refused(text in any::<String>()) {
        let _ = Sheet::read(&text);
        let _ = grade(&text, true);
    }

    #[test]
    fn nearly_sheets_are_graded_or_refused(text in nearly()) {
        let _ = grade(&text, true);
        let _ = grade(&format!("topic = ostep:policy\nseed = 1\n{text}"), true);
    }

    #[test]
    fn any_answer_to_any_topic_is_marked(
        name in prop::sample::select(names()),
        seed: u64,
        answer in any::<String>(),
        place: prop::sample::Index,
    ) {
        let quiz = quiz(&name, seed, &[]).unwrap();
        let fields: Vec<String> = quiz.fields().map(|(name, _)| name).collect();
        let field = place.get(&fields);
        let sheet: Value = json!({ "topic": name, "seed": seed, "answers": { field: answer } });
        let graded = grade(&sheet.to_string(), true).unwrap();
        prop_assert!(graded.right <= 1);
    }

    #[test]
    fn any_options_of_any_script_make_a_problem_or_a_reason(
        name in prop::sample::select(all_topics().last().unwrap().variants),
        numbers in prop::collection::vec(
            (
                prop::sample::select("abBCHlLmnpPrsSuAcNvx".chars().collect::<Vec<_>>()),
                prop_oneof![
                    (-3_i64..3000).prop_map(|number| number.to_string()),
                    any::<i64>().prop_map(|number| number.to_string()),
                    (0_u8..40).prop_map(|number| format!("{number}k")),
                    Just("CLOCK".to_owned()), Just("BEST".to_owned()), Just("OPT".to_owned()),
                    Just("+3,+4,-0,+9,-1,-1".to_owned()), Just("0,1,2,3,1".to_owned()),
                ],
            ),
            0..6,
        ),
    ) {
        let words: Vec<String> = numbers
            .into_iter()
            .flat_map(|(letter, number)| {
                let is_switch = "cNv".contains(letter) || letter == 'C' && name == "freespace";
                let option = format!("-{letter}");
                if is_switch { vec![option] } else { vec![option, number] }
            })
            .collect();
        if let Ok(quiz) = quiz(&format!("ostep:{name}"), 1, &words) {
            // The options that it tells make it again.
            let again = pagewalk_exercises::quiz(&quiz.topic, quiz.seed, &quiz.options).unwrap();
            prop_assert_eq!(again, quiz);
        }
    }
}
