//! What is wrong with a model's directory: what, where in the user's files, what to do.

use std::path::PathBuf;
use thiserror::Error;

/// Why a model cannot be used.
#[derive(Debug, Error)]
pub enum LanguageError {
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: this is no JSON object that can be read: {reason}", path.display())]
    Json { path: PathBuf, reason: String },
    #[error("{}: model_type is '{found}'; known are qwen3, qwen2 and llama", path.display())]
    ModelType { path: PathBuf, found: String },
    #[error("{}: {key} is {found}; {rule}", path.display())]
    Config { path: PathBuf, key: &'static str, found: String, rule: String },
    #[error(
        "{}: there is neither model.safetensors nor model.safetensors.index.json; export the model in safetensors format",
        directory.display()
    )]
    NoWeights { directory: PathBuf },
    #[error("{}: the index names this shard, and it is missing; download it again", path.display())]
    MissingShard { path: PathBuf },
    #[error("{}: this is no complete safetensors file ({reason}); {bytes} bytes are here. Download it again", path.display())]
    Shard { path: PathBuf, reason: String, bytes: usize },
    #[error("{}: tensor '{tensor}' is not in this file, though the index says so", path.display())]
    NotInShard { path: PathBuf, tensor: String },
    #[error("{}: tensor '{tensor}' is missing; a {family} model of {layers} layers has it", directory.display())]
    MissingTensor { directory: PathBuf, tensor: String, family: &'static str, layers: usize },
    #[error("{}: tensor '{tensor}' has shape {found:?}; {keys} of config.json make it {wanted:?}", path.display())]
    Shape { path: PathBuf, tensor: String, found: Vec<usize>, wanted: Vec<usize>, keys: &'static str },
    #[error("{}: tensor '{tensor}' has type {found}; known are F32, F16 and BF16", path.display())]
    Type { path: PathBuf, tensor: String, found: String },
    #[error("{}: this is no quantised model that can be read: {reason}. Write it again with frugal quantise", path.display())]
    Quantised { path: PathBuf, reason: String },
    #[error("{}: this is no tokenizer that can be read ({reason}); take tokenizer.json from where the model is from", path.display())]
    Tokenizer { path: PathBuf, reason: String },
    #[error("{}: the tokenizer gives id {id}; the model's vocabulary has {vocabulary}. They do not belong together", path.display())]
    Vocabulary { path: PathBuf, id: u32, vocabulary: usize },
    #[error("{}: tensor '{tensor}' holds {value} at element {index}; the checkpoint is damaged or was not trained to an end", path.display())]
    NotFinite { path: PathBuf, tensor: String, index: usize, value: f32 },
}
