//! One fixed window over panes, sliding: what it holds now, by group, and the results of each slot.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::concat;
use datafusion::common::Result;

use crate::sql::aggregate::running::Running;
use crate::sql::aggregate::slots::Slot;
use crate::sql::collect::collected::Chunk;
use crate::sql::collect::join::Merged;
use crate::sql::keys::Keys;
use crate::sql::plan::query::Incremental;

/// The aggregates of one window as it slides.
pub struct Sliding {
    slots: Vec<SlotState>,
    /// Rows in the window by group.
    presence: Vec<u32>,
    /// Groups with rows in the window, in the order of their keys; may name groups that have none
    /// any more until the next reading.
    active: Vec<u32>,
    listed: Vec<bool>,
}

enum SlotState {
    Running(Box<dyn Running>),
    /// Outputs so far, one array per reading.
    Merged(Slot, Vec<ArrayRef>),
}

impl Sliding {
    /// An empty window of a query; of so many panes, where windows share panes.
    pub fn new(query: &Incremental, panes: Option<usize>) -> Sliding {
        let slots = query.slots.iter().map(|slot| match slot.running(panes) {
            Some(running) => SlotState::Running(running),
            None => SlotState::Merged(slot.clone(), Vec::new()),
        });
        Sliding {
            slots: slots.collect(),
            presence: Vec::new(),
            active: Vec::new(),
            listed: Vec::new(),
        }
    }

    /// Whether any group may have rows.
    pub fn holds_rows(&self) -> bool {
        self.active.iter().any(|group| self.presence[*group as usize] > 0)
    }

    /// Makes room for groups below `groups`.
    fn grow(&mut self, groups: usize) {
        if groups > self.presence.len() {
            self.presence.resize(groups, 0);
            self.listed.resize(groups, false);
            for slot in &mut self.slots {
                if let SlotState::Running(running) = slot {
                    running.grow(groups);
                }
            }
        }
    }

    /// A chunk collected in `pane` enters.
    pub fn enter(&mut self, chunk: &Chunk, pane: i64, groups: usize) -> Result<()> {
        self.grow(groups);
        for (group, rows) in chunk.groups.iter().zip(&chunk.rows) {
            let group = *group as usize;
            self.presence[group] += rows;
            if !self.listed[group] {
                self.listed[group] = true;
                self.active.push(group as u32);
            }
        }
        for (slot, states) in self.slots.iter_mut().zip(&chunk.states) {
            if let SlotState::Running(running) = slot {
                running.add(&chunk.groups, states, pane)?;
            }
        }
        Ok(())
    }

    /// A chunk collected in `pane` leaves.
    pub fn leave(&mut self, chunk: &Chunk, pane: i64) -> Result<()> {
        for (group, rows) in chunk.groups.iter().zip(&chunk.rows) {
            self.presence[*group as usize] -= rows;
        }
        for (slot, states) in self.slots.iter_mut().zip(&chunk.states) {
            if let SlotState::Running(running) = slot {
                running.retract(&chunk.groups, states, pane)?;
            }
        }
        Ok(())
    }

    /// Everything leaves.
    pub fn clear(&mut self) {
        for group in &self.active {
            self.presence[*group as usize] = 0;
            self.listed[*group as usize] = false;
        }
        for slot in &mut self.slots {
            if let SlotState::Running(running) = slot {
                running.reset(&self.active);
            }
        }
        self.active.clear();
    }

    /// The groups with rows, in the order of their keys.
    pub fn groups(&mut self, keys: &Keys) -> &[u32] {
        let (presence, listed) = (&self.presence, &mut self.listed);
        self.active.retain(|group| {
            let held = presence[*group as usize] > 0;
            listed[*group as usize] = held;
            held
        });
        // Mostly sorted already: those that came since the last reading stand at the end.
        self.active.sort_by(|a, b| keys.get(*a).cmp(keys.get(*b)));
        &self.active
    }

    /// Appends the results of these groups to the outputs. `within` are the window's chunks, read
    /// by slots that are merged anew.
    pub fn read<'a>(
        &mut self,
        groups: &[u32],
        total: usize,
        within: impl Fn() -> Vec<&'a Chunk>,
    ) -> Result<()> {
        self.grow(total);
        let mut places: Option<Vec<u32>> = None;
        for (index, slot) in self.slots.iter_mut().enumerate() {
            match slot {
                SlotState::Running(running) => running.read(groups)?,
                SlotState::Merged(slot, outputs) => {
                    let places = places.get_or_insert_with(|| places_of(groups, total));
                    let merged = Merged::of(slot, index, groups.len(), places, &within())?;
                    outputs.push(merged.results(slot)?);
                }
            }
        }
        Ok(())
    }

    /// The outputs since the last call: for each slot its arrays.
    pub fn take_outputs(&mut self) -> Result<Vec<Vec<ArrayRef>>> {
        self.slots
            .iter_mut()
            .map(|slot| match slot {
                SlotState::Running(running) => Ok(running.take_outputs()),
                SlotState::Merged(_, outputs) => {
                    let parts = std::mem::take(outputs);
                    let parts: Vec<&dyn Array> = parts.iter().map(Arc::as_ref).collect();
                    Ok(vec![concat(&parts)?])
                }
            })
            .collect()
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        let running: usize = self
            .slots
            .iter()
            .map(|slot| match slot {
                SlotState::Running(running) => running.size(),
                SlotState::Merged(..) => 0,
            })
            .sum();
        running + self.presence.capacity() * 5 + self.active.capacity() * 4
    }
}

/// For every group number its place in `groups`, or `u32::MAX`.
fn places_of(groups: &[u32], total: usize) -> Vec<u32> {
    let mut places = vec![u32::MAX; total];
    for (place, group) in groups.iter().enumerate() {
        places[*group as usize] = place as u32;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray, UInt32Array};
    use arrow::datatypes::{DataType, Field, Schema};
    use tokio::runtime::Runtime;

    use crate::flow::{Partition, Span, Timestamp};
    use crate::sql::collect::family::Family;
    use crate::sql::collect::fixed_family::FixedFamily;
    use crate::sql::collect::window_family::TableForm;
    use crate::sql::fire::Engine;
    use crate::sql::fire::output::OutputShape;
    use crate::sql::fire::tests::collected;
    use crate::sql::plan::execute::Executor;
    use crate::sql::plan::places::Places;
    use crate::sql::plan::planner;
    use crate::sql::plan::query;
    use crate::sql::plan::query::Way;
    use crate::sql::plan::relation::RelationDef;
    use crate::sql::plan::relation_rows::RelationRows;
    use crate::window::{Extent, PaneGrid};

    /// Rows of time, lab and value, in one batch.
    fn rows(rows: &[(i64, &str, Option<i64>)]) -> RelationRows {
        let fields =
            vec![Field::new("lab", DataType::Utf8, true), Field::new("v", DataType::Int64, true)];
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1))),
            Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>()),
        ];
        let schema = Places::new(&[0, 1]).said_by(&Schema::new(fields));
        RelationRows {
            relation: "t".into(),
            rows: RecordBatch::try_new(schema, columns).unwrap(),
            time: Int64Array::from_iter_values(rows.iter().map(|row| row.0)),
            watermark_before: Int64Array::from_value(0, rows.len()),
            source_row: UInt32Array::from_iter_values(0..rows.len() as u32),
            lab: None,
            barred: None,
        }
    }

    /// The result rows of windows of ten, sliding by five.
    fn run(sql: &str, batches: &[RelationRows], grain: &[&str]) -> (bool, RecordBatch) {
        let runtime = Runtime::new().unwrap();
        let schema = batches[0].rows.schema().as_ref().clone().with_metadata(Default::default());
        let def = RelationDef { name: "t".into(), schema: Arc::new(schema), event_time: "at" };
        let context = runtime.block_on(planner::over(&[def], &[], &[])).unwrap();
        let planned = Arc::new(runtime.block_on(query::plan(&context, sql, false)).unwrap());
        let grid = PaneGrid::over([Span(10), Span(5)]);
        let shapes = vec![grid.shape(Span(10), Span(5))];
        let family = Arc::new(Family::Fixed(FixedFamily { grid, shapes }));
        let grain: Vec<String> = grain.iter().map(|name| (*name).to_owned()).collect();
        let form = TableForm::Windows { is_tile: false };
        let shape = OutputShape::new("w", &planned, &grain, form).unwrap();
        let executor = Executor::new(context.task_ctx(), runtime.handle().clone());
        let mut engine = Engine::new(
            Arc::clone(&planned),
            Arc::clone(&family),
            vec![shape],
            None,
            executor.clone(),
        );
        for batch in batches {
            let offsets: Vec<i64> = (0..batch.time.len() as i64).collect();
            let batch = std::slice::from_ref(batch);
            let part = collected((&planned, &family), batch, &offsets, &executor);
            let partition = Arc::new(Partition { topic: "t".into(), index: 0 });
            engine.collect(part, &partition).unwrap();
        }
        let fired = engine
            .advance(
                Timestamp(1000),
                Extent {
                    begins_at: Timestamp::MIN,
                    ends_at: Timestamp(0),
                    complete_from: Timestamp::MIN,
                },
            )
            .unwrap();
        let parts: Vec<RecordBatch> = fired.into_iter().map(|batch| batch.rows).collect();
        let incremental = matches!(planned.way, Way::Incremental(_));
        (incremental, arrow::compute::concat_batches(&parts[0].schema(), &parts).unwrap())
    }

    /// Two labs, of which the second has only nulls, in panes of their own: merging the first one's
    /// state must not tell the accumulator of the second.
    #[test]
    fn a_group_of_nothing_but_nulls_has_no_result() {
        let sql = "SELECT lab, bool_and(v > 1) AS truth, max(CAST(v AS INT)) AS small, \
                   bit_or(v) AS bits, count(DISTINCT v) AS n FROM t GROUP BY lab";
        let batches = [rows(&[(3, "a", Some(2))]), rows(&[(8, "b", None)])];
        let (incremental, rows) = run(sql, &batches, &["lab"]);
        assert!(incremental);
        // Windows that end at 5 (a), 10 (a and b) and 15 (b).
        let labs = rows.column_by_name("lab").unwrap().as_string::<i32>();
        let labs: Vec<&str> = labs.iter().flatten().collect();
        assert_eq!(labs, ["a", "a", "b", "b"]);
        for name in ["truth", "small", "bits"] {
            let nulls: Vec<bool> =
                (0..4).map(|row| rows.column_by_name(name).unwrap().is_null(row)).collect();
            assert_eq!(nulls, [false, false, true, true], "{name}");
        }
    }

    #[test]
    fn without_groups_a_window_of_filtered_rows_has_a_row() {
        let sql = "SELECT count(*) AS n, sum(v) AS total, max(lab) AS last FROM t WHERE v > 5";
        let batches = [rows(&[(3, "a", Some(2))]), rows(&[(18, "b", Some(7))])];
        let (incremental, rows) = run(sql, &batches, &[]);
        assert!(incremental);
        let of = |name: &str| rows.column_by_name(name).unwrap();
        // Windows that end at 5, 10, 20 and 25; the two between hold nothing at all.
        let n = of("n").as_primitive::<arrow::datatypes::Int64Type>();
        assert_eq!(n.values(), &[0, 0, 1, 1]);
        assert_eq!(of("total").null_count(), 2);
        assert_eq!(of("last").null_count(), 2);
    }

    #[test]
    fn what_takes_rows_in_an_order_is_recomputed() {
        let sql = "SELECT lab, string_agg(CAST(v AS VARCHAR), ',' ORDER BY v) AS all_values \
                   FROM t GROUP BY lab";
        let batches = [rows(&[(3, "a", Some(2)), (4, "a", Some(1))]), rows(&[(3, "a", Some(0))])];
        let (incremental, rows) = run(sql, &batches, &["lab"]);
        assert!(!incremental);
        let texts = rows.column_by_name("all_values").unwrap();
        let texts = arrow::compute::cast(texts, &DataType::Utf8).unwrap();
        let texts: Vec<&str> = texts.as_string::<i32>().iter().flatten().collect();
        assert_eq!(texts, ["0,1,2", "0,1,2"]);
    }
    /// The same rows in two orders: what is computed from them is the same, and is so by the order
    /// of lab and value.
    #[test]
    fn what_sees_the_order_of_rows_sees_one_of_their_own() {
        let mut all = [(4, "b", Some(7)), (1, "a", Some(2)), (3, "b", Some(3)), (2, "a", Some(1))];
        let there = [rows(&all[..1]), rows(&all[1..])];
        all.reverse();
        let back = [rows(&all[..2]), rows(&all[2..])];
        let texts = |sql: &str, grain: &[&str]| {
            let [one, other] = [&there, &back].map(|batches| run(sql, batches, grain));
            assert!(!one.0, "{sql} is recomputed");
            assert_eq!(one.1, other.1, "{sql}");
            let of = |name: &str| {
                let column = one.1.column_by_name(name).unwrap();
                let column = arrow::compute::cast(column, &DataType::Utf8).unwrap();
                let texts = column.as_string::<i32>().iter().map(|text| text.unwrap_or("-"));
                texts.take(4).collect::<Vec<_>>().join(" ")
            };
            of("x")
        };
        let numbered = "SELECT lab, v, row_number() OVER () AS x FROM t";
        assert_eq!(texts(numbered, &["lab", "v"]), "1 2 3 4");
        assert_eq!(texts("SELECT v AS x FROM t LIMIT 3", &["x"]), "1 2 3 1");
        assert_eq!(texts("SELECT first_value(v ORDER BY v > 1 DESC) AS x FROM t", &[]), "2 2");
        assert_eq!(texts("SELECT DISTINCT ON (lab) lab, v AS x FROM t", &["lab"]), "1 3 1 3");
        assert_eq!(texts("SELECT any_value(v) AS x FROM t", &[]), "1 1");
        texts("SELECT stddev(v / 3.0) AS x, corr(v / 7.0, v * v / 11.0) AS y FROM t", &[]);
        // By a column in whose order the rows come, beside sums that are given all at once.
        let both = "SELECT lab, sum(v / 4.0) AS x, sum(v) AS y, stddev(v) AS z, \
                    percentile_cont(0.5) WITHIN GROUP (ORDER BY v) AS p FROM t GROUP BY lab";
        assert_eq!(texts(both, &["lab"]), "0.75 2.5 0.75 2.5");
        // An order that the query itself makes, of which the aggregate knows.
        let numbered = both.replace(
            "FROM t",
            "FROM (SELECT lab, v, row_number() OVER (PARTITION BY lab ORDER BY v) AS k FROM t) \
             AS t WHERE k < 9",
        );
        assert_eq!(texts(&numbered, &["lab"]), "0.75 2.5 0.75 2.5");
    }
}
