//! `frugal demo`: handwritten digits, one after another, with the image next to the answer.

use crate::arguments::Demo;
use crate::{config, device, files, input, model, text};
use anyhow::{bail, Context};
use frugal_graph::npy::{self, Elements};
use frugal_graph::{reference, Graph};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

const FOLDER: &str = "models/digits";

pub fn run(arguments: &Demo) -> anyhow::Result<()> {
    let config = config::load(&arguments.config)?;
    let folder = find_folder(arguments.folder.as_deref())?;
    let model_path = folder.join("digits.tflite");
    let graph = model::read(&model_path)?;
    let (&[input_id], &[output_id]) = (&graph.inputs[..], &graph.outputs[..]) else {
        bail!("{}: the demo takes a model with one input and one output", model_path.display());
    };
    let images_path = folder.join("images.npy");
    let images = npy::read(&files::read(&images_path)?).with_context(|| files::show(&images_path))?;
    let mut images = input::images(&images, &graph[input_id]).with_context(|| files::show(&images_path))?;
    let labels = read_labels(&folder.join("labels.npy"), images.len())?;
    images.truncate(arguments.images.map_or(usize::MAX, |count| count as usize));
    let compiled = model::compile(&model_path, &graph, &config)?;
    let macs = compiled.program.macs();
    let mut runner = device::open(arguments.device, &config, &arguments.simulation, None)?;

    let mut out = io::stdout();
    let picture = Picture::for_terminal(out.is_terminal());
    let (mut right, mut same_bits) = (0, 0);
    let (mut cycles, mut wall_seconds) = (Some(0), 0.0);
    let (mut bytes_read, mut bytes_written) = (0, 0);
    for (index, (image, label)) in images.iter().zip(&labels).enumerate() {
        let prepared = compiled.prepare(std::slice::from_ref(image))?;
        let result = runner.run(&compiled.program, &prepared, &format!("image {index}"))?;
        let outputs = compiled.finish(&result.outputs)?;
        let statistics = &result.statistics;
        let (answer, score) = text::top(&outputs[0], 1)[0];
        let is_right = i32::try_from(answer) == Ok(*label);
        right += usize::from(is_right);
        same_bits += usize::from(outputs[0] == expected(&graph, image)?);
        wall_seconds += statistics.wall_seconds;
        cycles = cycles.zip(statistics.cycles).map(|(sum, cycles)| sum + cycles);
        bytes_read += statistics.bytes_read.unwrap_or(0);
        bytes_written += statistics.bytes_written.unwrap_or(0);

        let sure = text::real(&graph[output_id], score)
            .map_or(String::new(), |real| format!(" ({})", text::percent(real)));
        let verdict = if is_right { "right".to_owned() } else { format!("wrong, it is a {label}") };
        let mut lines = vec![format!("image {index}"), format!("answer {answer}{sure}: {verdict}")];
        if let Some(cycles) = statistics.cycles {
            let utilisation = text::percent(text::utilisation(macs, cycles, &config));
            lines.push(format!("{} cycles, array utilisation {utilisation}", text::thousands(cycles)));
            let speed = text::kilohertz(cycles, statistics.wall_seconds);
            lines.push(format!("{}, {speed:.0} kHz simulated", text::seconds(statistics.wall_seconds)));
        } else {
            lines.push(text::seconds(statistics.wall_seconds));
        }
        out.write_all(picture.beside(&greys(image), &graph[input_id].shape, &lines).as_bytes())?;
        out.flush()?;
    }

    let count = images.len() as u64;
    let mut rows = vec![
        ("accelerator", format!("{}, {}", arguments.device.name(), text::config(&config))),
        ("right", format!("{right} of {count}")),
        ("same bits as the reference", format!("{same_bits} of {count}")),
        ("MACs an image", text::thousands(macs)),
    ];
    if let Some(cycles) = cycles {
        let utilisation = text::utilisation(macs * count, cycles, &config);
        let formula = format!("MACs / (cycles x {} x {})", config.rows, config.cols);
        rows.push(("cycles an image", text::thousands(cycles / count)));
        rows.push(("array utilisation", format!("{} = {formula}", text::percent(utilisation))));
        rows.push(("simulated speed", format!("{:.0} kHz", text::kilohertz(cycles, wall_seconds))));
    }
    rows.push(("bytes read an image", text::thousands(bytes_read / count)));
    rows.push(("bytes written an image", text::thousands(bytes_written / count)));
    rows.push(("simulation time", text::seconds(wall_seconds)));
    write!(out, "\n{}", text::table(&rows))?;
    if same_bits < images.len() {
        bail!("{} of {count} outputs are not the reference's", images.len() - same_bits);
    }
    Ok(())
}

/// The given folder, or the one of the checkout around the current folder, or of the checkout that this was built from.
pub(super) fn find_folder(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(folder) = given {
        return Ok(folder.to_owned());
    }
    let current = std::env::current_dir().unwrap_or_default();
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR"));
    files::find_upwards(&current, FOLDER)
        .or_else(|| files::find_upwards(built_from, FOLDER))
        .with_context(|| format!("{FOLDER} was not found: run this in the checkout, or pass --folder"))
}

fn read_labels(path: &Path, count: usize) -> anyhow::Result<Vec<i32>> {
    let array = npy::read(&files::read(path)?).with_context(|| files::show(path))?;
    match array.data {
        Elements::I32(labels) if labels.len() == count => Ok(labels),
        Elements::I32(labels) => bail!("{}: {} labels for {count} images", path.display(), labels.len()),
        _ => bail!("{}: labels are int32", path.display()),
    }
}

/// What the plain executor says, which is TensorFlow Lite Micro's answer bit by bit.
pub(super) fn expected(graph: &Graph, image: &Elements) -> anyhow::Result<Elements> {
    let mut outputs = reference::run_all(graph, std::slice::from_ref(image))?;
    let writer = graph.operators.iter().position(|operator| operator.outputs.contains(&graph.outputs[0]));
    Ok(outputs.swap_remove(writer.context("no operator writes the output")?))
}

/// How an image becomes text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Picture {
    /// Two pixels a character, in shades of grey.
    HalfBlocks,
    /// Two pixels a character, by how dark its ink is.
    Ascii,
}

impl Picture {
    fn for_terminal(is_terminal: bool) -> Picture {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if is_terminal && !is_set("NO_COLOR") && !is_dumb {
            Picture::HalfBlocks
        } else {
            Picture::Ascii
        }
    }

    /// The image with `lines` to the right of it; its shape is `[1, height, width, channels]`.
    fn beside(self, image: &[u8], shape: &[usize], lines: &[String]) -> String {
        let &[_, height, width, channels] = shape else { return lines.join("\n") + "\n" };
        let pixel = |y: usize, x: usize| {
            // Below the last row of an odd image there is nothing: black.
            image.get((y.min(height) * width + x) * channels).copied().unwrap_or(0)
        };
        let rows = height.div_ceil(2);
        let above = rows.saturating_sub(lines.len()) / 2;
        let mut out = String::from("\n");
        for row in 0..rows {
            out += "  ";
            for x in 0..width {
                let (top, bottom) = (pixel(2 * row, x), pixel(2 * row + 1, x));
                match self {
                    Picture::HalfBlocks => {
                        out += &format!("\x1b[38;5;{};48;5;{}m\u{2580}", grey(top), grey(bottom));
                    }
                    Picture::Ascii => {
                        const INK: &[u8] = b" .:-=+*#%@";
                        let mean = (usize::from(top) + usize::from(bottom)) / 2;
                        out.push(char::from(INK[mean * (INK.len() - 1) / 255]));
                    }
                }
            }
            if self == Picture::HalfBlocks {
                out += "\x1b[0m";
            }
            if let Some(line) = row.checked_sub(above).and_then(|line| lines.get(line)) {
                out += "   ";
                out += line;
            }
            out.truncate(out.trim_end_matches(' ').len());
            out.push('\n');
        }
        out
    }
}

/// The elements from black to white: integers over the range of their type, real numbers over their own.
fn greys(image: &Elements) -> Vec<u8> {
    match image {
        Elements::I8(elements) => elements.iter().map(|x| (i16::from(*x) + 128) as u8).collect(),
        Elements::U8(elements) => elements.clone(),
        Elements::I32(_) | Elements::F32(_) => {
            let reals = image.to_f64();
            let low = reals.iter().copied().fold(f64::INFINITY, f64::min);
            let high = reals.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let step = 255.0 / (high - low).max(f64::MIN_POSITIVE);
            reals.iter().map(|x| ((x - low) * step).round() as u8).collect()
        }
    }
}

/// The nearest of the 24 greys of 256-colour terminals.
fn grey(value: u8) -> u8 {
    232 + (u16::from(value) * 23 / 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures() {
        let image = greys(&Elements::I8(vec![-128, 127, -128, 127, 127, -128]));
        assert_eq!(greys(&Elements::F32(vec![-1.0, 0.0, 3.0])), [0, 64, 255]);
        let lines = ["one".to_owned()];
        assert_eq!(Picture::Ascii.beside(&image, &[1, 3, 2, 1], &lines), "\n   @   one\n  =\n");
        let blocks = Picture::HalfBlocks.beside(&image, &[1, 3, 2, 1], &[]);
        assert_eq!(blocks.matches('\u{2580}').count(), 4);
        assert!(blocks.contains("\x1b[38;5;255;48;5;255m"));
        assert_eq!(blocks.matches("\x1b[0m").count(), 2);
    }
}
