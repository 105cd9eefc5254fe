//! Which laboratories a reader may see, enforced where tables are read.
//!
//! A scoped table gives the rows of the scope's laboratories alone, whatever the query asks for. A table
//! of the lake that does not say whose its rows are gives none; reference tables without laboratories
//! (codes, say) are seen whole.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::view::ViewTable;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider, TableProvider};
use datafusion::datasource::{TableType, provider_as_source};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{LogicalPlanBuilder, ident, lit};

/// The column that says whose a row is.
pub const LAB: &str = "lab_id";

/// Which laboratories may be seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Every laboratory, and what belongs to none.
    All,
    /// These alone.
    Labs(BTreeSet<String>),
}

impl Scope {
    /// Whether a laboratory may be seen.
    pub fn holds(&self, lab: &str) -> bool {
        match self {
            Scope::All => true,
            Scope::Labs(labs) => labs.contains(lab),
        }
    }
}

/// Tables of which the rows of some laboratories are seen.
#[derive(Debug)]
pub(super) struct ScopedSchema {
    whole: Arc<dyn SchemaProvider>,
    labs: BTreeSet<String>,
}

impl ScopedSchema {
    pub(super) fn new(whole: Arc<dyn SchemaProvider>, labs: BTreeSet<String>) -> ScopedSchema {
        ScopedSchema { whole, labs }
    }
}

#[async_trait]
impl SchemaProvider for ScopedSchema {
    fn table_names(&self) -> Vec<String> {
        self.whole.table_names()
    }

    async fn table(&self, name: &str) -> DataFusionResult<Option<Arc<dyn TableProvider>>> {
        let Some(table) = self.whole.table(name).await? else { return Ok(None) };
        let labs = self.labs.iter().map(|lab| lit(lab.as_str())).collect();
        let seen = match table.schema().column_with_name(LAB) {
            Some(_) => ident(LAB).in_list(labs, false),
            None if self.whole.is::<MemorySchemaProvider>() => return Ok(Some(table)),
            None => lit(false),
        };
        let plan = LogicalPlanBuilder::scan(name, provider_as_source(table), None)?;
        Ok(Some(Arc::new(ViewTable::new(plan.filter(seen)?.build()?, None))))
    }

    async fn table_type(&self, name: &str) -> DataFusionResult<Option<TableType>> {
        self.whole.table_type(name).await
    }

    fn table_exist(&self, name: &str) -> bool {
        self.whole.table_exist(name)
    }
}
