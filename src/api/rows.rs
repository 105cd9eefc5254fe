//! `tables/{name}/rows` and `dead-letters`: rows of a table, a page at a time.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use chrono::NaiveDate;

use super::cursor::{KeyValue, PageEnd};
use super::form::RowForm;
use super::page::{PageQuestion, day_of, runs};
use super::parameters::Parameters;
use super::problem::{NoAnswer, ProblemDetails, ProblemKind, quoted};
use super::question::{
    ASSAY_PARAMETER, AnswerTold, Asked, COLUMNS_PARAMETER, CURSOR_PARAMETER, FROM_PARAMETER,
    LAB_PARAMETER, LIMIT_PARAMETER, MOST_ROWS, Payload, RouteQuestion, RouteTold, TO_PARAMETER,
};
use super::reading::{AnswerRows, Reading, needs_role};
use super::span::{Between, FiledDays};
use crate::flow::lake_key::Section;
use crate::lake::read::scope::LAB;

/// Rows of a page where nothing is said.
const ROWS: u64 = 1000;
/// The raw bytes of a dead letter: given only to those who name the column.
const RAW: &str = "bytes";
/// Parameters of the route that no column takes the place of.
const RESERVED: [&str; 6] = ["lab", "from", "to", "columns", "limit", "cursor"];

/// Rows of the table that the path names.
pub struct TableRows(RowsQuestion);

/// Rows of `dead_letters`.
pub struct DeadLetterRows(RowsQuestion);

/// Rows that are wanted, and in which form.
struct RowsQuestion {
    wanted: PageQuestion,
    limit: u64,
    behind: Option<PageEnd>,
    form: RowForm,
}

impl RouteQuestion for TableRows {
    fn told() -> RouteTold {
        RouteTold {
            path: "/tables/{name}/rows",
            is_open: Self::IS_OPEN,
            summary: "Rows of a table in a stable order; any text column's name is a filter too.",
            parameters: vec![
                LAB_PARAMETER,
                ASSAY_PARAMETER,
                FROM_PARAMETER,
                TO_PARAMETER,
                COLUMNS_PARAMETER,
                LIMIT_PARAMETER,
                CURSOR_PARAMETER,
            ],
            answer: AnswerTold::Rows,
        }
    }

    async fn read(reading: &Reading, asked: Asked) -> Result<TableRows, NoAnswer> {
        let table = asked.name.clone();
        Ok(TableRows(RowsQuestion::read(reading, &table, asked).await?))
    }

    fn decided_by(&self) -> Option<Vec<(String, FiledDays)>> {
        self.0.decided_by()
    }

    async fn answer(self, reading: &Reading) -> Result<Payload, NoAnswer> {
        self.0.answer(reading).await
    }
}

impl RouteQuestion for DeadLetterRows {
    fn told() -> RouteTold {
        RouteTold {
            path: "/dead-letters",
            is_open: Self::IS_OPEN,
            summary: "Records that could not become events, with the reason; their raw bytes only \
                      where `columns` names them.",
            parameters: vec![
                FROM_PARAMETER,
                TO_PARAMETER,
                COLUMNS_PARAMETER,
                LIMIT_PARAMETER,
                CURSOR_PARAMETER,
            ],
            answer: AnswerTold::Rows,
        }
    }

    async fn read(reading: &Reading, asked: Asked) -> Result<DeadLetterRows, NoAnswer> {
        let table = Section::DeadLetters.as_str();
        Ok(DeadLetterRows(RowsQuestion::read(reading, table, asked).await?))
    }

    fn decided_by(&self) -> Option<Vec<(String, FiledDays)>> {
        self.0.decided_by()
    }

    async fn answer(self, reading: &Reading) -> Result<Payload, NoAnswer> {
        self.0.answer(reading).await
    }
}

impl RowsQuestion {
    async fn read(reading: &Reading, table: &str, asked: Asked) -> Result<RowsQuestion, NoAnswer> {
        let form = RowForm::accepted(asked.accept.as_deref())?;
        let schema = reading.columns(table).await?;
        let mut parameters = asked.parameters;
        let labs = parameters.all("lab");
        let mut equal = equal(&schema, &mut parameters);
        if !labs.is_empty() {
            if schema.column_with_name(LAB).is_none() {
                let text = format!("`{table}` does not say whose its rows are");
                return Err(ProblemDetails::new(ProblemKind::Column, text).of("lab"));
            }
            reading.know_labs(table, &labs).await?;
            equal.push((LAB.to_owned(), labs));
        }
        let known = reading.known().table(table);
        let mut wanted = PageQuestion {
            table: table.to_owned(),
            columns: columns((reading, table), &schema, &mut parameters)?,
            keys: Vec::new(),
            rest: Vec::new(),
            time: reading.known().time_of(table, &schema),
            between: Between::take(&mut parameters)?,
            equal,
        };
        wanted.order(&schema, &known.grain);
        let limit = parameters.limit(ROWS, MOST_ROWS)?;
        let kinds: Vec<DataType> = wanted.keys.iter().map(|(_, kind)| kind.clone()).collect();
        let behind = parameters.one("cursor")?;
        let behind =
            behind.map(|text| PageEnd::read(&text, &wanted.identity(), &kinds)).transpose()?;
        parameters.end()?;
        Ok(RowsQuestion { wanted, limit, behind, form })
    }

    fn decided_by(&self) -> Option<Vec<(String, FiledDays)>> {
        Some(vec![(self.wanted.table.clone(), self.wanted.between.days())])
    }

    async fn answer(self, reading: &Reading) -> Result<Payload, NoAnswer> {
        let RowsQuestion { wanted, limit, behind, form } = self;
        let given = behind.as_ref().map_or(0, |end| end.given);
        // One more than are given, to know whether there is a next page.
        let wants = limit.saturating_add(given).saturating_add(1);
        let mut rows: Option<AnswerRows> = None;
        for days in day_runs(reading, &wanted, behind.as_ref()) {
            let have = rows.as_ref().map_or(0, AnswerRows::count) as u64;
            if have >= wants {
                break;
            }
            let more = reading.rows(wanted.ask(behind.as_ref(), days, wants - have)).await?;
            match &mut rows {
                Some(rows) => rows.batches.extend(more.batches),
                None => rows = Some(more),
            }
        }
        let rows = match rows {
            Some(rows) => rows,
            None => reading.rows(wanted.ask(behind.as_ref(), None, 0)).await?,
        };
        page(&wanted, (rows, given), behind.as_ref(), limit, form)
    }
}

/// The days to read one after the other; nothing stands for all of them at once.
fn day_runs(
    reading: &Reading,
    wanted: &PageQuestion,
    behind: Option<&PageEnd>,
) -> Vec<Option<(NaiveDate, NaiveDate)>> {
    if !wanted.is_by_day() || !reading.is_dated(&wanted.table) {
        return vec![None];
    }
    let begin = behind.and_then(day_of);
    let objects = reading.objects(&wanted.table, wanted.between.days());
    let mut days: Vec<NaiveDate> = objects.iter().map(|object| object.key.date()).collect();
    days.retain(|day| begin.is_none_or(|begin| begin <= *day));
    days.sort_unstable();
    days.dedup();
    runs(&days).into_iter().map(Some).collect()
}

/// Cuts a page out of the rows from the last one's keys on.
fn page(
    wanted: &PageQuestion,
    (rows, given): (AnswerRows, u64),
    behind: Option<&PageEnd>,
    limit: u64,
    form: RowForm,
) -> Result<Payload, NoAnswer> {
    let failed = |error: arrow::error::ArrowError| {
        ProblemDetails::new(ProblemKind::Failed, error.to_string())
    };
    let all = arrow::compute::concat_batches(&rows.schema, &rows.batches).map_err(failed)?;
    let skipped = usize::try_from(given).unwrap_or(usize::MAX).min(all.num_rows());
    let length = usize::try_from(limit).unwrap_or(usize::MAX).min(all.num_rows() - skipped);
    let is_last = skipped + length == all.num_rows();
    let page = all.slice(skipped, length);
    let next = match (is_last, length) {
        (true, _) | (_, 0) => None,
        (false, _) => Some(end_of(wanted, &page, behind)?.text()),
    };
    let columns: Vec<usize> = (0..wanted.columns.len()).collect();
    let page = page.project(&columns).map_err(failed)?;
    let rows = AnswerRows { schema: page.schema(), batches: vec![page] };
    Ok(Payload::Page { form, table: wanted.table.clone(), rows, next })
}

/// Where a page ends: its last row's keys, and how many rows with these were given in all.
fn end_of(
    wanted: &PageQuestion,
    page: &RecordBatch,
    behind: Option<&PageEnd>,
) -> Result<PageEnd, NoAnswer> {
    let lacking =
        |key: &str| ProblemDetails::new(ProblemKind::Failed, format!("the answer lacks `{key}`"));
    let mut columns = Vec::with_capacity(wanted.keys.len());
    for (key, _) in &wanted.keys {
        columns.push(page.column_by_name(key).ok_or_else(|| lacking(key))?);
    }
    let keys_at = |row: usize| -> Vec<Option<KeyValue>> {
        columns.iter().map(|column| KeyValue::at(column, row)).collect()
    };
    let last = keys_at(page.num_rows() - 1);
    let alike = (0..page.num_rows()).rev().take_while(|row| keys_at(*row) == last).count();
    let before = behind.filter(|end| alike == page.num_rows() && end.keys == last);
    let given = alike as u64 + before.map_or(0, |end| end.given);
    Ok(PageEnd::new(&wanted.identity(), last, given))
}

/// Filters on columns of texts, by the columns' own names.
fn equal(schema: &SchemaRef, parameters: &mut Parameters) -> Vec<(String, Vec<String>)> {
    let fields = schema.fields().iter();
    let texts = fields.filter(|field| *field.data_type() == DataType::Utf8);
    let names = texts.map(|field| field.name().clone());
    let names = names.filter(|name| name != LAB && !RESERVED.contains(&name.as_str()));
    let found = names.map(|name| {
        let values = parameters.all(&name);
        (name, values)
    });
    found.filter(|(_, values)| !values.is_empty()).collect()
}

/// The columns that are given.
fn columns(
    (reading, table): (&Reading, &str),
    schema: &SchemaRef,
    parameters: &mut Parameters,
) -> Result<Vec<String>, NoAnswer> {
    let all = || schema.fields().iter().map(|field| field.name().clone());
    let Some(text) = parameters.one("columns")? else {
        let is_letter = table == Section::DeadLetters.as_str();
        return Ok(all().filter(|column| !(is_letter && column == RAW)).collect());
    };
    let mut columns: Vec<String> = Vec::new();
    for column in text.split(',').map(str::trim) {
        if schema.column_with_name(column).is_none() {
            if reading.scope().closes_column(table, column) {
                return Err(needs_role(table, column).of("columns"));
            }
            let text = format!("`{table}` has no column {}", quoted(column));
            return Err(ProblemDetails::new(ProblemKind::Column, text)
                .of("columns")
                .allowing(all()));
        }
        if !columns.iter().any(|earlier| earlier == column) {
            columns.push(column.to_owned());
        }
    }
    Ok(columns)
}
