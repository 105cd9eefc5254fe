//! A small SVG writer: elements as text, numbers short, everything escaped.
//!
//! Colours come from classes, so that the page's light and dark palettes apply. Nothing here knows
//! what is drawn.

pub mod path;
pub mod scale;
pub mod stack;
pub mod time_axis;

use std::fmt::Write as _;

/// An element that is being written.
#[derive(Clone, Debug)]
pub struct Element {
    name: &'static str,
    head: String,
    inside: String,
}

/// Begins an element.
pub fn element(name: &'static str) -> Element {
    Element { name, head: String::new(), inside: String::new() }
}

impl Element {
    /// An attribute that is a number.
    pub fn at(mut self, name: &str, value: f64) -> Element {
        self.push(name, &number(value));
        self
    }

    /// An attribute that is text.
    pub fn with(mut self, name: &str, value: &str) -> Element {
        self.push(name, &escaped(value));
        self
    }

    /// The class.
    pub fn class(self, value: &str) -> Element {
        self.with("class", value)
    }

    /// A tooltip; it goes before other content.
    pub fn tip(mut self, text: &str) -> Element {
        self.inside.push_str("<title>");
        self.inside.push_str(&escaped(text));
        self.inside.push_str("</title>");
        self
    }

    /// Text content.
    pub fn text(mut self, text: &str) -> Element {
        self.inside.push_str(&escaped(text));
        self
    }

    /// An element within.
    pub fn child(mut self, child: Element) -> Element {
        self.inside.push_str(&child.end());
        self
    }

    /// Elements within.
    pub fn children(self, children: impl IntoIterator<Item = Element>) -> Element {
        children.into_iter().fold(self, Element::child)
    }

    /// The element as text.
    pub fn end(self) -> String {
        let Element { name, head, inside } = self;
        if inside.is_empty() {
            format!("<{name}{head}/>")
        } else {
            format!("<{name}{head}>{inside}</{name}>")
        }
    }

    fn push(&mut self, name: &str, value: &str) {
        self.head.push(' ');
        self.head.push_str(name);
        self.head.push_str("=\"");
        self.head.push_str(value);
        self.head.push('"');
    }
}

/// A drawing of so many units, that fills the width it is given. `title` names it and
/// `description` says in words what it shows.
pub fn drawing(size: (f64, f64), id: &str, title: &str, description: &str) -> Element {
    let mut view = String::new();
    for part in ["0".to_owned(), "0".to_owned(), number(size.0), number(size.1)] {
        if !view.is_empty() {
            view.push(' ');
        }
        view.push_str(&part);
    }
    element("svg")
        .with("viewBox", &view)
        .with("role", "img")
        .with("aria-labelledby", &format!("{id}-t {id}-d"))
        .child(element("title").with("id", &format!("{id}-t")).text(title))
        .child(element("desc").with("id", &format!("{id}-d")).text(description))
}

/// A straight line.
pub fn line(from: (f64, f64), to: (f64, f64), class: &str) -> Element {
    element("line").at("x1", from.0).at("y1", from.1).at("x2", to.0).at("y2", to.1).class(class)
}

/// A rectangle.
pub fn rect(corner: (f64, f64), size: (f64, f64), class: &str) -> Element {
    element("rect")
        .at("x", corner.0)
        .at("y", corner.1)
        .at("width", size.0.max(0.0))
        .at("height", size.1.max(0.0))
        .class(class)
}

/// A label; its class says how it is anchored.
pub fn label(at: (f64, f64), class: &str, text: &str) -> Element {
    element("text").at("x", at.0).at("y", at.1).class(class).text(text)
}

/// A number with at most two decimals and nothing needless: `3`, `0.5`, `12.25`.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "0".to_owned();
    }
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Text that is safe in content and in quoted attributes.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            control if control.is_control() => {
                // XML has no form for most of them.
                out.push('\u{FFFD}');
            }
            other => out.push(other),
        }
    }
    out
}

/// Appends `M` or `L` and a point to path data.
pub(crate) fn push_point(data: &mut String, command: char, (x, y): (f64, f64)) {
    // Writing to a string cannot fail.
    if write!(data, "{command}{} {}", number(x), number(y)).is_err() {
        data.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let cases = [(3.0, "3"), (0.5, "0.5"), (12.254, "12.25"), (-0.001, "0"), (100.0, "100")];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!(number(f64::NAN), "0");
    }

    #[test]
    fn text_cannot_end_an_element_or_an_attribute() {
        let hostile = element("text").with("class", "\"><script>").text("</text>&'");
        assert_eq!(
            hostile.end(),
            "<text class=\"&quot;&gt;&lt;script&gt;\">&lt;/text&gt;&amp;&#39;</text>"
        );
    }

    #[test]
    fn a_drawing_has_a_name_and_a_description() {
        let text = drawing((100.0, 50.0), "x", "Name", "In words")
            .child(rect((1.0, 2.0), (3.0, -4.0), "bar").tip("tip"));
        assert_eq!(
            text.end(),
            "<svg viewBox=\"0 0 100 50\" role=\"img\" aria-labelledby=\"x-t x-d\">\
             <title id=\"x-t\">Name</title><desc id=\"x-d\">In words</desc>\
             <rect x=\"1\" y=\"2\" width=\"3\" height=\"0\" class=\"bar\"><title>tip</title></rect>\
             </svg>"
        );
    }
}
