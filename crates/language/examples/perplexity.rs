//! Perplexity of a model in float32 and in integers, over windows of token ids.
//!
//! `cargo run --release -p frugal-language --example perplexity -- DIR IDS.npy CALIBRATION.npy [WINDOWS]`

use frugal_language::integer::Cache;
use frugal_language::measure::{divergence, nll};
use frugal_language::quantise::{quantise, Calibration};
use frugal_language::{Checkpoint, Precision, Reference};
use rayon::prelude::*;
use std::path::Path;

fn ids(path: &str) -> Vec<u32> {
    let bytes = std::fs::read(path).expect("ids");
    let header = u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    let text = String::from_utf8_lossy(&bytes[10..10 + header]).to_string();
    let data = &bytes[10 + header..];
    if text.contains("u2") {
        data.chunks_exact(2).map(|b| u32::from(u16::from_le_bytes([b[0], b[1]]))).collect()
    } else {
        data.chunks_exact(8).map(|b| u64::from_le_bytes(b.try_into().unwrap()) as u32).collect()
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let checkpoint = Checkpoint::open(Path::new(&arguments[1])).unwrap();
    let reference = Reference::new(&checkpoint).unwrap();
    let all = ids(&arguments[2]);
    let count = arguments.get(4).map_or(usize::MAX, |n| n.parse().unwrap());
    let length = 256;
    let windows: Vec<&[u32]> = all.windows(length + 1).step_by(length).take(count).collect();
    let calibration_ids = ids(&arguments[3]);
    let calibration: Vec<&[u32]> = calibration_ids.chunks(256).take(16).collect();
    let calibration = Calibration::run(&reference, &calibration);
    let vocabulary = reference.config().vocab_size;
    let logits: Vec<Vec<f32>> = windows.par_iter().map(|w| reference.logits(&w[..length])).collect();
    let score = |logits: &[Vec<f32>]| -> f64 {
        let sum: f64 = logits
            .iter()
            .zip(&windows)
            .flat_map(|(l, w)| l.chunks(vocabulary).zip(&w[1..]).map(|(row, id)| nll(row, *id)))
            .sum();
        sum / (windows.len() * length) as f64
    };
    let float = score(&logits);
    println!("fp32 nll {float:.5} ppl {:.4} over {} windows", float.exp(), windows.len());
    for precision in [Precision::W8A8, Precision::W4A8] {
        let model = quantise(&checkpoint, &calibration, precision).unwrap();
        let integer: Vec<Vec<f32>> = windows
            .par_iter()
            .map(|w| {
                let mut cache = Cache::default();
                w[..length]
                    .iter()
                    .flat_map(|id| model.step(&mut cache, *id, &mut |_, _, _| {}))
                    .map(|l| (f64::from(l) * model.logit_scale) as f32)
                    .collect()
            })
            .collect();
        let found = score(&integer);
        let kl: f64 = logits
            .iter()
            .zip(&integer)
            .flat_map(|(a, b)| a.chunks(vocabulary).zip(b.chunks(vocabulary)).map(|(a, b)| divergence(a, b)))
            .sum::<f64>()
            / (windows.len() * length) as f64;
        println!(
            "{precision:?} nll {found:.5} ppl {:.4} delta {:+.5} KL {kl:.5}",
            found.exp(),
            found - float
        );
    }
}
