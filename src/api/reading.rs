//! The one place through which every route reads the lake: as far as its scope goes, within bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::prelude::DataFrame;
use futures::TryStreamExt;
use tokio::sync::Semaphore;

use super::ask::{Ask, name};
use super::known::KnownTables;
use super::problem::{NoAnswer, ProblemDetails, ProblemKind, quoted};
use super::span::FiledDays;
use crate::access::acknowledge::{AckDesk, Acknowledgement};
use crate::access::role::Role;
use crate::flow::Timestamp;
use crate::flow::lake_key::Section;
use crate::lake::LakeError;
use crate::lake::read::choose::TableObject;
use crate::lake::read::days::is_dated;
use crate::lake::read::footer::FooterNotes;
use crate::lake::read::scope::LAB;
use crate::lake::read::{LakeView, LakeViewError, Scope};

/// What one question may take.
#[derive(Clone, Debug)]
pub struct AnswerBounds {
    /// Time, waiting for others included.
    pub time: Duration,
    /// Bytes of rows in memory.
    pub bytes: usize,
    /// How many questions are worked on at once.
    pub turns: Arc<Semaphore>,
    /// Whether callers may ask in SQL.
    pub takes_sql: bool,
}

/// A lake at the instant of its last listing, as far as a scope goes.
#[derive(Clone)]
pub struct Reading {
    view: LakeView,
    scope: Scope,
    known: Arc<KnownTables>,
    seen: Arc<SeenLabs>,
    bounds: AnswerBounds,
    desk: AckDesk,
    /// When the objects were listed.
    pub listed_at: Timestamp,
    /// Now.
    pub now: Timestamp,
}

/// Laboratories that a row has told of: those of a project are known without.
#[derive(Debug, Default)]
pub struct SeenLabs(Mutex<BTreeSet<String>>);

impl SeenLabs {
    fn holds(&self, lab: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(lab)
    }

    /// Notes a laboratory that is in the lake; there are no more of them than there are laboratories.
    fn note(&self, lab: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(lab.to_owned());
    }
}

/// The rows of an answer.
#[derive(Clone, Debug)]
pub struct AnswerRows {
    /// The columns.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: Vec<RecordBatch>,
}

impl AnswerRows {
    /// How many rows there are.
    pub fn count(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

impl Reading {
    /// A view's tables, as far as a scope goes.
    ///
    /// # Errors
    /// Where the query engine cannot be set up.
    pub fn new(
        (view, listed_at, now): (&LakeView, Timestamp, Timestamp),
        scope: Scope,
        (known, seen): (Arc<KnownTables>, Arc<SeenLabs>),
        (bounds, desk): (AnswerBounds, AckDesk),
    ) -> Result<Reading, NoAnswer> {
        let view = if *view.scope() == scope {
            view.clone()
        } else {
            view.scoped(&scope).map_err(|error| problem(&error))?
        };
        Ok(Reading { view, scope, known, seen, bounds, desk, listed_at, now })
    }

    /// What is known beside the lake.
    pub fn known(&self) -> &KnownTables {
        &self.known
    }

    /// What may be seen.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The objects of a table that may hold rows of some days.
    pub fn objects(&self, table: &str, days: FiledDays) -> Vec<&TableObject> {
        let objects = self.view.objects(table).iter();
        objects.filter(|object| !is_dated(&object.key) || days.holds(object.key.date())).collect()
    }

    /// Whether the rows of each of a table's objects are of the day in its name.
    pub fn is_dated(&self, table: &str) -> bool {
        self.view.objects(table).iter().all(|object| is_dated(&object.key))
    }

    /// When the newest object was put, of those that count.
    pub fn newest_object_at(&self) -> Option<Timestamp> {
        let objects = self.view.listing().values().flatten();
        let newest = objects.map(|object| object.meta.last_modified).max();
        newest.map(|at| Timestamp(at.timestamp_micros()))
    }

    /// What a table's newest object says of it; nothing where there is none.
    ///
    /// # Errors
    /// Where its footer cannot be read.
    pub async fn notes(&self, table: &str) -> Result<FooterNotes, NoAnswer> {
        Ok(self.timed(self.view.notes(table)).await?.unwrap_or_default())
    }

    /// Every table: of the lake, then those of the project that have no rows yet, then what is no table.
    pub fn tables(&self) -> Vec<String> {
        let is_section =
            |name: &&String| Section::ALL.iter().any(|section| section.as_str() == *name);
        let listing = self.view.listing();
        let known = self.known.tables.iter().filter(|(_, known)| known.schema.is_some());
        let mut names: Vec<String> =
            listing.keys().filter(|name| !is_section(name)).cloned().collect();
        names.extend(known.map(|(name, _)| name.clone()));
        names.sort();
        names.dedup();
        names.extend(listing.keys().filter(is_section).cloned());
        names.retain(|name| !self.scope.closes(name));
        names
    }

    /// The columns of a table.
    ///
    /// # Errors
    /// Where there is no such table, the caller's role does not open it, or it cannot be read.
    pub async fn columns(&self, table: &str) -> Result<SchemaRef, NoAnswer> {
        if self.scope.closes(table) {
            return Err(needs_role(table, table).of("name"));
        }
        let found = self.timed(self.view.columns(table)).await?;
        found.ok_or_else(|| {
            let text = format!("there is no table {}", quoted(table));
            ProblemDetails::new(ProblemKind::Table, text).of("name").allowing(self.tables())
        })
    }

    /// Refuses laboratories that nobody knows: neither the project nor a row of the table.
    ///
    /// # Errors
    /// Names one that is not known, and those that are.
    pub async fn know_labs(&self, table: &str, labs: &[String]) -> Result<(), NoAnswer> {
        for lab in labs {
            if self.scope.holds(lab) && (self.known.labs.contains(lab) || self.seen.holds(lab)) {
                continue;
            }
            let sql = format!("SELECT {LAB} FROM {} WHERE {LAB} = $1 LIMIT 1", name(table));
            let found = self.rows(Ask { sql, values: vec![lab.as_str().into()] }).await?;
            if found.count() == 0 {
                let text = format!("there is no laboratory {}", quoted(lab));
                let seen = self.known.labs.iter().filter(|lab| self.scope.holds(lab));
                return Err(ProblemDetails::new(ProblemKind::Lab, text)
                    .of("lab")
                    .allowing(seen.cloned()));
            }
            self.seen.note(lab);
        }
        Ok(())
    }

    /// The rows of a question.
    ///
    /// # Errors
    /// Where they cannot be read, or take more time or memory than one answer may.
    pub async fn rows(&self, ask: Ask) -> Result<AnswerRows, NoAnswer> {
        self.timed(async {
            let frame = self.view.query_with(&ask.sql, ask.values).await?;
            collect(frame, self.bounds.bytes).await
        })
        .await?
    }

    /// Who sees to which of some breaches.
    ///
    /// # Errors
    /// Where the lake does not answer.
    pub async fn acknowledged(
        &self,
        breaches: impl Iterator<Item = &str>,
    ) -> Result<BTreeMap<String, Acknowledgement>, NoAnswer> {
        let all = self.desk.all().await.map_err(|error| self.away(&error))?;
        let mut known = BTreeMap::new();
        for breach in breaches.filter(|breach| all.contains(*breach)) {
            let found = self.desk.of(breach).await.map_err(|error| self.away(&error))?;
            known.extend(found.map(|found| (breach.to_owned(), found)));
        }
        Ok(known)
    }

    fn away(&self, error: &LakeError) -> NoAnswer {
        tracing::warn!(error = %error.with_cause(), "could not read which alerts are acknowledged");
        let text = "the lake did not tell which alerts are acknowledged; try again in a while";
        ProblemDetails::new(ProblemKind::Away, text).since(self.now.to_rfc3339())
    }

    /// Whether callers may ask in SQL.
    pub fn takes_sql(&self) -> bool {
        self.bounds.takes_sql
    }

    /// The first rows of a caller's own SELECT; what is wrong with it is the caller's business.
    ///
    /// # Errors
    /// Where it is not one query over tables that there are, goes wrong while it runs, or takes more time
    /// or memory than one answer may.
    pub async fn select(&self, sql: &str, most: u64) -> Result<AnswerRows, NoAnswer> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let asked = self.timed(async {
            let selected = async {
                let frame = self.view.query(sql).await?;
                let frame = frame.limit(0, Some(most)).map_err(LakeViewError::Sql)?;
                collect(frame, self.bounds.bytes).await
            };
            match selected.await {
                Err(error) if is_of_caller(&error) => Ok(Err(wrong_sql(&error))),
                selected => selected,
            }
        });
        asked.await?
    }

    /// Waits for a turn and for an answer, as long as one answer may take.
    async fn timed<T>(
        &self,
        answer: impl Future<Output = Result<T, LakeViewError>>,
    ) -> Result<T, NoAnswer> {
        let AnswerBounds { time, turns, .. } = &self.bounds;
        let in_turn = async {
            let turn = turns.acquire().await;
            let answer = answer.await;
            drop(turn);
            answer
        };
        match tokio::time::timeout(*time, in_turn).await {
            Ok(answer) => answer.map_err(|error| {
                let problem = problem(&error);
                let is_away = problem.is(ProblemKind::Away);
                if is_away { problem.since(self.now.to_rfc3339()) } else { problem }
            }),
            Err(_) => {
                let text = format!(
                    "the answer was not there after {} s; ask for fewer days, laboratories or columns",
                    time.as_secs()
                );
                Err(ProblemDetails::new(ProblemKind::TooLong, text))
            }
        }
    }
}

/// Reads rows until they are more than one answer may hold.
async fn collect(
    frame: DataFrame,
    most: usize,
) -> Result<Result<AnswerRows, NoAnswer>, LakeViewError> {
    let schema = Arc::clone(frame.schema().inner());
    let mut stream = frame.execute_stream().await.map_err(LakeViewError::Run)?;
    let (mut batches, mut bytes) = (Vec::new(), 0);
    while let Some(batch) = stream.try_next().await.map_err(LakeViewError::Run)? {
        bytes += batch.get_array_memory_size();
        if bytes > most {
            return Ok(Err(too_much()));
        }
        batches.push(batch);
    }
    Ok(Ok(AnswerRows { schema, batches }))
}

/// The problem of a table or column that is closed to the caller's role.
pub fn needs_role(table: &str, name: &str) -> NoAnswer {
    let role = Role::that_opens(name).max(Role::that_opens(&format!("{table}.{name}")));
    let text =
        format!("`{name}` needs the role {role}; ask whoever makes tokens for one that has it");
    ProblemDetails::new(ProblemKind::Role, text)
}

/// Whether a caller's own SQL is the reason.
fn is_of_caller(error: &LakeViewError) -> bool {
    match error {
        LakeViewError::UnknownTable { .. }
        | LakeViewError::Sql(_)
        | LakeViewError::NotAQuery(_) => true,
        LakeViewError::Run(source) => {
            let is_full = matches!(source.find_root(), DataFusionError::ResourcesExhausted(_));
            !is_full && !is_of_store(source)
        }
        LakeViewError::List(_)
        | LakeViewError::OtherLayout(_)
        | LakeViewError::Object(_)
        | LakeViewError::Setup(_) => false,
    }
}

/// What is wrong with a caller's SQL: the error and its causes, without what is said twice.
fn wrong_sql(error: &LakeViewError) -> NoAnswer {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let told = cause.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        next = cause.source();
    }
    ProblemDetails::new(ProblemKind::Value, text).of("sql")
}

fn too_much() -> NoAnswer {
    let text = "the answer needs more memory than one may; ask for fewer days or columns, or set a \
                smaller `limit`";
    ProblemDetails::new(ProblemKind::TooMuch, text)
}

/// Whether the store is the reason, however many libraries have passed it on.
fn is_of_store(error: &DataFusionError) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if cause.is::<object_store::Error>() || cause.is::<Box<object_store::Error>>() {
            return true;
        }
        next = cause.source();
    }
    false
}

/// What a failure of reading means to the caller.
pub fn problem(error: &LakeViewError) -> NoAnswer {
    let source = match error {
        LakeViewError::List(_) => {
            return ProblemDetails::new(ProblemKind::Away, "the lake cannot be listed");
        }
        LakeViewError::OtherLayout(_) => {
            return ProblemDetails::new(ProblemKind::Away, error.to_string());
        }
        LakeViewError::UnknownTable { table, .. } => {
            let text = format!("this lake has no table `{table}`, which the route reads");
            return ProblemDetails::new(ProblemKind::Table, text);
        }
        LakeViewError::Object(source)
        | LakeViewError::Sql(source)
        | LakeViewError::NotAQuery(source)
        | LakeViewError::Run(source)
        | LakeViewError::Setup(source) => source,
    };
    match source.find_root() {
        DataFusionError::ResourcesExhausted(_) => too_much(),
        _ if is_of_store(source) => {
            tracing::warn!(error = %source, "could not read an object of the lake");
            ProblemDetails::new(
                ProblemKind::Away,
                "an object of the lake cannot be read; try again in a while",
            )
        }
        _ => {
            tracing::error!(error = %source, "could not answer a question");
            ProblemDetails::new(
                ProblemKind::Failed,
                "the question could not be answered; the log says why",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
    use parquet::arrow::ArrowWriter;

    use super::*;
    use crate::lake::read::{Beside, LabScope};

    const OBJECT: &str = "tables/t/day=2026-03-01/day-r0.parquet";

    /// A table of a hundred rows of two laboratories.
    async fn table() -> (Arc<dyn ObjectStore>, LakeView) {
        let labs = (0..100).map(|n| if n % 2 == 0 { "north" } else { "south" });
        let labs: ArrayRef = Arc::new(StringArray::from_iter_values(labs));
        let n: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
        let rows = RecordBatch::try_from_iter([("lab_id", labs), ("n", n)]).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
        writer.write(&rows).unwrap();
        let store = InMemory::new();
        let bytes = PutPayload::from(writer.into_inner().unwrap());
        store.put(&Path::from(OBJECT), bytes).await.unwrap();
        let store: Arc<dyn ObjectStore> = Arc::new(store);
        let opened = LakeView::open(Arc::clone(&store), &Path::from(""), Beside::default()).await;
        (store, opened.unwrap())
    }

    fn reading(view: &LakeView, scope: Scope, time: Duration, bytes: usize) -> Reading {
        let at = Timestamp(1_772_323_200_000_000);
        let bounds =
            AnswerBounds { time, bytes, turns: Arc::new(Semaphore::new(1)), takes_sql: true };
        let desk = AckDesk::in_memory();
        Reading::new((view, at, at), scope, (Arc::default(), Arc::default()), (bounds, desk))
            .unwrap()
    }

    fn all() -> Ask {
        Ask { sql: "SELECT * FROM t".to_owned(), values: Vec::new() }
    }

    #[tokio::test]
    async fn an_answer_has_bounds_of_time_and_memory() {
        let (_, view) = table().await;
        let minute = Duration::from_secs(60);
        let whole = reading(&view, Scope::all(), minute, 1 << 20).rows(all()).await.unwrap();
        assert_eq!(whole.count(), 100);
        let large = reading(&view, Scope::all(), minute, 100).rows(all()).await.unwrap_err();
        assert_eq!((large.status, large.r#type.as_str()), (422, "urn:turnaround:too-much"));
        let waiting = reading(&view, Scope::all(), Duration::from_millis(1), 1 << 20);
        let turn = waiting.bounds.turns.acquire().await.unwrap();
        let late = waiting.rows(all()).await.unwrap_err();
        assert_eq!((late.status, late.r#type.as_str()), (504, "urn:turnaround:too-long"));
        drop(turn);
    }

    #[tokio::test]
    async fn a_store_that_goes_away_between_two_listings_is_told_of() {
        let (store, view) = table().await;
        let reading = reading(&view, Scope::all(), Duration::from_secs(60), 1 << 20);
        assert_eq!(reading.columns("t").await.unwrap().fields().len(), 2);
        store.delete(&Path::from(OBJECT)).await.unwrap();
        let gone = reading.rows(all()).await.unwrap_err();
        assert_eq!((gone.status, gone.since.as_deref()), (503, Some("2026-03-01T00:00:00Z")));
    }

    #[tokio::test]
    async fn a_scope_knows_its_own_laboratories_alone() {
        let (_, view) = table().await;
        let scope = Scope::of(LabScope::Labs(BTreeSet::from(["north".to_owned()])));
        let reading = reading(&view, scope, Duration::from_secs(60), 1 << 20);
        assert_eq!(reading.rows(all()).await.unwrap().count(), 50);
        assert!(reading.know_labs("t", &["north".to_owned()]).await.is_ok());
        let other = reading.know_labs("t", &["south".to_owned()]).await.unwrap_err();
        assert_eq!((other.status, other.allowed.len()), (400, 0));
    }
}
