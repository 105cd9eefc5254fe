//! What has to be decoded and related for the queries that were planned.

use std::collections::{BTreeMap, BTreeSet};

use super::follow::FollowPlan;
use super::planned::PipelinePlan;
use crate::relate::{Relation, event_columns};

/// What pipelines read, by the relation's name, with the places of columns.
pub(super) fn columns_read(pipelines: &[PipelinePlan]) -> BTreeMap<&str, BTreeSet<usize>> {
    let mut needed: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for (name, columns) in pipelines.iter().flat_map(|pipeline| &pipeline.query.reads) {
        needed.entry(name.as_ref()).or_default().extend(columns);
    }
    needed
}

/// The relations that are always there and that some query reads, with the columns to make.
pub(crate) fn relations_of(pipelines: &[PipelinePlan]) -> Vec<(Relation, Vec<usize>)> {
    let known = columns_read(pipelines).into_iter().filter_map(|(name, columns)| {
        Some((Relation::named(name)?, columns.into_iter().collect()))
    });
    known.collect()
}

/// The event columns that relations are made from, late rows are filed with, and leaps told apart by.
pub(crate) fn decoded_columns(
    relations: &[(Relation, Vec<usize>)],
    follow: Option<&FollowPlan>,
) -> BTreeSet<usize> {
    let events = relations.iter().filter(|(relation, _)| *relation == Relation::Events);
    let mut columns: BTreeSet<usize> =
        events.flat_map(|(_, needed)| event_columns(needed)).collect();
    columns.extend(follow.map(FollowPlan::event_columns).unwrap_or_default());
    let filed = ["event_time", "lab_id", "machine_id"];
    let fields = crate::flow::event::EVENT_FIELDS.iter().enumerate();
    columns.extend(fields.filter(|(_, (name, _))| filed.contains(name)).map(|(place, _)| place));
    columns
}
