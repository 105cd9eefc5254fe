//! The shipped machine of centres by hand: versions, leases, settings, and checks of which nobody tells.

use std::sync::Arc;

use super::tests::{Berlin, Event, MARCH, MINUTE, batch, one, shipped, told};
use super::*;

const TARGETS: &str = r#"{"targets":[{"assay":"K","minutes":45}]}"#;

/// What a user says, having seen a version.
fn says<'a>(word: &'a str, user: &'a str, version: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("event_type", "center.event"),
        ("lab_id", "north"),
        ("center_event", word),
        ("user", user),
        ("version", version),
    ]
}

/// The same, of who brings settings along.
fn saves<'a>(user: &'a str, version: &'a str, settings: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut said = says("saving_changes", user, version);
    said.push(("settings", settings));
    said
}

/// Plays events to an end, in batches of so many.
fn play(events: &[(i64, Vec<(&str, &str)>)], end: i64, size: usize) -> Moves {
    let machine = shipped("center");
    let mut entities = Entities::new(Arc::clone(&machine), Arc::new(Berlin), i64::MAX);
    let events: Vec<Event<'_>> = events.iter().map(|(at, said)| (*at, &said[..])).collect();
    let steps = batch(&machine, &events, 0);
    let mut all = Moves::default();
    for (number, chunk) in steps.chunks(size).enumerate() {
        let next = steps.get((number + 1) * size);
        let last = chunk.last().map_or(i64::MIN, |step| step.at - 2 * MINUTE);
        let watermark = next.map_or(last, |next| next.watermark_before);
        let moves = entities.batch_of(chunk.to_vec(), watermark);
        all.moved.extend(moves.moved);
        all.refused.extend(moves.refused);
    }
    let moves = entities.finish(MARCH + end * MINUTE);
    all.moved.extend(moves.moved);
    all.refused.extend(moves.refused);
    all
}

/// Each refusal as minute, reason and word.
fn refused(moves: &Moves) -> Vec<(i64, RefusalReason, String)> {
    let machine = shipped("center");
    let row = |one: &Refused| {
        ((one.noticed_at - MARCH) / MINUTE, one.reason, machine.word_text(one.word).to_owned())
    };
    moves.refused.iter().map(row).collect()
}

/// The night of a transfer that failed, played through to recovery; a lease that ran out before it, and
/// a second editor who came while the first one held it. Midnight in Berlin is 23:00Z.
#[test]
fn a_centre_recovers_from_a_transfer_that_failed() {
    let events = [
        (0, says("starts_editing", "ana", "1")),
        (5, says("starts_editing", "bob", "1")),
        (6, says("starts_editing", "ana", "1")),
        (100, says("starts_editing", "ana", "1")),
        (105, saves("bob", "1", TARGETS)),
        (106, says("abandon_changes", "bob", "1")),
        (107, saves("ana", "2", TARGETS)),
        (108, saves("ana", "1", "assay=K")),
        (120, saves("ana", "1", TARGETS)),
        (130, saves("ana", "1", TARGETS)),
        (1380, says("file_not_trans", "", "2")),
        (1400, says("reco_trans_done", "", "2")),
        (1560, says("db_prod_done", "", "1")),
        (1561, says("db_prod_done", "", "2")),
        (1600, says("starts_editing", "cem", "1")),
        (1601, says("starts_editing", "cem", "2")),
        (1602, says("abandon_changes", "cem", "")),
    ];
    let events = events.map(|(at, said)| {
        let said: Vec<_> = said.into_iter().filter(|(_, text)| !text.is_empty()).collect();
        (at, said)
    });
    let expected = [
        one(0, "starts_editing", "new", "edit"),
        one(60, "change_timer_done", "edit", "free"),
        one(100, "starts_editing", "free", "edit"),
        one(120, "saving_changes", "edit", "wait00_trans"),
        one(1380, "file_not_trans", "wait00_trans", "reco_trans"),
        one(1400, "reco_trans_done", "reco_trans", "wait03_prod"),
        one(1561, "db_prod_done", "wait03_prod", "free"),
        one(1601, "starts_editing", "free", "edit"),
        one(1602, "abandon_changes", "edit", "free"),
    ];
    let machine = shipped("center");
    let conflict = |minute, word: &str| (minute, RefusalReason::Conflict, word.to_owned());
    let refusals = [
        conflict(5, "starts_editing"),
        conflict(105, "saving_changes"),
        conflict(106, "abandon_changes"),
        conflict(107, "saving_changes"),
        (108, RefusalReason::Settings, "saving_changes".to_owned()),
        conflict(130, "saving_changes"),
        conflict(1560, "db_prod_done"),
        conflict(1600, "starts_editing"),
    ];
    for size in [1, 2, 3, 5, events.len()] {
        let moves = play(&events, 1610, size);
        assert_eq!(told(&machine, &moves), expected, "in batches of {size}");
        assert_eq!(refused(&moves), refusals, "in batches of {size}");
        let versions: Vec<i64> = moves.moved.iter().map(|one| one.version).collect();
        assert_eq!(versions, [1, 1, 1, 2, 2, 2, 2, 2, 2]);
        let holders: Vec<_> = moves.moved.iter().map(|one| one.holder.as_deref()).collect();
        let (ana, cem) = (Some("ana"), Some("cem"));
        assert_eq!(holders, [ana, None, ana, None, None, None, None, cem, None]);
        let in_force: Vec<_> = moves.moved.iter().filter(|one| one.in_force.is_some()).collect();
        assert_eq!(in_force.len(), 1);
        assert_eq!(in_force[0].at, MARCH + 1561 * MINUTE);
        assert_eq!(in_force[0].in_force.as_ref().unwrap()[0].target_minutes, Some(45.0));
    }
}

/// Saved at 22:30Z, half an hour before midnight in Berlin, and again at 23:05Z the next day: that one is
/// not for the midnight that has passed. Nobody tells of any check.
#[test]
fn a_check_of_which_nobody_tells_has_failed_ten_minutes_later() {
    let events = [
        (1340, says("starts_editing", "ana", "1")),
        (1350, saves("ana", "1", TARGETS)),
        (1500, says("reco_trans_done", "cem", "2")),
        (1600, says("reco_prod_done", "cem", "2")),
        (2800, says("starts_editing", "ana", "2")),
        (2825, saves("ana", "2", r#"{"targets":[]}"#)),
    ];
    let expected = [
        one(1340, "starts_editing", "new", "edit"),
        one(1350, "saving_changes", "edit", "wait00_trans"),
        one(1390, "file_not_trans", "wait00_trans", "reco_trans"),
        one(1500, "reco_trans_done", "reco_trans", "wait03_prod"),
        // 03:10 in Berlin is 02:10Z.
        one(1570, "db_not_prod", "wait03_prod", "reco_prod"),
        one(1600, "reco_prod_done", "reco_prod", "free"),
        one(2800, "starts_editing", "free", "edit"),
        one(2825, "saving_changes", "edit", "wait00_trans"),
        one(4270, "file_not_trans", "wait00_trans", "reco_trans"),
    ];
    let moves = play(&events, 4300, 2);
    assert_eq!(told(&shipped("center"), &moves), expected);
    assert_eq!(moves.moved.last().unwrap().version, 3);
    assert!(moves.refused.is_empty());
}

#[test]
fn what_is_wrong_with_versions_leases_and_settings_is_said_with_its_place() {
    let text = "description: d
entity: [lab_id]
events:
  center.event: { word: center_event }
version: { raised_by: [saves] }
settings: { carried_by: [save], in_force_by: [] }
transitions:
  - { name: save, from: [new, A], on: save, to: B, by_holder: true }
  - { name: back, from: B, on: back, to: A }
timers:
  - { name: late, in: B, after: 1h, grace: 5m, to: A }
";
    let read = crate::config::lifecycle_yaml::read_text;
    let told: Vec<String> =
        read("m.yaml", text).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        ["m.yaml:11:44: `timers[0].grace` belongs to `at`. write at: \"00:00\", grace: 10m"]
    );
    let text = text.replace("after: 1h, grace: 5m", "at: \"03:00\", grace: 5m");
    let told: Vec<String> =
        read("m.yaml", &text).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "m.yaml:5:10: there is no transition `saves`. name a transition of `transitions`",
            "m.yaml:6:11: settings need transitions that bring them along and some that put them in force. write `settings: { carried_by: [saving], in_force_by: [done] }`",
            "m.yaml:8:5: nobody can hold the entity where `save` leads from. write `takes_lease: true` at the transition that leads there",
        ]
    );
}
