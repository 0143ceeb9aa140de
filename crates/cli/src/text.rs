//! Numbers and results for people.

use frugal_graph::npy::Elements;
use frugal_graph::{DataType, Tensor};
use frugal_isa::Config;

/// `1234567` as `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// How far a prediction is from what was measured, as a share of that.
pub fn error(predicted: u64, measured: u64) -> f64 {
    (predicted as f64 - measured as f64) / measured.max(1) as f64
}

/// `1,020 cycles, +2.0 %`.
pub fn prediction(predicted: u64, measured: u64) -> String {
    format!("{} cycles, {:+.1} %", thousands(predicted), 100.0 * error(predicted, measured))
}

pub fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 0.001 => format!("{:.0} us", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

/// Multiply-accumulates as a share of what the array could have done in these cycles.
pub fn utilisation(macs: u64, cycles: u64, config: &Config) -> f64 {
    if cycles == 0 {
        return 0.0;
    }
    macs as f64 / (cycles as f64 * config.peak() as f64)
}

/// Thousands of simulated clock cycles a second.
pub fn kilohertz(cycles: u64, wall_seconds: f64) -> f64 {
    cycles as f64 / wall_seconds.max(1e-9) / 1000.0
}

/// `base (16 x 8, 64-bit bus)`.
pub fn config(config: &Config) -> String {
    format!("{} ({} x {}, {}-bit bus)", config.name, config.rows, config.cols, config.bus_bits)
}

/// A real number, where the tensor's elements are such or stand for some.
pub fn real(tensor: &Tensor, element: f64) -> Option<f64> {
    if tensor.data_type == DataType::F32 {
        return Some(element);
    }
    let (scale, zero_point) = tensor.per_tensor()?;
    Some(f64::from(scale) * (element - f64::from(zero_point)))
}

/// Whether the tensor is one score for each of some classes: a single vector of two or more.
pub fn is_scores(tensor: &Tensor) -> bool {
    let (last, others) = tensor.shape.split_last().map_or((0, &[][..]), |(last, others)| (*last, others));
    last >= 2 && others.iter().all(|size| *size == 1)
}

/// Indices and elements of the `count` highest scores, the highest first.
pub fn top(scores: &Elements, count: usize) -> Vec<(usize, f64)> {
    let mut ranked: Vec<(usize, f64)> = scores.to_f64().into_iter().enumerate().collect();
    ranked.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    ranked.truncate(count);
    ranked
}

/// Lines of `label  value` with the values aligned.
pub fn table(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    rows.iter().map(|(label, value)| format!("{label:<width$}  {value}\n")).collect()
}

/// A table with a header: the first column to the left, the others to the right.
pub fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            line += &if column == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") };
        }
        out += line.trim_end();
        out.push('\n');
    }
    out
}

/// The words in lines of at most so many characters; a longer word has a line of its own.
pub fn wrap(words: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
    }

    #[test]
    fn text_has_lines_and_columns() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("incomprehensible a", 5), ["incomprehensible", "a"]);
        assert_eq!(wrap("", 5), [""; 0]);
        let rows = [vec!["a".to_owned(), "b".to_owned()], vec!["long".to_owned(), "12".to_owned()]];
        assert_eq!(columns(&rows), "a      b\nlong  12\n");
    }

    #[test]
    fn the_highest_score_wins_and_the_first_of_equals() {
        let scores = Elements::I8(vec![-128, 5, 7, 5]);
        assert_eq!(top(&scores, 3), [(2, 7.0), (1, 5.0), (3, 5.0)]);
        assert_eq!(top(&Elements::F32(vec![0.25, 0.75]), 1), [(1, 0.75)]);
    }
}
