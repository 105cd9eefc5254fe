//! Between judge and relate: where everything stands.
//!
//! Comes in: judged batches, and watermarks that move without a record. Goes out: changes of tests,
//! deadlines that have run, what was refused. Machines are data (`spec`, checked and numbered by
//! `machine`); `prepare` makes a batch's events into steps on any core; `test` keeps the tests and
//! applies the steps in the order of event time, once the partition's watermark has passed them.
//!
//! Nothing here knows the clock, a file, or how batches are cut: the same records give the same changes.

pub mod critical;
pub mod cut;
pub mod diagram;
pub mod entity;
pub mod fault;
mod follows;
pub mod id;
mod keys;
pub mod machine;
mod partitions;
mod prepare;
mod scatter;
mod slab;
pub mod spec;
mod stage;
mod test;
pub mod texts;
mod waiting;
mod wheel;
mod words;

pub use follows::Follows;
pub use partitions::Partitions;
pub use scatter::ScatteredTubes;
pub use stage::{JudgedEvents, Lifecycle, LifecycleShared, Prepared};
pub use test::change;
pub use test::record::{Time, Urgency};
pub use test::rules::TestSettings;
pub use test::step::Told;
pub use test::tally::{TestCounts, WantedRows};
pub use test::target::TargetOrigin;

/// The machine that tests are followed by.
pub const TEST_MACHINE: &str = "test";

/// The event's columns that tests are followed by, beside those that guards read.
pub fn columns(machine: &machine::StateMachine) -> std::collections::BTreeSet<String> {
    let of_machine = machine.spec.events.iter().filter_map(|event| match &event.word {
        spec::WordSource::Column(name) => Some(name.as_str()),
        spec::WordSource::Says(_) => None,
    });
    let entity = machine.spec.entity.iter().map(String::as_str);
    let all = prepare::TEST_COLUMNS.iter().copied().chain(of_machine).chain(entity);
    all.map(str::to_owned).collect()
}
