//! From a step to the event that tells it: one JSON object (`docs/events.md`).
//!
//! An event carries what an honest feed would know at that time, and VERIFIED carries every time
//! of the test, so that durations need no memory. What an instrument stamps has its clock's skew.

use super::center::CenterNote;
use super::figures::{ASSAYS, Assay, CALLED_ROLES, ERROR_CODES, KIT_ASSAYS, REJECT_REASONS};
use super::instrument::{Announcement, Instrument};
use super::lab::Lab;
use super::line::JsonLine;
use super::tube::{ShelvedTube, StepKind, Test, Tube, TubeStep};

/// How a record is spoilt on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Twist {
    /// Stamped so much ahead; `i64::MAX` for the year 20244.
    pub(super) ahead_s: i64,
    /// A state, status or event type that does not exist.
    pub(super) unknown_status: bool,
    /// A field that nobody declared.
    pub(super) unknown_field: bool,
    /// Not the step itself, but a transition after it that no machine allows.
    pub(super) refused: bool,
}

/// The message's key: laboratory and specimen.
pub(super) fn tube_key(lab: &Lab, tube: &Tube) -> String {
    let [prefix, kit] = specimen_prefix(lab, tube);
    format!("{}:{prefix}{kit}{:06}", lab.id, tube.number)
}

/// The same of a tube on the shelf.
pub(super) fn shelved_key(lab: &Lab, shelved: ShelvedTube) -> String {
    format!("{}:{}{:06}", lab.id, lab.prefix, shelved.number)
}

/// The message's key: laboratory and instrument.
pub(super) fn machine_key(lab: &Lab, machine: &Instrument) -> String {
    format!("{}:{}", lab.id, machine.name)
}

/// What stands in front of a specimen's number.
fn specimen_prefix<'a>(lab: &'a Lab, tube: &Tube) -> [&'a str; 2] {
    let is_row = tube.steps.first().is_some_and(|step| step.kind == StepKind::RowReceived);
    let kit = KIT_ASSAYS.get(usize::from(tube.kind)).map_or("", |(_, prefix)| prefix);
    [&lab.prefix, if is_row { kit } else { "" }]
}

/// Writes the event of `tube`'s `step`.
pub(super) fn tube_event(lab: &Lab, tube: &Tube, step: TubeStep, twist: Twist, out: &mut Vec<u8>) {
    let mut event = EventDraft { lab, twist, line: JsonLine::open(out) };
    let Some(test) = tube.tests.get(usize::from(step.test)) else { return event.line.close() };
    match step.kind {
        StepKind::RowReceived | StepKind::RowOutcome => event.row(tube, test, step),
        StepKind::OrderCreated | StepKind::Added | StepKind::Upgraded => {
            event.head("order.created", step.at);
            event.specimen(tube);
            event.order(tube);
            event.line.text("assay", assay_of(test).name);
            event.visit(tube, step.at);
            event.line.text("specimen_type", tube.specimen_type());
            event.line.time("ordered_at", ordered_at(tube, test));
        }
        StepKind::Ordered => event.tube_transition(tube, step, "ORDERED"),
        StepKind::Collected => event.tube_transition(tube, step, "COLLECTED"),
        StepKind::InTransit => event.tube_transition(tube, step, "IN_TRANSIT"),
        StepKind::Received => event.tube_transition(tube, step, "RECEIVED"),
        StepKind::Rejected => event.tube_transition(tube, step, "REJECTED"),
        StepKind::Cancelled => event.tube_transition(tube, step, "CANCELLED"),
        StepKind::Lost => event.tube_transition(tube, step, "LOST"),
        StepKind::Referred => {
            event.test_transition(tube, test, step, "REFERRED");
            event.line.numbered("referred_to", ["lab-ref-", ""], tube.number % 7 + 1, 1);
        }
        StepKind::Invalidated => event.test_transition(tube, test, step, "INVALIDATED"),
        StepKind::Started | StepKind::InProcess => {
            event.test_transition(tube, test, step, "IN_PROCESS");
        }
        StepKind::Failed => event.test_transition(tube, test, step, "ERROR"),
        StepKind::FirstResulted | StepKind::Resulted => {
            event.test_transition(tube, test, step, "RESULTED");
        }
        StepKind::Verified => event.test_transition(tube, test, step, "VERIFIED"),
        StepKind::Published => event.test_transition(tube, test, step, "PUBLISHED"),
        StepKind::Repeat => event.result(tube, test, step, "result.repeat"),
        StepKind::Corrected => event.result(tube, test, step, "result.corrected"),
        StepKind::Critical => event.critical(tube, test, step, "result.critical"),
        StepKind::Notified | StepKind::Unreachable => {
            event.critical(tube, test, step, "critical.notified");
        }
        StepKind::Acknowledged => event.critical(tube, test, step, "critical.acknowledged"),
    }
    event.close();
}

/// Writes what an instrument says of itself.
pub(super) fn instrument_event(
    lab: &Lab,
    machine: &Instrument,
    said: Announcement,
    twist: Twist,
    out: &mut Vec<u8>,
) {
    let mut event = EventDraft { lab, twist, line: JsonLine::open(out) };
    event.head("instrument.state", said.at + machine.skew_s);
    event.line.text("machine_id", &machine.name);
    event.line.text("instrument_state", said.state);
    if said.state != "RUNNING" {
        event.line.flag("planned", said.planned);
        event.line.text("reason", said.reason);
    }
    event.close();
}

/// Writes the storage of a tube, or its disposal.
pub(super) fn shelved_event(
    lab: &Lab,
    shelved: ShelvedTube,
    (at, twist): (i64, Twist),
    out: &mut Vec<u8>,
) {
    let mut event = EventDraft { lab, twist, line: JsonLine::open(out) };
    let state = if shelved.stored { "DISPOSED" } else { "STORED" };
    event.end_of_tube(shelved, at, state);
    event.close();
}

/// Writes what happens to a laboratory's settings.
pub(super) fn center_event(lab: &Lab, said: CenterNote, twist: Twist, out: &mut Vec<u8>) {
    let mut event = EventDraft { lab, twist, line: JsonLine::open(out) };
    event.head("center.event", said.at);
    event.line.text("center_event", said.event);
    if let Some(user) = said.user {
        event.line.numbered("user", ["editor-", ""], u64::from(user), 1);
    }
    event.line.integer("version", said.version);
    if let Some((assay, minutes)) = said.target {
        let assay = ASSAYS.get(usize::from(assay)).map_or("", |assay| assay.name);
        // JSON within a text of JSON.
        let target =
            format!(r#"{{\"assay\":\"{assay}\",\"minutes\":{minutes},\"priority\":\"R\"}}"#);
        event.line.text("settings", &format!(r#"{{\"targets\":[{target}]}}"#));
    }
    event.close();
}

/// When a test was ordered: with its tube, or later.
fn ordered_at(tube: &Tube, test: &Test) -> i64 {
    if test.added_at > 0 { test.added_at } else { tube.visit.ordered_at }
}

fn assay_of(test: &Test) -> &'static Assay {
    ASSAYS.get(usize::from(test.assay)).unwrap_or(&ASSAYS[0])
}

/// An event half written.
struct EventDraft<'a> {
    lab: &'a Lab,
    twist: Twist,
    line: JsonLine<'a>,
}

impl EventDraft<'_> {
    /// Who says it, when. The row form has no event time of its own.
    fn identity(&mut self, event_type: &str) {
        self.line.coded("event_id", [&self.lab.prefix, "E"], self.lab.seq, (36, 1));
        self.line.text("event_type", event_type);
        self.line.text("lab_id", &self.lab.id);
    }

    fn head(&mut self, event_type: &str, at: i64) {
        let has_state = event_type == "specimen.transition";
        let unknown = self.twist.unknown_status && !has_state;
        self.identity(if unknown { "vendor.custom" } else { event_type });
        self.stamp("event_time", at);
    }

    /// The time that decides the event's place, spoilt if it is to be.
    fn stamp(&mut self, key: &str, at: i64) {
        match self.twist.ahead_s {
            i64::MAX => self.line.text(key, "20244-03-01T12:00:00Z"),
            ahead => self.line.time(key, at + ahead),
        }
    }

    fn state(&mut self, key: &str, state: &str) {
        let state = if self.twist.unknown_status { "SCANNED" } else { state };
        self.line.text(key, state);
    }

    fn specimen(&mut self, tube: &Tube) {
        let prefix = specimen_prefix(self.lab, tube);
        self.line.numbered("specimen_id", prefix, tube.number, 6);
    }

    fn order(&mut self, tube: &Tube) {
        self.line.numbered("order_id", [&self.lab.prefix, "O"], tube.visit.order, 6);
        self.line.coded("patient_ref", ["P", ""], u64::from(tube.visit.patient), (16, 6));
    }

    fn visit(&mut self, tube: &Tube, at: i64) {
        let visit = &tube.visit;
        self.line.text("priority", tube.priority_at(at).as_str());
        self.line.text("patient_class", visit.class.as_str());
        let location = u64::from(visit.location);
        self.line.numbered("location", [visit.class.location(), ""], location, 2);
    }

    fn tube_transition(&mut self, tube: &Tube, step: TubeStep, state: &str) {
        self.head("specimen.transition", step.at);
        self.specimen(tube);
        self.state("to_state", state);
        self.order(tube);
        self.visit(tube, step.at);
        self.line.text("specimen_type", tube.specimen_type());
        if let Some(old) = tube.recollect_of {
            self.line.numbered("recollect_of", [&self.lab.prefix, ""], old, 6);
        }
        if let Some(from) = tube.referred_from {
            self.line.numbered("referred_from", ["lab-ext-", ""], u64::from(from), 2);
        }
        self.line.time("ordered_at", tube.visit.ordered_at);
        let collected = step.kind != StepKind::Ordered && step.at >= tube.collected_at;
        let under_way = matches!(step.kind, StepKind::Collected | StepKind::InTransit);
        let received = collected && !under_way && tube.was_received;
        if collected {
            self.line.time("collected_at", tube.collected_at);
        }
        if received {
            self.line.time("received_at", tube.received_at);
        }
        if step.kind == StepKind::Rejected {
            let reason = REJECT_REASONS.get(usize::from(tube.reject_reason));
            self.line.text("reject_reason", reason.unwrap_or(&"RH"));
        }
    }

    /// A tube's storage or disposal.
    fn end_of_tube(&mut self, tube: ShelvedTube, at: i64, state: &str) {
        self.head("specimen.transition", at);
        self.line.numbered("specimen_id", [&self.lab.prefix, ""], u64::from(tube.number), 6);
        self.state("to_state", state);
        self.line.text("priority", tube.priority.as_str());
        self.line.text("patient_class", tube.class.as_str());
        self.line.numbered("location", [tube.class.location(), ""], u64::from(tube.location), 2);
    }

    fn test_transition(&mut self, tube: &Tube, test: &Test, step: TubeStep, state: &str) {
        let failed = matches!(step.kind, StepKind::Started | StepKind::Failed);
        let machine = if failed { test.failed_machine } else { test.machine };
        let machine = self.lab.machines.get(usize::from(machine)).filter(|_| !test.referred);
        let skew_s = machine.map_or(0, |machine| machine.skew_s);
        let by_person = matches!(
            step.kind,
            StepKind::Verified | StepKind::Published | StepKind::Invalidated | StepKind::Referred
        );
        let at = if by_person { step.at } else { step.at + skew_s };
        let refused = self.twist.refused;
        self.head("specimen.transition", if refused { at + 1 } else { at });
        self.specimen(tube);
        self.line.text("assay", assay_of(test).name);
        self.state("to_state", if refused { "COLLECTED" } else { state });
        self.visit(tube, step.at);
        if refused {
            return;
        }
        if step.kind == StepKind::Verified {
            self.line.numbered("order_id", [&self.lab.prefix, "O"], tube.visit.order, 6);
            self.line.time("ordered_at", ordered_at(tube, test));
            self.line.time("collected_at", tube.collected_at);
        }
        self.line.time("received_at", tube.received_at);
        if matches!(step.kind, StepKind::Resulted | StepKind::FirstResulted) {
            self.line.time("processed_at", at);
        } else if step.kind == StepKind::Verified {
            self.line.time("processed_at", test.resulted_at + skew_s);
        } else if step.kind == StepKind::Failed {
            let code = ERROR_CODES.get(usize::from(test.error_code));
            self.line.text("error_code", code.unwrap_or(&"E01"));
        }
        let told = matches!(step.kind, StepKind::Verified | StepKind::Invalidated);
        if step.kind == StepKind::Published || (test.referred && !told) {
            return;
        }
        if let Some(machine) = machine {
            self.line.text("machine_id", &machine.name);
        }
        self.operator(test);
        if step.kind == StepKind::Verified {
            self.line.flag("auto_verified", test.auto_verified);
            self.line.flag("delta_flag", test.delta);
            if test.repeated {
                self.line.integer("repeat_no", 1);
            }
        }
    }

    fn operator(&mut self, test: &Test) {
        self.line.numbered("operator_id", ["O", ""], u64::from(test.operator), 1);
    }

    fn result(&mut self, tube: &Tube, test: &Test, step: TubeStep, event_type: &str) {
        self.head(event_type, step.at);
        self.specimen(tube);
        self.line.text("assay", assay_of(test).name);
        self.visit(tube, step.at);
        if let Some(machine) = self.lab.machines.get(usize::from(test.machine)) {
            self.line.text("machine_id", &machine.name);
        }
        self.operator(test);
        if step.kind == StepKind::Repeat {
            self.line.integer("repeat_no", 1);
        }
    }

    fn critical(&mut self, tube: &Tube, test: &Test, step: TubeStep, event_type: &str) {
        let assay = assay_of(test);
        self.head(event_type, step.at);
        self.specimen(tube);
        self.line.text("assay", assay.name);
        let number = tube.number * 10 + u64::from(step.test);
        self.line.numbered("critical_id", [&self.lab.prefix, "C"], number, 7);
        self.visit(tube, step.at);
        if step.kind == StepKind::Critical {
            self.line.text("analyte", assay.name);
            self.line.tenths("value", test.value_tenths);
            self.line.text("unit", assay.unit);
            self.line.text("flag", if test.high { "HH" } else { "LL" });
        } else if let Some(role) = test.called {
            self.call(test, step, role);
        } else if step.kind == StepKind::Notified {
            self.line.text("notified_to_role", "nurse");
        } else {
            self.line.text("notified_to_role", "physician");
            self.line.flag("read_back", test.read_back);
        }
    }

    /// Who is called, how, and whether he is reached.
    fn call(&mut self, test: &Test, step: TubeStep, role: u8) {
        let role = CALLED_ROLES.get(usize::from(role));
        self.line.text("notified_to_role", role.unwrap_or(&"nurse"));
        self.line.text("channel", if test.electronic { "electronic" } else { "phone" });
        if step.kind == StepKind::Unreachable {
            self.line.text("outcome", "unreachable");
        } else if step.kind == StepKind::Notified {
            self.line.text("outcome", "reached");
        } else if !test.electronic {
            self.line.flag("read_back", test.read_back);
        }
    }

    /// The starter kit's row.
    fn row(&mut self, tube: &Tube, test: &Test, step: TubeStep) {
        let received = step.kind == StepKind::RowReceived;
        self.identity("specimen.snapshot");
        self.specimen(tube);
        self.line.text("assay", assay_of(test).name);
        if received {
            self.state("status", "RECEIVED");
            return self.stamp("received_at", tube.received_at);
        }
        let machine = self.lab.machines.get(usize::from(test.machine));
        if let Some(machine) = machine {
            self.line.text("machine_id", &machine.name);
        }
        self.operator(test);
        let status = if test.failed { "ERROR" } else { "COMPLETED" };
        self.state("status", if self.twist.refused { "IN_PROCESS" } else { status });
        if test.failed && !self.twist.refused {
            let code = ERROR_CODES.get(usize::from(test.error_code));
            self.line.text("error_code", code.unwrap_or(&"E01"));
        }
        self.line.time("received_at", tube.received_at);
        let skew_s = machine.map_or(0, |machine| machine.skew_s);
        let after = i64::from(self.twist.refused);
        self.stamp("processed_at", test.resulted_at + skew_s + after);
    }

    fn close(mut self) {
        if self.twist.unknown_field {
            self.line.text("x_vendor", "rack 7");
        }
        self.line.integer("seq", self.lab.seq);
        self.line.close();
    }
}
