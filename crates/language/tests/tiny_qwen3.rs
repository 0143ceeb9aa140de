//! The project's own model: against what transformers computed, and integers against floats.

use frugal_language::integer::Cache;
use frugal_language::measure::{divergence, nll};
use frugal_language::quantise::{quantise, Calibration};
use frugal_language::{Checkpoint, Precision, Reference};
use std::path::{Path, PathBuf};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tiny-qwen3").join(name)
}

/// Bytes of a .npy file's elements.
fn elements(name: &str) -> Vec<u8> {
    let bytes = std::fs::read(file(name)).unwrap();
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[10 + header..].to_vec()
}

fn checkpoint() -> Checkpoint {
    Checkpoint::open(&file("")).unwrap()
}

#[test]
fn float_logits_are_those_of_transformers() {
    let ids = elements("golden_prompt256_ids.npy");
    let ids: Vec<u32> =
        ids.chunks_exact(8).map(|b| u64::from_le_bytes(b.try_into().unwrap()) as u32).collect();
    let wanted = elements("golden_prompt256_logits_hf.npy");
    let wanted = wanted.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    let found = Reference::new(&checkpoint()).unwrap().logits(&ids);
    assert_eq!(found.len(), 256 * 512);
    let largest = found.iter().zip(wanted).map(|(f, w)| (f - w).abs()).fold(0.0, f32::max);
    println!("largest difference {largest:e}");
    assert!(largest < 1e-4);
}

/// Guards against breakage; the whole validation set is what `examples/perplexity.rs` measures.
#[test]
fn integers_lose_little() {
    let ids = elements("validation_ids.npy");
    let ids: Vec<u32> = ids.chunks_exact(2).map(|b| u32::from(u16::from_le_bytes([b[0], b[1]]))).collect();
    let checkpoint = checkpoint();
    let reference = Reference::new(&checkpoint).unwrap();
    let calibration: Vec<&[u32]> = ids[20_000..].chunks(256).take(8).collect();
    let calibration = Calibration::run(&reference, &calibration);
    let windows: Vec<&[u32]> = ids.windows(129).step_by(2000).take(8).collect();
    let float: Vec<Vec<f32>> = windows.iter().map(|w| reference.logits(&w[..128])).collect();
    let count = (windows.len() * 128) as f64;
    for (precision, most) in [(Precision::W8A8, 0.015), (Precision::W4A8, 0.05)] {
        let model = quantise(&checkpoint, &calibration, precision).unwrap();
        let (mut delta, mut kl) = (0.0, 0.0);
        for (window, float) in windows.iter().zip(&float) {
            let mut cache = Cache::default();
            for (position, float) in float.chunks(512).enumerate() {
                let logits = model.step(&mut cache, window[position], &mut |_, _, _| {});
                let integer: Vec<f32> =
                    logits.iter().map(|l| (f64::from(*l) * model.logit_scale) as f32).collect();
                delta += nll(&integer, window[position + 1]) - nll(float, window[position + 1]);
                kl += divergence(float, &integer);
            }
        }
        let (delta, kl) = (delta / count, kl / count);
        println!("{precision:?}: {delta:+.5} nll, divergence {kl:.5}");
        assert!(delta.abs() < most && kl < most, "{precision:?}: {delta} {kl}");
    }
}
