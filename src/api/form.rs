//! `Accept` → the form in which rows are given.

use super::problem::{NoAnswer, ProblemDetails, ProblemKind};

/// A form of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowForm {
    /// One JSON object that holds the rows and the next cursor.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// With a header.
    Csv,
    /// An Arrow IPC stream.
    Arrow,
    /// One Parquet file.
    Parquet,
}

impl RowForm {
    /// Every form; the first is for callers who do not mind.
    pub const ALL: [RowForm; 5] =
        [RowForm::Json, RowForm::Ndjson, RowForm::Csv, RowForm::Arrow, RowForm::Parquet];

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            RowForm::Json => "application/json",
            RowForm::Ndjson => "application/x-ndjson",
            RowForm::Csv => "text/csv",
            RowForm::Arrow => "application/vnd.apache.arrow.stream",
            RowForm::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// The form that the caller likes best.
    ///
    /// # Errors
    /// Where it takes none of them.
    pub fn accepted(accept: Option<&str>) -> Result<RowForm, NoAnswer> {
        let Some(accept) = accept.map(str::trim).filter(|accept| !accept.is_empty()) else {
            return Ok(RowForm::Json);
        };
        let mut best: Option<(u32, RowForm)> = None;
        for form in RowForm::ALL {
            let liking = liking(accept, form.media_type());
            if liking > 0 && best.is_none_or(|(other, _)| liking > other) {
                best = Some((liking, form));
            }
        }
        best.map(|(_, form)| form).ok_or_else(|| {
            let text = "rows are not given in a form that `Accept` names";
            let types = RowForm::ALL.map(RowForm::media_type);
            ProblemDetails::new(ProblemKind::Form, text).of("Accept").allowing(types)
        })
    }
}

/// How much a caller likes a media type, in thousandths: what the range that fits best says.
fn liking(accept: &str, media_type: &str) -> u32 {
    let (kind, _) = media_type.split_once('/').unwrap_or((media_type, ""));
    let mut best = (0, 0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().unwrap_or_default().to_ascii_lowercase();
        let fit = match named.as_str() {
            "*/*" => 1,
            named if named.strip_suffix("/*") == Some(kind) => 2,
            named if named == media_type => 3,
            _ => continue,
        };
        let quality = parts.find_map(|part| part.strip_prefix("q="));
        let quality = quality.and_then(|text| text.parse::<f32>().ok()).unwrap_or(1.0);
        let quality = (quality.clamp(0.0, 1.0) * 1000.0) as u32;
        if fit > best.0 {
            best = (fit, quality);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_form_that_is_taken_is_given() {
        let cases = [
            (None, Some(RowForm::Json)),
            (Some("*/*"), Some(RowForm::Json)),
            (Some("application/*"), Some(RowForm::Json)),
            (Some("text/*"), Some(RowForm::Csv)),
            (Some("TEXT/CSV"), Some(RowForm::Csv)),
            (Some("application/json;q=0.5, application/x-ndjson"), Some(RowForm::Ndjson)),
            (Some("text/html,application/xhtml+xml,*/*;q=0.8"), Some(RowForm::Json)),
            (Some("*/*, application/json;q=0"), Some(RowForm::Ndjson)),
            (Some("application/vnd.apache.arrow.stream"), Some(RowForm::Arrow)),
            (Some("application/vnd.apache.parquet;q=1"), Some(RowForm::Parquet)),
            (Some("text/html"), None),
            (Some("application/json;q=0"), None),
        ];
        for (accept, expected) in cases {
            assert_eq!(RowForm::accepted(accept).ok(), expected, "{accept:?}");
        }
        let problem = RowForm::accepted(Some("image/png")).unwrap_err();
        assert_eq!((problem.status, problem.allowed.len()), (406, 5));
    }
}
