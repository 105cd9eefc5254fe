//! Projects as data: files in, faults out. Places were counted by hand.

// long because its faults are read side by side, over one way of writing a project.

use std::fs;
use std::path::Path;

use chrono_tz::Tz;
use secrecy::ExposeSecret;

use crate::alert::format::Channel;
use crate::alert::rule::Severity;
use crate::flow::Span;
use crate::window::{CalendarUnit, WindowKind, Zone};

use super::env::Env;
use super::fault::{Fault, Faults, Position};
use super::project::{Project, ReadProject};
use super::settings::{Flags, Settings, SourceSpec};
use super::yaml::Document;

/// Writes the files into a folder, reads it as a project, and names faults by their place in it.
fn read(files: &[(&str, &str)]) -> (ReadProject, Vec<String>, Vec<String>) {
    let folder = tempfile::tempdir().expect("folder");
    fs::create_dir_all(folder.path().join("pipelines")).expect("folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        fs::write(path, text).expect("file");
    }
    let reading = Project::read(Some(folder.path()), None);
    let prefix = format!("{}/", folder.path().display());
    let shown = |faults: &[Fault]| {
        faults.iter().map(|fault| fault.to_string().replace(&prefix, "")).collect()
    };
    let (faults, notes) = (shown(&reading.faults), shown(&reading.project.notes));
    (reading, faults, notes)
}

/// The faults of one pipeline's YAML, without `pipelines/p.yaml:`.
fn pipeline(yaml: &str) -> Vec<String> {
    let (_, faults, _) = read(&[("pipelines/p.yaml", yaml), ("sql/marts/p.sql", "SELECT 1")]);
    faults.iter().map(|fault| fault.replace("pipelines/p.yaml:", "")).collect()
}

/// A pipeline with these windows in line 2.
fn windows(windows: &str) -> String {
    format!("description: D.\nwindows: {windows}\ngrain: [lab_id]\n")
}

const DESIGN: &str = r#"description: Rolling turnaround-time percentiles by lab, assay and priority.
windows:
  1h:  { hopping: { size: 1h, slide: 5m } }
  24h: { hopping: { size: 24h, slide: 1h } }
allowed_lateness: 3h
grain: [lab_id, assay, priority]
expect: ref.labs
columns:
  p90_minutes: { description: 90th percentile, unit: min, additive: false }
alerts:
  - name: tat_p90_over_target
    when: p90_minutes > target_minutes AND n >= 20
    for: 10m
    until: p90_minutes < 0.9 * target_minutes
    severity: high
    owner: lab-ops
    runbook: docs/runbooks/tat.md
    windows: [24h]
"#;

#[test]
fn the_design_s_pipeline_is_read_whole() {
    let (reading, faults, notes) = read(&[
        ("pipelines/tat.yaml", DESIGN),
        ("sql/marts/tat.sql", "SELECT 1\n"),
        ("sql/staging/tests.sql", "SELECT 2\n"),
        ("data/reference/labs.csv", "lab_id,tz\nn,Europe/Berlin\n"),
    ]);
    assert_eq!((faults, notes), (vec![], vec![]));
    let spec = &reading.project.pipelines[0];
    assert_eq!((spec.name.as_str(), spec.sql.as_str()), ("tat", "SELECT 1\n"));
    assert_eq!(spec.tables().collect::<Vec<_>>(), ["tat_1h", "tat_24h"]);
    assert_eq!(spec.windows[1].kind, WindowKind::Hopping { size: Span::DAY, slide: Span::HOUR });
    assert_eq!(spec.allowed_lateness, Span(10_800_000_000));
    assert_eq!(spec.late_step, Span(900_000_000));
    assert_eq!(spec.grain, ["lab_id", "assay", "priority"]);
    assert_eq!(spec.expect.as_deref(), Some("labs"));
    let column = &spec.columns["p90_minutes"];
    assert_eq!((column.unit.as_deref(), column.additive), (Some("min"), Some(false)));
    let alert = &spec.alerts[0];
    assert_eq!(alert.when, "p90_minutes > target_minutes AND n >= 20");
    assert_eq!((alert.hold, alert.severity), (Span(600_000_000), Severity::High));
    assert_eq!(alert.windows, ["24h"]);
    assert_eq!(reading.project.staging[0].name, "tests");
    let names: Vec<_> = reading.project.reference.iter().map(|table| &table.name).collect();
    assert!(names.contains(&&"labs".to_owned()) && !names.contains(&&"targets".to_owned()));

    let places = [
        ("windows.1h", (3, 3)),
        ("windows.1h.hopping.slide", (3, 38)),
        ("grain[1]", (6, 17)),
        ("expect", (7, 9)),
        ("columns.p90_minutes", (9, 3)),
        ("alerts[0].when", (12, 11)),
        ("alerts.tat_p90_over_target.until", (14, 12)),
        ("alerts[0].nothing", (11, 5)),
        ("nothing", (1, 1)),
    ];
    for (path, (line, column)) in places {
        assert_eq!(spec.positions.at(path), Position { line, column }, "{path}");
    }
}

#[test]
fn every_mistake_of_a_file_is_reported_at_once() {
    let yaml = "description: D.\n\
                windows:\n  1h:  { hopping: { size: 1h, slide: 7m } }\n  \
                day: { calendar: { unit: dya } }\n\
                allowed_latenes: 2h\n\
                grain: [lab_id, lab_id]\n\
                alerts:\n  - name: slow\n    when: n > 1\n    for: 5 fortnights\n    \
                severity: urgent\n    windows: [2h]\n";
    assert_eq!(
        pipeline(yaml),
        [
            "3:27: `windows.1h.hopping.size` 1h is not a multiple of the slide, 7m. \
         write 56m or 63m, or another slide",
            "4:28: `windows.day.calendar.unit` must be a calendar's unit, not `dya`. \
         write day, week, month or shift",
            "5:1: unknown key `allowed_latenes`. did you mean `allowed_lateness`?",
            "6:17: `grain[1]` names `lab_id` again. keep it once",
            "10:10: `alerts[0].for` must be a duration, not `5 fortnights`. \
         write a whole number and a unit, as 90s, 5m, 2h or 7d",
            "11:15: `alerts[0].severity` must be a severity, not `urgent`. \
         write low, medium or high",
        ]
    );
}

const WINDOWS: &[(&str, &[&str])] = &[
    ("{ 1h: { tumbling: { size: 1h } } }", &[]),
    ("{ none: {} }", &[]),
    ("{ none: }", &[]),
    ("{ s: { session: { gap: 30m, by: [lab_id] } } }", &[]),
    ("{ none: { size: 1h } }", &["2:18: `windows.none` takes no settings"]),
    ("{ x: { none: {} } }", &["2:17: unknown kind of window `none`. name the window itself"]),
    (
        "{ x: { tumblng: { size: 1h } } }",
        &["2:17: unknown kind of window `tumblng`. did you mean `tumbling`?"],
    ),
    (
        "{ x: { tumbling: { size: 0m } } }",
        &["2:35: `windows.x.tumbling.size` must be longer than zero"],
    ),
    (
        "{ x: { tumbling: { size: -5m } } }",
        &["2:35: `windows.x.tumbling.size` must be a duration, not `-5m`"],
    ),
    (
        "{ x: { tumbling: { size: 10ms } } }",
        &["2:35: `windows.x.tumbling.size` 10ms is shorter than 1s"],
    ),
    (
        "{ x: { tumbling: {} } }",
        &["2:27: the key `size` is missing in `windows.x.tumbling`. add `size: 1h`"],
    ),
    (
        "{ x: { tumbling: { size: 1h }, hopping: { size: 1h } } }",
        &["2:15: `windows.x` must have one kind, not 2"],
    ),
    (
        "{ x: { hopping: { size: 5m, slide: 1h } } }",
        &[
            "2:34: `windows.x.hopping.size` 5m is not a multiple of the slide, 1h. write 1h, or a shorter slide",
        ],
    ),
    (
        "{ x: { hopping: { size: 10001m, slide: 1m } } }",
        &["2:34: `windows.x.hopping.size` 10001m is 10001 panes of 1m; at most 10000 are kept"],
    ),
    ("{ x: { hopping: { size: 10000m, slide: 1m } } }", &[]),
    ("{ X-1: { tumbling: { size: 1h } } }", &["2:12: the window's name `X-1` cannot end"]),
    (
        "{ x: { calendar: { unit: day, tz: Europe/Berln } } }",
        &["2:44: `windows.x.calendar.tz` must be a time zone, not `Europe/Berln`"],
    ),
    (
        "{ x: { calendar: { unit: shift } } }",
        &["2:27: `windows.x.calendar` of shifts needs their starts"],
    ),
    (
        "{ x: { calendar: { unit: shift, starts: [\"06:00\", \"06:10\", 25:00] } } }",
        &[
            "2:60: `windows.x.calendar.starts[1]` 06:10 is not a quarter",
            "2:69: `windows.x.calendar.starts[2]` must be a time of day, not `25:00`",
        ],
    ),
    (
        "{ x: { calendar: { unit: shift, starts: [14:00, 06:00] } } }",
        &["2:58: `windows.x.calendar.starts[1]` 06:00 does not follow"],
    ),
    (
        "{ x: { calendar: { unit: day, starts: [06:00] } } }",
        &["2:48: `windows.x.calendar.starts` belongs to shifts"],
    ),
    ("{}", &["2:10: `windows` is empty"]),
    ("[1h]", &["2:10: `windows` must be a map, not a list"]),
    ("", &["2:1: `windows` has no value"]),
];

#[test]
fn faults_of_windows_are_placed() {
    for (text, expected) in WINDOWS {
        let found = pipeline(&windows(text));
        assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
        for (found, expected) in found.iter().zip(*expected) {
            assert!(found.starts_with(expected), "{text}: {found}");
        }
    }
}

#[test]
fn calendar_windows_carry_their_zone() {
    let text = "{ a: { calendar: { unit: week } }, b: { calendar: { unit: shift, tz: Asia/Tokyo, \
                starts: [06:00, \"14:30\"] } } }";
    let (reading, faults, _) =
        read(&[("pipelines/p.yaml", &windows(text)), ("sql/marts/p.sql", "SELECT 1")]);
    assert_eq!(faults, Vec::<String>::new());
    let kinds: Vec<_> = reading.project.pipelines[0].windows.iter().map(|w| &w.kind).collect();
    let week = WindowKind::Calendar { unit: CalendarUnit::Week, zone: Zone::Lab };
    let unit = CalendarUnit::Shift { starts: vec![360, 870] };
    let shift = WindowKind::Calendar { unit, zone: Zone::Fixed(Tz::Asia__Tokyo) };
    assert_eq!(kinds, [&week, &shift]);
}

const OTHER_KEYS: &[(&str, &[&str])] = &[
    ("", &["1:1: the key `grain` is missing. add `grain: [lab_id]`"]),
    ("grain: lab_id", &["3:8: `grain` must be a list, not a single value. write it as [lab_id"]),
    (
        "grain: [Lab, revision]",
        &[
            "3:9: `grain[0]` names no column: `Lab`",
            "3:14: `grain[1]` names `revision`, which every table has",
        ],
    ),
    ("grain: []\nexpect: labs", &["4:9: `expect` must name a reference table, not `labs`"]),
    ("grain: [a]\nexpect: ref.nope", &["4:9: the reference table `ref.nope` does not exist"]),
    ("grain: []\nsql: ../x.sql", &["4:6: `sql` must be a path"]),
    (
        "grain: []\nsql: sql/marts/pp.sql",
        &["4:6: the SQL file sql/marts/pp.sql does not exist. did you mean sql/marts/p.sql?"],
    ),
    (
        "grain: []\nallowed_lateness: 365d\nlate_step: 1m",
        &["5:12: 365d of lateness in steps of 1m are 525600 revisions"],
    ),
    (
        "grain: []\ncolumns: { P90: { description: x, additive: yes } }",
        &[
            "4:12: no output column can be called `P90`. did you mean `p90`?",
            "4:45: `columns.P90.additive` must be true or false, not `yes`",
        ],
    ),
    (
        "grain: []\nalerts:\n  - when: n > 1\n    name: Too Slow",
        &["6:11: `alerts[0].name` is no name: `Too Slow`. did you mean `too_slow`?"],
    ),
    (
        "grain: []\nalerts:\n  - name: a\n    wehn: n > 1",
        &[
            "5:5: the key `when` is missing in `alerts[0]`",
            "6:5: unknown key `wehn`. did you mean `when`?",
        ],
    ),
    (
        "grain: []\nalerts: [{ name: a, when: b, windows: [1h] }]",
        &[
            "4:40: `alerts[0].windows[0]` names no window of this pipeline: `1h`. the windows here are: none",
        ],
    ),
    ("grain: []\ngrain: []", &["4:1: `grain` stands twice, first in line 3"]),
];

#[test]
fn faults_of_other_keys_are_placed() {
    let head = "description: D.\nwindows: { none: {} }\n";
    for (text, expected) in OTHER_KEYS {
        let found = pipeline(&format!("{head}{text}\n"));
        assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
        for (found, expected) in found.iter().zip(*expected) {
            assert!(found.starts_with(expected), "{text}: {found}");
        }
    }
    assert!(pipeline("")[0].starts_with("1:1: the file is empty"));
}

#[test]
fn what_pipelines_share_is_checked() {
    let alert = "alerts: [{ name: slow, when: n > 1 }]\n";
    let hour = format!("{}{alert}", windows("{ b_1h: { tumbling: { size: 1h } } }"));
    let other = format!("{}{alert}", windows("{ 1h: { tumbling: { size: 1h } } }"));
    let (_, faults, notes) = read(&[
        ("pipelines/a.yaml", &hour),
        ("pipelines/a_b.yaml", &other),
        ("pipelines/events.yaml", &windows("{ none: {} }")),
        ("pipelines/old.yml", "x"),
        ("pipelines/quality/rule.yaml", "x"),
        ("sql/marts/a.sql", "SELECT 1"),
        ("sql/marts/a_b.sql", "SELECT 1"),
        ("sql/marts/events.sql", "SELECT 1"),
        ("sql/marts/orphan.sql", "SELECT 1"),
    ]);
    assert_eq!(
        faults,
        [
            "pipelines/a_b.yaml:2:12: the table `a_b_1h` is already written by pipelines/a.yaml. \
         rename this window or the pipeline",
            "pipelines/a_b.yaml:4:18: the alert `slow` stands already in pipelines/a.yaml. \
         give each alert a name of its own",
            "pipelines/events.yaml:2:12: the table's name `events` is taken by the lake itself. \
         rename the pipeline's files",
            "pipelines/old.yml:1:1: files that end in .yml are not read. \
         rename it to pipelines/old.yaml",
        ]
    );
    assert_eq!(
        notes,
        [
            "pipelines/quality/rule.yaml:1:1: this file is not read. \
         pipelines stand directly in pipelines/, machines in pipelines/lifecycles/",
            "sql/marts/orphan.sql:1:1: no pipeline uses this file. \
         add pipelines/orphan.yaml, or remove it",
        ]
    );
}

#[test]
fn a_faulty_pipeline_is_still_given_for_its_sql() {
    let text = format!("{}colour: red\n", windows("{ none: {} }"));
    let (reading, faults, _) =
        read(&[("pipelines/p.yaml", &text), ("sql/marts/p.sql", "SELECT 1")]);
    assert_eq!(faults.len(), 1);
    assert_eq!(reading.project.pipelines.len(), 1);
    assert!(!reading.lacks_relations);
    let (reading, faults, _) = read(&[
        ("pipelines/p.yaml", &windows("{ none: {} }")),
        ("data/reference/t.csv", "a\n1,2\n"),
    ]);
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].starts_with("data/reference/t.csv:2:3: the row has 2 cells"));
    assert!(faults[1].starts_with(
        "pipelines/p.yaml:1:1: the SQL file sql/marts/p.sql does not exist. write the query there"
    ));
    assert!(reading.lacks_relations && reading.project.pipelines.is_empty());
}

#[test]
fn a_folder_without_pipelines_says_so() {
    let folder = tempfile::tempdir().expect("folder");
    let found = Project::load(Some(folder.path())).expect_err("faults");
    assert!(found[0].what.contains("no `pipelines` folder"), "{found:?}");
    let missing = Project::load(Some(Path::new("/nonexistent"))).expect_err("faults");
    assert_eq!(
        missing[0].to_string(),
        "/nonexistent: there is no such folder. name a project's folder"
    );
    let (_, faults, _) = read(&[]);
    assert_eq!(
        faults,
        ["pipelines: there is no pipeline. add pipelines/<name>.yaml and sql/marts/<name>.sql"]
    );
}

fn env(pairs: &[(&str, &str)]) -> Env {
    Env::from_pairs(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())))
}

fn resolve(yaml: &str, env: &Env, flags: &Flags) -> Result<Settings, Vec<String>> {
    let mut faults = Faults::of(Path::new("t.yaml"));
    let document = Document::parse(yaml, &mut faults).expect("yaml");
    assert_eq!(faults.count(), 0);
    Settings::resolve(Some(&document), env, flags)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

#[test]
fn a_flag_beats_the_environment_beats_yaml_beats_the_default() {
    let none = env(&[]);
    let flags = Flags::default();
    let settings = Settings::resolve(None, &none, &flags).expect("settings");
    assert_eq!((settings.lake.as_str(), settings.sla_hours), ("turnaround-lake", 4.0));
    assert_eq!(settings.kafka.group, "turnaround");
    assert_eq!(settings.time.max_disorder, Span(60_000_000));
    assert_eq!(settings.time.max_future, Span(300_000_000));
    assert_eq!(settings.time.max_leap, Span(900_000_000));
    assert_eq!(settings.time.idle_after, Span(30_000_000));
    assert_eq!(settings.checkpoint.bytes, 67_108_864);

    let yaml = "lake: from-yaml\nsla_hours: 2\nkafka: { brokers: [a:1, b:2] }\nsource: file:x\n";
    let settings = resolve(yaml, &none, &flags).expect("settings");
    assert_eq!((settings.lake.as_str(), settings.sla_hours), ("from-yaml", 2.0));
    assert_eq!(settings.kafka.brokers.as_deref(), Some("a:1,b:2"));

    let set = env(&[("LAKE_URL", "s3://env/x"), ("SLA_HOURS", "1"), ("KAFKA_BROKERS", "c:3")]);
    let settings = resolve(yaml, &set, &flags).expect("settings");
    assert_eq!((settings.lake.as_str(), settings.sla_hours), ("s3://env/x", 1.0));
    assert_eq!(settings.kafka.brokers.as_deref(), Some("c:3"));

    let flags = Flags {
        lake: Some("from-flag".into()),
        source: Some("kafka:t, u".into()),
        listen: Some("localhost:9464".into()),
        ..Flags::default()
    };
    let settings = resolve(yaml, &set, &flags).expect("settings");
    assert_eq!(settings.lake, "from-flag");
    let topics = vec!["t".to_owned(), "u".to_owned()];
    assert_eq!(settings.source, Some(SourceSpec::Kafka { topics }));
    assert_eq!(settings.listen.map(|at| at.to_string()).as_deref(), Some("127.0.0.1:9464"));
}

#[test]
fn every_setting_is_read() {
    let yaml = r#"
default_lab: north
time: { max_disorder: 2m, max_future: 10m, max_leap: 20m, idle_after: 1m }
kafka: { group: g, options: { security.protocol: SASL_SSL, sasl.password: { env: KPW } } }
alerts:
  routes:
    - { match: { lab: north, severity: [high, low] }, webhook_env: NORTH, quiet_hours: "22:00-06:00" }
    - { webhook_env: UNSET, format: slack }
  repeat: 1h
  max_age: 30m
  dry_run: true
  legacy_message_card: true
  link: https://dash.test/
checkpoint: { every: 5s, bytes: 1 MiB }
retention: { events: 90, dead_letters: 30 }
dead_letters: s3://letters/x
listen: 0.0.0.0:80
"#;
    let env = env(&[("KPW", "hunter2"), ("NORTH", "https://hooks.test/hunter2")]);
    let settings = resolve(yaml, &env, &Flags::default()).expect("settings");
    assert_eq!(settings.default_lab.as_deref(), Some("north"));
    assert_eq!(settings.time.max_disorder, Span(120_000_000));
    assert_eq!(settings.time.max_leap, Span(1_200_000_000));
    assert_eq!(settings.kafka.options["sasl.password"].expose_secret(), "hunter2");
    let route = &settings.alerts.routes[0];
    assert_eq!((route.labs.clone(), route.webhook_env.as_str()), (vec!["north".into()], "NORTH"));
    assert_eq!(route.severities, [Severity::High, Severity::Low]);
    assert_eq!(route.quiet_hours, Some((1320, 360)));
    assert_eq!(settings.alerts.routes.len(), 2);
    let formats = ["NORTH", "UNSET", "OTHER"].map(|webhook| settings.alerts.channel(webhook));
    assert_eq!(formats, [Channel::MessageCard, Channel::Slack, Channel::MessageCard]);
    assert_eq!(settings.alerts.repeat, Span::HOUR);
    assert!(settings.alerts.dry_run && settings.alerts.legacy_message_card);
    assert_eq!(settings.alerts.link.as_deref(), Some("https://dash.test/"));
    assert_eq!((settings.checkpoint.every, settings.checkpoint.bytes), (Span(5_000_000), 1 << 20));
    assert_eq!(settings.retention["events"], 90);
    assert_eq!(settings.dead_letters.as_deref(), Some("s3://letters/x"));
    let notes: Vec<String> = settings.notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "t.yaml:8:22: the environment variable `UNSET` is not set. cards of this route are \
         rendered and recorded, not posted, until it is",
            "t.yaml:14:13: `checkpoint` has no effect yet. state lives in memory until checkpoints \
         exist",
            "t.yaml:15:12: `retention` has no effect yet. nothing is deleted until retention exists",
        ]
    );
    assert!(!format!("{settings:?}").contains("hunter2"));
}

const SETTINGS: &[(&str, &[&str])] = &[
    ("", &[]),
    ("lake: s3://key:hunter2@bucket/x", &["t.yaml:1:7: `lake` holds credentials"]),
    ("lake: ftp://x", &["t.yaml:1:7: `lake` is no place for objects: `ftp` is not known"]),
    ("lake: s3:///x", &["t.yaml:1:7: `lake` names no bucket"]),
    (
        "source: \"kafka:\"",
        &["t.yaml:1:9: `source` is no source: `kafka:`. write kafka:TOPIC, file:PATH"],
    ),
    ("listen: 9464", &["t.yaml:1:9: `listen` is no address with a port: `9464`"]),
    ("sla_hours: 0", &["t.yaml:1:12: `sla_hours` is out of range"]),
    (
        "sla_hours: \"4\"",
        &[
            "t.yaml:1:12: `sla_hours` must be a number of hours, not `4`. write a number of hours, without quotes",
        ],
    ),
    (
        "time: { max_disorder: -1m }",
        &["t.yaml:1:23: `time.max_disorder` must be a duration, not `-1m`"],
    ),
    (
        "kafka: { options: { group.id: x, sasl.password: { env: NOPE } } }",
        &[
            "t.yaml:1:21: `group.id` cannot be set here. write it as `kafka.group`",
            "t.yaml:1:56: `kafka.options.sasl.password.env` names `NOPE`, which is not set",
        ],
    ),
    (
        "alerts: { routes: [{ webhook_env: \"https://x.test/hunter2\" }] }",
        &[
            "t.yaml:1:35: `alerts.routes[0].webhook_env` does not hold the name of an environment variable",
        ],
    ),
    (
        "alerts: { routes: [{ webhook_env: W, quiet_hours: 22-6 }] }",
        &["t.yaml:1:51: `alerts.routes[0].quiet_hours` must be a range of hours, not `22-6`"],
    ),
    (
        "alerts: { routes: [{ webhook_env: W, format: pager }] }",
        &[
            "t.yaml:1:46: `alerts.routes[0].format` names no format of cards: `pager`. write one of teams, slack, json",
        ],
    ),
    (
        "alerts: { routes: [{ webhook_env: W, format: json }, { webhook_env: W }] }",
        &["t.yaml:1:54: `W` takes another `format` in a route above. write the same format"],
    ),
    (
        "alerts: { routes: [{ match: { labs: x } }] }",
        &[
            "t.yaml:1:20: the key `webhook_env` is missing in `alerts.routes[0]`",
            "t.yaml:1:31: unknown key `labs`. did you mean `lab`?",
        ],
    ),
    (
        "checkpoint: { bytes: 64 M }",
        &["t.yaml:1:22: `checkpoint.bytes` must be a number of bytes, not `64 M`"],
    ),
    (
        "retention: { event: 1, late: 0, live: soon }",
        &[
            "t.yaml:1:14: unknown key `event`. did you mean `events`?",
            "t.yaml:1:30: `retention.late` must be at least 1",
            "t.yaml:1:39: `retention.live` must be a whole number of days, not `soon`",
        ],
    ),
    (
        "lakes: x\nalert: {}\nfoo: 1",
        &[
            "t.yaml:1:1: unknown key `lakes`. did you mean `lake`?",
            "t.yaml:2:1: unknown key `alert`. did you mean `alerts`?",
            "t.yaml:3:1: unknown key `foo`. known keys here: source, lake, ",
        ],
    ),
];

#[test]
fn faults_of_settings_are_placed_and_show_no_secret() {
    for (text, expected) in SETTINGS {
        let found = match resolve(text, &env(&[]), &Flags::default()) {
            Ok(_) => Vec::new(),
            Err(faults) => faults,
        };
        assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
        for (found, expected) in found.iter().zip(*expected) {
            assert!(found.starts_with(expected), "{text}: {found}");
            assert!(!found.contains("hunter2"), "{found}");
        }
    }
}

#[test]
fn faults_of_yaml_environment_and_flags_come_together() {
    let env = env(&[("SLA_HOURS", "four"), ("LAKE_URL", "ftp://x")]);
    let flags = Flags { listen: Some("here".into()), ..Flags::default() };
    let found = resolve("listen: there", &env, &flags).expect_err("faults");
    let starts = [
        "environment variable LAKE_URL: is no place",
        "environment variable SLA_HOURS: must be a number of hours, not `four`",
        "flag --listen: is no address with a port: `here`",
        "t.yaml:1:9: `listen` is no address with a port: `there`",
    ];
    assert_eq!(found.len(), starts.len(), "{found:?}");
    for (found, start) in found.iter().zip(starts) {
        assert!(found.starts_with(start), "{found}");
    }
}
