//! Mermaid's `stateDiagram-v2`.

use super::{Picture, ToldBelow};
use crate::lifecycle::spec::MachineSpec;

/// The machine as Mermaid text.
pub fn mermaid(spec: &MachineSpec) -> String {
    let picture = Picture::of(spec);
    let mut lines = vec!["stateDiagram-v2".to_owned()];
    for arrow in &picture.arrows {
        let from = arrow.from.as_deref().unwrap_or("[*]");
        let labels: Vec<String> = arrow.labels.iter().map(|label| plain(label)).collect();
        lines.push(format!("{from} --> {} : {}", arrow.to, labels.join(", ")));
    }
    for ToldBelow { to, label, from } in &picture.told {
        lines.push(format!("note right of {to}"));
        lines.push(format!("  {} from {from}", plain(label)));
        lines.push("end note".to_owned());
    }
    lines.extend(picture.finished.iter().map(|state| format!("{state} --> [*]")));
    let indent = |(at, line): (usize, &String)| {
        if at == 0 { format!("{line}\n") } else { format!("    {line}\n") }
    };
    lines.iter().enumerate().map(indent).collect()
}

/// A label without what Mermaid would read as its own.
fn plain(label: &str) -> String {
    label.replace(':', "#58;").replace(';', "#59;").replace("#58#59;", "#58;")
}
