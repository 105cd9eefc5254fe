//! Rows → the text of events, a chunk at a time.

use arrow::error::ArrowError;
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;
use bytes::Bytes;
use serde_json::json;

use super::place::StreamPlace;
use super::wanted::StreamWanted;
use crate::flow::lake_key::Section;
use crate::lake::read::object::SeenRows;

/// Rows of one chunk.
const CHUNK_ROWS: usize = 200;

/// Events that are sent together, and the place behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameChunk {
    /// The text.
    pub text: Bytes,
    /// The place behind its last row.
    pub place: StreamPlace,
}

/// The events of an object's rows that are wanted and lie behind a place.
///
/// # Errors
/// Where a row cannot be written, which is our own fault.
pub fn chunks(
    (table, object): (&str, StreamPlace),
    seen: &[SeenRows],
    wanted: &StreamWanted,
    behind: StreamPlace,
) -> Result<Vec<FrameChunk>, ArrowError> {
    let told = if behind.is_within(object) { behind.rows } else { 0 };
    let kind = if table == Section::Alerts.as_str() { "alert" } else { "row" };
    let head = json!({ "table": table }).to_string();
    let head = head.trim_end_matches('}');
    let mut chunks = Vec::new();
    let (mut text, mut held) = (String::new(), 0);
    for SeenRows { places, rows } in seen {
        let mut lines = Vec::new();
        let writer = WriterBuilder::new().with_explicit_nulls(true);
        let mut writer = writer.build::<_, LineDelimited>(&mut lines);
        writer.write(rows)?;
        writer.finish()?;
        drop(writer);
        let lines = String::from_utf8(lines).unwrap_or_default();
        let chosen = wanted.rows(rows).into_iter().zip(places).zip(lines.lines());
        for ((_, place), line) in chosen.filter(|((chosen, place), _)| *chosen && **place >= told) {
            let place = object.at(place + 1);
            text.push_str(&format!(
                "id: {place}\nevent: {kind}\ndata: {head},\"row\":{line}}}\n\n"
            ));
            held += 1;
            if held == CHUNK_ROWS {
                let text = Bytes::from(std::mem::take(&mut text));
                chunks.push(FrameChunk { text, place });
                held = 0;
            }
        }
    }
    if held > 0 {
        chunks.push(FrameChunk { text: Bytes::from(text), place: object.behind() });
    }
    Ok(chunks)
}

/// One event that is about the stream itself.
pub fn frame(kind: &str, place: Option<StreamPlace>, said: &serde_json::Value) -> Bytes {
    let id = place.map(|place| format!("id: {place}\n")).unwrap_or_default();
    Bytes::from(format!("{id}event: {kind}\ndata: {said}\n\n"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch};

    use super::*;

    fn rows(first: u64, count: u64) -> SeenRows {
        let numbers = Int64Array::from_iter_values((first..first + count).map(|n| n as i64));
        let rows = RecordBatch::try_from_iter([("n", Arc::new(numbers) as ArrayRef)]).unwrap();
        SeenRows { places: (first..first + count).collect(), rows }
    }

    #[test]
    fn each_row_is_an_event_with_the_place_behind_it() {
        let object = StreamPlace::before(16, "o");
        let told = |behind| {
            let seen = [rows(0, 2), rows(7, 1)];
            chunks(("t", object), &seen, &StreamWanted::default(), behind).unwrap()
        };
        let all = told(StreamPlace::default());
        let expected = format!(
            "id: {}\nevent: row\ndata: {{\"table\":\"t\",\"row\":{{\"n\":0}}}}\n\n\
             id: {}\nevent: row\ndata: {{\"table\":\"t\",\"row\":{{\"n\":1}}}}\n\n\
             id: {}\nevent: row\ndata: {{\"table\":\"t\",\"row\":{{\"n\":7}}}}\n\n",
            object.at(1),
            object.at(2),
            object.at(8),
        );
        assert_eq!((all[0].text.as_ref(), all.len()), (expected.as_bytes(), 1));
        // Whoever has had two rows gets the third.
        let rest = told(object.at(2));
        assert_eq!(rest[0].text.as_ref(), &expected.as_bytes()[expected.rfind("id: ").unwrap()..]);
        assert!(told(object.behind()).is_empty());
        // Another object's place says nothing of this one.
        assert_eq!(told(StreamPlace::before(15, "o").at(9)), all);
    }

    #[test]
    fn many_rows_are_several_chunks() {
        let object = StreamPlace::before(16, "o");
        let seen = [rows(0, 450)];
        let all = chunks(("t", object), &seen, &StreamWanted::default(), object).unwrap();
        let places: Vec<StreamPlace> = all.iter().map(|chunk| chunk.place).collect();
        assert_eq!(places, [object.at(200), object.at(400), object.behind()]);
    }
}
