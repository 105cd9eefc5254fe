//! Columns of texts of which there are few, as codes: each row's place in a list of texts.
//!
//! Within the stream such columns stay coded, so that selecting rows copies four bytes of each and
//! grouping by them compares no texts. SQL and the lake see texts.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, UInt32Type};
use arrow::error::ArrowError;

/// The type of a coded column.
pub fn coded_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8))
}

/// Whether a column is coded.
pub fn is_coded(column: &ArrayRef) -> bool {
    is_coded_type(column.data_type())
}

/// Other dictionaries are those of a query.
fn is_coded_type(of: &DataType) -> bool {
    let DataType::Dictionary(code, text) = of else { return false };
    matches!((code.as_ref(), text.as_ref()), (DataType::UInt32, DataType::Utf8))
}

/// A column with a text of its own for each row where it was coded; any other as it is.
pub fn plain(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if is_coded(column) { cast(column, &DataType::Utf8) } else { Ok(Arc::clone(column)) }
}

/// Rows whose columns are [`plain`].
pub fn plain_rows(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    if !rows.columns().iter().any(is_coded) {
        return Ok(rows.clone());
    }
    let columns = rows.columns().iter().map(plain).collect::<Result<Vec<_>, _>>()?;
    with_columns(rows.schema_ref(), columns, rows.num_rows())
}

/// Rows of these columns, which are named as in the schema and may be coded or plain whatever it
/// says of them.
pub fn with_columns(
    schema: &Arc<Schema>,
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch, ArrowError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let as_it_is = |(field, column): (&Arc<Field>, &ArrayRef)| {
        let (of_field, of_column) = (field.data_type(), column.data_type());
        of_field == of_column || !(is_coded_type(of_column) || is_coded_type(of_field))
    };
    if schema.fields().iter().zip(&columns).all(as_it_is) {
        return RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options);
    }
    let typed = |(field, column): (&Arc<Field>, &ArrayRef)| {
        field.as_ref().clone().with_data_type(column.data_type().clone())
    };
    let fields: Vec<Field> = schema.fields().iter().zip(&columns).map(typed).collect();
    let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
    RecordBatch::try_new_with_options(Arc::new(schema), columns, &options)
}

/// A coded column, to be read by row.
#[derive(Clone, Debug)]
pub struct Codes {
    codes: ScalarBuffer<u32>,
    nulls: Option<NullBuffer>,
    texts: StringArray,
}

impl Codes {
    /// The codes of a column of texts, coded or not. A coded one's list holds no null.
    ///
    /// # Errors
    /// When the column does not hold texts.
    pub fn of(column: &ArrayRef) -> Result<Codes, ArrowError> {
        if !is_coded(column) && column.data_type() != &DataType::Utf8 {
            let found = column.data_type();
            return Err(ArrowError::SchemaError(format!("a column of texts is {found}")));
        }
        let coded = cast(column, &coded_type())?;
        let coded = coded.as_dictionary::<UInt32Type>();
        Ok(Codes {
            codes: coded.keys().values().clone(),
            nulls: coded.keys().nulls().cloned(),
            texts: coded.values().as_string::<i32>().clone(),
        })
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// The texts that codes stand for.
    pub fn texts(&self) -> &StringArray {
        &self.texts
    }

    /// The rows' codes; what stands in the place of a null means nothing.
    pub fn codes(&self) -> &ScalarBuffer<u32> {
        &self.codes
    }

    /// Whether a row has no text.
    pub fn has_nulls(&self) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.null_count() > 0)
    }

    /// A row's code, none where it has no text.
    #[inline(always)]
    pub fn code(&self, row: usize) -> Option<usize> {
        let is_valid = self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        is_valid.then(|| self.codes[row] as usize)
    }

    /// A row's text, if it has one.
    pub fn text(&self, row: usize) -> Option<&str> {
        self.code(row).map(|code| self.texts.value(code))
    }

    /// By code, what `of` makes of its text.
    pub fn each<T>(&self, of: impl Fn(&str) -> T) -> Vec<T> {
        (0..self.texts.len()).map(|code| of(self.texts.value(code))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_same_coded_and_plain() -> Result<(), ArrowError> {
        let texts = [Some("b"), None, Some(""), Some("b")];
        let column = Arc::new(StringArray::from_iter(texts)) as ArrayRef;
        let coded = cast(&column, &coded_type())?;
        assert_eq!(&plain(&coded)?, &column);
        for column in [&coded, &column, &coded.slice(1, 3)] {
            let codes = Codes::of(column)?;
            let read: Vec<Option<&str>> = (0..codes.len()).map(|row| codes.text(row)).collect();
            assert_eq!(read, texts[texts.len() - codes.len()..]);
            assert_eq!(codes.each(str::len).len(), codes.texts().len());
        }
        Ok(())
    }

    #[test]
    fn rows_become_plain_and_keep_their_metadata() -> Result<(), ArrowError> {
        let column = Arc::new(StringArray::from(vec!["b", "a"])) as ArrayRef;
        let metadata = [("places".to_owned(), "3".to_owned())].into();
        let fields = vec![Field::new("lab", DataType::Utf8, true)];
        let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
        let plain_one = with_columns(&schema, vec![Arc::clone(&column)], 2)?;
        let coded = with_columns(&schema, vec![cast(&column, &coded_type())?], 2)?;
        assert_eq!(coded.schema().field(0).data_type(), &coded_type());
        assert_eq!(coded.schema().metadata(), schema.metadata());
        assert_eq!(plain_rows(&coded)?, plain_one);
        Ok(())
    }
}
