//! Groups that must appear in a window even when nothing came: `expect: ref.labs`.
//!
//! Each row of the reference table stands for one group: its values in those group columns that
//! bear the names of the table's columns, null in the others. A window lacks it when no group of
//! the window has those values.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::{Result, plan_err};

use crate::sql::keys::{KeyCodec, Keys, leading_types};

/// The groups to expect.
pub struct Expected {
    /// From the whole key.
    codec: KeyCodec,
    /// From the shared columns of the key.
    shared_codec: KeyCodec,
    /// Which group columns are shared.
    shared: Vec<usize>,
    /// The shared values of the expected groups, numbered.
    shared_keys: Keys,
    /// How many of them are expected; the others are of groups that came unexpected.
    known: usize,
    /// The whole keys of the expected groups, numbered alike.
    whole_keys: Keys,
    /// Each expected group's lab, where the table has one.
    labs: Vec<String>,
    /// For each known group, which expected group it satisfies.
    satisfies: Vec<Option<u32>>,
}

impl Expected {
    /// The groups that `reference` names for a query with these group columns.
    pub fn new(reference: &RecordBatch, schema: &SchemaRef, group_columns: usize) -> Result<Self> {
        let types = leading_types(schema, group_columns);
        let names = schema.fields().iter().take(group_columns).map(|field| field.name().as_str());
        let names: Vec<&str> = names.collect();
        let shared: Vec<usize> = (0..group_columns)
            .filter(|column| reference.schema_ref().column_with_name(names[*column]).is_some())
            .collect();
        if shared.is_empty() {
            return plan_err!(
                "`expect` names a table that has none of the group columns {}",
                names.join(", ")
            );
        }
        let rows = reference.num_rows();
        let whole: Result<Vec<ArrayRef>> = (0..group_columns)
            .map(|column| match reference.column_by_name(names[column]) {
                Some(values) => Ok(cast(values, &types[column])?),
                None => Ok(new_null_array(&types[column], rows)),
            })
            .collect();
        let whole = whole?;
        let codec = KeyCodec::new(&types)?;
        let shared_types: Vec<DataType> = shared.iter().map(|c| types[*c].clone()).collect();
        let shared_codec = KeyCodec::new(&shared_types)?;
        let mut whole_keys = Keys::default();
        let numbers = codec.intern(&whole, rows, &mut whole_keys)?;
        let mut shared_keys = Keys::default();
        let columns: Vec<ArrayRef> = shared.iter().map(|c| whole[*c].clone()).collect();
        shared_codec.intern(&columns, rows, &mut shared_keys)?;
        let labs = labs_of(reference, &numbers, whole_keys.len())?;
        Ok(Expected {
            codec,
            shared_codec,
            shared,
            known: shared_keys.len(),
            shared_keys,
            whole_keys,
            labs,
            satisfies: Vec::new(),
        })
    }

    /// Adds the expected groups that `groups` lacks, in the order of keys. `here` says whether a
    /// lab is expected in this window; none means everywhere.
    pub fn complete(
        &mut self,
        groups: &mut Vec<u32>,
        keys: &mut Keys,
        here: Option<&dyn Fn(&str) -> bool>,
    ) -> Result<()> {
        self.learn(keys)?;
        let mut present = vec![false; self.whole_keys.len()];
        for group in groups.iter() {
            if let Some(expected) = self.satisfies[*group as usize] {
                present[expected as usize] = true;
            }
        }
        let before = groups.len();
        for (number, present) in present.into_iter().enumerate() {
            if !present && here.is_none_or(|here| here(&self.labs[number])) {
                groups.push(keys.intern(self.whole_keys.get(number as u32)));
            }
        }
        if groups.len() > before {
            groups.sort_by(|a, b| keys.get(*a).cmp(keys.get(*b)));
        }
        Ok(())
    }

    /// Forgets what groups satisfy: they have other numbers now.
    pub fn renumbered(&mut self) {
        self.satisfies.clear();
        self.shared_keys.truncate(self.known);
    }

    /// Finds out which expected groups the groups that are new satisfy.
    fn learn(&mut self, keys: &Keys) -> Result<()> {
        let new: Vec<u32> = (self.satisfies.len() as u32..keys.len() as u32).collect();
        if new.is_empty() {
            return Ok(());
        }
        let columns = self.codec.columns(keys, &new)?;
        let shared: Vec<ArrayRef> = self.shared.iter().map(|c| columns[*c].clone()).collect();
        let expected = self.known as u32;
        let numbers = self.shared_codec.intern(&shared, new.len(), &mut self.shared_keys)?;
        let satisfied = numbers.iter().map(|number| {
            (*number < expected.min(self.whole_keys.len() as u32)).then_some(*number)
        });
        self.satisfies.extend(satisfied);
        Ok(())
    }
}

/// The lab of each distinct expected group; empty where the table names none.
fn labs_of(reference: &RecordBatch, numbers: &[u32], count: usize) -> Result<Vec<String>> {
    let mut labs = vec![String::new(); count];
    if let Some(column) = reference.column_by_name("lab_id") {
        let column = cast(column, &DataType::Utf8)?;
        let column = column.as_string::<i32>();
        for (row, number) in numbers.iter().enumerate() {
            if column.is_valid(row) {
                labs[*number as usize] = column.value(row).to_owned();
            }
        }
    }
    Ok(labs)
}
