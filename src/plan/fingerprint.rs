//! What a pipeline's objects were computed with, as one text; its hash is in their names.
//!
//! The text is written out here, and of a kind of window where it is declared, so that renaming a type
//! or a field renames no object of a lake. It changes with our version, the SQL, the windows, the plan (so with DataFusion's), the
//! lateness and the reference data; and a lake's live objects of another text are left and computed
//! anew. Its form is that of the first release.

use crate::config::{PipelineSpec, Project, WindowSpec};
use crate::flow::Span;
use crate::relate::machine_behind;
use crate::sql::plan::query::Query;
use crate::window::kind::quoted;

/// The fingerprint of a pipeline of a project: its text's hash, 32 hexadecimal digits.
pub fn fingerprint_of(project: &Project, spec: &PipelineSpec, query: &Query) -> String {
    let text = text_of(project, spec, query);
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
}

/// The text: our version, the SQL, the windows, the lateness, the plan, a hash of each reference table,
/// and one of each machine whose relation is read.
pub fn text_of(project: &Project, spec: &PipelineSpec, query: &Query) -> String {
    let (version, sql, plan) = (env!("CARGO_PKG_VERSION"), &spec.sql, query.display());
    let windows: Vec<String> = spec.windows.iter().map(window).collect();
    let windows = windows.join(", ");
    let lateness = lateness(spec.allowed_lateness, spec.late_step);
    let mut text = format!("{version}\n{sql}\n[{windows}]\n{lateness}\n{plan}");
    text.extend(project.reference.iter().map(|table| table.content_hash.as_str()));
    let names = query.reads.iter().map(|(name, _)| name);
    let machines = names.filter_map(|name| machine_behind(&project.machines, name));
    text.extend(machines.map(|machine| machine.spec.content_hash.as_str()));
    text
}

fn window(window: &WindowSpec) -> String {
    format!("WindowSpec {{ name: {}, kind: {} }}", quoted(&window.name), window.kind.text())
}

fn lateness(allowed: Span, step: Span) -> String {
    format!("Lateness {{ step: {}, allowed: {} }}", step.0.max(1), allowed.0.max(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::{CalendarUnit, WindowKind, Zone};

    fn minutes(minutes: i64) -> Span {
        Span(minutes * Span::MINUTE.0)
    }

    #[test]
    fn every_kind_of_window_keeps_its_text() {
        let (size, slide) = (minutes(60), minutes(5));
        let by = vec!["lab_id".to_owned(), "machine_id".to_owned()];
        let shift = CalendarUnit::Shift { starts: vec![360, 840] };
        let oslo = Zone::Fixed(chrono_tz::Europe::Oslo);
        let kinds = [
            (WindowKind::Tumbling { size }, "Tumbling { size: Span(3600000000) }"),
            (
                WindowKind::Hopping { size, slide },
                "Hopping { size: Span(3600000000), slide: Span(300000000) }",
            ),
            (
                WindowKind::Session { gap: slide, by, wait: minutes(1) },
                "Session { gap: Span(300000000), by: [\"lab_id\", \"machine_id\"], \
                 wait: Span(60000000) }",
            ),
            (
                WindowKind::Calendar { unit: CalendarUnit::Week, zone: Zone::Lab },
                "Calendar { unit: Week, zone: Lab }",
            ),
            (
                WindowKind::Calendar { unit: shift, zone: oslo },
                "Calendar { unit: Shift { starts: [360, 840] }, zone: Fixed(Europe/Oslo) }",
            ),
            (WindowKind::RowLevel, "RowLevel"),
        ];
        for (of, text) in kinds {
            assert_eq!(of.text(), text);
            // The first release wrote what Rust prints of the types; lakes have names made of it.
            assert_eq!(of.text(), format!("{of:?}"));
        }
        let spec = WindowSpec { name: "a\"b".to_owned(), kind: WindowKind::RowLevel };
        assert_eq!(window(&spec), format!("{spec:?}"));
        let revised = crate::window::Lateness::new(minutes(120), minutes(5));
        assert_eq!(lateness(minutes(120), minutes(5)), format!("{revised:?}"));
    }
}
