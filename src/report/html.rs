//! Figures → `report.html`: one file without a request to anywhere, the same for the same figures.

use chrono::Datelike as _;
use minijinja::{AutoEscape, Environment, Value, context};

use super::books::Books;
use super::charts::{ShownPeriod, analysers, errors, heat, pareto, tat, throughput};
use super::figures::{Alert, Figures, LabFigures, TestGroup, rate};
use super::words;

/// Breaches that are shown before the rest is folded away.
const ALERTS_SHOWN: usize = 12;
/// Rows of the table of assays.
const GROUPS_SHOWN: usize = 12;

/// Where a report's figures come from.
#[derive(Clone, Debug)]
pub enum ReportSource {
    /// The demo's feed.
    Demo {
        /// What was read.
        books: Books,
        /// The generator's seed.
        seed: u64,
        /// What the watermark trails by, as `5m`.
        max_disorder: String,
    },
    /// Somebody's lake.
    Lake {
        /// Tables that it does not have.
        lacking: Vec<String>,
    },
}

/// A report.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// What is shown.
    pub figures: &'a Figures,
    /// When.
    pub period: ShownPeriod,
    /// Where it comes from.
    pub source: ReportSource,
    /// The lake, as the user wrote it.
    pub lake: &'a str,
}

impl Report<'_> {
    /// The page.
    pub fn html(&self) -> Result<String, minijinja::Error> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.add_template("report.html", include_str!("report.html.j2"))?;
        environment.get_template("report.html")?.render(self.context())
    }

    fn context(&self) -> Value {
        let figures = self.figures;
        let shown = figures.alerts.len().min(ALERTS_SHOWN);
        let alerts: Vec<Value> = figures.alerts.iter().map(|alert| self.alert(alert)).collect();
        let (first, rest) = alerts.split_at(shown);
        let outlier = analysers::outlier(figures);
        let slow = outlier.as_ref().map(|outlier| {
            context! {
                svg => drawing(analysers::drawn(figures, outlier, self.period)),
                note => analysers::told(figures, outlier),
            }
        });
        context! {
            period => self.days(),
            labs => each(&figures.labs, lab),
            findings => self.findings(),
            tiles => self.tiles(),
            tat => each(&tat::rows(figures, self.period), |row| context! {
                title => row.title.as_str(),
                note => row.note.as_str(),
                panels => each(&row.panels, |panel| context! {
                    name => panel.name.as_str(),
                    zone => panel.zone.as_str(),
                    svg => drawing(panel.svg.clone()),
                }),
            }),
            slow => slow,
            throughput => drawing(throughput::drawn(figures, self.period)),
            errors => drawing(errors::drawn(figures)),
            pareto => drawing(pareto::drawn(figures)),
            heat => drawing(heat::drawn(figures)),
            groups => each(
                figures.groups.get(..GROUPS_SHOWN).unwrap_or(&figures.groups),
                |group| self.group(group),
            ),
            alerts => first.to_vec(),
            more_alerts => rest.to_vec(),
            alert_count => figures.alerts.len(),
            cards => words::grouped(figures.cards as u64),
            books => self.books(),
            source => self.source(),
            lake => self.lake,
        }
    }

    fn source(&self) -> Value {
        match &self.source {
            ReportSource::Demo { seed, max_disorder, .. } => {
                context! { is_demo => true, seed, max_disorder => max_disorder.as_str() }
            }
            ReportSource::Lake { lacking } => {
                context! { is_demo => false, lacking => lacking.join(", ") }
            }
        }
    }

    /// The days, as `1 to 3 March 2026`, `28 February to 3 March 2026`, `1 March 2026`.
    pub fn days(&self) -> String {
        let first = words::local(self.period.from, chrono_tz::Tz::UTC);
        let last = self.period.to.minus(crate::flow::Span::SECOND);
        let last = words::local(last, chrono_tz::Tz::UTC);
        let whole = last.format("%-d %B %Y");
        if first.date_naive() == last.date_naive() {
            return whole.to_string();
        }
        let format = match (first.year() == last.year(), first.month() == last.month()) {
            (true, true) => "%-d",
            (true, false) => "%-d %B",
            (false, _) => "%-d %B %Y",
        };
        format!("{} to {whole}", first.format(format))
    }

    fn tiles(&self) -> Vec<Value> {
        let all = &self.figures.overall;
        let (errors, tests) = self.figures.errors();
        let (rejected, received) = self.figures.rejections();
        let breaches = all.judged - all.within.min(all.judged);
        let of = |part, whole, what: &str| {
            format!("{} of {} {what}", words::grouped(part), words::grouped(whole))
        };
        let tile = |name: &str, value: String, note: String| {
            // A unit is set smaller than its number.
            let (number, unit) = value.rsplit_once(' ').unwrap_or((&value, ""));
            context! { name, number, unit, note }
        };
        vec![
            tile(
                "Tests completed",
                words::grouped(all.completed),
                match self.figures.labs.len() {
                    1 => "in 1 laboratory".to_owned(),
                    labs => format!("in {labs} laboratories"),
                },
            ),
            tile("Median turnaround", words::minutes(all.p50), "receipt to verification".into()),
            tile(
                "90th percentile",
                all.p90.map_or("–".to_owned(), |p90| format!("{p90:.0} min")),
                match &self.source {
                    ReportSource::Demo { .. } => "PCR in runs of 94 included".into(),
                    ReportSource::Lake { .. } => "nine of ten were faster".into(),
                },
            ),
            tile(
                "Within target",
                words::percent(rate(all.within, all.judged)),
                of(all.within, all.judged, "tests"),
            ),
            tile("Breaches", words::grouped(breaches), "tests beyond their target".into()),
            tile("Error rate", words::percent(rate(errors, tests)), of(errors, tests, "tests")),
            tile(
                "Rejection rate",
                words::percent(rate(rejected, received)),
                of(rejected, received, "tubes"),
            ),
        ]
    }

    /// What a reader should not miss, in sentences.
    fn findings(&self) -> Vec<String> {
        let figures = self.figures;
        let mut findings = Vec::new();
        if figures.overall.completed == 0 {
            findings.push("No test was completed in this period.".to_owned());
        }
        if let Some(outlier) = analysers::outlier(figures).filter(|one| one.factor() > 1.5) {
            findings.push(analysers::told(figures, &outlier));
        }
        let missed = |lab: &&LabFigures| lab.stat_p90 > lab.stat_target;
        let late: Vec<String> = figures
            .labs
            .iter()
            .filter(missed)
            .map(|lab| format!("{} ({})", lab.name, words::minutes(lab.stat_p90)))
            .collect();
        if !late.is_empty() {
            findings.push(format!(
                "Stat tests: the 90th percentile missed the hour at {}.",
                late.join(" and ")
            ));
        }
        let rejecting = figures
            .labs
            .iter()
            .filter_map(|lab| rate(lab.rejected, lab.received).map(|share| (share, lab)));
        let most = rejecting.max_by(|one, other| one.0.total_cmp(&other.0));
        if let (Some((share, lab)), Some(reason)) = (most, figures.reasons.first()) {
            let (share, tubes) = (words::percent(Some(share)), reason.by_lab.iter().sum::<u64>());
            let most = format!(
                "most frequent reason was “{}” ({tubes} of {})",
                reason.description.to_lowercase(),
                figures.rejections().0
            );
            let name = &lab.name;
            findings.push(match figures.labs.len() {
                1 => format!("{name} rejected {share} of its tubes; the {most}."),
                _ => format!(
                    "{name} rejected the largest share of tubes, {share}; over all laboratories the \
                     {most}."
                ),
            });
        }
        let high = figures.alerts.iter().filter(|alert| alert.severity == "high").count();
        let (begun, cards) = (figures.alerts.len(), figures.cards);
        findings.push(match &self.source {
            ReportSource::Demo { .. } => format!(
                "{begun} breaches would have been told in Teams, {high} of them of high severity; \
                 with their ends that makes {cards} cards."
            ),
            ReportSource::Lake { .. } => {
                format!("{begun} breaches of alert rules began, {high} of them of high severity.")
            }
        });
        findings
    }

    fn group(&self, group: &TestGroup) -> Value {
        let lab = self.figures.labs.get(group.lab);
        let ratio = group.p90 / group.target;
        context! {
            lab => lab.map_or("", |lab| lab.name.as_str()),
            lab_place => group.lab,
            assay => group.assay.as_str(),
            priority => words::priority(&group.priority),
            n => words::grouped(group.n),
            p50 => format!("{:.0}", group.p50),
            p90 => format!("{:.0}", group.p90),
            target => format!("{:.0}", group.target),
            ratio => format!("{ratio:.2}"),
            // The bar's full width is three targets.
            width => format!("{:.1}", (ratio / 3.0).min(1.0) * 100.0),
            breached => words::percent(rate(group.breached, group.n)),
        }
    }

    fn alert(&self, alert: &Alert) -> Value {
        let tz = alert.lab.and_then(|place| self.figures.labs.get(place)).map(|lab| lab.tz);
        let tz = tz.unwrap_or(chrono_tz::Tz::UTC);
        let lasted = alert.ended_at.map(|end| (end.0 - alert.begun_at.0) as f64 / 60e6);
        context! {
            severity => alert.severity.as_str(),
            title => words::rule(&alert.rule),
            subject => words::subject(self.figures, alert),
            reading => words::reading(alert),
            begun => words::moment(alert.begun_at, tz),
            lasted => lasted.map(|lasted| words::minutes(Some(lasted))),
            owner => alert.owner.as_str(),
            runbook => alert.runbook.as_str(),
        }
    }

    fn books(&self) -> Vec<Value> {
        let entry = |name: &str, count: u64, note: String| {
            context! { name, count => words::grouped(count), note }
        };
        let reasons: Vec<String> = self
            .figures
            .dead_letters
            .iter()
            .map(|(reason, count)| format!("{reason} {}", words::grouped(*count)))
            .collect();
        let letters: u64 = self.figures.dead_letters.iter().map(|(_, count)| count).sum();
        let books = match &self.source {
            ReportSource::Demo { books, .. } => books,
            ReportSource::Lake { .. } => {
                let missed = "missed every window of some table; all are kept in late/";
                return vec![
                    entry("Too late", self.figures.late, missed.into()),
                    entry("Dead letters", letters, reasons.join(", ")),
                ];
            }
        };
        let missed = format!(
            "{} more missed the window of some table only; all are kept in late/",
            words::grouped(self.figures.late.saturating_sub(books.late))
        );
        vec![
            entry("Records read", books.records, "one JSON object each, as from Kafka".into()),
            entry("Counted", books.counted, "by at least one table".into()),
            entry(
                "Of other kinds",
                books.other(),
                "instruments, centres and other kinds: archived, counted by no table"
                    .into(),
            ),
            entry("Too late for every table", books.late, missed),
            entry(
                "Refused",
                books.refused,
                "what the state of a test does not allow: a correction of what was not released, say"
                    .into(),
            ),
            entry("Repeated", books.repeated, "same event_id again: dropped".into()),
            entry("Dead letters", books.dead_letters, reasons.join(", ")),
        ]
    }
}

fn lab(lab: &LabFigures) -> Value {
    context! {
        name => lab.name.as_str(),
        zone => lab.tz.name().replace('_', " "),
        completed => words::grouped(lab.completed),
        p50 => words::minutes(lab.p50),
        stat_p90 => words::minutes(lab.stat_p90),
        stat_late => lab.stat_p90 > lab.stat_target,
        within => words::percent(rate(lab.within, lab.judged)),
        errors => words::percent(rate(lab.errors, lab.tests)),
        short => words::short_name(&lab.name),
        rejected => words::grouped(lab.rejected),
        received => words::grouped(lab.received),
        rejections => words::percent(rate(lab.rejected, lab.received)),
    }
}

fn each<T>(values: &[T], value: impl Fn(&T) -> Value) -> Vec<Value> {
    values.iter().map(value).collect()
}

/// A drawing, which is escaped already.
fn drawing(svg: String) -> Value {
    Value::from_safe_string(svg)
}
