//! What a reader may see, enforced where tables are read: the rows of which laboratories, and which tables
//! and columns not at all.
//!
//! A scoped table gives the rows of the scope's laboratories alone, whatever the query asks for. A table
//! of the lake that does not say whose its rows are gives none; reference tables without laboratories
//! (codes, say) are seen whole. A closed table has no rows, a closed column is not there.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::view::ViewTable;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider, TableProvider};
use datafusion::datasource::{TableType, provider_as_source};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, ident, lit};

/// The column that says whose a row is.
pub const LAB: &str = "lab_id";

/// Whose rows may be seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LabScope {
    /// Those of every laboratory, and what belongs to none.
    All,
    /// Those of these alone.
    Labs(BTreeSet<String>),
}

/// What a reader may see.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    labs: LabScope,
    /// Tables, and columns as `column` of every table or `table.column` of one.
    closed: BTreeSet<String>,
}

impl LabScope {
    /// Whether a laboratory may be seen.
    pub fn holds(&self, lab: &str) -> bool {
        match self {
            LabScope::All => true,
            LabScope::Labs(labs) => labs.contains(lab),
        }
    }

    /// What both let see.
    #[must_use]
    pub fn and(&self, other: &LabScope) -> LabScope {
        match (self, other) {
            (LabScope::All, labs) | (labs, LabScope::All) => labs.clone(),
            (LabScope::Labs(labs), LabScope::Labs(others)) => {
                LabScope::Labs(labs.intersection(others).cloned().collect())
            }
        }
    }
}

impl Scope {
    /// Everything.
    pub fn all() -> Scope {
        Scope::of(LabScope::All)
    }

    /// Every table and column, of these laboratories.
    pub fn of(labs: LabScope) -> Scope {
        Scope { labs, closed: BTreeSet::new() }
    }

    /// The same without some tables, and columns as `column` or `table.column`.
    #[must_use]
    pub fn closing(mut self, names: &[&str]) -> Scope {
        self.closed.extend(names.iter().map(|name| (*name).to_owned()));
        self
    }

    /// Whose rows may be seen.
    pub fn labs(&self) -> &LabScope {
        &self.labs
    }

    /// Whether a laboratory may be seen.
    pub fn holds(&self, lab: &str) -> bool {
        self.labs.holds(lab)
    }

    /// Whether everything may be seen.
    pub fn is_all(&self) -> bool {
        self.labs == LabScope::All && self.closed.is_empty()
    }

    /// Whether a table may not be seen.
    pub fn closes(&self, table: &str) -> bool {
        self.closed.contains(table)
    }

    /// Whether a column of a table may not be seen.
    pub fn closes_column(&self, table: &str, column: &str) -> bool {
        self.closed.contains(column) || self.closed.contains(&format!("{table}.{column}"))
    }

    /// The columns of a table that may be seen.
    pub fn seen(&self, table: &str, columns: &SchemaRef) -> SchemaRef {
        let closes = |column: &str| self.closes_column(table, column);
        if !columns.fields().iter().any(|field| closes(field.name())) {
            return Arc::clone(columns);
        }
        let seen = columns.fields().iter().filter(|field| !closes(field.name())).cloned();
        let seen = Schema::new(seen.collect::<Vec<_>>());
        Arc::new(seen.with_metadata(columns.metadata().clone()))
    }
}

/// Tables as far as a scope goes.
#[derive(Debug)]
pub(super) struct ScopedSchema {
    whole: Arc<dyn SchemaProvider>,
    scope: Scope,
}

impl ScopedSchema {
    pub(super) fn new(whole: Arc<dyn SchemaProvider>, scope: Scope) -> ScopedSchema {
        ScopedSchema { whole, scope }
    }

    /// Which rows of a table are seen; nothing where all are.
    fn rows(&self, name: &str, columns: &SchemaRef) -> Option<Expr> {
        if self.scope.closes(name) {
            return Some(lit(false));
        }
        let LabScope::Labs(labs) = self.scope.labs() else { return None };
        let labs = labs.iter().map(|lab| lit(lab.as_str())).collect();
        match columns.column_with_name(LAB) {
            Some(_) => Some(ident(LAB).in_list(labs, false)),
            None if self.whole.is::<MemorySchemaProvider>() => None,
            None => Some(lit(false)),
        }
    }
}

#[async_trait]
impl SchemaProvider for ScopedSchema {
    fn table_names(&self) -> Vec<String> {
        let names = self.whole.table_names().into_iter();
        names.filter(|name| !self.scope.closes(name)).collect()
    }

    async fn table(&self, name: &str) -> DataFusionResult<Option<Arc<dyn TableProvider>>> {
        let Some(table) = self.whole.table(name).await? else { return Ok(None) };
        let whole = table.schema();
        let columns = self.scope.seen(name, &whole);
        let rows = self.rows(name, &whole);
        if rows.is_none() && columns.fields().len() == whole.fields().len() {
            return Ok(Some(table));
        }
        let mut plan = LogicalPlanBuilder::scan(name, provider_as_source(table), None)?;
        if let Some(rows) = rows {
            plan = plan.filter(rows)?;
        }
        if columns.fields().len() < whole.fields().len() {
            plan = plan.project(columns.fields().iter().map(|field| ident(field.name())))?;
        }
        Ok(Some(Arc::new(ViewTable::new(plan.build()?, None))))
    }

    async fn table_type(&self, name: &str) -> DataFusionResult<Option<TableType>> {
        self.whole.table_type(name).await
    }

    fn table_exist(&self, name: &str) -> bool {
        self.whole.table_exist(name)
    }
}
