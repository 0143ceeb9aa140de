//! Damaged and contradicting model directories: each is named by what is wrong and where.

use frugal_language::{Checkpoint, LanguageError, ModelConfig, Reference};
use proptest::prelude::*;
use safetensors::tensor::{serialize, Dtype, TensorView};
use serde_json::{json, Value};
use std::collections::HashMap;
use std::path::Path;
use tempfile::TempDir;

/// A small model of one layer, whose config.json and tensors a test changes before it is written.
struct Draft {
    config: Value,
    tensors: HashMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Draft {
    fn new() -> Draft {
        let config = json!({
            "model_type": "qwen3", "vocab_size": 16, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1,
            "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4, "hidden_act": "silu",
            "max_position_embeddings": 8, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": true
        });
        let mut draft = Draft { config, tensors: HashMap::new() };
        let directory = tempfile::tempdir().unwrap();
        draft.write_config(directory.path());
        for wanted in ModelConfig::open(directory.path()).unwrap().tensors() {
            let count: usize = wanted.shape.iter().product();
            let values = (0..count).map(|i| (i % 7) as f32 * 0.1 - 0.3).collect();
            draft.tensors.insert(wanted.name, (wanted.shape, values));
        }
        draft
    }

    fn write_config(&self, directory: &Path) {
        std::fs::write(directory.join("config.json"), self.config.to_string()).unwrap();
    }

    /// Bytes of a safetensors file of some tensors.
    fn file(&self, names: &[&String]) -> Vec<u8> {
        let bytes: HashMap<&String, Vec<u8>> = names
            .iter()
            .map(|name| (*name, self.tensors[*name].1.iter().flat_map(|v| v.to_le_bytes()).collect()))
            .collect();
        let views = names.iter().map(|name| {
            let shape = self.tensors[*name].0.clone();
            ((*name).clone(), TensorView::new(Dtype::F32, shape, &bytes[*name]).unwrap())
        });
        serialize(views, None).unwrap()
    }

    fn write(&self) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        self.write_config(directory.path());
        let names: Vec<&String> = self.tensors.keys().collect();
        std::fs::write(directory.path().join("model.safetensors"), self.file(&names)).unwrap();
        directory
    }

    /// Two shards and an index.
    fn write_shards(&self) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        self.write_config(directory.path());
        let names: Vec<&String> = self.tensors.keys().collect();
        let mut map = serde_json::Map::new();
        for (number, part) in names.chunks(names.len() / 2 + 1).enumerate() {
            let file = format!("model-{number}.safetensors");
            std::fs::write(directory.path().join(&file), self.file(part)).unwrap();
            map.extend(part.iter().map(|name| ((*name).clone(), json!(file))));
        }
        let index = json!({ "weight_map": map }).to_string();
        std::fs::write(directory.path().join("model.safetensors.index.json"), index).unwrap();
        directory
    }

    fn error(&self) -> LanguageError {
        Checkpoint::open(self.write().path()).expect_err("the model is wrong")
    }
}

#[test]
fn shards_hold_what_one_file_holds() {
    let draft = Draft::new();
    let (one, many) = (draft.write(), draft.write_shards());
    let (one, many) = (Checkpoint::open(one.path()).unwrap(), Checkpoint::open(many.path()).unwrap());
    for name in draft.tensors.keys() {
        assert_eq!(one.tensor(name).unwrap(), draft.tensors[name].1);
        assert_eq!(many.tensor(name).unwrap(), draft.tensors[name].1);
    }
    assert_eq!(
        one.rows("model.embed_tokens.weight", 3..5).unwrap(),
        draft.tensors["model.embed_tokens.weight"].1[24..40]
    );
    assert!(Reference::new(&many).unwrap().logits(&[1, 2]).iter().all(|l| l.is_finite()));
}

#[test]
fn wrong_configurations_are_named() {
    let cases = [
        ("model_type", json!("bert"), "model_type is 'bert'"),
        ("num_key_value_heads", json!(3), "must divide num_attention_heads"),
        ("head_dim", json!(3), "head_dim is 3; it must be even"),
        ("hidden_size", json!(0), "hidden_size is 0"),
        ("hidden_size", json!("big"), "hidden_size is \"big\""),
        ("vocab_size", json!(-4), "vocab_size is -4"),
        ("intermediate_size", json!(1u64 << 40), "intermediate_size is 1099511627776"),
        ("num_hidden_layers", Value::Null, "num_hidden_layers is null"),
        ("rms_norm_eps", json!(0.0), "rms_norm_eps is 0.0"),
        ("rope_theta", json!(-1), "rope_theta is -1"),
        ("hidden_act", json!("gelu"), "only silu"),
        ("use_sliding_window", json!(true), "sliding windows"),
        ("rope_scaling", json!({"rope_type": "yarn", "factor": 4.0}), "\"yarn\""),
        ("attention_bias", json!(true), "biases on all projections"),
        ("tie_word_embeddings", json!(1), "true or false"),
        ("eos_token_id", json!(["a"]), "token id"),
    ];
    for (key, value, message) in cases {
        let mut draft = Draft::new();
        draft.config[key] = value;
        let text = draft.error().to_string();
        assert!(text.contains(message) && text.contains("config.json"), "{key}: {text}");
    }
}

#[test]
fn wrong_tensors_are_named() {
    let name = "model.layers.0.mlp.up_proj.weight";
    let mut draft = Draft::new();
    draft.tensors.remove(name);
    assert!(matches!(draft.error(), LanguageError::MissingTensor { tensor, .. } if tensor == name));
    let mut draft = Draft::new();
    draft.tensors.get_mut(name).unwrap().0 = vec![8, 12];
    let text = draft.error().to_string();
    assert!(
        text.contains("has shape [8, 12]; intermediate_size and hidden_size of config.json make it [12, 8]"),
        "{text}"
    );
    for value in [f32::NAN, f32::INFINITY] {
        let mut draft = Draft::new();
        draft.tensors.get_mut(name).unwrap().1[5] = value;
        let directory = draft.write();
        let checkpoint = Checkpoint::open(directory.path()).unwrap();
        let Err(error) = Reference::new(&checkpoint) else { panic!("{value} is no weight") };
        assert!(matches!(error, LanguageError::NotFinite { index: 5, .. }), "{error}");
    }
}

#[test]
fn missing_and_damaged_files_are_named() {
    let draft = Draft::new();
    let directory = draft.write();
    let weights = directory.path().join("model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    for length in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&weights, &bytes[..length]).unwrap();
        let error = Checkpoint::open(directory.path()).expect_err("cut short");
        assert!(
            matches!(error, LanguageError::Shard { .. } | LanguageError::Read { .. }),
            "{length}: {error}"
        );
    }
    std::fs::remove_file(&weights).unwrap();
    assert!(matches!(Checkpoint::open(directory.path()), Err(LanguageError::NoWeights { .. })));
    std::fs::write(directory.path().join("config.json"), "{").unwrap();
    assert!(matches!(Checkpoint::open(directory.path()), Err(LanguageError::Json { .. })));
    std::fs::remove_file(directory.path().join("config.json")).unwrap();
    assert!(matches!(Checkpoint::open(directory.path()), Err(LanguageError::Read { .. })));

    let directory = draft.write_shards();
    let (first, second) =
        (directory.path().join("model-0.safetensors"), directory.path().join("model-1.safetensors"));
    let kept = std::fs::read(&first).unwrap();
    std::fs::write(&first, &kept[..kept.len() - 4]).unwrap();
    assert!(
        matches!(Checkpoint::open(directory.path()), Err(LanguageError::Shard { path, .. }) if path == first)
    );
    std::fs::copy(&second, &first).unwrap();
    assert!(matches!(Checkpoint::open(directory.path()), Err(LanguageError::NotInShard { .. })));
    std::fs::remove_file(&first).unwrap();
    assert!(
        matches!(Checkpoint::open(directory.path()), Err(LanguageError::MissingShard { path }) if path == first)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_bytes_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), which in 0usize..3) {
        let directory = Draft::new().write_shards();
        let file = ["config.json", "model.safetensors.index.json", "model-0.safetensors"][which];
        let path = directory.path().join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        std::fs::write(&path, bytes).unwrap();
        if let Ok(checkpoint) = Checkpoint::open(directory.path()) {
            let _ = checkpoint.tensor("model.norm.weight");
        }
    }
}
