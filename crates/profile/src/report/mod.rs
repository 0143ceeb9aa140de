//! A run as one page for people: HTML with inline SVG and CSS, no script, nothing loaded from elsewhere.
//!
//! The page is also well-formed XML, so that a test can check it.

mod bars;
mod roofline;
mod table;
mod timeline;
mod words;

use crate::attribute::{attribute_valid, Attribution};
use crate::bytes::LayerBytes;
use crate::run::{Run, RunError};
use crate::text::{escape, short_names};
use crate::GENERATOR;

/// Width of every plot in pixels.
const WIDTH: f64 = 1180.0;

const STYLE: &str = include_str!("style.css");

/// How to write the page.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Clock at which inferences a second are stated.
    pub clock_megahertz: f64,
}

impl Default for Options {
    fn default() -> Options {
        Options { clock_megahertz: 100.0 }
    }
}

/// What every part of the page is written from.
struct Context<'a> {
    run: &'a Run,
    attribution: &'a Attribution,
    bytes: Vec<LayerBytes>,
    /// A short name for each layer.
    short: Vec<String>,
}

/// One colour of a bar.
struct Part {
    class: &'static str,
    name: &'static str,
    meaning: &'static str,
}

/// The page as the text of a `report.html`.
pub fn html(run: &Run, options: &Options) -> Result<String, RunError> {
    run.validate()?;
    let attribution = attribute_valid(run);
    let names: Vec<&str> = run.layers.iter().map(|layer| layer.name.as_str()).collect();
    let context =
        Context { run, attribution: &attribution, bytes: LayerBytes::of(run), short: short_names(&names) };
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n\
         <meta name=\"generator\" content=\"{GENERATOR}\" />\n<title>{} on {}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<main>\n",
        escape(&run.model),
        escape(&run.config.name)
    );
    out += &words::head(&context, options);
    out += &words::overview(&context);
    out += &bars::cycles(&context);
    out += &roofline::section(&context);
    out += &timeline::engines(&context);
    out += &timeline::occupancy(&context);
    out += &bars::bytes(&context);
    out += &table::layers(&context);
    out += &table::counters(&context);
    out += &words::glossary(&context);
    Ok(out + "</main>\n</body>\n</html>\n")
}

fn legend(parts: &[Part]) -> String {
    let mut out = String::from("<p class=\"legend\">");
    for part in parts {
        out += &format!(
            "<span title=\"{}\"><i class=\"{}\"></i>{}</span> ",
            part.meaning, part.class, part.name
        );
    }
    out + "</p>\n"
}
