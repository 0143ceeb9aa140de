//! What limits each layer: multiply-accumulates a cycle over multiply-accumulates a byte, both axes logarithmic.

use super::{Context, WIDTH};
use crate::svg::{text_width, Anchor, Svg, FONT_SIZE};
use crate::text::{escape, percent, share, short, thousands};

const HEIGHT: f64 = 470.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = WIDTH - 20.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = HEIGHT - 48.0;
/// Layers beyond this many cycles' rank have a dot without a label.
const MOST_LABELS: usize = 60;

/// A layer as a dot.
struct Dot {
    layer: usize,
    /// Multiply-accumulates a byte; infinite for a layer that moves none.
    intensity: f64,
    /// Multiply-accumulates a cycle.
    speed: f64,
    radius: f64,
}

/// One logarithmic axis.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn at(&self, value: f64) -> f64 {
        let place = (value.log10() - self.low.log10()) / (self.high.log10() - self.low.log10());
        self.from + place * (self.to - self.from)
    }

    /// 1, 2 and 5 times the powers of ten, and whether they are powers.
    fn ticks(&self) -> Vec<(f64, bool)> {
        let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        decades
            .flat_map(|decade| [1.0, 2.0, 5.0].map(|factor| (factor * 10f64.powi(decade), factor == 1.0)))
            .filter(|(value, _)| *value >= self.low && *value <= self.high)
            .collect()
    }

    fn decades(&self) -> f64 {
        self.high.log10() - self.low.log10()
    }
}

/// A rectangle that labels must not cover.
#[derive(Clone, Copy)]
struct Area {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Area {
    fn around((x, y): (f64, f64), radius: f64) -> Area {
        Area { left: x - radius, top: y - radius, right: x + radius, bottom: y + radius }
    }

    fn overlaps(&self, other: &Area) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }
}

pub fn section(context: &Context<'_>) -> String {
    let (run, attribution) = (context.run, context.attribution);
    let config = &run.config;
    let (peak, bus) = (config.peak() as f64, config.bus_bytes() as f64);
    let most = attribution.layer_cycles().into_iter().max().unwrap_or(0);
    let mut without_macs = Vec::new();
    let mut dots: Vec<Dot> = Vec::new();
    for (layer, facts) in run.layers.iter().enumerate() {
        let cycles = attribution.layers[layer].total();
        if facts.macs == 0 || cycles == 0 {
            without_macs.push(escape(&facts.name));
            continue;
        }
        let bytes = context.bytes[layer].total();
        let intensity = if bytes == 0 { f64::INFINITY } else { facts.macs as f64 / bytes as f64 };
        let speed = facts.macs as f64 / cycles as f64;
        dots.push(Dot { layer, intensity, speed, radius: 4.0 + 8.0 * share(cycles, most).sqrt() });
    }
    // Large dots lie below small ones.
    dots.sort_by(|a, b| b.radius.total_cmp(&a.radius));
    let mut out = String::from(
        "<section id=\"roofline\"><h2>What limits each layer</h2>\n<p class=\"how\">Each dot is a layer; the larger, the more of the run it takes. The line is the best \
         this accelerator can do. Below its <b>slope</b> a layer does so little work with each byte that the memory bus limits it; below \
         the <b>flat part</b> the MAC array does. The further a dot is below the line, the more there is to gain. A dot may lie above the slope: its \
         weights came while an earlier layer was computing.</p>\n",
    );
    out += &plot(context, &dots, peak, bus);
    if !without_macs.is_empty() {
        out += &format!(
            "<p class=\"note\">Not drawn, because they do no multiply-accumulates or take no cycles of their own: {}.</p>\n",
            without_macs.join(", ")
        );
    }
    out + "</section>\n"
}

fn plot(context: &Context<'_>, dots: &[Dot], peak: f64, bus: f64) -> String {
    let run = context.run;
    let ridge = peak / bus;
    let finite = || dots.iter().map(|dot| dot.intensity).filter(|x| x.is_finite());
    let x = Axis {
        low: finite().fold(ridge, f64::min) / 3.0,
        high: finite().fold(ridge, f64::max) * 4.0,
        from: LEFT,
        to: RIGHT,
    };
    let y = Axis {
        low: dots.iter().map(|dot| dot.speed).fold(peak / 5.0, f64::min) / 2.0,
        high: dots.iter().map(|dot| dot.speed).fold(peak, f64::max) * 2.0,
        from: BOTTOM,
        to: TOP,
    };
    let mut svg = Svg::new(WIDTH, HEIGHT);
    axes(&mut svg, &x, &y);
    // The slope begins at the left or at the lower edge.
    let start = x.low.max(y.low / bus);
    let foot = (x.at(start), y.at(bus * start));
    let knee = (x.at(ridge), y.at(peak));
    svg.path(&[foot, knee, (RIGHT, knee.1), (RIGHT, BOTTOM), (foot.0, BOTTOM)], "under");
    svg.path(&[foot, knee, (RIGHT, knee.1)], "roof");
    let places: Vec<(f64, f64)> =
        dots.iter().map(|dot| (x.at(dot.intensity.min(x.high / 1.3)), y.at(dot.speed))).collect();
    let mut taken: Vec<Area> =
        dots.iter().zip(&places).map(|(dot, place)| Area::around(*place, dot.radius + 1.0)).collect();
    let slope = format!("memory bus: {} bytes a cycle", thousands(bus as u64));
    taken.extend(name_line(&mut svg, &slope, foot, knee, &taken));
    let roof = format!("MAC array: {} MACs a cycle", thousands(peak as u64));
    taken.extend(name_line(&mut svg, &roof, (RIGHT, knee.1), knee, &taken));
    taken.extend(along(foot, knee, 1.5));
    taken.extend(along(knee, (RIGHT, knee.1), 1.5));
    for (dot, place) in dots.iter().zip(&places) {
        svg.circle(*place, dot.radius, "dot", &title(context, dot));
        if dot.intensity.is_infinite() {
            svg.text((place.0 + dot.radius + 2.0, place.1 + 4.0), Anchor::Start, "small", "\u{2192}");
        }
    }
    for (dot, place) in dots.iter().zip(&places).take(MOST_LABELS) {
        let label = &context.short[dot.layer];
        if let Some(area) = free_place(*place, dot.radius, text_width(label), &taken) {
            let middle = ((area.left + area.right) / 2.0, (area.top + area.bottom) / 2.0);
            let distance = (middle.0 - place.0).hypot(middle.1 - place.1);
            if distance > dot.radius + 30.0 {
                let nearest =
                    (place.0.clamp(area.left, area.right), place.1.clamp(area.top + 3.0, area.bottom - 3.0));
                svg.line(*place, nearest, "leader");
            }
            svg.text((middle.0, area.bottom - 4.0), Anchor::Middle, "halo", label);
            taken.push(area);
        }
    }
    svg.finish(&format!(
        "Roofline of {}: {} layers, peak {} multiply-accumulates a cycle, {} bytes a cycle",
        run.model,
        dots.len(),
        peak,
        bus
    ))
}

/// Writes a text above a line, as near to `from` as it covers no dot but not at its very end, and returns what it covers.
fn name_line(svg: &mut Svg, text: &str, from: (f64, f64), to: (f64, f64), taken: &[Area]) -> Vec<Area> {
    let (left, right) = if from.0 < to.0 { (from, to) } else { (to, from) };
    let (dx, dy) = (right.0 - left.0, right.1 - left.1);
    let length = dx.hypot(dy).max(1.0);
    /// Distances from the line; beyond large dots the second is free.
    const ABOVE: [f64; 2] = [8.0, 32.0];
    let half = text_width(text) / 2.0;
    let (ux, uy) = (dx / length, dy / length);
    let cover = |middle: (f64, f64)| {
        let end =
            |sign: f64| (middle.0 + sign * half * ux + 5.0 * uy, middle.1 + sign * half * uy - 5.0 * ux);
        along(end(-1.0), end(1.0), 8.0)
    };
    let towards = ((to.0 - from.0) / length, (to.1 - from.1) / length);
    let at = |place: f64, above: f64| {
        let (x, y) = (from.0 + place * towards.0, from.1 + place * towards.1);
        (x + above * uy, y - above * ux)
    };
    let mut middle = at(length / 2.0, ABOVE[1]);
    let steps = ((length - 2.0 * half - 16.0) / 10.0).max(0.0) as usize;
    let places = ABOVE.iter().flat_map(|above| (0..=steps).map(move |step| (10.0 * step as f64, *above)));
    for (step, above) in places {
        let candidate = at(half + 8.0 + step, above);
        if !cover(candidate).iter().any(|area| taken.iter().any(|other| area.overlaps(other))) {
            middle = candidate;
            break;
        }
    }
    svg.turned_text(middle, uy.atan2(ux).to_degrees(), Anchor::Middle, "strong halo", text);
    cover(middle)
}

/// Squares along a line.
fn along(from: (f64, f64), to: (f64, f64), half: f64) -> Vec<Area> {
    let length = (to.0 - from.0).hypot(to.1 - from.1);
    let count = (length / (2.0 * half)).ceil().max(1.0);
    (0..=count as usize)
        .map(|index| {
            let share = index as f64 / count;
            Area::around((from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1)), half)
        })
        .collect()
}

fn axes(svg: &mut Svg, x: &Axis, y: &Axis) {
    for (value, decade) in x.ticks() {
        let at = x.at(value);
        svg.line((at, TOP), (at, BOTTOM), if decade { "grid" } else { "grid faint" });
        if decade || x.decades() < 3.0 {
            svg.text((at, BOTTOM + 16.0), Anchor::Middle, "small", &tick(value));
        }
    }
    for (value, decade) in y.ticks() {
        let at = y.at(value);
        svg.line((LEFT, at), (RIGHT, at), if decade { "grid" } else { "grid faint" });
        if decade || y.decades() < 3.0 {
            svg.text((LEFT - 6.0, at + 4.0), Anchor::End, "small", &tick(value));
        }
    }
    svg.line((LEFT, BOTTOM), (RIGHT, BOTTOM), "axis");
    svg.line((LEFT, TOP), (LEFT, BOTTOM), "axis");
    let middle = (LEFT + RIGHT) / 2.0;
    svg.text(
        (middle, HEIGHT - 8.0),
        Anchor::Middle,
        "title",
        "work per byte: MACs for each byte that the layer moves over the memory bus",
    );
    svg.turned_text((14.0, (TOP + BOTTOM) / 2.0), -90.0, Anchor::Middle, "title", "speed: MACs per cycle");
}

fn tick(value: f64) -> String {
    match value {
        v if v >= 0.99 => thousands(v.round() as u64),
        v => format!("{v:.4}").trim_end_matches('0').to_owned(),
    }
}

fn title(context: &Context<'_>, dot: &Dot) -> String {
    let run = context.run;
    let facts = &run.layers[dot.layer];
    let cycles = context.attribution.layers[dot.layer].total();
    let work = match dot.intensity.is_finite() {
        true => format!("{} MACs a byte", short(dot.intensity)),
        false => "moves no bytes".to_owned(),
    };
    format!(
        "{}: {} MACs in {} cycles ({} of the run), {} MACs a cycle, {work}",
        facts.name,
        thousands(facts.macs),
        thousands(cycles),
        percent(share(cycles, run.cycles)),
        short(dot.speed)
    )
}

/// A place for a text of this width near the dot that covers nothing.
fn free_place((x, y): (f64, f64), radius: f64, width: f64, taken: &[Area]) -> Option<Area> {
    let (half_width, half_height) = (width / 2.0 + 1.0, FONT_SIZE / 2.0 + 2.0);
    // Right and left first: there a label is read with its dot.
    const ANGLES: [f64; 16] =
        [0., 180., 90., 270., 45., 315., 135., 225., 22., 338., 158., 202., 67., 293., 113., 247.];
    for ring in 0..24 {
        let gap = radius + 3.0 + 9.0 * f64::from(ring);
        for angle in ANGLES {
            let (sine, cosine) = angle.to_radians().sin_cos();
            let middle = (x + cosine * (gap + half_width), y - sine * (gap + half_height));
            let area = Area {
                left: middle.0 - half_width,
                top: middle.1 - half_height,
                right: middle.0 + half_width,
                bottom: middle.1 + half_height,
            };
            let inside =
                area.left > LEFT + 2.0 && area.right < RIGHT && area.top > TOP && area.bottom < BOTTOM;
            if inside && !taken.iter().any(|other| area.overlaps(other)) {
                return Some(area);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_dots_in_one_place_do_not_overlap() {
        let mut taken = vec![Area::around((500.0, 200.0), 5.0)];
        for _ in 0..40 {
            let area = free_place((500.0, 200.0), 4.0, 30.0, &taken).unwrap();
            assert!(!taken.iter().any(|other| other.overlaps(&area)));
            taken.push(area);
        }
    }

    #[test]
    fn axes_have_round_ticks() {
        let axis = Axis { low: 0.3, high: 30.0, from: 0.0, to: 100.0 };
        let values: Vec<String> = axis.ticks().into_iter().map(|(value, _)| tick(value)).collect();
        assert_eq!(values, ["0.5", "1", "2", "5", "10", "20"]);
        assert_eq!(tick(0.01), "0.01");
        assert!((axis.at(3.0) - 50.0).abs() < 1e-9);
    }
}
