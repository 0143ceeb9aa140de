//! Language models from Hugging Face directories.
//!
//! ```text
//! directory --> Checkpoint --> Reference (float32)
//!                   |              |  largest magnitudes
//!                   |              v
//!                   +------> quantise --> QuantisedModel (integers only) --> compiler
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | [`ModelConfig`]: sizes and kind of a model |
//! | [`checkpoint`] | [`Checkpoint`]: tensors of one or more safetensors files |
//! | [`reference`] | [`Reference`]: the float32 forward pass |
//! | [`mod@quantise`] | calibration, and from a checkpoint to a quantised model |
//! | [`integer`] | [`QuantisedModel`]: what the accelerator computes, bit for bit |
//! | [`file`] | a quantised model as one file |
//! | [`measure`] | negative log likelihood and divergence of logits |
//! | [`sample`] | choosing tokens from logits |
//! | [`synthetic`] | checkpoints of published shapes with random weights |
//! | `tokenizer` | text to token ids and back, with the feature of this name |
//! | [`error`] | [`LanguageError`] |

pub mod checkpoint;
pub mod config;
pub mod error;
pub mod file;
pub mod integer;
pub mod measure;
pub mod quantise;
pub mod reference;
pub mod sample;
pub mod synthetic;
#[cfg(feature = "tokenizer")]
pub mod tokenizer;

pub use checkpoint::Checkpoint;
pub use config::{Family, ModelConfig};
pub use error::LanguageError;
pub use integer::{Precision, QuantisedModel};
pub use reference::Reference;
#[cfg(feature = "tokenizer")]
pub use tokenizer::Tokenizer;
