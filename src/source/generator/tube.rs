//! An open tube: what it is, and the steps that are still to be told of it.
//!
//! All times are whole seconds since the epoch.

use super::figures::TUBE_KINDS;

/// How urgent an order is (TQ1-9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Priority {
    Stat,
    Asap,
    Routine,
}

impl Priority {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Priority::Stat => "S",
            Priority::Asap => "A",
            Priority::Routine => "R",
        }
    }
}

/// Where the patient is seen (PV1-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatientClass {
    Emergency,
    Inpatient,
    Outpatient,
    Practice,
}

impl PatientClass {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            PatientClass::Emergency => "ED",
            PatientClass::Inpatient => "inpatient",
            PatientClass::Outpatient => "outpatient",
            PatientClass::Practice => "GP",
        }
    }

    /// The location's name up to its number.
    pub(super) fn location(self) -> &'static str {
        match self {
            PatientClass::Emergency => "ED-",
            PatientClass::Inpatient => "WARD-",
            PatientClass::Outpatient => "OPD-",
            PatientClass::Practice => "GP-",
        }
    }

    /// How many locations of the class a laboratory serves.
    pub(super) fn locations(self) -> u32 {
        match self {
            PatientClass::Emergency => 2,
            PatientClass::Inpatient => 14,
            PatientClass::Outpatient => 6,
            PatientClass::Practice => 30,
        }
    }

    /// Whether tubes come by courier.
    pub(super) fn by_courier(self) -> bool {
        match self {
            PatientClass::Emergency | PatientClass::Inpatient => false,
            PatientClass::Outpatient | PatientClass::Practice => true,
        }
    }
}

/// What is the same for all tubes of one order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit {
    pub(super) order: u64,
    pub(super) patient: u32,
    pub(super) priority: Priority,
    pub(super) class: PatientClass,
    pub(super) location: u32,
    pub(super) ordered_at: i64,
    /// From collection to receipt, drawn once: the tubes travel together.
    pub(super) transport_s: i64,
}

/// What is known of one test of the tube, from its plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Test {
    /// Index into [`super::figures::ASSAYS`].
    pub(super) assay: u8,
    /// Index into the laboratory's instruments.
    pub(super) machine: u16,
    /// The instrument of a first attempt that failed.
    pub(super) failed_machine: u16,
    pub(super) operator: u8,
    /// Index into [`super::figures::ERROR_CODES`].
    pub(super) error_code: u8,
    pub(super) auto_verified: bool,
    pub(super) delta: bool,
    pub(super) repeated: bool,
    /// Row form: the outcome is ERROR.
    pub(super) failed: bool,
    /// Critical: flagged high.
    pub(super) high: bool,
    pub(super) read_back: bool,
    /// Critical: index into [`super::figures::CALLED_ROLES`]; none in the plain course.
    pub(super) called: Option<u8>,
    /// Critical: told by the system and not by a person.
    pub(super) electronic: bool,
    /// Sent to another laboratory.
    pub(super) referred: bool,
    /// When it was added to a tube that was there already; 0 for tests of the order.
    pub(super) added_at: i64,
    /// Critical: the value in tenths.
    pub(super) value_tenths: i32,
    /// The time of its last result that was told; of the result in the row form.
    pub(super) resulted_at: i64,
}

/// One thing that happens to a tube or to one of its tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepKind {
    OrderCreated,
    /// The order of a test that is added to a tube that is there already.
    Added,
    /// The order again, now urgent.
    Upgraded,
    Ordered,
    Collected,
    InTransit,
    Received,
    Rejected,
    Cancelled,
    /// The attempt that fails.
    Started,
    Failed,
    InProcess,
    /// The first result, when another follows.
    FirstResulted,
    Repeat,
    Resulted,
    Critical,
    Notified,
    /// A call that reaches nobody.
    Unreachable,
    Acknowledged,
    Verified,
    Published,
    Corrected,
    Referred,
    Invalidated,
    Lost,
    RowReceived,
    RowOutcome,
}

/// A step and its time.
#[derive(Clone, Copy, Debug)]
pub(super) struct TubeStep {
    pub(super) at: i64,
    pub(super) kind: StepKind,
    /// Index into the tube's tests; meaningless for steps of the tube.
    pub(super) test: u8,
}

/// An open tube.
#[derive(Clone, Debug)]
pub(super) struct Tube {
    /// Index into the laboratories.
    pub(super) lab: u32,
    pub(super) number: u64,
    pub(super) recollect_of: Option<u64>,
    pub(super) visit: Visit,
    /// Index into [`TUBE_KINDS`].
    pub(super) kind: u8,
    pub(super) collected_at: i64,
    pub(super) received_at: i64,
    /// Rejected: index into [`super::figures::REJECT_REASONS`], and whether it was received.
    pub(super) reject_reason: u8,
    pub(super) was_received: bool,
    /// Urgent from then on, though it was not ordered so.
    pub(super) upgraded_at: i64,
    /// Sent here by another laboratory: its number.
    pub(super) referred_from: Option<u8>,
    /// When it is stored, after all its steps, if that is told.
    pub(super) stored_at: Option<i64>,
    /// Each of the tube's records arrives so much after it happened: one interface, one delay,
    /// so that the records of a specimen keep their order.
    pub(super) delay_us: i64,
    pub(super) tests: Vec<Test>,
    /// In the order of time; what comes before `next` has been told.
    pub(super) steps: Vec<TubeStep>,
    pub(super) next: usize,
}

/// A tube of which no more than its storage and its disposal are to be told. There are as many as a
/// laboratory keeps, so it is small.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShelvedTube {
    pub(super) lab: u32,
    pub(super) number: u32,
    pub(super) priority: Priority,
    pub(super) class: PatientClass,
    pub(super) location: u8,
    /// Its storage has been told.
    pub(super) stored: bool,
}

impl Tube {
    /// What is kept of it on the shelf.
    pub(super) fn shelved(&self) -> ShelvedTube {
        ShelvedTube {
            lab: self.lab,
            number: self.number as u32,
            priority: self.priority_at(i64::MAX - 1),
            class: self.visit.class,
            location: self.visit.location as u8,
            stored: false,
        }
    }

    /// The additive's name.
    pub(super) fn specimen_type(&self) -> &'static str {
        TUBE_KINDS.get(usize::from(self.kind)).map_or("", |kind| kind.name)
    }

    /// How urgent it is at that time.
    pub(super) fn priority_at(&self, at: i64) -> Priority {
        if at >= self.upgraded_at { Priority::Stat } else { self.visit.priority }
    }

    /// Adds a step.
    pub(super) fn push(&mut self, at: i64, kind: StepKind, test: usize) {
        self.steps.push(TubeStep { at, kind, test: test as u8 });
    }

    /// The next step and its arrival in microseconds.
    pub(super) fn next_step(&self) -> Option<(TubeStep, i64)> {
        let step = self.steps.get(self.next)?;
        Some((*step, step.at * 1_000_000 + self.delay_us))
    }
}
