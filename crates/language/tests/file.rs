//! Quantised models as files: what is read is what was written, and damage is named.

use frugal_language::file::{is_quantised, read, write};
use frugal_language::quantise::{quantise, Calibration};
use frugal_language::synthetic::{write_checkpoint, FloatType};
use frugal_language::{Checkpoint, Family, LanguageError, ModelConfig, Precision, QuantisedModel, Reference};
use proptest::prelude::*;
use std::path::Path;

fn small(family: Family, kv_heads: usize, shared: usize, layers: usize, tied: bool) -> ModelConfig {
    ModelConfig {
        family,
        hidden_size: 24,
        intermediate_size: 35,
        layers,
        heads: kv_heads * shared,
        kv_heads,
        head_dim: 6,
        vocab_size: 41,
        max_positions: 16,
        tied,
        qkv_bias: family == Family::Qwen2,
        qk_norm: family == Family::Qwen3,
        // Numbers that decimal text only gives back with care.
        rope_theta: 10_000.0 / 3.0,
        rms_norm_eps: 1e-6 / 7.0,
        bos: None,
        eos: vec![3],
    }
}

fn model(config: &ModelConfig, precision: Precision, seed: u64) -> QuantisedModel {
    let directory = tempfile::tempdir().unwrap();
    write_checkpoint(directory.path(), config, FloatType::F32, seed).unwrap();
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    assert_eq!(checkpoint.config(), config);
    let ids: Vec<u32> = (0..12).map(|i| i * 7 % config.vocab_size as u32).collect();
    let calibration = Calibration::run(&Reference::new(&checkpoint).unwrap(), &[&ids]);
    quantise(&checkpoint, &calibration, precision).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn models_come_back_bit_for_bit(
        family in prop::sample::select(vec![Family::Qwen3, Family::Qwen2, Family::Llama]),
        kv_heads in 1usize..4, shared in 1usize..4, layers in 1usize..3, tied in any::<bool>(), four_bit in any::<bool>(),
        seed in any::<u64>()
    ) {
        let precision = if four_bit { Precision::W4A8 } else { Precision::W8A8 };
        let model = model(&small(family, kv_heads, shared, layers, tied), precision, seed);
        let tokenizer = four_bit.then_some(&b"tokens"[..]);
        let bytes = write(&model, tokenizer);
        prop_assert!(is_quantised(&bytes));
        let (found, text) = read(Path::new("m"), &bytes).unwrap();
        prop_assert!(found == model);
        prop_assert_eq!(text.as_deref(), tokenizer);
    }

    /// Any byte may change: the file is refused or read, and what was read can be computed with.
    #[test]
    fn damaged_bytes_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(), seed in 0u64..4) {
        let mut bytes = write(&model(&small(Family::Qwen3, 1, 2, 1, true), Precision::W4A8, seed), None);
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        if let Ok((model, _)) = read(Path::new("m"), &bytes) {
            if model.config.max_positions > 1 && model.config.vocab_size > 1 {
                model.step(&mut Default::default(), 1, &mut |_, _, _| {});
            }
        }
    }
}

#[test]
fn wrong_files_are_named() {
    let good = write(&model(&small(Family::Qwen2, 2, 1, 1, false), Precision::W8A8, 5), None);
    let says = |bytes: &[u8], what: &str| {
        let error = read(Path::new("model.frugal"), bytes).unwrap_err();
        assert!(matches!(error, LanguageError::Quantised { .. }));
        let text = error.to_string();
        assert!(text.starts_with("model.frugal: ") && text.contains(what), "{text}");
    };
    says(&good[..good.len() - 1], "");
    says(b"", "");
    says(b"plain text, and no file of tensors at all", "");
    // Names and numbers of the same length, so that the header stays whole.
    let replaced = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let at = good.windows(from.len()).position(|w| w == from.as_bytes()).expect("it is there");
        [&good[..at], to.as_bytes(), &good[at + from.len()..]].concat()
    };
    says(&replaced("frugal.quantised\":\"1", "frugal.quantised\":\"7"), "version 7");
    says(&replaced("layers.0.gate.bias", "layers.0.gate.bies"), "'layers.0.gate.bias' is missing");
    says(&replaced("\\\"layers\\\":1", "\\\"layers\\\":2"), "1 layers, and its sizes say 2");
    says(&replaced("\\\"heads\\\":2", "\\\"heads\\\":3"), "heads are impossible");
    says(&replaced("\\\"hidden_size\\\":24", "\\\"hidden_size\\\":25"), "belongs here");
    says(&replaced("frugal.quantised", "another.quantise"), "not one that frugal quantise wrote");
}
