//! Alert rules compiled against the table that they judge.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::{DFSchema, DataFusionError};
use datafusion::prelude::SessionContext;

use super::faults::{PlanFault, SpecPart};
use crate::alert::judging::Rule;
use crate::alert::rule::AlertRule;
use crate::config::PipelineSpec;
use crate::sql::fire::output::OutputShape;
use crate::sql::plan::predicate::Predicate;

/// The rules of a pipeline that apply to one of its tables; adds what they should be warned of.
pub fn rules_of(
    context: &SessionContext,
    spec: &PipelineSpec,
    output: &OutputShape,
    warnings: &mut Vec<PlanFault>,
) -> Result<Vec<Rule>, Vec<PlanFault>> {
    let schema = DFSchema::try_from(output.schema.as_ref().clone())
        .map_err(|error| vec![PlanFault { place: SpecPart::Sql, error }])?;
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
            let key = format!("alerts[{number}].{key}");
            match Predicate::compile(context, &schema, text) {
                Ok(compiled) => {
                    warnings.extend(compiled.divisors.iter().map(|one| divides(&key, one)));
                    Some(compiled)
                }
                Err(error) => {
                    faults.push(PlanFault { place: SpecPart::Yaml(key), error });
                    None
                }
            }
        };
        let when = compile("when", &rule.when);
        let until = rule.until.as_ref().map(|text| compile("until", text));
        let Some(when) = when else { continue };
        let by = rule.by.as_ref().unwrap_or(&spec.grain);
        if let Some(absent) =
            by.iter().find(|name| schema.index_of_column_by_name(None, name).is_none())
        {
            faults.push(names_no_column(number, absent, &schema));
            continue;
        }
        rules.push(Rule {
            rule: Arc::new(rule.clone()),
            grain: by.as_slice().into(),
            figures: when.columns.clone(),
            units: units.clone(),
            when,
            until: until.flatten(),
        });
    }
    if faults.is_empty() { Ok(rules) } else { Err(faults) }
}

fn names_no_column(number: usize, absent: &str, schema: &DFSchema) -> PlanFault {
    let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let error = DataFusionError::Plan(format!(
        "`by` names the column `{absent}`, which the table does not have; it has {}",
        columns.join(", ")
    ));
    PlanFault { place: SpecPart::Yaml(format!("alerts[{number}].by")), error }
}

fn divides(key: &str, divisor: &str) -> PlanFault {
    let error = DataFusionError::Plan(format!(
        "it divides by `{divisor}`: where that is 0 the quotient is null and the condition does not \
         hold; write `nullif({divisor}, 0)` if that is meant, or multiply instead"
    ));
    PlanFault { place: SpecPart::Yaml(key.to_owned()), error }
}

fn applies(spec: &PipelineSpec, rule: &AlertRule, table: &str) -> bool {
    rule.windows.is_empty()
        || spec
            .windows
            .iter()
            .any(|window| spec.table_name(window) == table && rule.windows.contains(&window.name))
}
