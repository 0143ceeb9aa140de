//! Copies as moves of bytes.
//!
//! The elements of a copy are listed in the order of the target; neighbours that stay neighbours form *runs* of bytes within a vector. Runs
//! at equal distances become one move: first along a line, then line by line.

use crate::layer::{Copy, CopyPart, Placement};
use frugal_isa::Config;
use std::ops::Range;

/// A pattern of runs: `count` runs along a line, `lines` lines. Source and target in vectors and lanes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moves {
    pub bytes: usize,
    pub source: (i64, usize),
    pub target: (i64, usize),
    pub count: usize,
    /// From one run of a line to the next: bytes of the source, vectors of the target.
    pub step: (i64, i64),
    pub lines: usize,
    /// From one line to the next, in vectors.
    pub line_step: (i64, i64),
}

/// Calls `visit` with the source and target element of every element of a part.
fn elements(part: &CopyPart, mut visit: impl FnMut(usize, usize)) {
    let total: usize = part.sizes.iter().product();
    let mut index = vec![0; part.sizes.len()];
    let (mut source, mut target) = (part.source_offset, part.target_offset);
    for _ in 0..total {
        visit(source, target);
        for dimension in (0..index.len()).rev() {
            index[dimension] += 1;
            source += part.source_strides[dimension];
            target += part.target_strides[dimension];
            if index[dimension] < part.sizes[dimension] {
                break;
            }
            source -= part.source_strides[dimension] * part.sizes[dimension];
            target -= part.target_strides[dimension] * part.sizes[dimension];
            index[dimension] = 0;
        }
    }
}

/// Rows of an input that rows `y` of the output come from; empty if none do.
pub fn input_rows(
    copy: &Copy,
    input: usize,
    y: &Range<usize>,
    inputs: &[Placement],
    output: &Placement,
) -> Range<usize> {
    let (source_row, target_row) =
        (inputs[input].width * inputs[input].channels, output.width * output.channels);
    let mut rows: Option<Range<usize>> = None;
    for part in copy.parts.iter().filter(|part| part.input == input) {
        elements(part, |source, target| {
            if y.contains(&(target / target_row)) {
                let row = source / source_row;
                rows = Some(match rows.take() {
                    Some(rows) => rows.start.min(row)..rows.end.max(row + 1),
                    None => row..row + 1,
                });
            }
        });
    }
    rows.unwrap_or(0..0)
}

/// The moves of a part of a copy that write rows `y` of the output. Vectors count from the first of each tensor.
pub fn moves(
    part: &CopyPart,
    y: &Range<usize>,
    input: &Placement,
    output: &Placement,
    config: &Config,
) -> Vec<Moves> {
    let target_row = output.width * output.channels;
    // Runs: first byte of source and target, length.
    let mut runs: Vec<(usize, usize, usize)> = Vec::new();
    elements(part, |source, target| {
        if !y.contains(&(target / target_row)) {
            return;
        }
        let (from, to) = (input.byte(source, config), output.byte(target, config));
        match runs.last_mut() {
            Some((s, t, n)) if *s + *n == from && *t + *n == to && to % config.rows != 0 => *n += 1,
            _ => runs.push((from, to, 1)),
        }
    });
    lines(&runs, config).into_iter().fold(Vec::new(), join_lines)
}

/// Runs of equal shape at equal distances become lines. Runs of other shapes may lie between them.
fn lines(runs: &[(usize, usize, usize)], config: &Config) -> Vec<Moves> {
    let rows = config.rows;
    let mut lines: Vec<Moves> = Vec::new();
    // The lines that may still grow, one of each shape.
    let mut open: Vec<usize> = Vec::new();
    for (from, to, bytes) in runs.iter().copied() {
        let (source, target) = ((from / rows) as i64, (to / rows) as i64);
        let (source_lane, target_lane) = (from % rows, to % rows);
        let found = open.iter().position(|line| {
            let line = &lines[*line];
            line.bytes == bytes && line.target.1 == target_lane
        });
        if let Some(place) = found {
            let line = &mut lines[open[place]];
            let distance = from as i64 - (line.source.0 * rows as i64 + line.source.1 as i64);
            let reached = (line.count as i64 - 1) * line.step.0;
            let step = (distance - reached, target - line.target.0 - (line.count as i64 - 1) * line.step.1);
            let fits = (0..=255).contains(&step.0) && distance + 2 * (rows as i64) < 1 << 15;
            if fits && (line.count == 1 || line.step == step) {
                line.step = step;
                line.count += 1;
                continue;
            }
            open.remove(place);
        }
        open.push(lines.len());
        lines.push(Moves {
            bytes,
            source: (source, source_lane),
            target: (target, target_lane),
            count: 1,
            step: (0, 0),
            lines: 1,
            line_step: (0, 0),
        });
    }
    lines
}

/// Adds a line to the pattern that it continues.
fn join_lines(mut patterns: Vec<Moves>, line: Moves) -> Vec<Moves> {
    let continues = |pattern: &Moves| {
        let step = (
            line.source.0 - pattern.source.0 - (pattern.lines as i64 - 1) * pattern.line_step.0,
            line.target.0 - pattern.target.0 - (pattern.lines as i64 - 1) * pattern.line_step.1,
        );
        let same = pattern.bytes == line.bytes
            && pattern.source.1 == line.source.1
            && pattern.target.1 == line.target.1
            && pattern.count == line.count
            && (pattern.step == line.step || line.count == 1);
        (same && (pattern.lines == 1 || pattern.line_step == step)).then_some(step)
    };
    // Patterns of other shapes may have begun since.
    let found =
        patterns.iter().enumerate().rev().take(64).find_map(|(at, pattern)| Some((at, continues(pattern)?)));
    match found {
        Some((at, step)) => {
            patterns[at].line_step = step;
            patterns[at].lines += 1;
        }
        None => patterns.push(line),
    }
    patterns
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source and target byte of every byte that the moves copy.
    fn copied(moves: &[Moves], rows: usize) -> Vec<(usize, usize)> {
        let mut bytes = Vec::new();
        for m in moves {
            for line in 0..m.lines as i64 {
                for run in 0..m.count as i64 {
                    let from = (m.source.0 + line * m.line_step.0) * rows as i64
                        + m.source.1 as i64
                        + run * m.step.0;
                    let to = (m.target.0 + line * m.line_step.1 + run * m.step.1) * rows as i64
                        + m.target.1 as i64;
                    assert!(m.target.1 + m.bytes <= rows, "{m:?}");
                    bytes.extend((0..m.bytes).map(|i| (from as usize + i, to as usize + i)));
                }
            }
        }
        bytes.sort_unstable();
        bytes
    }

    #[test]
    fn every_element_is_copied_once() {
        let config = Config::preset("base").unwrap();
        for (from, to) in [
            ([1, 7, 7, 24], [1, 1, 1, 1176]),
            ([1, 1, 1, 1176], [1, 7, 7, 24]),
            ([2, 3, 5, 7], [1, 6, 7, 5]),
            ([1, 8, 8, 3], [1, 4, 4, 12]),
            ([1, 25, 5, 64], [1, 1, 1, 8000]),
        ] {
            let (input, output) = (Placement::new(from, &config), Placement::new(to, &config));
            let part = CopyPart {
                input: 0,
                sizes: vec![input.elements()],
                source_offset: 0,
                source_strides: vec![1],
                target_offset: 0,
                target_strides: vec![1],
            };
            let output = output.flat();
            let all = moves(&part, &(0..output.height), &input.flat(), &output, &config);
            let mut expected: Vec<_> =
                (0..input.elements()).map(|e| (input.byte(e, &config), output.byte(e, &config))).collect();
            expected.sort_unstable();
            assert_eq!(copied(&all, config.rows), expected, "{from:?} to {to:?}");
            assert!(all.len() < 60, "{} moves from {from:?} to {to:?}", all.len());
        }
    }
}
