//! What the engines and the on-chip memories did over time.

use super::{Context, WIDTH};
use crate::attribute::Segment;
use crate::occupancy::Level;
use crate::run::{CommandSpan, Engine, OnChip};
use crate::svg::{text_width, ticks, Anchor, Svg};
use crate::text::{bytes, escape, percent, share, thousands};

const LEFT: f64 = 150.0;
const RIGHT: f64 = WIDTH - 86.0;
/// Height of the row of layers above the plots.
const BAND: f64 = 20.0;
const BAND_TOP: f64 = 2.0;
const LANE: f64 = 30.0;
const LANE_STEP: f64 = 38.0;
const STRIP: f64 = 62.0;
const STRIP_STEP: f64 = 82.0;
/// Colours of layers; neighbours in the program differ.
const COLOURS: usize = 8;

/// Cycles to pixels.
struct Time {
    cycles: u64,
}

impl Time {
    fn at(&self, cycle: u64) -> f64 {
        LEFT + cycle as f64 / self.cycles.max(1) as f64 * (RIGHT - LEFT)
    }

    fn axis(&self, svg: &mut Svg, top: f64, bottom: f64) {
        for tick in ticks(self.cycles, 8) {
            let x = self.at(tick);
            svg.line((x, top), (x, bottom), "grid");
            svg.text((x, bottom + 16.0), Anchor::Middle, "small", &thousands(tick));
        }
        svg.text(((LEFT + RIGHT) / 2.0, bottom + 36.0), Anchor::Middle, "title", "cycles since the start");
    }
}

fn colour(layer: usize) -> String {
    format!("l{}", layer % COLOURS)
}

pub fn engines(context: &Context<'_>) -> String {
    let run = context.run;
    let time = Time { cycles: run.cycles };
    let top = BAND_TOP + BAND + 12.0;
    let bottom = top + LANE_STEP * 4.0;
    let mut svg = Svg::new(WIDTH, bottom + 42.0);
    time.axis(&mut svg, top - 4.0, bottom);
    band(context, &mut svg, &time);
    for engine in Engine::ALL {
        let y = top + LANE_STEP * engine as usize as f64;
        let commands: Vec<&CommandSpan> = run.commands.iter().filter(|c| c.engine == engine).collect();
        svg.rect((LEFT, y), (RIGHT - LEFT, LANE), "lane", "");
        svg.text((LEFT - 10.0, y + 19.5), Anchor::End, "strong", engine.name());
        let busy = percent(share(run.busy(engine), run.cycles));
        svg.text((RIGHT + 8.0, y + 19.5), Anchor::Start, "", &busy);
        for block in blocks(&commands, &time) {
            let name = &run.layers[block.layer].name;
            let title = format!(
                "{}: {name}, cycles {} to {}",
                engine.name(),
                thousands(block.start),
                thousands(block.finish)
            );
            let class = format!("block {}", colour(block.layer));
            svg.rect((block.from, y), (block.to - block.from, LANE), &class, &title);
            label(&mut svg, context, block.layer, (block.from, block.to), y + 19.5);
        }
    }
    svg.text((RIGHT + 8.0, BAND_TOP + 14.0), Anchor::Start, "small", "busy");
    let mut out = String::from(
        "<section id=\"engines\"><h2>The engines over time</h2>\n<p class=\"how\">Load, matrix, vector and store run at the same time, each on commands of its \
         own. A gap in the <b>matrix</b> lane is time in which the MAC array does nothing. The row on top shows the layer to which the \
         cycles are counted.</p>\n",
    );
    out += &svg.finish("The four engines over time");
    out += "<p class=\"legend\">";
    for (layer, facts) in run.layers.iter().enumerate() {
        out += &format!(
            "<span><i class=\"{}\"></i>{}</span> ",
            colour(layer),
            if context.short[layer].starts_with('#') {
                format!("{} {}", context.short[layer], escape(&facts.name))
            } else {
                escape(&facts.name)
            }
        );
    }
    out += "</p>\n";
    if run.layers.len() > COLOURS {
        out += "<p class=\"note\">Colours repeat after eight layers.</p>\n";
    }
    out + "</section>\n"
}

pub fn occupancy(context: &Context<'_>) -> String {
    let run = context.run;
    let strips: Vec<(OnChip, Vec<Level>)> = OnChip::ALL
        .into_iter()
        .map(|memory| (memory, Level::of(run, memory)))
        .filter(|(_, levels)| !levels.is_empty())
        .collect();
    if strips.is_empty() {
        return String::new();
    }
    let time = Time { cycles: run.cycles };
    let top = BAND_TOP + BAND + 22.0;
    let bottom = top + STRIP_STEP * strips.len() as f64 - 12.0;
    let mut svg = Svg::new(WIDTH, bottom + 42.0);
    time.axis(&mut svg, top - 4.0, bottom);
    for x in band(context, &mut svg, &time) {
        svg.line((x, BAND_TOP + BAND), (x, bottom), "boundary");
    }
    for (place, (memory, levels)) in strips.iter().enumerate() {
        let y = top + STRIP_STEP * place as f64;
        strip(context, &mut svg, &time, y, *memory, levels);
    }
    let mut out = String::from(
        "<section id=\"memories\"><h2>What is on the chip</h2>\n<p class=\"how\">How much of each on-chip memory holds something that is still needed. The top of \
         each strip is a full memory. Room that is never used could hold weights fetched ahead, or be left out of the chip.</p>\n",
    );
    out += &svg.finish("Occupancy of the on-chip memories over time");
    out + "</section>\n"
}

fn strip(context: &Context<'_>, svg: &mut Svg, time: &Time, y: f64, memory: OnChip, levels: &[Level]) {
    let config = &context.run.config;
    let depth = memory.depth(config) as u64;
    let height = |addresses: u64| STRIP * share(addresses, depth).min(1.0);
    let floor = y + STRIP;
    svg.line((LEFT, y), (RIGHT, y), "capacity");
    let mut points = vec![(LEFT, floor)];
    for (place, level) in levels.iter().enumerate() {
        let until = levels.get(place + 1).map_or(context.run.cycles, |next| next.cycle);
        let at = floor - height(level.addresses);
        let (from, to) = (time.at(level.cycle), time.at(until));
        // Changes that no screen can show are drawn as the higher level.
        match points.last_mut() {
            Some(last) if to - last.0 < 0.3 => last.1 = last.1.min(at),
            _ => points.extend([(from, at), (to, at)]),
        }
    }
    let end = points.last().map_or(LEFT, |point| point.0);
    points.push((end, floor));
    svg.path(&points, "area");
    svg.line((LEFT, floor), (RIGHT, floor), "axis");
    let (first, second) = memory.name().split_once(' ').unwrap_or((memory.name(), ""));
    svg.text((LEFT - 38.0, y + 20.0), Anchor::End, "strong", first);
    svg.text((LEFT - 38.0, y + 36.0), Anchor::End, "", second);
    svg.text((LEFT - 6.0, y + 4.0), Anchor::End, "small", "full");
    svg.text((LEFT - 6.0, floor + 4.0), Anchor::End, "small", "0");
    let peak = Level::peak(levels);
    let size = bytes(depth.saturating_mul(memory.address_bytes(config) as u64));
    let size = size.split_once('(').map_or(size.clone(), |(_, short)| short.trim_end_matches(')').to_owned());
    svg.text((RIGHT + 8.0, y + 12.0), Anchor::Start, "small", "at most");
    svg.text((RIGHT + 8.0, y + 27.0), Anchor::Start, "strong", &percent(share(peak, depth)));
    svg.text((RIGHT + 8.0, y + 43.0), Anchor::Start, "small", &format!("of {size}"));
    svg.text(
        (RIGHT + 8.0, y + 57.0),
        Anchor::Start,
        "small",
        &format!("{} {}", thousands(depth), memory.unit()),
    );
}

/// Draws the row of layers and returns where they change.
fn band(context: &Context<'_>, svg: &mut Svg, time: &Time) -> Vec<f64> {
    svg.text((LEFT - 10.0, BAND_TOP + 14.0), Anchor::End, "small", "layer");
    let pieces = coarse(&context.attribution.segments, time.cycles, (RIGHT - LEFT) as usize);
    for piece in &pieces {
        let (from, to) = (time.at(piece.from), time.at(piece.to));
        let class = format!("block {}", colour(piece.layer));
        let title = &context.run.layers[piece.layer].name;
        svg.rect((from, BAND_TOP), (to - from, BAND), &class, title);
        label(svg, context, piece.layer, (from, to), BAND_TOP + 14.0);
    }
    pieces.iter().skip(1).map(|piece| time.at(piece.from)).collect()
}

fn label(svg: &mut Svg, context: &Context<'_>, layer: usize, (from, to): (f64, f64), y: f64) {
    let text = &context.short[layer];
    if to - from > text_width(text) + 6.0 {
        svg.text(((from + to) / 2.0, y), Anchor::Middle, "on", text);
    }
}

/// The segments as so many columns can show them: each column shows the layer that has most of its cycles.
fn coarse(segments: &[Segment], cycles: u64, columns: usize) -> Vec<Segment> {
    let columns = columns.max(1) as u64;
    if cycles <= columns {
        return segments.to_vec();
    }
    let mut pieces: Vec<Segment> = Vec::new();
    let mut first = 0;
    for column in 0..columns {
        let edge = |column: u64| (u128::from(cycles) * u128::from(column) / u128::from(columns)) as u64;
        let (from, to) = (edge(column), edge(column + 1));
        while segments.get(first).is_some_and(|segment| segment.to <= from) {
            first += 1;
        }
        let inside = segments[first..].iter().take_while(|segment| segment.from < to);
        let mut shares: Vec<(usize, u64)> = Vec::new();
        for segment in inside {
            let part = segment.to.min(to) - segment.from.max(from);
            match shares.iter_mut().find(|(layer, _)| *layer == segment.layer) {
                Some((_, cycles)) => *cycles += part,
                None => shares.push((segment.layer, part)),
            }
        }
        let Some((layer, _)) = shares.into_iter().max_by_key(|(_, cycles)| *cycles) else { continue };
        match pieces.last_mut() {
            Some(last) if last.layer == layer => last.to = to,
            _ => pieces.push(Segment { layer, from, to }),
        }
    }
    pieces
}

/// Commands of one layer in a row, so close together that a screen shows one rectangle.
struct Block {
    layer: usize,
    start: u64,
    finish: u64,
    from: f64,
    to: f64,
}

fn blocks(commands: &[&CommandSpan], time: &Time) -> Vec<Block> {
    /// Smaller gaps are not shown, and neither are smaller blocks beside others.
    const GAP: f64 = 0.7;
    let mut blocks: Vec<Block> = Vec::new();
    for command in commands {
        let (from, to) = (time.at(command.start), time.at(command.finish));
        match blocks.last_mut() {
            Some(last) if last.layer == command.layer && from - last.to < GAP => {
                last.to = last.to.max(to);
                last.finish = last.finish.max(command.finish);
            }
            Some(last) if to - last.to < GAP / 2.0 => {}
            last => {
                let from = last.map_or(from, |last| from.max(last.to));
                blocks.push(Block {
                    layer: command.layer,
                    start: command.start,
                    finish: command.finish,
                    from,
                    to: to.max(from + GAP),
                });
            }
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarse_segments_keep_the_order_and_the_ends() {
        let segments: Vec<Segment> = (0..1000)
            .map(|i| Segment { layer: usize::from(i % 10 == 0), from: 10 * i, to: 10 * i + 10 })
            .collect();
        assert_eq!(coarse(&segments, 10_000, 50), [Segment { layer: 0, from: 0, to: 10_000 }]);
        assert_eq!(coarse(&segments[..3], 30, 50), &segments[..3]);
        assert_eq!(coarse(&[], 0, 50), []);
    }
}
