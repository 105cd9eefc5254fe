//! A lake's objects → tables that SQL can read.
//!
//! A table is its settled days and, for days that are not settled, the highest revision of each
//! window in `live/`; so it is right at any instant, also between a day's settling and the
//! deletion of its live objects. `events`, `late`, `dead_letters`, `alerts` and `quality` are
//! tables too, empty ones when the lake has none, and `ref.<name>` are the tables handed in.
//! The view is of the instant when it was opened. It reads; it never writes.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::{
    CatalogProvider, MemTable, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider,
};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::SessionState;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use object_store::ObjectStore;

use super::choose::{TableObject, TableObjects};
use super::error::LakeViewError;
use super::footer::{self, FooterNotes};
use super::places::KeptPlaces;
use super::scope::{Scope, ScopedSchema};
use super::tables::LakeSchema;
use crate::flow::ReferenceRows;
use crate::flow::lake_key::Section;

/// Under what the session knows the store. Nothing outside of the view sees it.
const STORE_URL: &str = "lake://lake/";
const CATALOG: &str = "turnaround";
const SCHEMA: &str = "lake";
const REFERENCES: &str = "ref";

/// What stands beside a lake's own tables.
pub struct Beside {
    /// The tables `ref.<name>`.
    pub references: Vec<ReferenceRows>,
    /// Adds functions that a query may call.
    pub functions: fn(&SessionContext),
}

impl Default for Beside {
    fn default() -> Beside {
        Beside { references: Vec::new(), functions: |_| {} }
    }
}

/// Tables over a lake.
#[derive(Clone)]
pub struct LakeView {
    session: SessionContext,
    lake: Arc<LakeSchema>,
    references: Arc<MemorySchemaProvider>,
    functions: fn(&SessionContext),
    /// What of them is seen.
    scope: Scope,
    /// Whether a run has begun to write the lake.
    pub(super) marked: bool,
}

impl LakeView {
    /// Tables of chosen objects.
    pub(super) fn over(
        (objects, tables, marked): (Arc<dyn ObjectStore>, TableObjects, bool),
        beside: &Beside,
        (runtime, places): (&Arc<RuntimeEnv>, &Option<Arc<KeptPlaces>>),
    ) -> DataFusionResult<LakeView> {
        let store_url = ObjectStoreUrl::parse(STORE_URL)?;
        runtime.register_object_store(store_url.as_ref(), Arc::clone(&objects));
        let runtime_of_plans = Arc::clone(runtime);
        let planning = SessionContext::new_with_config_rt(session_config(), runtime_of_plans);
        let lake = Arc::new(LakeSchema::new(
            tables,
            (objects, store_url),
            planning.state(),
            places.clone(),
        ));
        let references = Arc::new(MemorySchemaProvider::new());
        for ReferenceRows { name, rows } in &beside.references {
            let table = MemTable::try_new(rows.schema(), vec![vec![rows.clone()]])?;
            references.register_table(name.clone(), Arc::new(table))?;
        }
        let schemas: [Arc<dyn SchemaProvider>; 2] =
            [Arc::clone(&lake) as _, Arc::clone(&references) as _];
        let session = session(schemas, Arc::clone(runtime), beside.functions)?;
        let (functions, scope) = (beside.functions, Scope::all());
        Ok(LakeView { session, lake, references, functions, scope, marked })
    }

    /// The same tables, as far as a scope goes.
    ///
    /// # Errors
    /// Where the session could not be made.
    pub fn scoped(&self, scope: &Scope) -> Result<LakeView, LakeViewError> {
        if scope.is_all() {
            return Ok(self.clone());
        }
        let whole: [Arc<dyn SchemaProvider>; 2] =
            [Arc::clone(&self.lake) as _, Arc::clone(&self.references) as _];
        let schemas = whole.map(|whole| Arc::new(ScopedSchema::new(whole, scope.clone())) as _);
        let runtime = self.session.runtime_env();
        let session = session(schemas, runtime, self.functions).map_err(LakeViewError::Setup)?;
        Ok(LakeView { session, scope: scope.clone(), ..self.clone() })
    }

    /// What of the tables is seen.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Takes over what an earlier listing's footers told.
    pub(super) fn learn(&self, earlier: &LakeView) {
        self.lake.learn(&earlier.lake);
    }

    /// The objects of each table and section.
    pub fn listing(&self) -> &TableObjects {
        &self.lake.tables
    }

    /// The objects of a table or section; none where it is not known.
    pub fn objects(&self, table: &str) -> &[TableObject] {
        self.lake.tables.get(table).map_or(&[], Vec::as_slice)
    }

    /// What the newest object of a table says of it; nothing where there is none.
    ///
    /// # Errors
    /// Where its footer cannot be read.
    pub async fn notes(&self, table: &str) -> Result<Option<FooterNotes>, LakeViewError> {
        let newest = self.objects(table).iter().max_by_key(|object| object.key.date());
        let Some(newest) = newest else { return Ok(None) };
        let notes = footer::notes(&self.lake.objects, &newest.meta).await;
        notes.map(Some).map_err(|error| LakeViewError::Object(error.into()))
    }

    /// The columns of a table or section; nothing where it is not known.
    ///
    /// # Errors
    /// Where an object of it cannot be read.
    pub async fn columns(&self, table: &str) -> Result<Option<SchemaRef>, LakeViewError> {
        let found = self.lake.table(table).await.map_err(LakeViewError::Object)?;
        Ok(found.map(|found| self.scope.seen(table, &found.schema())))
    }

    /// Whether the lake holds no object at all, not even the mark of a run that has begun.
    pub fn is_empty(&self) -> bool {
        !self.marked && self.lake.tables.values().all(Vec::is_empty)
    }

    /// Makes an empty table of one that has no object yet.
    pub fn plan_table(&self, name: &str, schema: SchemaRef) {
        self.lake.plan_table(name, schema);
    }

    /// The names that hold rows: tables, then the sections that have objects, then `ref.<name>`.
    pub fn tables(&self) -> Vec<String> {
        let is_section = |name: &str| Section::ALL.iter().any(|section| section.as_str() == name);
        let held = |(name, objects): (&String, &Vec<TableObject>)| {
            let is_seen = !objects.is_empty() && !self.scope.closes(name);
            is_seen.then(|| name.clone())
        };
        let (sections, mut names): (Vec<String>, Vec<String>) =
            self.lake.tables.iter().filter_map(held).partition(|name| is_section(name));
        names.extend(sections);
        let mut references = self.references.table_names();
        references.sort();
        names.extend(references.iter().map(|name| format!("{REFERENCES}.{name}")));
        names
    }

    /// The session, with our functions.
    pub fn session(&self) -> &SessionContext {
        &self.session
    }

    /// Like [`query`](LakeView::query), where a table that `columns_of` knows and that has no object
    /// yet is an empty one.
    pub async fn query_or_empty<E: From<LakeViewError>>(
        &self,
        sql: &str,
        columns_of: impl AsyncFn(&str) -> Result<Option<SchemaRef>, E>,
    ) -> Result<DataFrame, E> {
        let mut looked_for = BTreeSet::new();
        loop {
            match self.query(sql).await {
                Err(LakeViewError::UnknownTable { table, known })
                    if looked_for.insert(table.clone()) =>
                {
                    match columns_of(&table).await? {
                        Some(schema) => self.plan_table(&table, schema),
                        None => return Err(LakeViewError::UnknownTable { table, known }.into()),
                    }
                }
                asked => return Ok(asked?),
            }
        }
    }

    /// Plans one query. Nothing but queries is accepted.
    pub async fn query(&self, sql: &str) -> Result<DataFrame, LakeViewError> {
        self.query_with(sql, Vec::new()).await
    }

    /// As [`query`](LakeView::query), with values for `$1`, `$2` and so on.
    pub async fn query_with(
        &self,
        sql: &str,
        values: Vec<ScalarValue>,
    ) -> Result<DataFrame, LakeViewError> {
        let state = self.session.state();
        let plan = self.plan(&state, sql).await?;
        let plan = if values.is_empty() { Ok(plan) } else { plan.with_param_values(values) };
        Ok(DataFrame::new(state, plan.map_err(LakeViewError::Sql)?))
    }

    async fn plan(&self, state: &SessionState, sql: &str) -> Result<LogicalPlan, LakeViewError> {
        let dialect = state.config().options().sql_parser.dialect;
        let statement = state.sql_to_statement(sql, &dialect).map_err(LakeViewError::Sql)?;
        let tables = state.resolve_table_references(&statement).map_err(LakeViewError::Sql)?;
        for table in tables {
            let known = self.session.table_exist(table.clone()).map_err(LakeViewError::Sql)?;
            if !known && table.schema() != Some("information_schema") {
                let known = self.tables().join(", ");
                return Err(LakeViewError::UnknownTable { table: table.to_string(), known });
            }
        }
        let plan =
            turnaround_planner::plan_statement(state, statement).await.map_err(
                |error| match error.find_root() {
                    DataFusionError::ObjectStore(_) | DataFusionError::ParquetError(_) => {
                        LakeViewError::Object(error)
                    }
                    _ => LakeViewError::Sql(error),
                },
            )?;
        SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false)
            .verify_plan(&plan)
            .map_err(LakeViewError::NotAQuery)?;
        Ok(plan)
    }
}

/// A session over the tables of a lake and those beside it.
fn session(
    [lake, references]: [Arc<dyn SchemaProvider>; 2],
    runtime: Arc<RuntimeEnv>,
    functions: fn(&SessionContext),
) -> DataFusionResult<SessionContext> {
    let session = SessionContext::new_with_config_rt(session_config(), runtime);
    functions(&session);
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema(SCHEMA, lake)?;
    catalog.register_schema(REFERENCES, references)?;
    session.register_catalog(CATALOG, Arc::new(catalog));
    Ok(session)
}

/// Strings come back as plain Utf8, as they are stored.
fn session_config() -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_information_schema(true);
    let options = config.options_mut();
    options.execution.parquet.schema_force_view_types = false;
    options.execution.parquet.pushdown_filters = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    config
}

#[cfg(test)]
mod tests {
    use super::super::scope::LabScope;
    use super::*;
    use crate::sql::aggregate::registry;

    use arrow::array::{
        ArrayRef, AsArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    };
    use arrow::datatypes::{DataType, Float64Type, Int64Type};
    use arrow::util::pretty::pretty_format_batches;
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use object_store::{ObjectStoreExt, PutPayload};
    use parquet::arrow::ArrowWriter;

    const HOUR_12: &str = "20260302T120000Z-20260302T130000Z";
    const HOUR_13: &str = "20260302T130000Z-20260302T140000Z";

    fn rows(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    /// One row that says where it stands.
    fn row(place: &str, n: i64) -> RecordBatch {
        let place: ArrayRef = Arc::new(StringArray::from(vec![place]));
        rows(vec![("place", place), ("n", Arc::new(Int64Array::from(vec![n])))])
    }

    async fn lake(objects: Vec<(String, RecordBatch)>) -> Arc<dyn ObjectStore> {
        let store = InMemory::new();
        for (name, rows) in objects {
            let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
            writer.write(&rows).unwrap();
            let bytes = writer.into_inner().unwrap();
            let path = Path::parse(format!("some/lake/{name}")).unwrap();
            store.put(&path, PutPayload::from(bytes)).await.unwrap();
        }
        Arc::new(store)
    }

    async fn view(objects: Vec<(String, RecordBatch)>) -> LakeView {
        let labs: ArrayRef = Arc::new(StringArray::from(vec!["north", "south"]));
        let labs = rows(vec![("lab_id", labs)]);
        let references = vec![ReferenceRows { name: "labs".to_owned(), rows: labs }];
        let prefix = Path::from("some/lake");
        let beside = Beside { references, functions: registry::register };
        LakeView::open(lake(objects).await, &prefix, beside).await.unwrap()
    }

    async fn answer(view: &LakeView, sql: &str) -> Vec<RecordBatch> {
        view.query(sql).await.unwrap().collect().await.unwrap()
    }

    async fn text(view: &LakeView, sql: &str) -> String {
        pretty_format_batches(&answer(view, sql).await).unwrap().to_string()
    }

    async fn number(view: &LakeView, sql: &str) -> i64 {
        let batches = answer(view, sql).await;
        batches[0].column(0).as_primitive::<Int64Type>().value(0)
    }

    async fn error(view: &LakeView, sql: &str) -> LakeViewError {
        match view.query(sql).await {
            Ok(_) => panic!("`{sql}` should be refused"),
            Err(error) => error,
        }
    }

    fn two_days() -> Vec<(String, RecordBatch)> {
        let live = |day: &str, rest: &str| format!("live/t_1h/day=2026-03-{day}/{rest}.parquet");
        let settled = |day: &str, r: u32| format!("tables/t_1h/day=2026-03-{day}/day-r{r}.parquet");
        vec![
            (settled("01", 0), row("settled anew", 1)),
            (settled("01", 1), row("settled", 10)),
            (live("01", &format!("{HOUR_12}-r0-00000001")), row("settled day's live", 100)),
            (live("02", &format!("{HOUR_12}-r0-00000001")), row("revised", 1_000)),
            (live("02", &format!("{HOUR_12}-r2-00000001")), row("twice revised", 10_000)),
            (live("02", &format!("{HOUR_12}-r10-00000001")), row("ten times revised", 100_000)),
            (live("02", &format!("{HOUR_13}-r0-00000001")), row("next hour", 1_000_000)),
            ("tables/other/day=2026-03-01/day-r0.parquet".to_owned(), row("other", 1)),
            ("tables/t_1h/day=2026-03-01/_notes.txt".to_owned(), row("foreign", 5)),
        ]
    }

    #[tokio::test]
    async fn settled_wins_and_else_the_highest_revision_of_each_window() {
        let view = view(two_days()).await;
        let shown = text(&view, "SELECT place, n FROM t_1h ORDER BY n").await;
        let expected = [
            "+-------------------+---------+",
            "| place             | n       |",
            "+-------------------+---------+",
            "| settled           | 10      |",
            "| ten times revised | 100000  |",
            "| next hour         | 1000000 |",
            "+-------------------+---------+",
        ];
        assert_eq!(shown, expected.join("\n"));
        assert_eq!(view.tables(), ["other", "t_1h", "ref.labs"]);
        assert_eq!(number(&view, "SELECT sum(n) FROM t_1h WHERE n > 10").await, 1_100_000);
        assert_eq!(number(&view, "SELECT count(*) FROM t_1h LIMIT 1").await, 3);
        // Type 7 at 0.9 over 10, 100000, 1000000: 100000 + 0.8 * 900000.
        let p90 = text(&view, "SELECT percentile_cont(0.9) WITHIN GROUP (ORDER BY n) FROM t_1h");
        assert!(p90.await.contains("| 820000.0 "));
    }

    /// An hour's windows in one object hide their firings, whatever revision; a longer run of a
    /// partition's rows hides those within it, and no others.
    #[tokio::test]
    async fn what_covers_others_counts_in_their_place() {
        let live = |rest: &str| format!("live/t/day=2026-03-02/{rest}-00000001.parquet");
        let quarter = |from: &str, to: &str| format!("20260302T{from}00Z-20260302T{to}00Z");
        let view = view(vec![
            (live(&format!("{}-r0", quarter("1200", "1300"))), row("before", 1)),
            (live(&format!("{}-r0", quarter("1230", "1330"))), row("covered", 10)),
            (live(&format!("{}-r3", quarter("1300", "1400"))), row("covered", 100)),
            (live(&format!("{}-r0", quarter("1301", "1401"))), row("after", 1_000)),
            (live(&format!("{}-final", quarter("1339", "1340"))), row("covered", 10_000)),
            (live(&format!("{}-final", quarter("1300", "1400"))), row("hour", 100_000)),
            (live("lab-0-10-19"), row("covered", 1_000_000)),
            (live("lab-0-20-39"), row("covered", 10_000_000)),
            (live("lab-0-10-39"), row("hour of rows", 100_000_000)),
            (live("lab-0-40-41"), row("next run", 1_000_000_000)),
            (live("lab-1-10-19"), row("other partition", 10_000_000_000)),
        ])
        .await;
        assert_eq!(number(&view, "SELECT sum(n) FROM t").await, 11_100_101_001);
        assert_eq!(number(&view, "SELECT count(*) FROM t WHERE place = 'covered'").await, 0);
    }

    #[tokio::test]
    async fn stored_sketches_merge_across_objects() {
        // Layout 1, values: 1.5 twice; 1.5 once and 2.0 once. Type 7 at 0.9 of 1.5, 1.5, 1.5, 2.0:
        // rank 2.7, so 1.5 + 0.7 * 0.5.
        let (x, y) = (1.5f64.to_le_bytes(), 2.0f64.to_le_bytes());
        let first = [&[1, 0, 1], &x[..], &[2]].concat();
        let second = [&[1, 0, 2], &x[..], &[1], &y[..], &[1]].concat();
        let object = |bytes: Vec<u8>| {
            let s: ArrayRef = Arc::new(arrow::array::BinaryArray::from_vec(vec![&bytes]));
            rows(vec![("s", s)])
        };
        let name = |day: u32| format!("tables/t/day=2026-03-0{day}/day-r0.parquet");
        let view = view(vec![(name(1), object(first)), (name(2), object(second))]).await;
        assert_eq!(number(&view, "SELECT sketch_count(sketch_merge(s)) FROM t").await, 4);
        let read = answer(&view, "SELECT sketch_quantile(sketch_merge(s), 0.9) FROM t").await;
        assert_eq!(read[0].column(0).as_primitive::<Float64Type>().values(), &[1.85]);
    }

    /// Rows of two laboratories on two days.
    async fn dated() -> (Arc<dyn ObjectStore>, LakeView) {
        let of = |day: u32| {
            let labs: ArrayRef = Arc::new(StringArray::from(vec!["north", "south"]));
            let n: ArrayRef = Arc::new(Int64Array::from(vec![1, 10]));
            // 2026-03-01 is 20,513 days after the epoch.
            let date: ArrayRef = Arc::new(Date32Array::from(vec![20_512 + day as i32; 2]));
            let name = format!("tables/t/day=2026-03-0{day}/day-r0.parquet");
            (name, rows(vec![("lab_id", labs), ("n", n), ("date", date)]))
        };
        let objects = lake(vec![of(1), of(2)]).await;
        let labs: ArrayRef = Arc::new(StringArray::from(vec!["north", "south"]));
        let codes: ArrayRef = Arc::new(StringArray::from(vec!["RH"]));
        let references = vec![
            ReferenceRows { name: "labs".to_owned(), rows: rows(vec![("lab_id", labs)]) },
            ReferenceRows { name: "codes".to_owned(), rows: rows(vec![("code", codes)]) },
        ];
        let beside = Beside { references, functions: registry::register };
        let path = Path::from("some/lake");
        let view = LakeView::open(Arc::clone(&objects), &path, beside).await.unwrap();
        (objects, view)
    }

    #[tokio::test]
    async fn objects_of_days_that_are_not_asked_for_are_not_opened() {
        let (objects, view) = dated().await;
        assert_eq!(view.columns("t").await.unwrap().unwrap().fields().len(), 3);
        let gone = Path::from("some/lake/tables/t/day=2026-03-01/day-r0.parquet");
        objects.delete(&gone).await.unwrap();
        for days in ["= DATE '2026-03-02'", "> '2026-03-01'", "IN (DATE '2026-03-02')"] {
            let sql = format!("SELECT sum(n) FROM t WHERE date {days} AND n > 0");
            assert_eq!(number(&view, &sql).await, 11, "{sql}");
        }
        let none = "SELECT count(*) FROM t WHERE date < DATE '2026-01-01'";
        assert_eq!(number(&view, none).await, 0);
        let values = vec![ScalarValue::Date32(Some(20_514))];
        let asked = view.query_with("SELECT n FROM t WHERE date >= $1", values).await.unwrap();
        assert_eq!(asked.count().await.unwrap(), 2);
        // Whoever asks for that day too is told that it is gone.
        let whole = view.query("SELECT sum(n) FROM t WHERE n > 0 OR date > '2026-03-01'").await;
        assert!(whole.unwrap().collect().await.is_err());
    }

    #[tokio::test]
    async fn a_scope_shows_the_rows_of_its_laboratories_alone() {
        let (_, view) = dated().await;
        let labs = |names: &[&str]| {
            Scope::of(LabScope::Labs(names.iter().map(|name| (*name).to_owned()).collect()))
        };
        assert_eq!(number(&view.scoped(&Scope::all()).unwrap(), "SELECT sum(n) FROM t").await, 22);
        let north = view.scoped(&labs(&["north"])).unwrap();
        assert_eq!(number(&north, "SELECT sum(n) FROM t").await, 2);
        assert_eq!(number(&north, "SELECT count(*) FROM t WHERE lab_id = 'south'").await, 0);
        assert_eq!(number(&north, "SELECT count(*) FROM ref.labs").await, 1);
        assert_eq!(number(&north, "SELECT count(*) FROM ref.codes").await, 1);
        // Rows that are nobody's are for those who see everything.
        assert_eq!(number(&north, "SELECT count(*) FROM dead_letters").await, 0);
        let nobody = view.scoped(&labs(&[])).unwrap();
        assert_eq!(number(&nobody, "SELECT count(*) FROM t").await, 0);
        assert_eq!(
            number(&view.scoped(&labs(&["north", "south"])).unwrap(), "SELECT count(*) FROM t")
                .await,
            4
        );
    }

    #[tokio::test]
    async fn a_second_listing_of_the_same_objects_is_the_same_view() {
        use crate::lake::read::LakeReader;
        use crate::lake::read::reader::ReadBounds;

        let objects = lake(two_days()).await;
        let (path, beside) = (Path::from("some/lake"), Beside::default());
        let bounds = ReadBounds::default();
        let reader = LakeReader::new(Arc::clone(&objects), &path, beside, bounds).unwrap();
        let first = reader.open(None).await.unwrap();
        assert_eq!(number(&first, "SELECT sum(n) FROM other").await, 1);
        let again = reader.open(Some(&first)).await.unwrap();
        assert!(Arc::ptr_eq(&first.lake, &again.lake));
        let more = "some/lake/tables/t_1h/day=2026-03-03/day-r0.parquet";
        let mut writer = ArrowWriter::try_new(Vec::new(), row("x", 1).schema(), None).unwrap();
        writer.write(&row("new", 5)).unwrap();
        let bytes = PutPayload::from(writer.into_inner().unwrap());
        objects.put(&Path::from(more), bytes).await.unwrap();
        let later = reader.open(Some(&again)).await.unwrap();
        // By hand from `two_days`: 10 + 100,000 + 1,000,000, and 5.
        assert_eq!(number(&later, "SELECT sum(n) FROM t_1h").await, 1_100_015);
        assert_eq!(number(&again, "SELECT sum(n) FROM t_1h").await, 1_100_010);
    }

    #[tokio::test]
    async fn what_a_scope_closes_is_not_there() {
        let (_, view) = dated().await;
        let view = view.scoped(&Scope::all().closing(&["events", "t.n", "place"])).unwrap();
        assert_eq!(number(&view, "SELECT count(*) FROM t").await, 4);
        assert!(matches!(error(&view, "SELECT n FROM t").await, LakeViewError::Sql(_)));
        let columns = view.columns("t").await.unwrap().unwrap();
        let names: Vec<&str> = columns.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["lab_id", "date"]);
        let whole = answer(&view, "SELECT * FROM t").await;
        assert_eq!(whole[0].schema().fields().len(), 2);
        assert_eq!(number(&view, "SELECT count(*) FROM events").await, 0);
    }

    #[tokio::test]
    async fn strings_come_back_as_they_are_stored() {
        let view = view(two_days()).await;
        let batches = answer(&view, "SELECT place, upper(place) AS loud FROM t_1h").await;
        for field in batches[0].schema().fields() {
            assert_eq!(*field.data_type(), DataType::Utf8, "{}", field.name());
        }
    }

    #[tokio::test]
    async fn sections_without_objects_are_empty_tables() {
        let view = view(two_days()).await;
        for section in Section::ALL {
            let sql = format!("SELECT count(*) FROM {}", section.as_str());
            assert_eq!(number(&view, &sql).await, 0, "{sql}");
        }
        let sql = "SELECT topic, partition, \"offset\", reason FROM dead_letters WHERE date > '2026-01-01'";
        assert!(answer(&view, sql).await.iter().all(|batch| batch.num_rows() == 0));
        assert_eq!(number(&view, "SELECT count(*) FROM ref.labs").await, 2);
    }

    #[tokio::test]
    async fn sections_with_objects_have_their_columns() {
        let name = |first: u32| format!("late/day=2026-03-01/events-0-{first}-{first}.parquet");
        let aside = format!("late/day=2026-03-02/t_1h-{HOUR_12}-r0-00000001.parquet");
        let objects = vec![(name(1), row("a", 1)), (name(2), row("b", 2)), (aside, row("c", 4))];
        let view = view(objects).await;
        assert_eq!(number(&view, "SELECT sum(n) FROM late").await, 7);
        assert_eq!(view.tables(), ["late", "ref.labs"]);
    }

    #[tokio::test]
    async fn columns_that_came_or_changed_later_are_read() {
        let old = row("old", 1);
        let place: ArrayRef = Arc::new(StringArray::from(vec!["new"]));
        let n: ArrayRef = Arc::new(Float64Array::from(vec![2.5]));
        let extra: ArrayRef = Arc::new(Int64Array::from(vec![9]));
        let new = rows(vec![("n", n), ("place", place), ("extra", extra)]);
        let view = view(vec![
            ("tables/t/day=2026-03-01/day-r0.parquet".to_owned(), old),
            ("tables/t/day=2026-03-02/day-r0.parquet".to_owned(), new),
        ])
        .await;
        let shown = text(&view, "SELECT place, n, extra FROM t ORDER BY n").await;
        let expected = [
            "+-------+-----+-------+",
            "| place | n   | extra |",
            "+-------+-----+-------+",
            "| old   | 1.0 |       |",
            "| new   | 2.5 | 9     |",
            "+-------+-----+-------+",
        ];
        assert_eq!(shown, expected.join("\n"));
    }

    #[tokio::test]
    async fn a_wrong_name_gets_the_list_of_tables() {
        let view = view(two_days()).await;
        let message = error(&view, "SELECT * FROM t_2h").await.to_string();
        assert_eq!(message, "there is no table `t_2h`; the lake has other, t_1h, ref.labs");
        let column = error(&view, "SELECT nn FROM t_1h").await;
        assert!(matches!(column, LakeViewError::Sql(_)), "{column:?}");
        let shown = text(&view, "SHOW TABLES").await;
        assert!(shown.contains("t_1h") && shown.contains("dead_letters"), "{shown}");
        assert_eq!(
            number(&view, "WITH a AS (SELECT n FROM t_1h) SELECT max(n) FROM a").await,
            1_000_000
        );
    }

    #[tokio::test]
    async fn a_table_without_objects_is_empty_once_its_columns_are_known() {
        let view = view(two_days()).await;
        error(&view, "SELECT n FROM t_2h").await;
        view.plan_table("t_2h", row("", 0).schema());
        let read = answer(&view, "SELECT n, place FROM t_2h WHERE n > 0 ORDER BY n").await;
        assert!(read.iter().all(|batch| batch.num_rows() == 0));
        assert_eq!(number(&view, "SELECT count(*) FROM t_2h").await, 0);
        // One that has objects is what these say.
        view.plan_table("t_1h", row("", 0).project(&[0]).unwrap().schema());
        assert_eq!(number(&view, "SELECT count(n) FROM t_1h").await, 3);
    }

    #[tokio::test]
    async fn nothing_but_queries_is_accepted() {
        let view = view(two_days()).await;
        let rows = 3;
        for sql in [
            "CREATE TABLE a AS SELECT 1",
            "CREATE EXTERNAL TABLE a STORED AS CSV LOCATION '/etc/passwd'",
            "INSERT INTO t_1h VALUES ('x', 1)",
            "DELETE FROM t_1h",
            "DROP TABLE t_1h",
            "COPY t_1h TO 'x.csv'",
            "SET datafusion.execution.batch_size = 1",
            "SELECT 1; SELECT 2",
            "SELECT * FROM '/etc/passwd'",
            "",
        ] {
            error(&view, sql).await;
        }
        // By hand from `two_days`: nothing was written, dropped or set.
        assert_eq!(number(&view, "SELECT count(*) FROM t_1h").await, rows);
        assert!(matches!(
            error(&view, "SELECT n FROM a").await,
            LakeViewError::UnknownTable { .. }
        ));
    }

    #[tokio::test]
    async fn a_damaged_object_is_named() {
        let objects = lake(two_days()).await;
        let path = Path::from("some/lake/tables/t_1h/day=2026-03-04/day-r0.parquet");
        objects.put(&path, PutPayload::from_static(b"PAR1 not all of it PAR1")).await.unwrap();
        let view =
            LakeView::open(objects, &Path::from("some/lake"), Beside::default()).await.unwrap();
        let damaged = error(&view, "SELECT * FROM t_1h").await;
        assert!(matches!(damaged, LakeViewError::Object(_)), "{damaged:?}");
        let whole = format!("{:#}", anyhow::Error::from(damaged));
        assert!(whole.contains("day=2026-03-04/day-r0.parquet"), "{whole}");
        assert_eq!(number(&view, "SELECT n FROM other").await, 1);
    }

    #[tokio::test]
    async fn a_lake_of_another_layout_is_refused_with_what_to_do() {
        let old = "tables/t/date=2026-03-01/day-r0.parquet".to_owned();
        let marked = lake(two_days()).await;
        let mark = Path::from("some/lake/_turnaround/format");
        let text = PutPayload::from_static(b"{\"layout\":9}");
        marked.put(&mark, text).await.unwrap();
        let cases = [
            (lake(vec![(old, row("old", 1))]).await, "the lake has layout 1 (`date=` before"),
            (marked, "the lake has layout 9, which"),
        ];
        for (objects, expected) in cases {
            let opened = LakeView::open(objects, &Path::from("some/lake"), Beside::default()).await;
            let message = opened.err().unwrap().to_string();
            assert!(message.starts_with(expected), "{message}");
            assert!(message.contains("name an empty place with `--lake`"), "{message}");
        }
    }

    #[tokio::test]
    async fn an_empty_lake_says_so() {
        assert!(view(Vec::new()).await.is_empty());
        assert!(!view(two_days()).await.is_empty());
    }
}
