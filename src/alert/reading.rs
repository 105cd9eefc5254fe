//! Reads the values that a notice shows out of a table's Arrow rows.
//!
//! Columns are found once per batch; a row is then read only when a notice is made of it. A
//! column that the table does not have is left out: what must exist is the business of `check`.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::notice::{Figure, FigureValue, Group, NoticeRow};

/// The column with the number of cases behind a row.
const COUNT_COLUMN: &str = "n";
/// What the name of a target's column begins with.
const TARGET_PREFIX: &str = "target";
/// Columns worth showing although no predicate names them.
const CONTEXT_COLUMNS: &[&str] = &["machine_id", "machine", "phase", "overrunning_phase"];

/// The rows of one window of a table, by group.
#[derive(Debug)]
pub struct WindowRows {
    rows: RecordBatch,
    columns: Arc<[String]>,
    arrays: Vec<ArrayRef>,
    keys: OnceLock<Rows>,
}

impl WindowRows {
    /// The rows with the columns of `grain`; the error is the name of the first that is absent.
    pub fn new(rows: RecordBatch, grain: &Arc<[String]>) -> Result<WindowRows, String> {
        let arrays = grain
            .iter()
            .map(|name| rows.column_by_name(name).cloned().ok_or_else(|| name.clone()))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(WindowRows { rows, columns: Arc::clone(grain), arrays, keys: OnceLock::new() })
    }

    /// The rows.
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// The columns that name a group.
    pub fn grain(&self) -> &[String] {
        &self.columns
    }

    /// The group of one row.
    pub fn group(&self, row: usize) -> Result<Group, ArrowError> {
        let values = self
            .arrays
            .iter()
            .map(|array| {
                if array.is_null(row) {
                    return Ok(None);
                }
                match array.data_type() {
                    DataType::Utf8 => Ok(Some(array.as_string::<i32>().value(row).to_owned())),
                    _ => text_at(array, row).map(Some),
                }
            })
            .collect::<Result<Vec<_>, ArrowError>>()?;
        Ok(Group { columns: Arc::clone(&self.columns), values })
    }

    /// Each row's group as bytes that are equal for equal groups, also of other windows. Made when
    /// first asked for: most windows concern no breach.
    pub(super) fn keys(&self) -> Result<GroupKeys<'_>, ArrowError> {
        if self.arrays.is_empty() {
            return Ok(GroupKeys(None));
        }
        if let Some(keys) = self.keys.get() {
            return Ok(GroupKeys(Some(keys)));
        }
        let fields = self.arrays.iter().map(|array| SortField::new(array.data_type().clone()));
        let keys = RowConverter::new(fields.collect())?.convert_columns(&self.arrays)?;
        Ok(GroupKeys(Some(self.keys.get_or_init(|| keys))))
    }
}

/// The groups of a window's rows as bytes; without a grain all rows are of one group.
#[derive(Clone, Copy)]
pub(super) struct GroupKeys<'a>(Option<&'a Rows>);

impl<'a> GroupKeys<'a> {
    /// One row's group.
    pub(super) fn at(self, row: usize) -> &'a [u8] {
        self.0.map_or(&[], |rows| rows.row(row).data())
    }
}

/// The columns of a batch that a notice shows.
pub struct Readings {
    figures: Vec<ContextColumn>,
    target: Option<ContextColumn>,
    count: Option<ContextColumn>,
    context: Vec<ContextColumn>,
}

struct ContextColumn {
    name: String,
    unit: Option<String>,
    array: ArrayRef,
    numbers: Option<ArrayRef>,
}

impl Readings {
    /// Finds `figures` (the columns that the rule's predicate names), the target, `n`, machine
    /// and phase in `rows`.
    pub fn find(
        rows: &RecordBatch,
        grain: &[String],
        figures: &[String],
        units: &BTreeMap<String, String>,
    ) -> Readings {
        let find = |name: &str| ContextColumn::find(rows, name, units);
        let in_grain = |name: &str| grain.iter().any(|column| column == name);
        let mut shown: Vec<ContextColumn> = figures
            .iter()
            .filter(|name| !in_grain(name) && !is_target(name) && *name != COUNT_COLUMN)
            .filter_map(|name| find(name))
            .collect();
        if shown.is_empty() && figures.iter().any(|name| name == COUNT_COLUMN) {
            shown.extend(find(COUNT_COLUMN));
        }
        let mut targets = rows.schema_ref().fields().iter().filter(|field| is_target(field.name()));
        let target = targets.find_map(|field| find(field.name()).filter(|c| c.numbers.is_some()));
        let context =
            CONTEXT_COLUMNS.iter().filter(|name| !in_grain(name)).filter_map(|name| find(name));
        Readings { figures: shown, target, count: find(COUNT_COLUMN), context: context.collect() }
    }

    /// What one row says.
    pub fn at(&self, row: usize) -> Result<NoticeRow, ArrowError> {
        let figures =
            self.figures.iter().map(|column| column.figure(row)).collect::<Result<_, _>>()?;
        let target = self.target.as_ref().map(|column| column.figure(row)).transpose()?;
        let count = self.count.as_ref().and_then(|column| column.number(row));
        let mut context = Vec::new();
        for column in self.context.iter().filter(|column| !column.array.is_null(row)) {
            context.push((column.name.clone(), text_at(&column.array, row)?));
        }
        Ok(NoticeRow {
            figures,
            target: target.filter(|figure| figure.number().is_some()),
            n: count.map(whole),
            context,
        })
    }
}

impl ContextColumn {
    fn find(
        rows: &RecordBatch,
        name: &str,
        units: &BTreeMap<String, String>,
    ) -> Option<ContextColumn> {
        let array = Arc::clone(rows.column_by_name(name)?);
        let numbers = if array.data_type().is_numeric() {
            cast(&array, &DataType::Float64).ok()
        } else {
            None
        };
        Some(ContextColumn {
            name: name.to_owned(),
            unit: units.get(name).cloned(),
            array,
            numbers,
        })
    }

    fn number(&self, row: usize) -> Option<f64> {
        let numbers = self.numbers.as_ref()?.as_primitive::<Float64Type>();
        numbers.is_valid(row).then(|| numbers.value(row))
    }

    fn figure(&self, row: usize) -> Result<Figure, ArrowError> {
        let value = if self.array.is_null(row) {
            FigureValue::Null
        } else if let Some(number) = self.number(row) {
            FigureValue::Number(number)
        } else {
            FigureValue::Text(text_at(&self.array, row)?)
        };
        Ok(Figure { column: self.name.clone(), value, unit: self.unit.clone() })
    }
}

fn is_target(name: &str) -> bool {
    name.starts_with(TARGET_PREFIX)
}

fn text_at(array: &ArrayRef, row: usize) -> Result<String, ArrowError> {
    let options = FormatOptions::default();
    ArrayFormatter::try_new(array, &options)?.value(row).try_to_string()
}

/// The nearest whole number; a float cast saturates.
fn whole(number: f64) -> i64 {
    number.round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    use arrow::array::{Float64Array, Int32Array, Int64Array, StringArray};

    #[test]
    fn a_row_is_read_by_name_whatever_the_types() {
        let rows = RecordBatch::try_from_iter_with_nullable([
            ("lab_id", Arc::new(StringArray::from(vec![Some("L1"), None])) as ArrayRef, true),
            ("iso_weekday", Arc::new(Int32Array::from(vec![1, 7])), true),
            ("n", Arc::new(Int64Array::from(vec![Some(25), None])), true),
            ("target_name", Arc::new(StringArray::from(vec!["gold", "gold"])), true),
            ("target_rate", Arc::new(Float64Array::from(vec![Some(0.05), None])), true),
            ("error_rate", Arc::new(Float64Array::from(vec![Some(0.25), None])), true),
            ("grade", Arc::new(StringArray::from(vec!["poor", "good"])), true),
        ])
        .unwrap();
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let grain = names(&["lab_id", "iso_weekday"]);
        let groups = WindowRows::new(rows.clone(), &grain.as_slice().into()).unwrap();
        assert_eq!(groups.group(0).unwrap().describe(&[]), "lab_id=L1, iso_weekday=1");
        assert_eq!(groups.group(1).unwrap().values, [None, Some("7".to_owned())]);
        let absent = WindowRows::new(rows.clone(), &Arc::from(names(&["assay"])));
        assert_eq!(absent.err().unwrap(), "assay");
        let named = names(&["error_rate", "grade", "lab_id", "n", "target_rate", "gone"]);
        let units = BTreeMap::from([("error_rate".to_owned(), "%".to_owned())]);
        let readings = Readings::find(&rows, &grain, &named, &units);
        let first = readings.at(0).unwrap();
        let values: Vec<_> =
            first.figures.iter().map(|one| (one.column.as_str(), &one.value)).collect();
        assert_eq!(
            values,
            [
                ("error_rate", &FigureValue::Number(0.25)),
                ("grade", &FigureValue::Text("poor".to_owned())),
            ]
        );
        assert_eq!(first.figures[0].unit.as_deref(), Some("%"));
        assert_eq!((first.n, first.target.unwrap().number()), (Some(25), Some(0.05)));
        let second = readings.at(1).unwrap();
        assert_eq!(second.figures[0].value, FigureValue::Null);
        assert_eq!((second.n, second.target), (None, None));
        let only_n = Readings::find(&rows, &grain, &names(&["n"]), &units).at(0).unwrap();
        assert_eq!(only_n.figures[0].value, FigureValue::Number(25.0));
    }
}
