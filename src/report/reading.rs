//! Answers of the lake → the figures that the summary and the report show.
//!
//! Pure: the same answers give the same figures. Rows of laboratories that are not listed, and
//! rows that lack what a figure needs, are left out.

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;

use super::figures::{
    Alert, AnalyserHours, Figures, Hour, LabFigures, Machine, Overall, RejectionReason, TestGroup,
};
use super::question::Question;
use crate::flow::Timestamp;
use crate::lake::read::row::AnswerRow;

/// The answers, by question.
pub type Answers = BTreeMap<Question, Vec<AnswerRow>>;

/// The figures that answers hold. Rows of labs that are not listed are left out.
pub fn figures(answers: &Answers) -> Figures {
    let labs = labs(answers);
    let place: BTreeMap<String, usize> =
        labs.iter().enumerate().map(|(place, lab)| (lab.id.clone(), place)).collect();
    let lab = |row: &AnswerRow| place.get(row.text("lab_id")?).copied();
    let at = |row: &AnswerRow| row.time("hour_us");
    let overall = rows(answers, Question::Overall).first().cloned().unwrap_or_default();
    Figures {
        overall: Overall {
            completed: overall.count("n"),
            p50: overall.number("p50"),
            p90: overall.number("p90"),
            judged: overall.count("judged"),
            within: overall.count("within"),
        },
        hours: each(answers, Question::Hours, |row| hour(lab(row)?, row)),
        throughput: each(answers, Question::Throughput, |row| {
            Some((lab(row)?, at(row)?, row.count("completed")))
        }),
        analysers: each(answers, Question::Analysers, |row| {
            Some(AnalyserHours {
                lab: lab(row)?,
                machine: row.string("machine_id"),
                at: at(row)?,
                n: row.count("n"),
                p50: row.number("p50")?,
            })
        }),
        machines: each(answers, Question::Errors, |row| Some(machine(lab(row)?, row))),
        reasons: reasons(rows(answers, Question::Reasons), labs.len(), lab),
        breaches: each(answers, Question::Breaches, |row| {
            Some((lab(row)?, at(row)?, row.count("due"), row.count("breached")))
        }),
        groups: each(answers, Question::Groups, |row| test_group(lab(row)?, row)),
        alerts: alerts(rows(answers, Question::Alerts), lab),
        cards: cards(rows(answers, Question::Alerts)),
        dead_letters: each(answers, Question::DeadLetters, |row| {
            Some((row.string("reason"), row.count("n")))
        }),
        late: rows(answers, Question::Late).first().map_or(0, |row| row.count("n")),
        labs,
    }
}

fn rows(answers: &Answers, question: Question) -> &[AnswerRow] {
    answers.get(&question).map_or(&[], Vec::as_slice)
}

fn each<T>(
    answers: &Answers,
    question: Question,
    read: impl Fn(&AnswerRow) -> Option<T>,
) -> Vec<T> {
    rows(answers, question).iter().filter_map(read).collect()
}

fn labs(answers: &Answers) -> Vec<LabFigures> {
    let of_lab = |question, id: &str| {
        let mut found = rows(answers, question).iter().filter(|row| row.text("lab_id") == Some(id));
        found.next().cloned().unwrap_or_default()
    };
    let lab = |row: &AnswerRow| {
        let id = row.string("lab_id");
        let done = of_lab(Question::Completions, &id);
        let tubes = of_lab(Question::Rejections, &id);
        let machines = rows(answers, Question::Errors).iter();
        let machines: Vec<&AnswerRow> =
            machines.filter(|row| row.text("lab_id") == Some(id.as_str())).collect();
        LabFigures {
            name: row.text("name").unwrap_or(&id).to_owned(),
            tz: row.text("tz").and_then(|name| name.parse().ok()).unwrap_or(Tz::UTC),
            completed: done.count("n"),
            p50: done.number("p50"),
            stat_p90: done.number("stat_p90"),
            stat_target: done.number("stat_target"),
            judged: done.count("judged"),
            within: done.count("within"),
            errors: machines.iter().map(|row| row.count("errors")).sum(),
            tests: machines.iter().map(|row| row.count("tests")).sum(),
            rejected: tubes.count("rejected"),
            received: tubes.count("received"),
            id,
        }
    };
    rows(answers, Question::Labs).iter().map(lab).collect()
}

fn hour(lab: usize, row: &AnswerRow) -> Option<Hour> {
    Some(Hour {
        lab,
        priority: row.string("priority"),
        at: row.time("hour_us")?,
        n: row.count("n"),
        p50: row.number("p50")?,
        p90: row.number("p90")?,
        target: row.number("target")?,
    })
}

fn machine(lab: usize, row: &AnswerRow) -> Machine {
    let worst = row.time("worst_us");
    Machine {
        lab,
        machine: row.string("machine_id"),
        errors: row.count("errors"),
        tests: row.count("tests"),
        worst: worst.map(|at| (at, row.count("worst_errors"), row.count("worst_tests"))),
    }
}

fn test_group(lab: usize, row: &AnswerRow) -> Option<TestGroup> {
    Some(TestGroup {
        lab,
        assay: row.string("assay"),
        priority: row.string("priority"),
        target: row.number("target")?,
        n: row.count("n"),
        p50: row.number("p50")?,
        p90: row.number("p90")?,
        breached: row.count("breached"),
    })
}

/// Reasons with their tubes by lab, in Pareto's order.
fn reasons(
    rows: &[AnswerRow],
    labs: usize,
    lab: impl Fn(&AnswerRow) -> Option<usize>,
) -> Vec<RejectionReason> {
    let mut reasons: BTreeMap<String, RejectionReason> = BTreeMap::new();
    for row in rows {
        let code = row.string("reject_reason");
        let reason = reasons.entry(code.clone()).or_insert_with(|| RejectionReason {
            description: row.text("description").unwrap_or(&code).to_owned(),
            code,
            by_lab: vec![0; labs],
        });
        if let Some(count) = lab(row).and_then(|lab| reason.by_lab.get_mut(lab)) {
            *count += row.count("rejected");
        }
    }
    let mut reasons: Vec<RejectionReason> = reasons.into_values().collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.by_lab.iter().sum::<u64>()));
    reasons
}

/// Beginnings with their ends.
fn alerts(rows: &[AnswerRow], lab: impl Fn(&AnswerRow) -> Option<usize>) -> Vec<Alert> {
    let key = |row: &AnswerRow| {
        (row.string("rule"), row.string("lab_id"), row.string("group"), row.time("begun_us"))
    };
    let ended: BTreeMap<_, Option<Timestamp>> = rows
        .iter()
        .filter(|row| row.text("kind") == Some("end"))
        .map(|row| (key(row), row.time("end_us")))
        .collect();
    let begun = rows.iter().filter(|row| row.text("kind") == Some("begin"));
    let mut alerts: Vec<Alert> = begun
        .filter_map(|row| {
            Some(Alert {
                rule: row.string("rule"),
                severity: row.string("severity"),
                lab: lab(row),
                group: row.string("group"),
                figure: row.string("figure"),
                value: row.number("figure_value"),
                target: row.number("target"),
                n: row.number("n").map(|n| n as u64),
                owner: row.string("owner"),
                runbook: row.string("runbook"),
                begun_at: row.time("begun_us")?,
                ended_at: ended.get(&key(row)).copied().flatten(),
            })
        })
        .collect();
    let gravity = |alert: &Alert| match alert.severity.as_str() {
        "high" => 0,
        "medium" => 1,
        _ => 2,
    };
    alerts.sort_by_key(|alert| (gravity(alert), alert.begun_at));
    alerts
}

fn cards(rows: &[AnswerRow]) -> usize {
    let cards: BTreeSet<&str> = rows.iter().filter_map(|row| row.text("card_id")).collect();
    cards.len()
}
