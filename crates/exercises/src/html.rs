//! A quiz as a page to print: the questions first, the answer key on pages of its own.
//!
//! The page is complete in itself: no script, no picture, nothing to load.

use std::fmt::Write;

use crate::quiz::{Block, Question, Quiz, Table};
use crate::text::origin;

const STYLE: &str = "\
body{font:11pt/1.4 Georgia,'Times New Roman',serif;max-width:46em;margin:2em auto;padding:0 1em;\
color:#111;background:#fff}\
h1{font-size:1.5em;margin:0}h2{font-size:1.2em;margin:1.6em 0 .4em}\
.origin{color:#555;margin:.2em 0 1.4em}.name{float:right;color:#555}\
table{border-collapse:collapse;margin:.6em 0 1em;font:10pt/1.3 'DejaVu Sans Mono',Menlo,Consolas,monospace;\
break-inside:avoid}\
caption{text-align:left;font:italic 10.5pt Georgia,serif;padding-bottom:.3em}\
th,td{border:1px solid #999;padding:.12em .6em;text-align:right}th{background:#eee;font-weight:bold}\
ol{padding-left:1.6em}li.question{margin-bottom:1.1em;break-inside:avoid}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.25em 1em;margin:.4em 0 0}\
dt{grid-column:1}dd{grid-column:2;margin:0}\
.blank{display:inline-block;width:12em;border-bottom:1px solid #555;height:1.2em}\
.wanted{color:#666;font-size:.85em}.answer{font-family:'DejaVu Sans Mono',Menlo,Consolas,monospace;\
font-weight:bold}\
.why{margin:.4em 0 0;padding-left:1.2em}.key{break-before:page;border-top:2px solid #111;\
margin-top:3em;padding-top:1em}\
@media print{body{margin:0;max-width:none}.key{border-top:0;margin-top:0;padding-top:0}}";

/// The quiz as a page; with an answer key if the quiz has its answers.
pub fn html(quiz: &Quiz) -> String {
    let mut page = String::new();
    let _ = writeln!(page, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">");
    let _ = writeln!(
        page,
        "<meta name=\"viewport\" content=\"width=device-width\">\n<title>{}, seed {}</title>",
        escape(&quiz.title),
        quiz.seed
    );
    let _ = writeln!(page, "<style>{STYLE}</style>\n</head>\n<body>");
    let _ = writeln!(page, "<p class=\"name\">Name: <span class=\"blank\"></span></p>");
    let _ = writeln!(page, "<h1>{}</h1>", escape(&quiz.title));
    let _ = writeln!(page, "<p class=\"origin\">{}</p>", escape(&origin(quiz)));
    for block in &quiz.given {
        match block {
            Block::Text(text) => _ = writeln!(page, "<p>{}</p>", escape(text)),
            Block::Table(table) => put_table(&mut page, table),
        }
    }
    page.push_str("<h2>Questions</h2>\n");
    put_questions(&mut page, quiz, put_blanks);
    if quiz.fields().any(|(_, field)| field.answer.is_some()) {
        page.push_str("<section class=\"key\">\n");
        let _ = writeln!(page, "<h1>Answer key: {}</h1>", escape(&quiz.title));
        let _ = writeln!(page, "<p class=\"origin\">{}</p>", escape(&origin(quiz)));
        put_questions(&mut page, quiz, put_answers);
        page.push_str("</section>\n");
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn put_questions(page: &mut String, quiz: &Quiz, put: fn(&mut String, &Question)) {
    page.push_str("<ol>\n");
    for question in &quiz.questions {
        let _ = writeln!(page, "<li class=\"question\">{}", escape(&question.text));
        put(page, question);
        page.push_str("</li>\n");
    }
    page.push_str("</ol>\n");
}

fn put_blanks(page: &mut String, question: &Question) {
    page.push_str("<dl>\n");
    for field in &question.fields {
        let label = escape(&field.label);
        let wanted = escape(&field.form.brief());
        let _ = writeln!(
            page,
            "<dt>{label}</dt><dd><span class=\"blank\"></span> \
             <span class=\"wanted\">{wanted}</span></dd>"
        );
    }
    page.push_str("</dl>\n");
}

fn put_answers(page: &mut String, question: &Question) {
    page.push_str("<dl>\n");
    for field in &question.fields {
        let answer = escape(field.answer.as_deref().unwrap_or(""));
        let label = escape(&field.label);
        let _ = writeln!(page, "<dt>{label}</dt><dd class=\"answer\">{answer}</dd>");
    }
    page.push_str("</dl>\n<ul class=\"why\">\n");
    for sentence in &question.derivation {
        let _ = writeln!(page, "<li>{}</li>", escape(sentence));
    }
    page.push_str("</ul>\n");
}

fn put_table(page: &mut String, table: &Table) {
    let _ = writeln!(page, "<table><caption>{}</caption>", escape(&table.caption));
    let row = |page: &mut String, tag: &str, cells: &[String]| {
        page.push_str("<tr>");
        for cell in cells {
            let _ = write!(page, "<{tag}>{}</{tag}>", escape(cell));
        }
        page.push_str("</tr>\n");
    };
    row(page, "th", &table.head);
    table.rows.iter().for_each(|cells| row(page, "td", cells));
    page.push_str("</table>\n");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
