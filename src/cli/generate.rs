//! `generate`: options to a generated feed in a file, on standard output or on a Kafka topic.
//!
//! What was written is told on standard error, or as one JSON object with `--json`; the feed
//! itself decides nothing here.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::clock::{Clock, SystemClock};
use crate::flow::{Span, Timestamp};
use crate::source::generator::{
    Counters, FaultRates, Generator, GeneratorOptions, Profile, TestCourse, parse_share,
};

use super::WrongInput;
use super::launch::feed_error;
use crate::feed::WriteOutcome;
use crate::feed::bar::Bar;
use crate::feed::target::{FeedTarget, KafkaTarget, parse_option};
use crate::feed::writer::FeedWriter;

/// Kafka keeps messages for so long unless told otherwise.
const USUAL_RETENTION: Span = Span(7 * Span::DAY.0);

/// The command's arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// demo (3 labs, 3 days), starter-kit (the kit's rows, 1200 a day, 3 days) or network
    /// (1000 labs, 1 day).
    #[arg(long)]
    profile: Profile,
    /// Stop after so many records; without --days the feed lasts as long as that takes.
    #[arg(long, value_name = "N")]
    events: Option<u64>,
    /// Collect specimens for so many days, as 3 or 0.5.
    #[arg(long, value_name = "D")]
    days: Option<f64>,
    /// How many laboratories.
    #[arg(long, value_name = "L")]
    labs: Option<u32>,
    /// Another seed, another feed; the same seed, the same bytes.
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
    /// The first instant, as 2026-03-01T00:00:00Z.
    #[arg(long, value_name = "T", value_parser = parse_instant)]
    from: Option<Timestamp>,
    /// plain (what happens every day) or full (also added tests, upgrades, referrals, lost tubes,
    /// storage, the centres' settings …) [default: full for network, else plain].
    #[arg(long)]
    course: Option<TestCourse>,
    /// How far out of order the feed may be without faults.
    #[arg(long, default_value = "1m", value_name = "SPAN")]
    max_disorder: Span,
    /// Where to: file:PATH, file:- (standard output) or kafka:TOPIC.
    #[arg(long, value_name = "WHERE")]
    out: FeedTarget,
    /// Kafka's bootstrap servers.
    #[arg(long, env = "KAFKA_BROKERS", value_name = "HOST:PORT")]
    brokers: Option<String>,
    /// Create the topic with so many partitions if it does not exist.
    #[arg(long, value_name = "N")]
    partitions: Option<u16>,
    /// Any librdkafka setting, as security.protocol=SASL_SSL; may be repeated.
    #[arg(long = "kafka-option", value_name = "KEY=VALUE", value_parser = parse_option)]
    kafka_options: Vec<(String, String)>,
    /// Print counters as one JSON object (on standard error when the feed is on standard output).
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    faults: FaultArgs,
}

/// How often the feed goes wrong. Rates are shares of records: 0.01 or 1%.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Faults (rates as 0.01 or 1%)")]
struct FaultArgs {
    /// none, default or all; faults by name and no others, as late=0.01,refused=0.2%,skew=2m; or
    /// a set and what differs from it, as default,late=5%.
    #[arg(long, default_value = "default", value_name = "SET|NAME=RATE,…")]
    faults: FaultRates,
    /// Records that arrive 5 to 60 minutes late [default: 1%].
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    late: Option<f64>,
    /// Records that arrive twice [default: 0.1%].
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    repeated: Option<f64>,
    /// Records that are not a JSON object [default: 0.05%].
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    malformed: Option<f64>,
    /// Each instrument's clock is wrong by at most so much, either way [default: 2m].
    #[arg(long, value_name = "SPAN")]
    clock_skew: Option<Span>,
    /// Finished tests followed by a transition that must be refused [default: 0.05%].
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    refused: Option<f64>,
    /// Records stamped with the far future [default: 0; all: 0.05%].
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    future: Option<f64>,
    /// Records with a field that nobody declared [default: 0; all: 0.1%].
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    unknown_field: Option<f64>,
    /// Records with a state, status or event type that does not exist [default: 0; all: 0.05%].
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    unknown_status: Option<f64>,
}

impl FaultArgs {
    fn rates(&self) -> FaultRates {
        let set = self.faults;
        FaultRates {
            late: self.late.unwrap_or(set.late),
            repeated: self.repeated.unwrap_or(set.repeated),
            malformed: self.malformed.unwrap_or(set.malformed),
            clock_skew: self.clock_skew.unwrap_or(set.clock_skew),
            refused: self.refused.unwrap_or(set.refused),
            future: self.future.unwrap_or(set.future),
            unknown_field: self.unknown_field.unwrap_or(set.unknown_field),
            unknown_status: self.unknown_status.unwrap_or(set.unknown_status),
        }
    }
}

impl Args {
    fn options(&self) -> GeneratorOptions {
        let usual = GeneratorOptions::new(self.profile);
        GeneratorOptions {
            events: self.events,
            days: self.days,
            labs: self.labs,
            seed: self.seed,
            from: self.from.unwrap_or(usual.from),
            max_disorder: self.max_disorder,
            faults: self.faults.rates(),
            course: self.course.unwrap_or(usual.course),
            ..usual
        }
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    parse_share(text).ok_or_else(|| "write a share from 0 to 1, or 0% to 100%".to_owned())
}

fn parse_instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text)
        .ok_or_else(|| "write an instant as 2026-03-01T00:00:00Z".to_owned())
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let generator =
        Generator::new(args.options()).map_err(|fault| WrongInput(fault.to_string()))?;
    let settings = KafkaTarget {
        brokers: args.brokers.clone(),
        partitions: args.partitions,
        options: args.kafka_options.clone(),
        remedy: "create it, or give --partitions N",
    };
    let writer = FeedWriter::open(&args.out, &settings).await.map_err(feed_error)?;
    let bar = progress_bar(&generator);
    let started = Instant::now();
    let (generator, feed) =
        tokio::task::spawn_blocking(move || write_feed(generator, writer, &bar))
            .await
            .context("the generator stopped unexpectedly")??;
    report(&args, &generator, feed, started.elapsed());
    Ok(ExitCode::SUCCESS)
}

/// What has been written.
#[derive(Clone, Copy, Debug, Default)]
struct Feed {
    bytes: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

/// Writes every record. A reader of standard output that goes away ends the feed.
fn write_feed(
    mut generator: Generator,
    mut writer: FeedWriter,
    bar: &Bar,
) -> anyhow::Result<(Generator, Feed)> {
    let mut feed = Feed::default();
    let (mut line, mut key) = (Vec::with_capacity(1024), String::new());
    let keyed = writer.needs_keys();
    let mut count = 0_u64;
    while let Some(arrival) = generator.write_next(&mut line, keyed.then_some(&mut key)) {
        match writer.write(key.as_bytes(), &line, Some(arrival)).map_err(feed_error)? {
            WriteOutcome::Taken => {}
            WriteOutcome::ReaderGone => break,
        }
        feed.bytes += line.len() as u64 + 1;
        feed.first = feed.first.or(Some(arrival));
        feed.last = Some(arrival);
        line.clear();
        count += 1;
        bar.show(count, || steps(&generator, count, arrival));
    }
    writer.finish().map_err(feed_error)?;
    bar.finish();
    Ok((generator, feed))
}

/// Counts records where their number is known, else the feed's seconds.
fn progress_bar(generator: &Generator) -> Bar {
    let options = generator.options();
    let seconds = options.end().map(|end| (end.0 - options.from.0) / Span::SECOND.0);
    let length = generator.expected_events().or(seconds.and_then(|s| u64::try_from(s).ok()));
    Bar::to_an_end("generating", "events", length.unwrap_or(0))
}

fn steps(generator: &Generator, count: u64, arrival: Timestamp) -> u64 {
    let seconds = (arrival.0 - generator.options().from.0) / Span::SECOND.0;
    match generator.expected_events() {
        Some(_) => count,
        None => u64::try_from(seconds).unwrap_or(0),
    }
}

fn report(args: &Args, generator: &Generator, feed: Feed, took: Duration) {
    let counters = generator.counters();
    let labs = generator.labs().count();
    let seconds = took.as_secs_f64();
    if args.json {
        let counters = as_json(counters, feed, labs, seconds);
        match args.out {
            FeedTarget::StandardOutput => eprintln!("{counters}"),
            FeedTarget::File(_) | FeedTarget::Kafka(_) => println!("{counters}"),
        }
        return;
    }
    let (Some(first), Some(last)) = (feed.first, feed.last) else {
        eprintln!("wrote no events to {}", args.out);
        return;
    };
    eprintln!(
        "wrote {} events of {labs} labs, arriving from {first} to {last}, {:.1} MB, to {} in {seconds:.1} s",
        counters.events,
        feed.bytes as f64 / 1e6,
        args.out,
    );
    eprintln!(
        "faults: {} late, {} repeated, {} malformed, {} refused, {} future, {} unknown fields, {} unknown statuses",
        counters.late,
        counters.repeated,
        counters.malformed,
        counters.refused,
        counters.future,
        counters.unknown_field,
        counters.unknown_status,
    );
    let existing_topic = matches!(args.out, FeedTarget::Kafka(_)) && args.partitions.is_none();
    if existing_topic && last.plus(USUAL_RETENTION) < SystemClock.now() {
        eprintln!(
            "note: the messages are as old as the feed; a topic that keeps messages for days deletes them soon: set its retention.ms to -1, or let --partitions create it so"
        );
    }
}

fn as_json(counters: Counters, feed: Feed, labs: usize, seconds: f64) -> serde_json::Value {
    serde_json::json!({
        "events": counters.events,
        "bytes": feed.bytes,
        "labs": labs,
        "first_arrival": feed.first.map(Timestamp::to_rfc3339),
        "last_arrival": feed.last.map(Timestamp::to_rfc3339),
        "late": counters.late,
        "repeated": counters.repeated,
        "malformed": counters.malformed,
        "refused": counters.refused,
        "future": counters.future,
        "unknown_field": counters.unknown_field,
        "unknown_status": counters.unknown_status,
        "seconds": seconds,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Command::try_parse_from(line.split_whitespace()).map(|command| command.args)
    }

    #[test]
    fn rates_start_from_a_set_and_are_changed_one_by_one() {
        let line = "generate --profile demo --out file:- --faults none --late 2% --refused 0.5";
        let rates = parse(line).expect("valid").faults.rates();
        assert_eq!(rates, FaultRates { late: 0.02, refused: 0.5, ..FaultRates::NONE });
        let line = "generate --profile demo --out file:- --faults late=0.01,skew=1m --late 3%";
        let rates = parse(line).expect("valid").faults.rates();
        let expected = FaultRates { late: 0.03, clock_skew: Span::MINUTE, ..FaultRates::NONE };
        assert_eq!(rates, expected);
        let usual = parse("generate --profile demo --out file:-").expect("valid");
        assert_eq!(usual.options(), GeneratorOptions::new(Profile::Demo));
    }

    #[test]
    fn wrong_arguments_are_refused_with_the_remedy() {
        for (line, remedy) in [
            ("generate --profile demos --out file:-", "starter-kit"),
            ("generate --profile demo --out lake", "file:PATH"),
            ("generate --profile demo --out file:- --course long", "plain or full"),
            ("generate --profile demo --out kafka:", "file:PATH"),
            ("generate --profile demo --out file:- --late 2", "0% to 100%"),
            ("generate --profile demo --out file:- --faults lat=1%", "late, repeated, malformed"),
            ("generate --profile demo --out file:- --from yesterday", "2026-03-01T00:00:00Z"),
            ("generate --profile demo --out file:- --kafka-option a", "KEY=VALUE"),
        ] {
            let fault = parse(line).expect_err(line).to_string();
            assert!(fault.contains(remedy), "{line}: {fault}");
        }
    }

    #[tokio::test]
    async fn a_feed_is_written_to_a_file_line_by_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/feed.ndjson");
        let line = format!("generate --profile demo --events 500 --out file:{}", path.display());
        assert_eq!(run(parse(&line).expect("valid")).await.expect("written"), ExitCode::SUCCESS);
        let lines = std::fs::read(&path).expect("a file");
        let expected: Vec<u8> = Generator::new(GeneratorOptions {
            events: Some(500),
            ..GeneratorOptions::new(Profile::Demo)
        })
        .expect("valid options")
        .flat_map(|record| [record.line, b"\n".to_vec()].concat())
        .collect();
        assert_eq!(lines, expected);
    }

    #[tokio::test]
    async fn zero_labs_are_wrong_input() {
        let args = parse("generate --profile demo --labs 0 --out file:-").expect("parsed");
        let fault = run(args).await.expect_err("refused");
        assert!(fault.is::<WrongInput>(), "{fault}");
    }
}
