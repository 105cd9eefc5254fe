//! Where in an object the rows of each laboratory stand.
//!
//! A dashboard asks for one laboratory of a thousand, and rows are sorted by time: every page of an object
//! holds rows of every laboratory, so no statistics leave any out. Objects never change, so the column of
//! the laboratories is read once, and from then on only the rows that are asked for.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, AsArray};
use arrow::error::ArrowError;
use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::scalar::ScalarValue;
use futures::StreamExt;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReaderBuilder, RowSelection};
use parquet::errors::ParquetError;
use tokio::sync::OnceCell;

use super::scope::LAB;

/// Smaller objects are read whole as fast.
const LEAST_BYTES: u64 = 32 << 10;
/// Larger ones are not read into memory at once.
const MOST_BYTES: u64 = 64 << 20;
/// Of more laboratories whole pages are read anyway.
const MOST_LABS: usize = 8;
/// Objects that are looked at at once.
const AT_ONCE: usize = 4;
/// What a laboratory's entry takes beside its name and its rows.
const ENTRY_BYTES: usize = 96;

/// The places in objects that were asked for, within bounds.
#[derive(Debug)]
pub(super) struct KeptPlaces {
    most: usize,
    held: Mutex<HeldPlaces>,
}

/// An object's places, once they have been read; nothing where that is of no use.
type ObjectPlaces = Arc<OnceCell<Option<Arc<LabPlaces>>>>;

#[derive(Debug, Default)]
struct HeldPlaces {
    by_object: HashMap<String, ObjectPlaces>,
    /// In the order in which they came, with what they take.
    order: VecDeque<(String, usize)>,
    bytes: usize,
}

/// The rows of one object.
#[derive(Debug, Default)]
struct LabPlaces {
    rows: usize,
    runs: HashMap<Box<str>, Vec<Range<u32>>>,
}

impl KeptPlaces {
    /// Nothing is known; at most so many bytes will be kept.
    pub(super) fn new(most: usize) -> KeptPlaces {
        KeptPlaces { most, held: Mutex::default() }
    }

    /// The files to be read for some laboratories, each with the rows in it. Files without any are left out.
    pub(super) async fn files(
        &self,
        store: &Arc<dyn ObjectStore>,
        metas: Vec<ObjectMeta>,
        labs: &[String],
    ) -> Vec<PartitionedFile> {
        let looked = futures::stream::iter(metas).map(|meta| async move {
            let places = self.of(store, &meta).await;
            (meta, places)
        });
        let looked: Vec<_> = looked.buffered(AT_ONCE).collect().await;
        let file = |(meta, places): (ObjectMeta, Option<Arc<LabPlaces>>)| {
            let file = PartitionedFile::from(meta);
            let Some(places) = places else { return Some(file) };
            let runs = places.of(labs);
            let wanted: usize = runs.iter().map(ExactSizeIterator::len).sum();
            if wanted == 0 {
                return None;
            }
            if wanted > places.rows / 2 {
                return Some(file);
            }
            let selection = RowSelection::from_consecutive_ranges(runs.into_iter(), places.rows);
            Some(file.with_extension(ParquetRowSelection::new(selection)))
        };
        looked.into_iter().filter_map(file).collect()
    }

    /// The places in an object. One that cannot be read is none: whoever reads its rows is told why.
    async fn of(&self, store: &Arc<dyn ObjectStore>, meta: &ObjectMeta) -> Option<Arc<LabPlaces>> {
        if !(LEAST_BYTES..=MOST_BYTES).contains(&meta.size) {
            return None;
        }
        let name = meta.location.to_string();
        let places = Arc::clone(self.held().by_object.entry(name.clone()).or_default());
        let read = async {
            let read = read(store, meta).await.map(Arc::new);
            self.note(name, read.as_ref().map_or(ENTRY_BYTES, |places| places.bytes()));
            read
        };
        places.get_or_init(|| read).await.clone()
    }

    /// Notes what an object's places take; the oldest leave where it is too much.
    fn note(&self, name: String, bytes: usize) {
        let mut held = self.held();
        held.order.push_back((name, bytes));
        held.bytes += bytes;
        while held.bytes > self.most
            && let Some((oldest, bytes)) = held.order.pop_front()
        {
            held.bytes -= bytes;
            held.by_object.remove(&oldest);
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HeldPlaces> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LabPlaces {
    /// The rows of some laboratories, ascending.
    fn of(&self, labs: &[String]) -> Vec<Range<usize>> {
        let runs = labs.iter().filter_map(|lab| self.runs.get(lab.as_str())).flatten();
        let mut runs: Vec<Range<usize>> =
            runs.map(|run| run.start as usize..run.end as usize).collect();
        runs.sort_by_key(|run| run.start);
        runs
    }

    fn bytes(&self) -> usize {
        let entries = self.runs.iter();
        let entries = entries
            .map(|(lab, runs)| lab.len() + ENTRY_BYTES + runs.capacity() * size_of::<Range<u32>>());
        entries.sum::<usize>() + ENTRY_BYTES
    }
}

/// Reads the column of the laboratories; nothing where there is none of the kind that we write.
async fn read(store: &Arc<dyn ObjectStore>, meta: &ObjectMeta) -> Option<LabPlaces> {
    let bytes = store.get(&meta.location).await.ok()?.bytes().await.ok()?;
    tokio::task::spawn_blocking(move || places(bytes).ok().flatten()).await.ok()?
}

fn places(bytes: Bytes) -> Result<Option<LabPlaces>, ParquetError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let Ok(column) = reader.schema().index_of(LAB) else { return Ok(None) };
    let mask = ProjectionMask::roots(reader.parquet_schema(), [column]);
    let mut places = LabPlaces::default();
    for batch in reader.with_projection(mask).build()? {
        let batch = batch.map_err(|error: ArrowError| ParquetError::External(Box::new(error)))?;
        let Some(labs) = batch.column(0).as_string_opt::<i32>() else { return Ok(None) };
        let mut row = 0;
        while row < labs.len() {
            let first = row;
            let same = |row: usize| {
                labs.is_valid(row) == labs.is_valid(first) && labs.value(row) == labs.value(first)
            };
            while row < labs.len() && same(row) {
                row += 1;
            }
            let run = (places.rows + first) as u32..(places.rows + row) as u32;
            if labs.is_valid(first) {
                match places.runs.get_mut(labs.value(first)) {
                    Some(runs) => extend(runs, run),
                    None => {
                        places.runs.insert(labs.value(first).into(), vec![run]);
                    }
                }
            }
        }
        places.rows += labs.len();
    }
    Ok((places.rows <= u32::MAX as usize).then_some(places))
}

/// Adds rows behind those that are there.
fn extend(runs: &mut Vec<Range<u32>>, run: Range<u32>) {
    match runs.last_mut() {
        Some(last) if last.end == run.start => last.end = run.end,
        Some(_) | None => runs.push(run),
    }
}

/// The laboratories that pass a query's filters, as far as these name them; nothing where they leave open
/// which, or name many.
pub(super) fn labs_of(filters: &[Expr]) -> Option<Vec<String>> {
    let named = filters.iter().filter_map(labs_in);
    named.min_by_key(Vec::len).filter(|labs| labs.len() <= MOST_LABS)
}

/// The laboratories that a filter names; nothing where it says anything else.
fn labs_in(filter: &Expr) -> Option<Vec<String>> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            let value =
                if is_lab(left) { text(right) } else { is_lab(right).then(|| text(left))? };
            value.map(|value| vec![value])
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let mut labs = labs_in(left)?;
            labs.extend(labs_in(right)?);
            Some(distinct(labs))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            labs_in(left).or_else(|| labs_in(right))
        }
        Expr::InList(InList { expr, list, negated: false }) if is_lab(expr) => {
            list.iter().map(text).collect::<Option<Vec<String>>>().map(distinct)
        }
        _ => None,
    }
}

fn distinct(mut labs: Vec<String>) -> Vec<String> {
    labs.sort();
    labs.dedup();
    labs
}

fn is_lab(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(column) if column.name == LAB)
}

fn text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use datafusion::logical_expr::{col, lit};
    use object_store::PutPayload;
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;
    use proptest::prelude::*;

    use super::*;
    use crate::lake::read::reader::{LakeReader, ReadBounds};
    use crate::lake::read::{Beside, LakeView};

    #[test]
    fn what_a_filter_names() {
        let lab = || col(LAB);
        let of = |filters: &[Expr]| labs_of(filters).map(|labs| labs.join(" "));
        assert_eq!(of(&[lab().eq(lit("a"))]).as_deref(), Some("a"));
        assert_eq!(of(&[lit("a").eq(lab())]).as_deref(), Some("a"));
        assert_eq!(of(&[lab().eq(lit("b")).or(lab().eq(lit("a")))]).as_deref(), Some("a b"));
        assert_eq!(of(&[lab().in_list(vec![lit("b"), lit("a")], false)]).as_deref(), Some("a b"));
        let more = lab().in_list(vec![lit("b"), lit("a")], false);
        assert_eq!(
            of(&[col("n").gt(lit(1)), more.clone(), lab().eq(lit("a"))]).as_deref(),
            Some("a")
        );
        assert_eq!(of(&[more.and(col("n").gt(lit(1)))]).as_deref(), Some("a b"));
        for open in [
            lab().not_eq(lit("a")),
            lab().in_list(vec![lit("a")], true),
            lab().eq(lit("a")).or(col("n").eq(lit(1))),
            lab().gt(lit("a")),
            lab().in_list((0..9).map(|n| lit(format!("{n}"))).collect(), false),
            col("assay").eq(lit("a")),
        ] {
            assert_eq!(of(std::slice::from_ref(&open)), None, "{open}");
        }
    }

    /// A lake of one object: laboratories by their digits, none where it is 9; each row has its number.
    async fn lake(labs: &[u8], row_group: usize) -> Arc<dyn ObjectStore> {
        let name = |lab: &u8| (*lab < 9).then(|| format!("lab-{lab}"));
        let numbers = Int64Array::from_iter_values(0..labs.len() as i64);
        let text = StringArray::from_iter_values((0..labs.len()).map(|n| format!("{n:064}")));
        let rows = RecordBatch::try_from_iter([
            (LAB, Arc::new(labs.iter().map(name).collect::<StringArray>()) as ArrayRef),
            ("n", Arc::new(numbers)),
            ("text", Arc::new(text)),
        ]);
        let rows = rows.unwrap();
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(row_group))
            .set_data_page_row_count_limit(50)
            .set_write_batch_size(50)
            .set_dictionary_enabled(false)
            .build();
        let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
        writer.write(&rows).unwrap();
        let store = InMemory::new();
        let path = Path::parse("lake/tables/t/day=2026-03-01/day-r0.parquet").unwrap();
        store.put(&path, PutPayload::from(writer.into_inner().unwrap())).await.unwrap();
        Arc::new(store)
    }

    async fn view(store: &Arc<dyn ObjectStore>, places: usize) -> LakeView {
        let bounds = ReadBounds { places_bytes: places, ..ReadBounds::default() };
        let reader =
            LakeReader::new(Arc::clone(store), &Path::from("lake"), Beside::default(), bounds);
        reader.unwrap().open(None).await.unwrap()
    }

    async fn numbers(view: &LakeView, sql: &str) -> Vec<i64> {
        let rows = view.rows(sql).await.unwrap();
        rows.iter().map(|row| row.number("n").unwrap() as i64).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// The rows that are asked for, whatever runs they stand in; worked out by hand.
        #[test]
        fn the_rows_are_the_same(
            runs in prop::collection::vec((0u8..10, 1usize..60), 20..60),
            row_group in 100usize..700,
        ) {
            let labs: Vec<u8> =
                runs.iter().flat_map(|(lab, count)| std::iter::repeat_n(*lab, *count)).collect();
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let (got, expected) = runtime.block_on(async {
                let view = view(&lake(&labs, row_group).await, 64 << 20).await;
                let mut got = Vec::new();
                let mut expected = Vec::new();
                let cases: [(&str, &dyn Fn(usize) -> bool); 4] = [
                    ("lab_id = 'lab-3'", &|n| labs[n] == 3),
                    ("lab_id IN ('lab-1', 'lab-7')", &|n| [1, 7].contains(&labs[n])),
                    ("lab_id = 'lab-2' AND n % 3 = 0", &|n| labs[n] == 2 && n % 3 == 0),
                    ("lab_id = 'nowhere'", &|_| false),
                ];
                for (filter, holds) in cases {
                    for _ in 0..2 {
                        let sql = format!("SELECT n FROM t WHERE {filter} ORDER BY n");
                        got.push(numbers(&view, &sql).await);
                        let rows = (0..labs.len()).filter(|n| holds(*n)).map(|n| n as i64);
                        expected.push(rows.collect::<Vec<i64>>());
                    }
                }
                (got, expected)
            });
            prop_assert_eq!(got, expected);
        }
    }

    /// Bytes and objects.
    fn held(places: &KeptPlaces) -> (usize, usize) {
        let held = places.held();
        (held.bytes, held.by_object.len())
    }

    /// With little room nothing stays, and answers are the same.
    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let labs: Vec<u8> = (0..6000).map(|n| (n % 9) as u8).collect();
        let store = lake(&labs, 1000).await;
        let view = view(&store, 100).await;
        for _ in 0..3 {
            let found = numbers(&view, "SELECT count(*) AS n FROM t WHERE lab_id = 'lab-4'").await;
            assert_eq!(found, [667]);
        }
        let kept = KeptPlaces::new(100);
        let path = Path::parse("lake/tables/t/day=2026-03-01/day-r0.parquet").unwrap();
        let meta = store.head(&path).await.unwrap();
        let files = kept.files(&store, vec![meta.clone()], &["lab-4".to_owned()]).await;
        let selection =
            files[0].extension::<ParquetRowSelection>().expect("it is known which rows");
        assert_eq!(selection.selection().row_count(), 667);
        assert_eq!(held(&kept), (0, 0));
        let roomy = KeptPlaces::new(1 << 20);
        roomy.files(&store, vec![meta.clone()], &["lab-4".to_owned()]).await;
        let (bytes, objects) = held(&roomy);
        assert!(bytes > 6000 * 8 && objects == 1, "{bytes} {objects}");
        assert!(roomy.files(&store, vec![meta], &["nowhere".to_owned()]).await.is_empty());
    }
}
