//! Cycles and bytes of each layer as horizontal bars.

use super::{legend, Context, Part, WIDTH};
use crate::attribute::Breakdown;
use crate::losses::least_cycles;
use crate::svg::{text_width, ticks, Anchor, Svg};
use crate::text::{percent, share, shorten, thousands};

/// Parts of a bar of cycles. Computing is shown as what is used of the array and what is not.
pub const CYCLE_PARTS: [Part; 6] = [
    Part { class: "c-used", name: "computing", meaning: "all of the MAC array in use" },
    Part {
        class: "c-unused",
        name: "computing, multipliers unused",
        meaning: "channels do not fill the array",
    },
    Part { class: "c-memory", name: "waiting for memory", meaning: "data is still being loaded" },
    Part {
        class: "c-vector",
        name: "vector unit",
        meaning: "additions, pooling and gathering that nothing hides",
    },
    Part { class: "c-store", name: "storing", meaning: "results on their way to memory" },
    Part { class: "c-fill", name: "fill and overhead", meaning: "pipelines fill and drain, commands start" },
];

const BYTE_PARTS: [Part; 3] = [
    Part { class: "b-weights", name: "weights read", meaning: "with biases and scales" },
    Part { class: "b-activations", name: "activations read", meaning: "inputs and tensors kept in memory" },
    Part { class: "b-written", name: "written", meaning: "results" },
];

const ROW: f64 = 24.0;
const BAR: f64 = 16.0;

/// Cycles of a breakdown in the order of [`CYCLE_PARTS`]; `least` are the cycles that the work takes at the peak.
pub fn cycle_parts(breakdown: &Breakdown, least: u64) -> [u64; 6] {
    let used = breakdown.compute.min(least);
    let Breakdown { compute, memory, vector, store, fill } = *breakdown;
    [used, compute - used, memory, vector, store, fill]
}

/// The whole run as one bar.
pub fn whole_run(context: &Context<'_>) -> String {
    const TOP: f64 = 22.0;
    let run = context.run;
    let least = (0..run.layers.len())
        .map(|layer| context.attribution.layers[layer].compute.min(least_cycles(run, layer)));
    let parts = cycle_parts(&context.attribution.sum(), least.sum());
    let mut svg = Svg::new(WIDTH, TOP + 34.0);
    let mut x = 0.0;
    let mut labels: Vec<(u64, f64, f64, String)> = Vec::new();
    for (part, cycles) in CYCLE_PARTS.iter().zip(parts) {
        let part_share = share(cycles, run.cycles);
        let width = part_share * WIDTH;
        let title = format!("{}: {} cycles, {}", part.name, thousands(cycles), percent(part_share));
        svg.rect((x, TOP), (width, 32.0), part.class, &title);
        let label = percent(part_share);
        // Bold, so wider.
        let half = text_width(&label) / 2.0 + 4.0;
        if width > 3.0 {
            labels.push((cycles, (x + width / 2.0).clamp(half, WIDTH - half), half, label));
        }
        x += width;
    }
    // Where labels would overlap, the biggest part has its own.
    labels.sort_by_key(|(cycles, ..)| std::cmp::Reverse(*cycles));
    let mut placed: Vec<(f64, f64)> = Vec::new();
    for (_, middle, half, label) in labels {
        if placed.iter().all(|(other, width)| (middle - other).abs() >= half + width + 6.0) {
            svg.text((middle, TOP - 7.0), Anchor::Middle, "strong", &label);
            placed.push((middle, half));
        }
    }
    legend(&CYCLE_PARTS) + &svg.finish("Where the cycles of the whole run went")
}

pub fn cycles(context: &Context<'_>) -> String {
    let run = context.run;
    let rows: Vec<Vec<u64>> = context
        .attribution
        .layers
        .iter()
        .enumerate()
        .map(|(layer, breakdown)| cycle_parts(breakdown, least_cycles(run, layer)).to_vec())
        .collect();
    let mut out = String::from(
        "<section id=\"cycles\"><h2>Cycles of each layer</h2>\n<p class=\"how\">Every cycle of the run belongs to one layer and one reason, so \
         the bars add up to the whole run. Dark blue is useful work; all other colours are \
         cycles in which multipliers do nothing. A layer without cycles ran entirely behind others.</p>\n",
    );
    out += &legend(&CYCLE_PARTS);
    out += &stacked(context, &rows, &CYCLE_PARTS, "cycles", run.cycles);
    out + "</section>\n"
}

pub fn bytes(context: &Context<'_>) -> String {
    let rows: Vec<Vec<u64>> =
        context.bytes.iter().map(|bytes| vec![bytes.weights, bytes.activations, bytes.written]).collect();
    let total = context.bytes.iter().fold(0u64, |sum, bytes| sum.saturating_add(bytes.total()));
    let mut out = String::from(
        "<section id=\"bytes\"><h2>Bytes of each layer</h2>\n<p class=\"how\">What each layer moves between the memory and the chip. A layer whose input \
         and output stay on the chip only reads its weights.</p>\n",
    );
    out += &legend(&BYTE_PARTS);
    out += &stacked(context, &rows, &BYTE_PARTS, "bytes", total);
    let read = context.bytes.iter().fold(0u64, |sum, bytes| sum.saturating_add(bytes.read()));
    let fetched = context.run.bus.bytes_read.saturating_sub(read);
    if fetched > 0 {
        out += &format!(
            "<p class=\"note\">Beside these, {} bytes were read that belong to no layer: the commands themselves.</p>\n",
            thousands(fetched)
        );
    }
    out + "</section>\n"
}

/// One bar a layer, each from the parts of its row.
fn stacked(context: &Context<'_>, rows: &[Vec<u64>], parts: &[Part], unit: &str, whole: u64) -> String {
    if rows.is_empty() {
        return "<p class=\"note\">The program has no layers.</p>\n".to_owned();
    }
    let sum = |row: &Vec<u64>| row.iter().fold(0u64, |sum, value| sum.saturating_add(*value));
    let most = rows.iter().map(sum).max().unwrap_or(0);
    let names: Vec<String> = context
        .run
        .layers
        .iter()
        .zip(&context.short)
        .map(|(layer, short)| match short.starts_with('#') {
            true => format!("{short} {}", shorten(&layer.name, 28)),
            false => shorten(&layer.name, 28),
        })
        .collect();
    let left = names.iter().map(|name| text_width(name)).fold(60.0, f64::max) + 12.0;
    let value = |row: &Vec<u64>| format!("{} ({})", thousands(sum(row)), percent(share(sum(row), whole)));
    let right = WIDTH - rows.iter().map(|row| text_width(&value(row))).fold(60.0, f64::max) - 10.0;
    let bottom = ROW * rows.len() as f64 + 4.0;
    let mut svg = Svg::new(WIDTH, bottom + 42.0);
    let scale = (right - left) / most.max(1) as f64;
    for tick in ticks(most, 6) {
        let x = left + tick as f64 * scale;
        svg.line((x, 0.0), (x, bottom), "grid");
        svg.text((x, bottom + 16.0), Anchor::Middle, "small", &thousands(tick));
    }
    for (layer, row) in rows.iter().enumerate() {
        let y = ROW * layer as f64 + 4.0;
        svg.text((left - 8.0, y + 12.5), Anchor::End, "", &names[layer]);
        let mut x = left;
        for (part, amount) in parts.iter().zip(row) {
            let width = *amount as f64 * scale;
            if *amount > 0 {
                let name = &context.run.layers[layer].name;
                let title = format!("{name}: {}, {} {unit}", part.name, thousands(*amount));
                svg.rect((x, y), (width, BAR), part.class, &title);
            }
            x += width;
        }
        svg.text((x + 6.0, y + 12.5), Anchor::Start, "", &value(row));
    }
    svg.line((left, 0.0), (left, bottom), "axis");
    svg.text(((left + right) / 2.0, bottom + 36.0), Anchor::Middle, "title", unit);
    svg.finish(&format!("{unit} of each layer of {}", context.run.model))
}
