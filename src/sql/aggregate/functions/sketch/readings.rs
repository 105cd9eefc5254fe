//! What is read from a sketch: its bytes, its count, a percentile or an edge of one.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryBuilder, Float64Array, Int64Array};
use arrow::datatypes::DataType;

use super::layout;
use super::state::{Edge, Sketch, SketchEntries};

/// A kind of reading, without the quantile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReadingKind {
    /// The sketch itself, as bytes.
    Sketch,
    /// How many values it stands for.
    Count,
    /// A percentile, or an edge of it.
    Quantile(Edge),
}

impl ReadingKind {
    /// The type of what is read.
    pub fn data_type(self) -> DataType {
        match self {
            ReadingKind::Sketch => DataType::Binary,
            ReadingKind::Count => DataType::Int64,
            ReadingKind::Quantile(_) => DataType::Float64,
        }
    }

    /// How many arguments it takes beside the sketch.
    pub fn further_args(self) -> usize {
        match self {
            ReadingKind::Sketch | ReadingKind::Count => 0,
            ReadingKind::Quantile(_) => 1,
        }
    }
}

/// One reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SketchReading {
    /// The sketch itself, as bytes.
    Sketch,
    /// How many values it stands for.
    Count,
    /// The percentile at a quantile within 0 and 1, or an edge of it.
    Quantile(Edge, f64),
}

/// Something of which a sketch's readings can be taken.
pub trait Readable {
    /// How many values it stands for.
    fn count(&self) -> u64;
    /// A percentile, or an edge of it; none of no values.
    fn percentile(&self, q: f64, edge: Edge) -> Option<f64>;
    /// What the sketch of it holds.
    fn entries(&self) -> Cow<'_, SketchEntries>;
}

impl Readable for Sketch {
    fn count(&self) -> u64 {
        self.count()
    }

    fn percentile(&self, q: f64, edge: Edge) -> Option<f64> {
        self.percentile(q, edge)
    }

    fn entries(&self) -> Cow<'_, SketchEntries> {
        Cow::Borrowed(self.entries())
    }
}

/// A column of one reading of many sketches. Sketches as bytes may take up to 2 GiB in one column.
#[derive(Debug)]
pub struct ReadingColumn {
    reading: SketchReading,
    bytes: BinaryBuilder,
    scratch: Vec<u8>,
    counts: Vec<i64>,
    quantiles: Vec<Option<f64>>,
}

impl ReadingColumn {
    /// An empty column.
    pub fn new(reading: SketchReading) -> ReadingColumn {
        ReadingColumn {
            reading,
            bytes: BinaryBuilder::with_capacity(0, 0),
            scratch: Vec::new(),
            counts: Vec::new(),
            quantiles: Vec::new(),
        }
    }

    /// What is read.
    pub fn reading(&self) -> SketchReading {
        self.reading
    }

    /// Appends percentiles that were read before; only where percentiles are read.
    pub fn extend_quantiles(&mut self, read: impl Iterator<Item = Option<f64>>) {
        self.quantiles.extend(read);
    }

    /// Appends the reading of one sketch.
    pub fn push(&mut self, sketch: &impl Readable) {
        match self.reading {
            SketchReading::Sketch => {
                self.scratch.clear();
                layout::write(&sketch.entries(), &mut self.scratch);
                self.bytes.append_value(&self.scratch);
            }
            SketchReading::Count => {
                // A sketch's count fits a bigint.
                self.counts.push(sketch.count().try_into().unwrap_or(i64::MAX));
            }
            SketchReading::Quantile(edge, q) => self.quantiles.push(sketch.percentile(q, edge)),
        }
    }

    /// The column since the last call.
    pub fn take(&mut self) -> ArrayRef {
        match self.reading {
            SketchReading::Sketch => Arc::new(self.bytes.finish()),
            SketchReading::Count => Arc::new(Int64Array::from(std::mem::take(&mut self.counts))),
            SketchReading::Quantile(..) => {
                Arc::new(Float64Array::from(std::mem::take(&mut self.quantiles)))
            }
        }
    }
}
