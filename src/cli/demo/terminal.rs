//! Figures → the summary that a person reads in the terminal: under 60 lines, under 100 columns.

use super::columns::{CellTone, Paint, Word};
use crate::lake::read::sizes::Stored;
use crate::report::books::Books;
use crate::report::charts::analysers;
use crate::report::figures::{Figures, LabFigures, rate};
use crate::report::words;

const GROUPS_SHOWN: usize = 4;
const MACHINES_SHOWN: usize = 3;
const ALERTS_SHOWN: usize = 6;

/// What the summary tells.
#[derive(Clone, Debug)]
pub struct Terminal<'a> {
    /// What the lake holds, in figures.
    pub figures: &'a Figures,
    /// What was read.
    pub books: Books,
    /// What was written, table by table.
    pub stored: &'a [Stored],
    /// Objects that were not there before.
    pub written: u64,
    /// Clock time of the run.
    pub seconds: f64,
    /// The days, as `1 to 3 March 2026`.
    pub days: String,
    /// The lake, as the user wrote it.
    pub lake: &'a str,
    /// Whether colours are written.
    pub paint: Paint,
}

impl Terminal<'_> {
    /// The whole summary, with a line feed at its end.
    pub fn text(&self) -> String {
        let parts = [
            self.title(),
            self.read(),
            self.computed(),
            self.labs(),
            self.groups(),
            self.machines(),
            self.alerts(),
            self.files(),
        ];
        let parts = parts.into_iter().filter(|lines| !lines.is_empty());
        let parts: Vec<String> = parts.map(|lines| lines.join("\n")).collect();
        format!("{}\n", parts.join("\n\n"))
    }

    fn heading(&self, text: &str) -> String {
        self.paint.tone(text, CellTone::Strong)
    }

    fn title(&self) -> Vec<String> {
        let labs = self.figures.labs.len();
        let what = format!("Turnaround demo · {labs} laboratories, {}", self.days);
        let rate = words::grouped((self.books.records as f64 / self.seconds.max(0.001)) as u64);
        let speed = format!("  {:.1} s, {rate} records a second", self.seconds);
        vec![format!("{}{}", self.heading(&what), self.paint.tone(&speed, CellTone::Soft))]
    }

    fn read(&self) -> Vec<String> {
        let books = &self.books;
        let reasons = self.figures.dead_letters.iter();
        let reasons: Vec<String> =
            reasons.map(|(reason, count)| format!("{reason} {}", words::grouped(*count))).collect();
        let missed = self.figures.late.saturating_sub(books.late);
        let rows = [
            (books.counted, "counted by at least one table", String::new()),
            (books.other(), "archived only", "instruments, centres …".to_owned()),
            (
                books.late,
                "late for every table",
                format!("{} more for some table; all in late/", words::grouped(missed)),
            ),
            (books.refused, "refused", "not allowed in the test's state".to_owned()),
            (books.repeated, "repeated", "same event_id: dropped".to_owned()),
            (books.dead_letters, "dead letters", reasons.join(", ")),
        ];
        let rows = rows.map(|(count, what, note)| {
            vec![Word::plain(words::grouped(count)), Word::plain(what), Word::soft(note)]
        });
        let title = format!("Read {} records", words::grouped(books.records));
        self.section(&title, "rll", rows.to_vec())
    }

    fn computed(&self) -> Vec<String> {
        let mut rows = vec![header(&["", "rows", "objects", "bytes"])];
        for stored in self.stored {
            rows.push(vec![
                Word::plain(stored.name.as_str()),
                Word::plain(words::grouped(stored.rows)),
                Word::plain(words::grouped(stored.objects)),
                Word::plain(words::bytes(stored.bytes)),
            ]);
        }
        let title = match self.written {
            0 => "Computed again: the same rows as were there".to_owned(),
            _ => "Computed".to_owned(),
        };
        self.section(&title, "lrrr", rows)
    }

    fn labs(&self) -> Vec<String> {
        let names = ["", "tests", "median", "stat p90", "within target", "errors", "rejected"];
        let mut labs: Vec<&LabFigures> = self.figures.labs.iter().collect();
        let kept = |lab: &LabFigures| rate(lab.within, lab.judged).unwrap_or(1.0);
        labs.sort_by(|one, other| kept(one).total_cmp(&kept(other)));
        let mut rows = vec![header(&names)];
        for lab in labs {
            let late = if lab.stat_p90 > lab.stat_target { CellTone::Bad } else { CellTone::Plain };
            rows.push(vec![
                Word::plain(lab.name.as_str()),
                Word::plain(words::grouped(lab.completed)),
                Word::plain(words::minutes(lab.p50)),
                Word::new(words::minutes(lab.stat_p90), late),
                Word::plain(words::percent(rate(lab.within, lab.judged))),
                Word::plain(words::percent(rate(lab.errors, lab.tests))),
                Word::plain(words::percent(rate(lab.rejected, lab.received))),
            ]);
        }
        self.section("Laboratories, the worst first (stat target 60 min)", "lrrrrrr", rows)
    }

    fn groups(&self) -> Vec<String> {
        let mut rows = vec![header(&["", "", "", "tests", "p90", "target", "breached"])];
        for group in self.figures.groups.iter().take(GROUPS_SHOWN) {
            let lab = self.figures.labs.get(group.lab);
            rows.push(vec![
                Word::plain(group.assay.as_str()),
                Word::plain(lab.map_or("", |lab| lab.name.as_str())),
                Word::plain(words::priority(&group.priority)),
                Word::plain(words::grouped(group.n)),
                Word::new(words::minutes(Some(group.p90)), CellTone::Bad),
                Word::plain(words::minutes(Some(group.target))),
                Word::plain(words::percent(rate(group.breached, group.n))),
            ]);
        }
        let mut lines = self.section("Furthest beyond target", "lllrrrr", rows);
        if let Some(outlier) = analysers::outlier(self.figures).filter(|one| one.factor() > 1.5) {
            let lab = self.figures.labs.get(outlier.worst.lab);
            let text = format!(
                "  slow analyser: {} of {}, median {} where its bench had {}",
                outlier.worst.machine,
                lab.map_or("", |lab| lab.name.as_str()),
                words::minutes(Some(outlier.worst.p50)),
                words::minutes(Some(outlier.peers))
            );
            lines.push(self.paint.tone(&text, CellTone::Soft));
        }
        lines
    }

    fn machines(&self) -> Vec<String> {
        let mut rows = vec![header(&["", "", "tests", "errors", "rate", "worst hour"])];
        for machine in self.figures.machines.iter().take(MACHINES_SHOWN) {
            let lab = self.figures.labs.get(machine.lab);
            let worst = machine.worst.and_then(|(_, errors, tests)| rate(errors, tests));
            rows.push(vec![
                Word::plain(machine.machine.as_str()),
                Word::plain(lab.map_or("", |lab| lab.name.as_str())),
                Word::plain(words::grouped(machine.tests)),
                Word::plain(words::grouped(machine.errors)),
                Word::plain(words::percent(rate(machine.errors, machine.tests))),
                Word::plain(words::percent(worst)),
            ]);
        }
        self.section("Instruments by error rate", "llrrrr", rows)
    }

    fn alerts(&self) -> Vec<String> {
        let alerts = &self.figures.alerts;
        let rows = alerts.iter().take(ALERTS_SHOWN).map(|alert| {
            let lab = alert.lab.and_then(|place| self.figures.labs.get(place));
            let tz = lab.map_or(chrono_tz::Tz::UTC, |lab| lab.tz);
            let tone = if alert.severity == "high" { CellTone::Bad } else { CellTone::Plain };
            vec![
                Word::new(alert.severity.as_str(), tone),
                Word::plain(words::moment(alert.begun_at, tz)),
                Word::plain(words::subject(self.figures, alert)),
                Word::plain(format!("{}: {}", words::rule(&alert.rule), words::reading(alert))),
            ]
        });
        let high = alerts.iter().filter(|alert| alert.severity == "high").count();
        let title = format!(
            "Cards that would have been sent: {} ({} breaches, {high} of high severity)",
            words::grouped(self.figures.cards as u64),
            alerts.len()
        );
        self.section(&title, "llll", rows.collect())
    }

    fn files(&self) -> Vec<String> {
        let lake = self.lake.trim_end_matches('/');
        let rows = [
            ("report", format!("{lake}/report.html")),
            ("Parquet", format!("{lake}/tables/<table>/day=<day>/day-r0.parquet")),
            (
                "query",
                format!(
                    "turnaround query \"SELECT lab_id, sum(breached) FROM sla_breaches_day GROUP \
                     BY 1\" --lake {lake}"
                ),
            ),
            (
                "DuckDB",
                format!(
                    "SELECT * FROM read_parquet('{lake}/tables/tat_percentiles_1h/*/*.parquet') \
                     LIMIT 9;"
                ),
            ),
        ];
        let rows = rows.map(|(name, line)| vec![Word::soft(name), Word::plain(line)]);
        self.section("Where it is, and lines to read it", "ll", rows.to_vec())
    }

    fn section(&self, title: &str, shape: &str, rows: Vec<Vec<Word>>) -> Vec<String> {
        let mut lines = vec![self.heading(title)];
        lines.extend(self.paint.table(shape, &rows));
        lines
    }
}

fn header(names: &[&str]) -> Vec<Word> {
    names.iter().map(|name| Word::soft(*name)).collect()
}
