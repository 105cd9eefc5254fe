//! The next thing that happens, as a record: it is written, meets its fate, and what follows it is
//! queued. Each gives true when its record arrives now, false when it is held up.

use super::faults::{Counters, RecordFate};
use super::queue::{HeldRecord, QueueItem};
use super::render::{
    Twist, center_event, instrument_event, machine_key, shelved_event, shelved_key, tube_event,
    tube_key,
};
use super::tube::{ShelvedTube, StepKind};
use super::{Generator, SECOND_US};

impl Generator {
    pub(super) fn tell_tube(
        &mut self,
        slot: u32,
        arrival_us: i64,
        line: &mut Vec<u8>,
        key: Option<&mut String>,
    ) -> bool {
        let Some(tube) = self.tubes.get_mut(slot as usize) else { return false };
        let Some((step, _)) = tube.next_step() else { return false };
        let Some(lab) = self.labs.get_mut(tube.lab as usize) else { return false };
        tube.next += 1;
        if matches!(step.kind, StepKind::FirstResulted | StepKind::Resulted)
            && let Some(test) = tube.tests.get_mut(usize::from(step.test))
        {
            test.resulted_at = step.at;
        }
        lab.seq += 1;
        let verdict = self.faults.judge();
        let start = line.len();
        tube_event(lab, tube, step, verdict.twist, line);
        let finished = matches!(step.kind, StepKind::Verified | StepKind::RowOutcome);
        let mut refused = None;
        if finished && self.faults.refuse() {
            lab.seq += 1;
            let mut line = Vec::new();
            let twist = Twist { refused: true, ..Twist::default() };
            tube_event(lab, tube, step, twist, &mut line);
            let marks = Counters { refused: 1, ..Counters::default() };
            refused = Some(HeldRecord { line, key: tube_key(lab, tube), marks });
        }
        let named = key.is_some() || verdict.is_held();
        let name = if named { tube_key(lab, tube) } else { String::new() };
        self.schedule_step(slot);
        if let Some(refused) = refused {
            self.queue.push(arrival_us + SECOND_US, QueueItem::Held(Box::new(refused)));
        }
        self.deliver(verdict, arrival_us, (line, start), (name, key))
    }

    pub(super) fn tell_instrument(
        &mut self,
        (lab_index, machine_index): (u32, u32),
        arrival_us: i64,
        line: &mut Vec<u8>,
        key: Option<&mut String>,
    ) -> bool {
        let Some(lab) = self.labs.get_mut(lab_index as usize) else { return false };
        lab.seq += 1;
        let Some(machine) = lab.machines.get_mut(machine_index as usize) else { return false };
        let said = machine.announce();
        let (next_s, delay_us) = (machine.pending.at, machine.delay_us);
        let verdict = self.faults.judge();
        let start = line.len();
        let Some(machine) = lab.machines.get(machine_index as usize) else { return false };
        instrument_event(lab, machine, said, verdict.twist, line);
        let named = key.is_some() || verdict.is_held();
        let name = if named { machine_key(lab, machine) } else { String::new() };
        if next_s < self.cut_s {
            let item = QueueItem::Instrument(lab_index, machine_index);
            self.queue.push(next_s * SECOND_US + delay_us, item);
        }
        self.deliver(verdict, arrival_us, (line, start), (name, key))
    }

    /// Tells the storage of a tube, then its disposal.
    pub(super) fn tell_shelved(
        &mut self,
        shelved: ShelvedTube,
        arrival_us: i64,
        line: &mut Vec<u8>,
        key: Option<&mut String>,
    ) -> bool {
        let Some(lab) = self.labs.get_mut(shelved.lab as usize) else { return false };
        let Some(beyond) = &lab.beyond else { return false };
        let at = (arrival_us - beyond.delay_us).div_euclid(SECOND_US);
        let disposed_at = at + beyond.kept_s;
        lab.seq += 1;
        let verdict = self.faults.judge();
        let start = line.len();
        shelved_event(lab, shelved, (at, verdict.twist), line);
        let named = key.is_some() || verdict.is_held();
        let name = if named { shelved_key(lab, shelved) } else { String::new() };
        if !shelved.stored {
            self.schedule_shelved(ShelvedTube { stored: true, ..shelved }, disposed_at);
        }
        self.deliver(verdict, arrival_us, (line, start), (name, key))
    }

    /// Tells what happens to a laboratory's settings.
    pub(super) fn tell_center(
        &mut self,
        index: u32,
        arrival_us: i64,
        line: &mut Vec<u8>,
        key: Option<&mut String>,
    ) -> bool {
        let Some(lab) = self.labs.get_mut(index as usize) else { return false };
        lab.seq += 1;
        let Some(beyond) = &mut lab.beyond else { return false };
        let said = beyond.center.announce();
        let next_us = beyond.center.pending.at * SECOND_US + beyond.delay_us;
        let next_s = beyond.center.pending.at;
        let verdict = self.faults.judge();
        let start = line.len();
        center_event(lab, said, verdict.twist, line);
        let named = key.is_some() || verdict.is_held();
        let name = if named { lab.id.clone() } else { String::new() };
        if next_s < self.cut_s {
            self.queue.push(next_us, QueueItem::Center(index));
        }
        self.deliver(verdict, arrival_us, (line, start), (name, key))
    }

    /// Lets the record that begins at `start` meet its fate: true when it arrives now.
    fn deliver(
        &mut self,
        verdict: RecordFate,
        arrival_us: i64,
        (line, start): (&mut Vec<u8>, usize),
        (name, key): (String, Option<&mut String>),
    ) -> bool {
        if verdict.malformed {
            self.faults.spoil(line, start);
        }
        let marks = verdict.marks();
        let held_us = verdict.late_us.unwrap_or(0);
        if let Some(again_us) = verdict.again_us {
            let copy = line.get(start..).unwrap_or_default().to_vec();
            let marks = Counters { repeated: 1, late: 0, ..marks };
            let held = HeldRecord { line: copy, key: name.clone(), marks };
            self.queue.push(arrival_us + held_us + again_us, QueueItem::Held(Box::new(held)));
        }
        if verdict.late_us.is_some() {
            let held = HeldRecord { line: line.split_off(start), key: name, marks };
            self.queue.push(arrival_us + held_us, QueueItem::Held(Box::new(held)));
            return false;
        }
        if let Some(key) = key {
            *key = name;
        }
        self.counters.add(marks)
    }
}
