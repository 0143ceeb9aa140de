//! Sizes and kind of a model, from `config.json`.

use crate::error::LanguageError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::Path;

/// Architectures that differ in small ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Norms of every query and key head, no biases.
    Qwen3,
    /// Biases on queries, keys and values (Qwen2, Qwen2.5).
    Qwen2,
    /// Neither.
    Llama,
}

impl Family {
    pub fn name(self) -> &'static str {
        match self {
            Family::Qwen3 => "qwen3",
            Family::Qwen2 => "qwen2",
            Family::Llama => "llama",
        }
    }
}

/// Sizes of a decoder-only transformer: pre-norm, rotary positions, grouped-query attention, SwiGLU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    pub family: Family,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub vocab_size: usize,
    /// Positions that the model was made for.
    pub max_positions: usize,
    pub rms_norm_eps: f64,
    pub rope_theta: f64,
    /// The head's weights are the embedding's.
    pub tied: bool,
    pub qkv_bias: bool,
    pub qk_norm: bool,
    pub bos: Option<u32>,
    /// Tokens that end a text.
    pub eos: Vec<u32>,
}

impl ModelConfig {
    /// Checks sizes that did not come from a `config.json`.
    pub(crate) fn check(&self) -> Result<(), String> {
        let sizes = [
            self.hidden_size,
            self.intermediate_size,
            self.layers,
            self.heads,
            self.kv_heads,
            self.head_dim,
            self.vocab_size,
            self.max_positions,
        ];
        if !sizes.iter().all(|size| (1..=LARGEST_SIZE as usize).contains(size)) {
            return Err(format!("its sizes are impossible: {sizes:?}"));
        }
        if self.heads % self.kv_heads != 0 || self.head_dim % 2 != 0 {
            return Err("its heads are impossible".into());
        }
        if !(self.rope_theta > 0.0 && self.rope_theta < 1e12 && self.rms_norm_eps > 0.0) {
            return Err("its rotary positions or norms are impossible".into());
        }
        Ok(())
    }

    /// Multiply-accumulates of the decoder layers' linear layers for one token.
    pub fn linear_macs(&self) -> u64 {
        let (query, key) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        (self.layers * self.hidden_size * (2 * query + 2 * key + 3 * self.intermediate_size)) as u64
    }

    /// Multiply-accumulates of scores and products for the token at a position.
    pub fn attention_macs(&self, position: usize) -> u64 {
        (2 * self.layers * self.heads * self.head_dim * (position + 1)) as u64
    }

    /// Multiply-accumulates of the head for one token.
    pub fn head_macs(&self) -> u64 {
        (self.hidden_size * self.vocab_size) as u64
    }
}

/// Sizes above this are a damaged file, not a model.
const LARGEST_SIZE: u64 = 1 << 24;

struct Reader<'a> {
    path: &'a Path,
    object: Map<String, Value>,
}

impl Reader<'_> {
    fn wrong(&self, key: &'static str, found: &Value, rule: impl Into<String>) -> LanguageError {
        let found = found.to_string();
        LanguageError::Config { path: self.path.to_owned(), key, found, rule: rule.into() }
    }

    fn get(&self, key: &str) -> &Value {
        self.object.get(key).unwrap_or(&Value::Null)
    }

    fn size(&self, key: &'static str, default: Option<usize>) -> Result<usize, LanguageError> {
        match (self.get(key), default) {
            (Value::Null, Some(default)) => Ok(default),
            (Value::Null, None) => Err(self.wrong(key, &Value::Null, "it must be there")),
            (value, _) => match value.as_u64() {
                Some(size @ 1..=LARGEST_SIZE) => Ok(size as usize),
                _ => Err(self.wrong(key, value, format!("it must be a number from 1 to {LARGEST_SIZE}"))),
            },
        }
    }

    fn flag(&self, key: &'static str, default: bool) -> Result<bool, LanguageError> {
        match self.get(key) {
            Value::Null => Ok(default),
            Value::Bool(flag) => Ok(*flag),
            other => Err(self.wrong(key, other, "it must be true or false")),
        }
    }

    /// A number above zero and below `limit`.
    fn positive(
        &self,
        key: &'static str,
        value: &Value,
        default: f64,
        limit: f64,
    ) -> Result<f64, LanguageError> {
        match value {
            Value::Null => Ok(default),
            value => value
                .as_f64()
                .filter(|v| *v > 0.0 && *v < limit)
                .ok_or_else(|| self.wrong(key, value, format!("it must be above 0 and below {limit:e}"))),
        }
    }

    fn tokens(&self, key: &'static str) -> Result<Vec<u32>, LanguageError> {
        let one = |value: &Value| value.as_u64().and_then(|v| u32::try_from(v).ok());
        match self.get(key) {
            Value::Null => Ok(Vec::new()),
            Value::Array(list) => list
                .iter()
                .map(|v| one(v).ok_or_else(|| self.wrong(key, v, "it must be a token id")))
                .collect(),
            value => Ok(vec![one(value).ok_or_else(|| self.wrong(key, value, "it must be a token id"))?]),
        }
    }
}

/// Reads a JSON object.
pub(crate) fn read_object(path: &Path) -> Result<Map<String, Value>, LanguageError> {
    let bytes =
        std::fs::read(path).map_err(|source| LanguageError::Read { path: path.to_owned(), source })?;
    serde_json::from_slice(&bytes)
        .map_err(|error| LanguageError::Json { path: path.to_owned(), reason: error.to_string() })
}

impl ModelConfig {
    /// Reads `config.json` of a model's directory, and the ends of a text from `generation_config.json` if it is there.
    ///
    /// # Errors
    /// When a file cannot be read, or a value is missing, impossible or of a kind that is not supported.
    pub fn open(directory: &Path) -> Result<ModelConfig, LanguageError> {
        let path = directory.join("config.json");
        let reader = Reader { path: &path, object: read_object(&path)? };
        let mut config = ModelConfig::of(&reader)?;
        let path = directory.join("generation_config.json");
        if path.exists() {
            let reader = Reader { path: &path, object: read_object(&path)? };
            for token in reader.tokens("eos_token_id")? {
                if !config.eos.contains(&token) {
                    config.eos.push(token);
                }
            }
        }
        Ok(config)
    }

    fn of(reader: &Reader<'_>) -> Result<ModelConfig, LanguageError> {
        let family = match reader.get("model_type").as_str() {
            Some("qwen3") => Family::Qwen3,
            Some("qwen2") => Family::Qwen2,
            Some("llama") => Family::Llama,
            other => {
                let found = other.unwrap_or("missing").to_owned();
                return Err(LanguageError::ModelType { path: reader.path.to_owned(), found });
            }
        };
        let refuse = |key, wanted: &[Value], rule| match reader.get(key) {
            Value::Null => Ok(()),
            found if wanted.contains(found) => Ok(()),
            found => Err(reader.wrong(key, found, rule)),
        };
        refuse("hidden_act", &["silu".into()], "only silu is supported")?;
        refuse(
            "use_sliding_window",
            &[false.into()],
            "sliding windows are not supported: export with false",
        )?;
        refuse("mlp_bias", &[false.into()], "biases of the feed-forward layers are not supported")?;
        if family != Family::Qwen2 {
            let rule = "biases on all projections are not supported";
            refuse("attention_bias", &[false.into()], rule)?;
        }
        for key in ["rope_scaling", "rope_parameters"] {
            let kind = reader.get(key);
            let kind = kind.get("rope_type").or(kind.get("type")).unwrap_or(&Value::Null);
            if !matches!(kind.as_str(), None | Some("default")) {
                let rule = "scaled rotary positions are not supported: only the type default";
                return Err(reader.wrong("rope_scaling", kind, rule));
            }
        }
        let heads = reader.size("num_attention_heads", None)?;
        let hidden_size = reader.size("hidden_size", None)?;
        let theta = match reader.get("rope_theta") {
            Value::Null => reader.get("rope_parameters").get("rope_theta").unwrap_or(&Value::Null),
            theta => theta,
        };
        let config = ModelConfig {
            family,
            hidden_size,
            intermediate_size: reader.size("intermediate_size", None)?,
            layers: reader.size("num_hidden_layers", None)?,
            heads,
            kv_heads: reader.size("num_key_value_heads", Some(heads))?,
            head_dim: reader.size("head_dim", Some((hidden_size / heads).max(1)))?,
            vocab_size: reader.size("vocab_size", None)?,
            max_positions: reader.size("max_position_embeddings", None)?,
            rms_norm_eps: reader.positive("rms_norm_eps", reader.get("rms_norm_eps"), 1e-6, 1.0)?,
            rope_theta: reader.positive("rope_theta", theta, 10000.0, 1e12)?,
            tied: reader.flag("tie_word_embeddings", false)?,
            qkv_bias: family == Family::Qwen2,
            qk_norm: family == Family::Qwen3,
            bos: reader.tokens("bos_token_id")?.first().copied(),
            eos: reader.tokens("eos_token_id")?,
        };
        if heads % config.kv_heads != 0 {
            let rule = format!("it must divide num_attention_heads, which is {heads}");
            return Err(reader.wrong("num_key_value_heads", &config.kv_heads.into(), rule));
        }
        if config.head_dim % 2 != 0 {
            let rule = "it must be even: rotary positions turn pairs";
            return Err(reader.wrong("head_dim", &config.head_dim.into(), rule));
        }
        Ok(config)
    }
}
