//! Chosen objects → tables of DataFusion. A table's footers are read when a query names it.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, Session, TableProvider};
use datafusion::common::config::TableParquetOptions;
use datafusion::datasource::TableType;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::SessionState;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStore};
use parquet::errors::ParquetError;

use super::choose::{TableObject, TableObjects};
use super::days::{is_by_day, is_of_date, of_days};
use super::places::{KeptPlaces, labs_of};
use crate::flow::lake_key::Section;
use crate::lake::section::section_schema;

/// Footers read at once.
const FOOTER_READS: usize = 32;

/// The schema that names the lake's tables. A table's footers are read when a query names it.
pub(super) struct LakeSchema {
    /// The objects of each table and section.
    pub(super) tables: TableObjects,
    /// Tables without objects.
    planned: Mutex<BTreeMap<String, SchemaRef>>,
    /// The columns of tables whose footers have been read.
    read: Mutex<BTreeMap<String, SchemaRef>>,
    /// The store that holds them.
    pub(super) objects: Arc<dyn ObjectStore>,
    store_url: ObjectStoreUrl,
    planning: SessionState,
    places: Option<Arc<KeptPlaces>>,
}

impl std::fmt::Debug for LakeSchema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LakeSchema").field("tables", &self.tables.keys()).finish_non_exhaustive()
    }
}

#[async_trait]
impl SchemaProvider for LakeSchema {
    fn table_names(&self) -> Vec<String> {
        self.tables.keys().cloned().collect()
    }

    async fn table(&self, name: &str) -> DataFusionResult<Option<Arc<dyn TableProvider>>> {
        let none = Vec::new();
        let planned = self.planned(name);
        let Some(objects) = self.tables.get(name).or(planned.as_ref().map(|_| &none)) else {
            return Ok(None);
        };
        let options = &self.planning.config().options().execution.parquet;
        let options = TableParquetOptions { global: options.clone(), ..Default::default() };
        let format = Arc::new(ParquetFormat::default().with_options(options));
        let section = Section::ALL.into_iter().find(|section| section.as_str() == name);
        let schema = match (section, planned) {
            (Some(section), _) if objects.is_empty() => section_schema(section),
            (None, Some(planned)) if objects.is_empty() => planned,
            (_, _) => self.columns_of(name, &format, objects).await?,
        };
        let (objects, store_url) = (objects.clone(), self.store_url.clone());
        let places = self.places.clone().map(|places| (places, Arc::clone(&self.objects)));
        Ok(Some(Arc::new(ObjectsTable { schema, objects, format, store_url, places })))
    }

    async fn table_type(&self, name: &str) -> DataFusionResult<Option<TableType>> {
        Ok(self.table_exist(name).then_some(TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.contains_key(name) || self.planned(name).is_some()
    }
}

impl LakeSchema {
    /// Tables over the objects of a store, which the session that plans knows by a URL.
    pub(super) fn new(
        tables: TableObjects,
        (objects, store_url): (Arc<dyn ObjectStore>, ObjectStoreUrl),
        planning: SessionState,
        places: Option<Arc<KeptPlaces>>,
    ) -> LakeSchema {
        let (planned, read) = (Mutex::default(), Mutex::default());
        LakeSchema { tables, planned, read, objects, store_url, planning, places }
    }

    /// Takes over the columns that an earlier listing's footers told of tables whose objects are
    /// the same.
    pub(super) fn learn(&self, earlier: &LakeSchema) {
        let known = earlier.read.lock().unwrap_or_else(PoisonError::into_inner);
        let same = known.iter().filter(|(table, _)| {
            self.tables
                .get(*table)
                .is_some_and(|objects| earlier.tables.get(*table) == Some(objects))
        });
        let same = same.map(|(table, schema)| (table.clone(), Arc::clone(schema)));
        self.read.lock().unwrap_or_else(PoisonError::into_inner).extend(same);
    }

    /// The columns of a table: its objects never change, so they are read once.
    async fn columns_of(
        &self,
        table: &str,
        format: &Arc<ParquetFormat>,
        objects: &[TableObject],
    ) -> DataFusionResult<SchemaRef> {
        let known = self.read.lock().unwrap_or_else(PoisonError::into_inner).get(table).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let merged = self.merged_schema(format, objects).await?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(read.entry(table.to_owned()).or_insert(merged)))
    }

    /// Makes an empty table of one that has no object.
    pub(super) fn plan_table(&self, name: &str, schema: SchemaRef) {
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        planned.insert(name.to_owned(), schema);
    }

    fn planned(&self, name: &str) -> Option<SchemaRef> {
        let planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        planned.get(name).map(Arc::clone)
    }

    /// Every column of any object. Where SQL changed a column's type, the newest day's counts and
    /// older values are cast to it.
    async fn merged_schema(
        &self,
        format: &Arc<ParquetFormat>,
        objects: &[TableObject],
    ) -> DataFusionResult<SchemaRef> {
        let read = |meta: ObjectMeta| async move {
            let one = std::slice::from_ref(&meta);
            let inferring = format.infer_schema(&self.planning, &self.objects, one);
            // The Parquet library panics on some damaged footers.
            let inferred = AssertUnwindSafe(inferring).catch_unwind().await.unwrap_or_else(|_| {
                let text = "the footer is damaged; delete the object".to_owned();
                Err(ParquetError::General(text).into())
            });
            inferred.map_err(|error| error.context(format!("could not read `{}`", meta.location)))
        };
        let metas: Vec<ObjectMeta> = objects.iter().map(|object| object.meta.clone()).collect();
        let schemas: Vec<SchemaRef> =
            futures::stream::iter(metas).map(read).buffered(FOOTER_READS).try_collect().await?;
        let mut fields: Vec<Field> = Vec::new();
        for field in schemas.iter().flat_map(|schema| schema.fields()) {
            // An object that lacks the column has nulls in its place.
            let field = field.as_ref().clone().with_nullable(true);
            match fields.iter_mut().find(|earlier| earlier.name() == field.name()) {
                Some(earlier) => *earlier = field,
                None => fields.push(field),
            }
        }
        Ok(Arc::new(Schema::new(fields)))
    }
}

/// One table: a schema and the objects that hold its rows.
#[derive(Debug)]
struct ObjectsTable {
    schema: SchemaRef,
    objects: Vec<TableObject>,
    format: Arc<ParquetFormat>,
    store_url: ObjectStoreUrl,
    /// Where the rows of laboratories stand, and the store to look there.
    places: Option<(Arc<KeptPlaces>, Arc<dyn ObjectStore>)>,
}

impl ObjectsTable {
    /// The files of objects that may hold rows which pass all filters.
    async fn files(&self, metas: Vec<ObjectMeta>, filters: &[Expr]) -> Vec<PartitionedFile> {
        match (&self.places, labs_of(filters)) {
            (Some((places, store)), Some(labs)) => places.files(store, metas, &labs).await,
            (None, _) | (_, None) => metas.into_iter().map(PartitionedFile::from).collect(),
        }
    }
}

#[async_trait]
impl TableProvider for ObjectsTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DataFusionResult<Vec<TableProviderFilterPushDown>> {
        let by_day = is_by_day(&self.objects, &self.schema);
        let decided = |filter: &&Expr| match by_day && is_of_date(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(decided).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let metas = of_days(&self.objects, &self.schema, filters, state)?;
        let files = self.files(metas, filters).await;
        if files.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(self.schema.project(columns)?),
                None => Arc::clone(&self.schema),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let table_schema = TableSchema::from(Arc::clone(&self.schema));
        let source = self.format.file_source(table_schema);
        let scan = FileScanConfigBuilder::new(self.store_url.clone(), source)
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        self.format.create_physical_plan(state, scan).await
    }
}
