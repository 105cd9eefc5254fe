//! The line against a definition that remembers every witness, and by hand.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const DISORDER: i64 = 10;
const LEAP: i64 = 50;

/// A record: event time, witness, and when the broker took it in.
type Record = (i64, u8, Option<i64>);

fn witness(number: u8) -> Witness {
    Witness { lab: "L".into(), machine: Some(format!("M{number}").into()) }
}

fn line(lone_records: usize) -> Line {
    Line { lone_records, ..Line::new(Span(DISORDER), Span(LEAP)) }
}

/// Takes in records from an offset on.
fn observe(line: &mut Line, records: &[Record], first: i64, seen: &mut Seen) {
    let times: Vec<i64> = records.iter().map(|(time, ..)| *time).collect();
    let offsets: Vec<i64> = (first..).take(records.len()).collect();
    let see = |row: usize| Sighting {
        witness: witness(records[row].1),
        appended_at: records[row].2.map(Timestamp),
    };
    let records = Records { times: &times, offsets: &offsets, see: &see };
    line.observe(&records, (0, times.len()), seen);
}

fn all(records: &[Record]) -> (Line, Seen) {
    let (mut line, mut seen) = (line(LONE_RECORDS), Seen::default());
    observe(&mut line, records, 0, &mut seen);
    (line, seen)
}

fn of_one_machine(times: &[i64]) -> Vec<Record> {
    times.iter().map(|time| (*time, 1, None)).collect()
}

#[test]
fn two_machines_bear_each_other_out_and_then_time_goes_on() {
    let (line, seen) = all(&[(100, 1, None), (103, 2, None), (140, 1, None), (90, 2, None)]);
    // The first is a leap from nothing, and so is the second; that bears out 100.
    assert_eq!(seen.before, [i64::MIN, i64::MIN, 90, 130]);
    assert_eq!((line.at(), line.watermark()), (Timestamp(140), Timestamp(130)));
    assert_eq!(seen.held_back, []);
}

#[test]
fn one_row_ahead_at_the_start_makes_nobody_late() {
    let (line, seen) = all(&[(5_000, 9, None), (100, 1, None), (120, 1, None), (115, 1, None)]);
    assert_eq!(seen.before, [i64::MIN, i64::MIN, 90, 110]);
    assert_eq!(line.at(), Timestamp(120));
    let told = HeldBack {
        witness: witness(9),
        offset: 0,
        event_time: Timestamp(5_000),
        noticed_at: 1,
        line: Timestamp(100),
        watermark: Timestamp::MIN,
    };
    assert_eq!(seen.held_back, [told]);
    assert_eq!(line.begin(), Some(Timestamp(100)));
}

#[test]
fn several_rows_of_one_machine_ahead_in_the_middle_make_nobody_late() {
    let ahead = [(9_000, 9, None), (9_010, 9, None), (9_020, 9, None)];
    let right = [(100, 1, None), (100, 2, None), (130, 1, None)];
    let (line, seen) = all(&[&right[..], &ahead, &[(140, 1, None), (150, 2, None)]].concat());
    assert_eq!(seen.before, [i64::MIN, i64::MIN, 90, 120, 120, 120, 120, 130]);
    assert_eq!(line.at(), Timestamp(150));
    let told: Vec<(i64, i64)> =
        seen.held_back.iter().map(|told| (told.offset, told.noticed_at)).collect();
    assert_eq!(told, [(3, 6), (4, 6), (5, 6)]);
    assert_eq!(line.lone(), None, "what came after has contradicted them");
}

#[test]
fn a_second_machine_ends_a_closed_weekend() {
    let (line, seen) = all(&[
        (100, 1, None),
        (100, 2, None),
        (7_000, 1, None),
        (7_030, 1, None),
        (7_020, 2, None),
    ]);
    assert_eq!(seen.before, [i64::MIN, i64::MIN, 90, 90, 90]);
    assert_eq!(line.at(), Timestamp(7_020));
    assert_eq!(seen.held_back, [], "7030 is within a leap of the line, so it was none");
}

#[test]
fn a_thousand_leaps_in_a_row_bear_each_other_out() {
    let steady: Vec<Record> = (0..999).map(|n| (7_000 + n, 1, None)).collect();
    let (mut line, mut seen) = all(&steady);
    assert_eq!((line.at(), line.lone()), (Timestamp::MIN, Some(Timestamp(7_998))));
    observe(&mut line, &[(7_960, 1, None)], 999, &mut seen);
    assert_eq!(line.at(), Timestamp(7_998));
    assert_eq!(line.begin(), Some(Timestamp(7_000)));

    // A record before them in between: they begin anew.
    let mut parted = vec![(100, 1, None), (100, 2, None)];
    parted.extend(&steady[..900]);
    parted.push((105, 2, None));
    parted.extend(&steady[..999]);
    assert_eq!(all(&parted).0.at(), Timestamp(105));
}

#[test]
fn a_row_ahead_of_its_own_machine_does_not_count_when_the_machine_does() {
    let mut times = vec![90_000];
    times.extend(100..1_100);
    let (line, seen) = all(&of_one_machine(&times));
    assert_eq!(line.at(), Timestamp(1_099), "the largest after time went back");
    assert_eq!(seen.held_back.len(), 1);
    assert_eq!((seen.held_back[0].event_time.0, seen.held_back[0].noticed_at), (90_000, 999));
}

#[test]
fn the_brokers_time_bears_out_what_agrees_with_it_and_nothing_else() {
    let (line, seen) =
        all(&[(100, 1, Some(120)), (7_000, 1, Some(7_050)), (50_000, 1, Some(90_000))]);
    assert_eq!(seen.before, [i64::MIN, 90, 6_990]);
    assert_eq!(line.at(), Timestamp(7_000), "history that is filled in now proves nothing");
}

#[test]
fn an_advance_bears_out_what_it_reaches() {
    let (mut line, mut seen) = all(&[(100, 1, None), (100, 2, None), (7_000, 1, None)]);
    assert_eq!(line.lone(), Some(Timestamp(7_000)));
    line.advance_to(Timestamp(6_990));
    assert_eq!((line.at(), line.lone()), (Timestamp(7_000), None));
    observe(&mut line, &[(6_995, 2, None), (100_000, 2, None)], 3, &mut seen);
    assert_eq!(line.at(), Timestamp(7_000), "the leap that was borne out is no second witness");
    assert_eq!(seen.held_back, []);
}

#[test]
fn a_partition_begins_where_its_records_hang_together() {
    let day = Span::DAY.0;
    let begin = |days: &[i64]| {
        let times: Vec<i64> = days.iter().map(|days| days * day).collect();
        all(&of_one_machine(&times)).0.begin().map(|begin| begin.0 / day)
    };
    assert_eq!(begin(&[]), None);
    assert_eq!(begin(&[1, 20_000, 20_001]), Some(20_000), "1970 is far older than the rest");
    assert_eq!(begin(&[20_000, 1, 20_001]), Some(20_000));
    assert_eq!(begin(&[20_010, 20_000, 20_001]), Some(20_000), "an order within the month");
    // Two machines: the line stands where the earlier of them is.
    let (line, _) = all(&[(20_060 * day, 9, None), (20_000 * day, 1, None)]);
    assert_eq!(line.begin(), Some(Timestamp(20_000 * day)));
}

/// The definition: every witness's largest time is kept, and the line follows from them. `doubted`:
/// the one beyond the line was contradicted, and stays only for one that agrees with it.
fn by_definition(records: &[Record], lone_records: usize) -> (Vec<i64>, Option<i64>) {
    let mut line: Option<i64> = None;
    let mut largest: BTreeMap<u8, i64> = BTreeMap::new();
    let mut doubted: Option<u8> = None;
    let mut row: Vec<i64> = Vec::new();
    let mut before = Vec::new();
    let doubt = |largest: &BTreeMap<u8, i64>, line: Option<i64>| {
        let beyond = largest.iter().find(|(_, time)| line.is_some_and(|line| **time > line + LEAP));
        beyond.map(|(witness, _)| *witness)
    };
    for (time, witness, appended) in records {
        before.push(line.map_or(i64::MIN, |line| line - DISORDER));
        let near = |appended: i64| (appended - time).abs() <= LEAP;
        if line.is_some_and(|line| *time <= line + LEAP) || appended.is_some_and(near) {
            let leaps = line.is_none_or(|line| *time > line + LEAP);
            line = line.max(Some(*time));
            if leaps || !row.is_empty() {
                doubted = doubt(&largest, line);
            }
            row.clear();
            continue;
        }
        if let Some(other) = doubted.take()
            && (other == *witness || (largest[&other] - time).abs() > LEAP)
        {
            largest.remove(&other);
        }
        let held = largest.entry(*witness).or_insert(*time);
        *held = (*held).max(*time);
        let mut times: Vec<i64> = largest.values().copied().collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        if let Some(second) = times.get(1).filter(|second| line.is_none_or(|line| **second > line))
        {
            line = Some(*second);
            doubted = doubt(&largest, line);
            row.clear();
        }
        if line.is_none_or(|line| *time > line + LEAP) {
            row.push(*time);
        }
        if row.len() == lone_records {
            let mut high = row[0];
            for time in &row {
                high = if time + LEAP < high { *time } else { high.max(*time) };
            }
            line = line.max(Some(high));
            doubted = doubt(&largest, line);
            row.clear();
        }
    }
    (before, line)
}

#[test]
fn a_row_that_was_contradicted_bears_out_no_other_wrong_row() {
    let right = [(100, 1, None), (100, 2, None), (110, 1, None)];
    let absurd = (900_000, 9, None);
    let (line, seen) =
        all(&[&right[..], &[absurd, (120, 1, None), (5_000, 3, None), (130, 2, None)]].concat());
    assert_eq!(line.at(), Timestamp(130), "5000 is not what 900000 agrees with");
    assert_eq!(seen.held_back.len(), 2);
    // Two that agree are still two, though a row from before has come between.
    let (line, _) =
        all(&[&right[..], &[(5_000, 3, None), (120, 1, None), (5_020, 4, None)]].concat());
    assert_eq!(line.at(), Timestamp(5_000));
}

#[test]
fn a_clock_that_has_stopped_contradicts_nothing() {
    let day = Span::DAY.0;
    let mut records = vec![(20_000 * day, 1, None)];
    records.extend((1..999).map(|n| (20_000 * day + n, 1, None)));
    let (mut line, mut seen) = all(&[(19_999 * day, 1, None), (19_999 * day, 2, None)]);
    for part in records.chunks(300) {
        observe(&mut line, part, 2, &mut seen);
        observe(&mut line, &[(day, 9, None)], 2, &mut seen);
    }
    assert_eq!(line.at(), Timestamp(19_999 * day));
    observe(&mut line, &[(20_000 * day + 1_000, 1, None)], 2, &mut seen);
    assert_eq!(line.at(), Timestamp(20_000 * day + 1_000), "a thousand in a row");
    assert_eq!(seen.held_back, []);
}

#[test]
fn a_partition_begins_at_its_first_record_though_an_earlier_run_moved_time() {
    let (mut line, mut seen) = all(&[]);
    line.advance_to(Timestamp(5_000));
    assert_eq!(line.begin(), None);
    observe(&mut line, &[(5_020, 1, None), (4_000, 1, None)], 100, &mut seen);
    assert_eq!(line.begin(), Some(Timestamp(5_020)));
}

#[test]
fn a_clock_that_has_stopped_beside_a_right_one_is_not_where_a_partition_begins() {
    let day = Span::DAY.0;
    for first in
        [[(day, 2, None), (20_000 * day, 1, None)], [(20_000 * day, 1, None), (day, 2, None)]]
    {
        let rest = [(20_000 * day + 5, 1, None), (day, 2, None), (20_000 * day + 6, 3, None)];
        let (line, _) = all(&[&first[..], &rest].concat());
        assert_eq!(line.at(), Timestamp(20_000 * day + 5));
        assert_eq!(line.begin(), Some(Timestamp(20_000 * day + 5)));
    }
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let appended = prop_oneof![4 => Just(None), 1 => (0i64..2_000).prop_map(Some)];
    prop::collection::vec((0i64..2_000, 0u8..4, appended), 0..60)
}

proptest! {
    #[test]
    fn one_witness_remembered_is_as_good_as_all(records in records(), lone in 2usize..6) {
        let (mut line, mut seen) = (line(lone), Seen::default());
        observe(&mut line, &records, 0, &mut seen);
        let (before, at) = by_definition(&records, lone);
        prop_assert_eq!(seen.before, before);
        prop_assert_eq!(line.at().0, at.unwrap_or(i64::MIN));
    }

    #[test]
    fn how_records_are_cut_into_batches_does_not_matter(
        records in records(), lone in 2usize..6, cuts in prop::collection::vec(0usize..60, 0..6),
    ) {
        let (mut whole, mut expected) = (line(lone), Seen::default());
        observe(&mut whole, &records, 0, &mut expected);
        let (mut parts, mut seen) = (line(lone), Seen::default());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| *cut.min(&records.len())).collect();
        cuts.extend([0, records.len()]);
        cuts.sort_unstable();
        for pair in cuts.windows(2) {
            observe(&mut parts, &records[pair[0]..pair[1]], pair[0] as i64, &mut seen);
        }
        prop_assert!(seen.before.windows(2).all(|pair| pair[0] <= pair[1]));
        prop_assert_eq!(&seen.before, &expected.before);
        prop_assert_eq!(&seen.held_back, &expected.held_back);
        prop_assert_eq!(parts.begin(), whole.begin());
    }

    #[test]
    fn the_last_of_several_advances_at_one_place_has_the_effect_of_all(
        before in records(), after in records(), advances in prop::collection::vec(0i64..2_500, 1..5),
    ) {
        let run = |advances: &[i64]| {
            let (mut line, mut seen) = (line(5), Seen::default());
            observe(&mut line, &before, 0, &mut seen);
            advances.iter().for_each(|to| line.advance_to(Timestamp(*to)));
            observe(&mut line, &after, before.len() as i64, &mut seen);
            (line.at(), line.lone(), line.begin(), seen.before, seen.held_back)
        };
        let mut advances = advances;
        advances.sort_unstable();
        prop_assert_eq!(run(&advances), run(&advances[advances.len() - 1..]));
    }
}
