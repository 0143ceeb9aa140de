//! All numbers of each layer, and the performance counters.

use super::Context;
use crate::attribute::Breakdown;
use crate::bytes::LayerBytes;
use crate::run::utilisation;
use crate::text::{escape, percent, share, thousands};
use frugal_isa::register::REGISTERS;
use std::fmt::Write;

pub fn layers(context: &Context<'_>) -> String {
    let run = context.run;
    let estimated = run.layers.iter().any(|layer| layer.estimated_cycles.is_some());
    let mut out = String::from(
        "<section id=\"numbers\"><h2>All numbers</h2>\n<div class=\"wide\"><table>\n<thead>\n<tr><th colspan=\"3\"></th>\
         <th class=\"group\" colspan=\"7\">cycles</th><th></th><th class=\"group\" colspan=\"3\">bytes</th>",
    );
    if estimated {
        out += "<th class=\"group\" colspan=\"2\">cycle model</th>";
    }
    out += "</tr>\n<tr><th class=\"name\">layer</th><th class=\"name\">operator</th><th>MACs</th><th>all</th><th>of run</th>\
            <th>computing</th><th>memory</th><th>vector</th><th>storing</th><th>fill</th><th>utilisation</th>\
            <th>weights</th><th>activations</th><th>written</th>";
    if estimated {
        out += "<th>estimate</th><th>error</th>";
    }
    out += "</tr>\n</thead>\n<tbody>\n";
    for (layer, facts) in run.layers.iter().enumerate() {
        let row = Row {
            name: name(context, layer),
            operator: escape(&facts.operator),
            macs: facts.macs,
            breakdown: context.attribution.layers[layer],
            bytes: context.bytes[layer],
            estimate: facts.estimated_cycles,
        };
        row.write(&mut out, context, estimated);
    }
    out += "</tbody>\n<tfoot>\n";
    let all = Row {
        name: "whole run".to_owned(),
        operator: String::new(),
        macs: run.macs(),
        breakdown: context.attribution.sum(),
        bytes: context.bytes.iter().fold(LayerBytes::default(), |sum, bytes| LayerBytes {
            weights: sum.weights.saturating_add(bytes.weights),
            activations: sum.activations.saturating_add(bytes.activations),
            written: sum.written.saturating_add(bytes.written),
        }),
        estimate: run
            .layers
            .iter()
            .map(|layer| layer.estimated_cycles)
            .try_fold(0u64, |sum, cycles| Some(sum.saturating_add(cycles?))),
    };
    all.write(&mut out, context, estimated);
    out + "</tfoot>\n</table></div>\n</section>\n"
}

/// The name, after the short name that stands for it in the plots where that is not its beginning. Beside an operator the short
/// name will do: the table is wide.
fn name(context: &Context<'_>, layer: usize) -> String {
    let facts = &context.run.layers[layer];
    let (short, name) = (&context.short[layer], escape(&facts.name));
    if short.starts_with('#') {
        return format!("<small>{short}</small> {name}");
    }
    match facts.operator.is_empty() {
        true => name,
        false => format!("<span title=\"{name}\">{}</span>", escape(short)),
    }
}

struct Row {
    name: String,
    operator: String,
    macs: u64,
    breakdown: Breakdown,
    bytes: LayerBytes,
    estimate: Option<u64>,
}

impl Row {
    fn write(&self, out: &mut String, context: &Context<'_>, estimated: bool) {
        let run = context.run;
        let cycles = self.breakdown.total();
        let Breakdown { compute, memory, vector, store, fill } = self.breakdown;
        let _ =
            write!(out, "<tr><td class=\"name\">{}</td><td class=\"name\">{}</td>", self.name, self.operator);
        let number = |value: u64| if value == 0 { "<i>0</i>".to_owned() } else { thousands(value) };
        let mut cells = vec![number(self.macs), number(cycles), percent(share(cycles, run.cycles))];
        cells.extend([compute, memory, vector, store, fill].map(number));
        cells.push(percent(utilisation(self.macs, cycles, &run.config)));
        cells.extend([self.bytes.weights, self.bytes.activations, self.bytes.written].map(number));
        if estimated {
            let error =
                self.estimate.filter(|_| cycles > 0).map(|e| (e as f64 - cycles as f64) / cycles as f64);
            cells.push(self.estimate.map_or("-".to_owned(), thousands));
            cells.push(error.map_or("-".to_owned(), |error| format!("{:+.1} %", 100.0 * error)));
        }
        for cell in cells {
            let _ = write!(out, "<td>{cell}</td>");
        }
        out.push_str("</tr>\n");
    }
}

pub fn counters(context: &Context<'_>) -> String {
    let counters = &context.run.counters;
    if counters.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "<section id=\"counters\"><h2>Performance counters</h2>\n<p class=\"how\">What the hardware itself counted, and its share of the cycles of the run. \
         Engines work at the same time, so the shares do not add up to the whole.</p>\n<div class=\"wide\"><table>\n\
         <thead><tr><th class=\"name\">counter</th><th>value</th><th>share</th><th class=\"name\">meaning</th></tr></thead>\n<tbody>\n",
    );
    for counter in counters {
        let meaning = match counter.meaning.as_str() {
            "" => REGISTERS.iter().find(|r| r.name == counter.name).map_or("", |r| r.description),
            meaning => meaning,
        };
        let _ = writeln!(
            out,
            "<tr><td class=\"name\">{}</td><td>{}</td><td>{}</td><td class=\"name wrap\">{}</td></tr>",
            escape(&counter.name),
            thousands(counter.value),
            percent(share(counter.value, context.run.cycles)),
            escape(meaning)
        );
    }
    out + "</tbody>\n</table></div>\n</section>\n"
}
