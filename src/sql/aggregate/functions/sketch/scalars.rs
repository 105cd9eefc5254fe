//! `sketch_quantile`, its edges and `sketch_count`: a column of sketches as bytes → a column of
//! numbers. Bytes that are no sketch are an error of the query.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, exec_datafusion_err, exec_err, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::layout;
use super::readings::ReadingKind;
use super::state::{Edge, Sketch};

/// A function that reads a sketch.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SketchScalar {
    /// What it reads.
    pub kind: ReadingKind,
    signature: Signature,
}

impl SketchScalar {
    /// The function for a kind of reading.
    pub fn new(kind: ReadingKind) -> SketchScalar {
        SketchScalar { kind, signature: Signature::user_defined(Volatility::Immutable) }
    }

    /// All of them.
    pub fn all() -> [SketchScalar; 4] {
        [
            ReadingKind::Count,
            ReadingKind::Quantile(Edge::Lower),
            ReadingKind::Quantile(Edge::Middle),
            ReadingKind::Quantile(Edge::Upper),
        ]
        .map(SketchScalar::new)
    }

    fn sketch(&self, column: &ArrayRef, row: usize) -> Result<Option<Sketch>> {
        let column = column.as_binary::<i32>();
        if column.is_null(row) {
            return Ok(None);
        }
        let read = layout::read(column.value(row));
        read.map(Some).map_err(|fault| {
            exec_datafusion_err!(
                "{} was given bytes that are no sketch: {fault}; give it what quantile_sketch or \
                 sketch_merge made",
                self.name()
            )
        })
    }

    fn quantile(&self, row: usize, args: &[ArrayRef], edge: Edge) -> Result<Option<f64>> {
        let quantiles = args[1].as_primitive::<Float64Type>();
        let sketch = self.sketch(&args[0], row)?;
        let (Some(sketch), true) = (sketch, quantiles.is_valid(row)) else { return Ok(None) };
        let q = quantiles.value(row);
        if !is_quantile(q) {
            return exec_err!("{} needs a quantile within 0 and 1, not {q}", self.name());
        }
        Ok(sketch.percentile(q, edge))
    }
}

/// Whether a number is one at which a sketch can be read.
pub fn is_quantile(q: f64) -> bool {
    (0.0..=1.0).contains(&q)
}

impl ScalarUDFImpl for SketchScalar {
    fn name(&self) -> &str {
        match self.kind {
            ReadingKind::Sketch => "sketch",
            ReadingKind::Count => "sketch_count",
            ReadingKind::Quantile(Edge::Lower) => "sketch_quantile_lower",
            ReadingKind::Quantile(Edge::Middle) => "sketch_quantile",
            ReadingKind::Quantile(Edge::Upper) => "sketch_quantile_upper",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let is_sketch = |given: &DataType| given.is_binary() || given.is_null();
        match arg_types {
            [sketch, rest @ ..]
                if is_sketch(sketch)
                    && rest.len() == self.kind.further_args()
                    && rest.iter().all(|q| q.is_numeric() || q.is_null()) =>
            {
                Ok([vec![DataType::Binary], vec![DataType::Float64; rest.len()]].concat())
            }
            _ => {
                let q = if self.kind == ReadingKind::Count { "" } else { ", 0.9" };
                let name = self.name();
                plan_err!("{name} takes a sketch, as {name}(quantile_sketch(x){q})")
            }
        }
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.kind.data_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let rows = 0..columns[0].len();
        let result: ArrayRef = match self.kind {
            ReadingKind::Sketch => return internal_err!("a sketch is not read from itself"),
            ReadingKind::Count => {
                let counts = rows.map(|row| {
                    let sketch = self.sketch(&columns[0], row)?;
                    Ok(sketch.and_then(|sketch| i64::try_from(sketch.count()).ok()))
                });
                Arc::new(counts.collect::<Result<Int64Array>>()?)
            }
            ReadingKind::Quantile(edge) => {
                let quantiles = rows.map(|row| self.quantile(row, &columns, edge));
                Arc::new(quantiles.collect::<Result<Float64Array>>()?)
            }
        };
        if scalar {
            let value = datafusion::common::ScalarValue::try_from_array(&result, 0)?;
            return Ok(ColumnarValue::Scalar(value));
        }
        Ok(ColumnarValue::Array(result))
    }
}
