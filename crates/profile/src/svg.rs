//! The little SVG that the plots need, written by hand.

use crate::text::escape;
use std::fmt::Write;

/// Height of the letters in plots, in pixels; style.css says the same.
pub const FONT_SIZE: f64 = 12.0;

/// Where a text is held.
#[derive(Clone, Copy, PartialEq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing under way. Coordinates are pixels from the upper left corner.
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

impl Svg {
    pub fn new(width: f64, height: f64) -> Svg {
        Svg { width, height, body: String::new() }
    }

    /// A rectangle that shows `title` under the pointer, unless that is empty.
    pub fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str, title: &str) {
        let _ = write!(
            self.body,
            r#"<rect x="{}" y="{}" width="{}" height="{}" class="{class}""#,
            n(x),
            n(y),
            n(width.max(0.0)),
            n(height.max(0.0))
        );
        self.close("rect", title);
    }

    pub fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) {
        let (x1, y1, x2, y2) = (n(x1), n(y1), n(x2), n(y2));
        let _ = writeln!(self.body, r#"<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" class="{class}" />"#);
    }

    pub fn circle(&mut self, (x, y): (f64, f64), radius: f64, class: &str, title: &str) {
        let _ = write!(self.body, r#"<circle cx="{}" cy="{}" r="{}" class="{class}""#, n(x), n(y), n(radius));
        self.close("circle", title);
    }

    /// Straight lines through the points.
    pub fn path(&mut self, points: &[(f64, f64)], class: &str) {
        let mut data = String::new();
        for (index, (x, y)) in points.iter().enumerate() {
            let _ = write!(data, "{}{} {}", if index == 0 { "M" } else { " L" }, n(*x), n(*y));
        }
        let _ = writeln!(self.body, r#"<path d="{data}" class="{class}" />"#);
    }

    /// A text whose baseline is at `y`.
    pub fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, class: &str, text: &str) {
        self.turned_text((x, y), 0.0, anchor, class, text);
    }

    /// A text turned by so many degrees, clockwise.
    pub fn turned_text(&mut self, (x, y): (f64, f64), degrees: f64, anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let (x, y) = (n(x), n(y));
        let turn = match degrees {
            0.0 => String::new(),
            degrees => format!(r#" transform="rotate({} {x} {y})""#, n(degrees)),
        };
        let _ = writeln!(
            self.body,
            r#"<text x="{x}" y="{y}" text-anchor="{anchor}" class="{class}"{turn}>{}</text>"#,
            escape(text)
        );
    }

    fn close(&mut self, element: &str, title: &str) {
        let _ = match title {
            "" => writeln!(self.body, " />"),
            title => writeln!(self.body, "><title>{}</title></{element}>", escape(title)),
        };
    }

    /// A file of its own, with its style; `label` says what it shows to those who cannot see it.
    pub fn document(self, label: &str, style: &str) -> String {
        let (width, height) = (n(self.width), n(self.height));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             role=\"img\" aria-label=\"{}\">\n<style>{style}</style>\n{}</svg>\n",
            escape(label),
            self.body
        )
    }

    /// The element; `label` says what it shows to those who cannot see it.
    pub fn finish(self, label: &str) -> String {
        let (width, height) = (n(self.width), n(self.height));
        format!(
            "<div class=\"plot\"><svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" \
             aria-label=\"{}\">\n{}</svg></div>\n",
            escape(label),
            self.body
        )
    }
}

/// A coordinate with no more digits than a screen can show.
fn n(value: f64) -> String {
    if !value.is_finite() {
        return "0".to_owned();
    }
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// About the width of a text in pixels, in the widest of the usual fonts.
pub fn text_width(text: &str) -> f64 {
    let width = |character: char| match character {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ' ' | '(' | ')' | '|' => 0.4,
        'A'..='Z' | 'm' | 'w' | '%' | '#' => 0.76,
        c if c.is_ascii() => 0.64,
        _ => 1.05,
    };
    text.chars().map(width).sum::<f64>() * FONT_SIZE
}

/// Round numbers from 0 to `maximum`, at most `most` steps.
pub fn ticks(maximum: u64, most: u64) -> Vec<u64> {
    let mut step = 1u64;
    'found: loop {
        for factor in [1, 2, 5] {
            if maximum / step.saturating_mul(factor) <= most {
                step = step.saturating_mul(factor);
                break 'found;
            }
        }
        step = step.saturating_mul(10);
    }
    (0..=maximum / step).map(|tick| tick * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(115_165, 6), [0, 20_000, 40_000, 60_000, 80_000, 100_000]);
        assert_eq!(ticks(0, 6), [0]);
        assert_eq!(ticks(3, 6), [0, 1, 2, 3]);
        assert!(ticks(u64::MAX, 6).len() <= 7);
    }

    #[test]
    fn coordinates_are_short() {
        assert_eq!([1.0, 1.5, 0.123, f64::NAN, 100.0].map(n), ["1", "1.5", "0.12", "0", "100"]);
    }
}
