//! Rows of one relation that several have told of, put together in the order of what brought them about.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{concat, concat_batches, take, take_record_batch};
use arrow::datatypes::{Int64Type, UInt32Type};
use datafusion::common::Result;

use crate::flow::coded::plain_rows;
use crate::sql::plan::relation_rows::RelationRows;

/// Parts of one relation, none of which is barred, as one; none where there is no part.
///
/// # Errors
/// When they are not of the same columns, which is a fault of ours.
pub(super) fn joined(mut parts: Vec<RelationRows>) -> Result<Option<RelationRows>> {
    parts.sort_by_key(|part| part.rows.num_rows() == 0);
    let filled = parts.iter().filter(|part| part.rows.num_rows() > 0).count();
    let Some(first) = parts.first() else { return Ok(None) };
    if filled < 2 {
        return Ok(Some(first.clone()));
    }
    let parts = &parts[..filled];
    let rows = parts.iter().map(|part| Ok(plain_rows(&part.rows)?));
    let rows = rows.collect::<Result<Vec<RecordBatch>>>()?;
    let rows = concat_batches(rows[0].schema_ref(), &rows)?;
    let all = |column: &dyn Fn(&RelationRows) -> ArrayRef| -> Result<ArrayRef> {
        let columns: Vec<ArrayRef> = parts.iter().map(column).collect();
        let columns: Vec<_> = columns.iter().map(AsRef::as_ref).collect();
        Ok(concat(&columns)?)
    };
    let sources = all(&|part| Arc::new(part.source_row.clone()))?;
    let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
    order.sort_by_key(|row| sources.as_primitive::<UInt32Type>().value(*row as usize));
    let order = UInt32Array::from(order);
    let in_order = |column: &ArrayRef| -> Result<ArrayRef> { Ok(take(column, &order, None)?) };
    let time = in_order(&all(&|part| Arc::new(part.time.clone()))?)?;
    let stood = in_order(&all(&|part| Arc::new(part.watermark_before.clone()))?)?;
    let lab = match parts.iter().all(|part| part.lab.is_some()) {
        true => {
            let labs = all(&|part| Arc::new(part.lab.clone().unwrap_or_else(no_labs)))?;
            Some(in_order(&labs)?.as_string::<i32>().clone())
        }
        false => None,
    };
    Ok(Some(RelationRows {
        relation: Arc::clone(&first.relation),
        rows: take_record_batch(&rows, &order)?,
        time: time.as_primitive::<Int64Type>().clone(),
        watermark_before: stood.as_primitive::<Int64Type>().clone(),
        source_row: in_order(&sources)?.as_primitive::<UInt32Type>().clone(),
        lab,
        barred: None,
    }))
}

fn no_labs() -> StringArray {
    StringArray::new_null(0)
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use arrow::compute::cast;

    use super::*;
    use crate::flow::coded::coded_type;

    fn part(words: &[&str], sources: &[u32], coded: bool) -> RelationRows {
        let words: ArrayRef = Arc::new(StringArray::from(words.to_vec()));
        let column = if coded { cast(&words, &coded_type()).unwrap() } else { Arc::clone(&words) };
        let times: Int64Array = sources.iter().map(|source| i64::from(*source) * 10).collect();
        RelationRows {
            relation: "refused".into(),
            rows: RecordBatch::try_from_iter_with_nullable([("word", column, true)]).unwrap(),
            time: times.clone(),
            watermark_before: times,
            source_row: sources.to_vec().into(),
            lab: Some(words.as_string::<i32>().clone()),
            barred: None,
        }
    }

    #[test]
    fn rows_stand_in_the_order_of_what_brought_them_about() {
        let parts = [
            part(&["a", "c", "e"], &[0, 2, 7], true),
            part(&[], &[], false),
            part(&["b", "d", "f"], &[1, 2, 9], false),
        ];
        let one = joined(parts.to_vec()).unwrap().unwrap();
        let expected = StringArray::from(vec!["a", "b", "c", "d", "e", "f"]);
        assert_eq!(one.rows.column(0).as_string::<i32>(), &expected);
        assert_eq!(one.lab.unwrap(), expected);
        assert_eq!(one.source_row.values(), &[0, 1, 2, 2, 7, 9]);
        assert_eq!(one.time.values(), &[0, 10, 20, 20, 70, 90]);
        assert_eq!(one.watermark_before, one.time);
        assert!(joined(Vec::new()).unwrap().is_none());
        let only = joined(parts[1..].to_vec()).unwrap().unwrap();
        assert_eq!(only.source_row.values(), &[1, 2, 9], "one that has rows is left as it is");
    }
}
