//! Alert rules compiled against the table that they judge.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::SessionContext;

use super::build::{Place, PlanFault};
use crate::config::PipelineSpec;
use crate::sink::teams::rule::AlertRule;
use crate::sql::chain::mask;
use crate::sql::output::OutputShape;

/// A rule over one table.
#[derive(Clone)]
pub struct Rule {
    /// As declared.
    pub rule: Arc<AlertRule>,
    /// The columns that name a group.
    pub grain: Vec<String>,
    /// The columns that `when` names.
    pub figures: Vec<String>,
    /// Units of the columns.
    pub units: BTreeMap<String, String>,
    when: Arc<dyn PhysicalExpr>,
    until: Option<Arc<dyn PhysicalExpr>>,
}

/// A rule's predicates over rows.
pub struct Judgement {
    /// `when`; null is false.
    pub when: BooleanArray,
    /// `until`; null is false.
    pub until: Option<BooleanArray>,
}

impl Rule {
    /// Evaluates the predicates.
    pub fn judge(&self, rows: &RecordBatch) -> Result<Judgement> {
        let until = self.until.as_ref().map(|until| mask(until, rows)).transpose()?;
        Ok(Judgement { when: mask(&self.when, rows)?, until })
    }
}

/// The rules of a pipeline that apply to one of its tables; what is sound and can still go wrong
/// with some rows is added to `warnings`.
pub fn rules_of(
    context: &SessionContext,
    spec: &PipelineSpec,
    output: &OutputShape,
    _warnings: &mut Vec<PlanFault>,
) -> std::result::Result<Vec<Rule>, Vec<PlanFault>> {
    let schema = DFSchema::try_from(output.schema.as_ref().clone())
        .map_err(|error| vec![PlanFault { place: Place::Sql, error }])?;
    let units: BTreeMap<String, String> = spec
        .columns
        .iter()
        .filter_map(|(name, doc)| Some((name.clone(), doc.unit.clone()?)))
        .collect();
    let mut rules = Vec::new();
    let mut faults = Vec::new();
    for (number, rule) in spec.alerts.iter().enumerate() {
        if !applies(spec, rule, &output.table) {
            continue;
        }
        let mut compile = |key: &str, text: &str| {
            let place = Place::Yaml(format!("alerts[{number}].{key}"));
            match predicate(context, &schema, text) {
                Ok(compiled) => Some(compiled),
                Err(error) => {
                    faults.push(PlanFault { place, error });
                    None
                }
            }
        };
        let when = compile("when", &rule.when);
        let until = rule.until.as_ref().map(|text| compile("until", text));
        let Some((when, figures)) = when else { continue };
        rules.push(Rule {
            rule: Arc::new(rule.clone()),
            grain: spec.grain.clone(),
            figures,
            units: units.clone(),
            when,
            until: until.flatten().map(|(until, _)| until),
        });
    }
    if faults.is_empty() { Ok(rules) } else { Err(faults) }
}

fn applies(spec: &PipelineSpec, rule: &AlertRule, table: &str) -> bool {
    rule.windows.is_empty()
        || spec
            .windows
            .iter()
            .any(|window| spec.table_name(window) == table && rule.windows.contains(&window.name))
}

/// A predicate and the columns that it names, in the order of the text.
fn predicate(
    context: &SessionContext,
    schema: &DFSchema,
    text: &str,
) -> Result<(Arc<dyn PhysicalExpr>, Vec<String>)> {
    let expr = context.parse_sql_expr(text, schema)?;
    let mut figures: Vec<String> =
        expr.column_refs().into_iter().map(|column| column.name().to_owned()).collect();
    figures.sort_by_key(|name| text.find(name.as_str()));
    let compiled = context.create_physical_expr(expr, schema)?;
    let data_type = compiled.data_type(schema.as_arrow())?;
    if data_type != arrow::datatypes::DataType::Boolean {
        return Err(DataFusionError::Plan(format!(
            "`{text}` is a {data_type}, not a condition; compare it with something"
        )));
    }
    Ok((compiled, figures))
}
