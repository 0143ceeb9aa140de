//! Curves over the batch size: what several sequences gain from sharing the weights.

use crate::svg::{Anchor, Svg};

/// One batch size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchPoint {
    pub batch: usize,
    /// Of the array, 0 to 1.
    pub utilisation: f64,
    pub tokens_per_1000_cycles: f64,
}

/// Points of one accelerator and precision.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchSeries {
    pub name: String,
    pub points: Vec<BatchPoint>,
}

const STYLE: &str = "\
svg { background: #fff; font: 12px system-ui, sans-serif; } text { fill: #1b1f24; } .small { font-size: 11px; fill: #59636e; } \
.strong { font-weight: 600; font-size: 14px; } .grid { stroke: #d5dae0; } .axis { stroke: #59636e; } \
path { fill: none; stroke-width: 2; } .c0 { stroke: #0072b2; } .c1 { stroke: #d55e00; } .c2 { stroke: #009e73; } .c3 { stroke: #cc79a7; } \
.d0 { fill: #0072b2; } .d1 { fill: #d55e00; } .d2 { fill: #009e73; } .d3 { fill: #cc79a7; }";

const COLOURS: usize = 4;
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 330.0;

/// An SVG file with two plots: utilisation, and tokens per 1000 cycles, against the batch size.
pub fn batch_plot(series: &[BatchSeries]) -> String {
    let mut svg = Svg::new(WIDTH, HEIGHT);
    let batches: Vec<usize> = {
        let mut all: Vec<usize> = series.iter().flat_map(|s| &s.points).map(|p| p.batch).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let most = series.iter().flat_map(|s| &s.points).map(|p| p.tokens_per_1000_cycles).fold(0.0, f64::max);
    panel(
        &mut svg,
        0.0,
        "array utilisation",
        &batches,
        series,
        1.0,
        |p| p.utilisation,
        |v| format!("{:.0} %", 100.0 * v),
    );
    let top = round_up(most);
    let tokens = |p: &BatchPoint| p.tokens_per_1000_cycles;
    panel(&mut svg, WIDTH / 2.0, "tokens per 1000 cycles", &batches, series, top, tokens, |v| {
        format!("{v:.2}")
    });
    for (number, one) in series.iter().enumerate() {
        let (x, y) = (56.0 + 170.0 * number as f64, HEIGHT - 10.0);
        svg.circle((x, y - 4.0), 4.0, &format!("d{}", number % COLOURS), "");
        svg.text((x + 9.0, y), Anchor::Start, "", &one.name);
    }
    svg.document("Array utilisation and tokens per 1000 cycles against the batch size", STYLE)
}

/// The next of 1, 2, 5, 10, ... times a power of ten.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|top| *top >= value).unwrap_or(value)
}

#[allow(clippy::too_many_arguments)]
fn panel(
    svg: &mut Svg,
    left: f64,
    title: &str,
    batches: &[usize],
    series: &[BatchSeries],
    top: f64,
    value: impl Fn(&BatchPoint) -> f64,
    label: impl Fn(f64) -> String,
) {
    let (x0, x1, y0, y1) = (left + 52.0, left + WIDTH / 2.0 - 22.0, HEIGHT - 62.0, 40.0);
    let last = batches.len().saturating_sub(1).max(1) as f64;
    let x = |batch: usize| {
        let place = batches.iter().position(|b| *b == batch).unwrap_or(0) as f64;
        x0 + (x1 - x0) * place / last
    };
    let y = |v: f64| y0 - (y0 - y1) * (v / top).clamp(0.0, 1.0);
    svg.text((x0, 22.0), Anchor::Start, "strong", title);
    for step in 0..=5 {
        let v = top * f64::from(step) / 5.0;
        svg.line((x0, y(v)), (x1, y(v)), if step == 0 { "axis" } else { "grid" });
        svg.text((x0 - 7.0, y(v) + 4.0), Anchor::End, "small", &label(v));
    }
    for batch in batches {
        svg.text((x(*batch), y0 + 17.0), Anchor::Middle, "small", &batch.to_string());
    }
    svg.text(((x0 + x1) / 2.0, y0 + 33.0), Anchor::Middle, "small", "sequences at once");
    for (number, one) in series.iter().enumerate() {
        let points: Vec<(f64, f64)> = one.points.iter().map(|p| (x(p.batch), y(value(p)))).collect();
        svg.path(&points, &format!("c{}", number % COLOURS));
        for (point, at) in one.points.iter().zip(points) {
            let title = format!("{}, batch {}: {}", one.name, point.batch, label(value(point)));
            svg.circle(at, 3.5, &format!("d{}", number % COLOURS), &title);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_drawn_once_in_each_plot() {
        let point = |batch, utilisation| BatchPoint { batch, utilisation, tokens_per_1000_cycles: 0.07 };
        let series = BatchSeries { name: "base <W8A8>".into(), points: vec![point(1, 0.05), point(4, 0.5)] };
        let plot = batch_plot(&[series]);
        assert_eq!(plot.matches("<title>").count(), 4);
        assert!(plot.contains("base &lt;W8A8&gt;, batch 4: 50 %"), "{plot}");
        assert!(plot.starts_with("<svg xmlns") && plot.ends_with("</svg>\n"));
    }

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!([0.0, 0.07, 0.11, 0.2, 3.0, 99.0].map(round_up), [1.0, 0.1, 0.2, 0.2, 5.0, 100.0]);
    }
}
