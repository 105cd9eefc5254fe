//! A laboratory: how much it does, how fast, on what, when; and the three of the demo's story.

use chrono_tz::Tz;

use super::center::LabCenter;
use super::dice::{Dice, normal_quantile};
use super::figures::{
    CALLS_FIRST_SHARE, ERROR_SHARE, KEPT_DAYS, LabBench, REJECT_SHARE, SIGMA_BETWEEN_LABS,
    SIGMA_WITHIN_LAB, STAT_SHARE, ZONES,
};
use super::instrument::Instrument;
use super::options::{GeneratorOptions, Profile, TestCourse};
use super::runs::PcrRuns;
use super::zone::ZoneOffset;

/// What a feed says of orders: feeds differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OrderForm {
    /// `order.created` per test.
    Created,
    /// A transition of the tube to ORDERED.
    Transition,
    /// Nothing before collection.
    Silent,
}

/// Something out of the ordinary, in `[from, to)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incident {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) kind: IncidentKind,
}

/// What is out of the ordinary.
#[derive(Clone, Copy, Debug)]
pub(super) enum IncidentKind {
    /// Tests on this instrument take `factor` times as long.
    Slow { machine: usize, factor: f64 },
    /// This share of the runs on this instrument fails.
    Failing { machine: usize, share: f64 },
    /// This share of the tubes is rejected.
    Rejecting { share: f64 },
}

/// A laboratory.
#[derive(Clone, Debug)]
pub(super) struct Lab {
    pub(super) id: String,
    /// Stands in front of the numbers of its specimens and orders.
    pub(super) prefix: String,
    pub(super) zone: ZoneOffset,
    pub(super) dice: Dice,
    /// Mean tubes a day.
    pub(super) per_day: f64,
    /// Its medians divided by the published ones.
    pub(super) slowness: f64,
    pub(super) sigma: f64,
    pub(super) stat_share: f64,
    pub(super) reject_share: f64,
    pub(super) orders: OrderForm,
    pub(super) publishes: bool,
    pub(super) machines: Vec<Instrument>,
    pub(super) runs: PcrRuns,
    pub(super) incidents: Vec<Incident>,
    /// What is told beyond the plain course, and what it is drawn from.
    pub(super) beyond: Option<BeyondPlain>,
    pub(super) tubes: u64,
    pub(super) visits: u64,
    /// The feed's own counter of its records.
    pub(super) seq: u64,
}

/// What a laboratory has when more than the plain course is told. It draws from a stream of its
/// own, so that the plain course is the same with and without it.
#[derive(Clone, Debug)]
pub(super) struct BeyondPlain {
    pub(super) dice: Dice,
    /// Critical results are called before they are released.
    pub(super) calls_first: bool,
    /// From a tube's storage to its disposal.
    pub(super) kept_s: i64,
    pub(super) center: LabCenter,
    /// What the laboratory's own system says arrives so much after it happened.
    pub(super) delay_us: i64,
}

/// What makes one laboratory another than the next.
struct Traits {
    id: String,
    prefix: String,
    tz: Tz,
    per_day: f64,
    slowness: f64,
    orders: OrderForm,
    publishes: bool,
}

/// All laboratories of the options.
pub(super) fn laboratories(options: &GeneratorOptions) -> Vec<Lab> {
    let count = options.labs.unwrap_or_else(|| options.profile.default_labs());
    (0..count).map(|index| laboratory(options, index)).collect()
}

fn laboratory(options: &GeneratorOptions, index: u32) -> Lab {
    let mut dice = Dice::new(options.seed, (1 << 32) | u64::from(index));
    let traits = match options.profile {
        Profile::Demo => demo_traits(index, &mut dice),
        Profile::StarterKit => kit_traits(index),
        Profile::Network => network_traits(options.seed, index, &mut dice),
    };
    let from = options.from.0.div_euclid(1_000_000);
    let (low, high) = (REJECT_SHARE.0.ln(), REJECT_SHARE.1.ln());
    let mut lab = Lab {
        id: traits.id,
        prefix: traits.prefix,
        zone: ZoneOffset::new(traits.tz),
        per_day: traits.per_day,
        slowness: traits.slowness,
        sigma: dice.between(SIGMA_WITHIN_LAB.0, SIGMA_WITHIN_LAB.1),
        stat_share: dice.between(STAT_SHARE.0, STAT_SHARE.1),
        reject_share: dice.between(low, high).exp(),
        orders: traits.orders,
        publishes: traits.publishes,
        machines: Vec::new(),
        runs: PcrRuns::new(from, run_every_s(options.profile)),
        incidents: Vec::new(),
        beyond: beyond(options, index, (traits.tz, from)),
        tubes: 0,
        visits: 0,
        seq: 0,
        dice,
    };
    lab.machines = instruments(options, index, &lab, from);
    if options.profile == Profile::Demo {
        tell_story(&mut lab, index, from);
    }
    lab
}

fn beyond(options: &GeneratorOptions, index: u32, (tz, from): (Tz, i64)) -> Option<BeyondPlain> {
    if options.course == TestCourse::Plain || options.profile == Profile::StarterKit {
        return None;
    }
    let mut dice = Dice::new(options.seed, (4 << 32) | u64::from(index));
    let of_center = Dice::new(options.seed, (5 << 32) | u64::from(index));
    Some(BeyondPlain {
        calls_first: dice.chance(CALLS_FIRST_SHARE),
        kept_s: (dice.between(KEPT_DAYS.0, KEPT_DAYS.1) * 86_400.0) as i64,
        center: LabCenter::new(tz, from, of_center),
        delay_us: transport_delay_us(&mut dice, options),
        dice,
    })
}

/// Seconds between the starts of PCR runs.
fn run_every_s(profile: Profile) -> i64 {
    match profile {
        Profile::Demo | Profile::Network => 4 * 3600,
        Profile::StarterKit => 2 * 3600,
    }
}

fn demo_traits(index: u32, dice: &mut Dice) -> Traits {
    let told = |id: &str, tz, per_day, slowness, orders| Traits {
        id: format!("lab-{id}"),
        prefix: id.chars().take(1).collect::<String>().to_uppercase(),
        tz,
        per_day,
        slowness,
        orders,
        publishes: true,
    };
    match index {
        0 => told("north", chrono_tz::Europe::Oslo, 1400.0, 0.85, OrderForm::Created),
        1 => told("west", chrono_tz::America::New_York, 2000.0, 1.05, OrderForm::Transition),
        2 => told("south", chrono_tz::Europe::Rome, 1000.0, 0.95, OrderForm::Silent),
        _ => Traits {
            id: format!("lab-{:02}", index + 1),
            prefix: format!("{:02}-", index + 1),
            tz: zone_of(index),
            per_day: dice.log_normal(900.0, 0.4),
            slowness: dice.log_normal(1.0, 0.15),
            orders: OrderForm::Created,
            publishes: true,
        },
    }
}

fn kit_traits(index: u32) -> Traits {
    let number = index + 1;
    Traits {
        id: if index == 0 { "lab-main".to_owned() } else { format!("lab-main-{number}") },
        prefix: if index == 0 { String::new() } else { format!("{number}-") },
        tz: chrono_tz::UTC,
        per_day: f64::from(super::figures::KIT_PER_DAY),
        slowness: 1.0,
        orders: OrderForm::Silent,
        publishes: false,
    }
}

fn network_traits(seed: u64, index: u32, dice: &mut Dice) -> Traits {
    let form = dice.unit();
    // Golden-ratio steps spread the laboratories' medians evenly, however many they are.
    let start = Dice::new(seed, 0).unit();
    let rank = (start + 0.618_033_988_749_895 * f64::from(index)).fract().clamp(0.0005, 0.9995);
    Traits {
        id: format!("lab-{:04}", index + 1),
        prefix: format!("{:04}-", index + 1),
        tz: zone_of(index),
        per_day: dice.log_normal(400.0, 0.7).min(5000.0),
        slowness: (SIGMA_BETWEEN_LABS * normal_quantile(rank)).exp(),
        orders: match form {
            form if form < 0.4 => OrderForm::Created,
            form if form < 0.7 => OrderForm::Transition,
            _ => OrderForm::Silent,
        },
        publishes: dice.chance(0.6),
    }
}

fn zone_of(index: u32) -> Tz {
    ZONES.get(index as usize % ZONES.len()).copied().unwrap_or(chrono_tz::UTC)
}

/// The instruments of a laboratory, each section's together.
fn instruments(options: &GeneratorOptions, index: u32, lab: &Lab, from: i64) -> Vec<Instrument> {
    let needed = |share: f64, each: f64, least: i64| {
        ((lab.per_day * share / each).ceil() as i64).clamp(least, 8)
    };
    let benches = match options.profile {
        Profile::StarterKit => vec![
            (LabBench::Haematology, "M", 1, 2),
            (LabBench::Chemistry, "M", 3, 2),
            (LabBench::Molecular, "M", 5, 1),
        ],
        Profile::Demo | Profile::Network => vec![
            (LabBench::Chemistry, "CH", 1, needed(0.42, 400.0, 2)),
            (LabBench::Haematology, "HE", 1, needed(0.36, 500.0, 2)),
            (LabBench::Coagulation, "CO", 1, needed(0.14, 250.0, 2)),
            (LabBench::Molecular, "PC", 1, 1),
        ],
    };
    let mut machines = Vec::new();
    for (section, prefix, first, count) in benches {
        for turn in 0..count {
            let stream = (2 << 32) | (u64::from(index) << 8) | machines.len() as u64;
            let mut dice = Dice::new(options.seed, stream);
            let skew_s = options.faults.clock_skew.0 as f64 / 1e6 * dice.between(-1.0, 1.0);
            let delay_us = transport_delay_us(&mut dice, options);
            let error_share = ERROR_SHARE * dice.between(0.5, 1.5);
            let name = format!("{prefix}{}", first + turn);
            let place = (turn, lab.zone.tz);
            let mut machine = Instrument::new(name, section, place, from, dice);
            machine.tells_repairs = lab.beyond.is_some();
            machine.skew_s = skew_s.round() as i64;
            machine.delay_us = delay_us;
            machine.error_share = error_share;
            machines.push(machine);
        }
    }
    machines
}

/// How long a record is on its way: log-normal about 1.5 s, in milliseconds, and never more than
/// half of `max_disorder`.
pub(super) fn transport_delay_us(dice: &mut Dice, options: &GeneratorOptions) -> i64 {
    let most_ms = options.max_disorder.0 / 2_000;
    (dice.log_normal(1500.0, 0.9) as i64).min(most_ms) * 1000
}

/// The demo's story, on its second and third day: a slow analyser in the west, a failing and
/// then broken one in the south, a ward's haemolysed tubes in the north.
fn tell_story(lab: &mut Lab, index: u32, from: i64) {
    // Everywhere on Earth, 36 hours after the beginning is the second day.
    let second_day = from + 36 * 3600;
    let offset = lab.zone.offset_s(second_day);
    let midnight = (second_day + offset).div_euclid(86_400) * 86_400 - offset;
    let on = |day: i64, hour: f64| midnight + (day - 1) * 86_400 + (hour * 3600.0) as i64;
    let mut incident = |from, to, kind| lab.incidents.push(Incident { from, to, kind });
    match index {
        0 => incident(on(1, 7.0), on(1, 12.0), IncidentKind::Rejecting { share: 0.06 }),
        1 => {
            let slow = IncidentKind::Slow { machine: 0, factor: 2.6 };
            incident(on(1, 12.5), on(1, 17.0), slow);
        }
        2 => {
            let first_of_bench =
                lab.machines.iter().position(|machine| machine.section == LabBench::Haematology);
            if let Some(machine) = first_of_bench {
                let failing = IncidentKind::Failing { machine, share: 0.25 };
                incident(on(2, 7.5), on(2, 9.5), failing);
                if let Some(machine) = lab.machines.get_mut(machine) {
                    machine.break_down(on(2, 9.5), on(2, 11.75));
                }
            }
        }
        _ => {}
    }
}

impl Lab {
    /// How much longer a test takes that is received at `at` and done on `machine`.
    pub(super) fn slowed(&self, machine: usize, at: i64) -> f64 {
        let slow = |incident: &Incident| match incident.kind {
            IncidentKind::Slow { machine: slow, factor } if slow == machine => Some(factor),
            IncidentKind::Slow { .. }
            | IncidentKind::Failing { .. }
            | IncidentKind::Rejecting { .. } => None,
        };
        self.during(at).find_map(slow).unwrap_or(1.0)
    }

    /// The share of runs that fail on `machine` at `at`.
    pub(super) fn failing(&self, machine: usize, at: i64) -> f64 {
        let failing = |incident: &Incident| match incident.kind {
            IncidentKind::Failing { machine: failing, share } if failing == machine => Some(share),
            IncidentKind::Slow { .. }
            | IncidentKind::Failing { .. }
            | IncidentKind::Rejecting { .. } => None,
        };
        let usual = || self.machines.get(machine).map_or(0.0, |machine| machine.error_share);
        self.during(at).find_map(failing).unwrap_or_else(usual)
    }

    /// The share of tubes that is rejected at `at`.
    pub(super) fn rejecting(&self, at: i64) -> f64 {
        let rejecting = |incident: &Incident| match incident.kind {
            IncidentKind::Rejecting { share } => Some(share),
            IncidentKind::Slow { .. } | IncidentKind::Failing { .. } => None,
        };
        self.during(at).find_map(rejecting).unwrap_or(self.reject_share)
    }

    fn during(&self, at: i64) -> impl Iterator<Item = &Incident> {
        self.incidents.iter().filter(move |incident| incident.from <= at && at < incident.to)
    }
}
