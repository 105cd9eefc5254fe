//! Copies of what is kept beyond its batch: a slice of an array keeps the whole of its buffers, so
//! where the slice is a small part of them it is copied.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::array::{
    Array, ArrayRef, MutableArrayData, RecordBatch, RecordBatchOptions, make_array,
};
use arrow::datatypes::DataType;
use datafusion::common::Result;

/// A slice is copied where its buffers are this many times as large.
const MUCH_LARGER: usize = 8;
/// Buffers below so many bytes are not worth a copy.
const SMALL_BYTES: usize = 4096;

/// The array, copied where it is a small part of what it holds on to.
pub(crate) fn own(array: &ArrayRef) -> ArrayRef {
    let held = array.get_buffer_memory_size();
    if held <= SMALL_BYTES {
        return Arc::clone(array);
    }
    if bytes_of(array).saturating_mul(MUCH_LARGER) >= held {
        return Arc::clone(array);
    }
    let data = array.to_data();
    let mut copy = MutableArrayData::new(vec![&data], false, data.len());
    match copy.try_extend(0, 0, data.len()) {
        Ok(()) => make_array(copy.freeze()),
        Err(_) => Arc::clone(array),
    }
}

/// The bytes of the array's own values, not of all that its buffers hold.
pub(crate) fn bytes_of(array: &ArrayRef) -> usize {
    match array.data_type() {
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            let (offsets, nulls) = (lists.value_offsets(), array.len() / 8);
            let (first, last) = (offsets[0] as usize, offsets[array.len()] as usize);
            offsets.len() * 4 + nulls + bytes_of(&lists.values().slice(first, last - first))
        }
        DataType::Struct(_) => array.as_struct().columns().iter().map(bytes_of).sum(),
        _ => array.to_data().get_slice_memory_size().unwrap_or(0),
    }
}

/// The rows, each column copied where it is a small part of what it holds on to.
pub(crate) fn own_rows(rows: &RecordBatch) -> Result<RecordBatch> {
    let columns = rows.columns().iter().map(own).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(rows.schema(), columns, &options)?)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, ListArray, StringArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    #[test]
    fn a_small_slice_lets_go_of_the_rest() {
        let texts = StringArray::from_iter_values((0..20_000).map(|n| format!("text {n}")));
        let lists = (0..20_000).map(|n| Some([Some(n), None]));
        let arrays: [ArrayRef; 3] = [
            Arc::new((0..20_000).map(|n| (n % 3 > 0).then_some(n)).collect::<Int64Array>()),
            Arc::new(texts),
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists)),
        ];
        for array in arrays {
            let (few, most) = (array.slice(7_001, 5), array.slice(1, 15_000));
            let owned = own(&few);
            assert_eq!(&owned, &few);
            assert!(bytes_of(&few) < 256, "{}", bytes_of(&few));
            assert!(owned.get_buffer_memory_size() < 1024, "{}", owned.get_buffer_memory_size());
            assert_eq!(own(&most).get_buffer_memory_size(), array.get_buffer_memory_size());
        }
    }
}
