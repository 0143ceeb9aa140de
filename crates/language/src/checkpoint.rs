//! Tensors of a checkpoint: one safetensors file, or shards with an index.
//!
//! Files are mapped, not read: a tensor's bytes come into memory when it is converted, so that a model is never held twice.

use crate::config::{read_object, Family, ModelConfig};
use crate::error::LanguageError;
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// An open checkpoint, whose tensors are known to be there with the right shapes.
#[derive(Debug)]
pub struct Checkpoint {
    directory: PathBuf,
    config: ModelConfig,
    shards: Vec<Shard>,
    places: HashMap<String, Place>,
}

#[derive(Debug)]
struct Shard {
    path: PathBuf,
    map: Mmap,
}

/// Where a tensor lies.
#[derive(Debug)]
struct Place {
    shard: usize,
    bytes: Range<usize>,
    dtype: Dtype,
    shape: Vec<usize>,
}

/// A tensor that the architecture needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub name: String,
    pub shape: Vec<usize>,
    /// Keys of config.json that make the shape.
    pub keys: &'static str,
}

impl ModelConfig {
    /// All tensors of a model of these sizes.
    pub fn tensors(&self) -> Vec<Wanted> {
        let mut all = Vec::new();
        let mut want = |name: String, shape: &[usize], keys| {
            all.push(Wanted { name, shape: shape.to_vec(), keys });
        };
        let (hidden, wide) = (self.hidden_size, self.intermediate_size);
        let (query, key) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let vocabulary = [self.vocab_size, hidden];
        want("model.embed_tokens.weight".into(), &vocabulary, "vocab_size and hidden_size");
        for layer in 0..self.layers {
            let mut part = |part: &str, shape: &[usize], keys| {
                want(format!("model.layers.{layer}.{part}"), shape, keys);
            };
            part("input_layernorm.weight", &[hidden], "hidden_size");
            part(
                "self_attn.q_proj.weight",
                &[query, hidden],
                "num_attention_heads, head_dim and hidden_size",
            );
            for name in ["k", "v"] {
                let keys = "num_key_value_heads, head_dim and hidden_size";
                part(&format!("self_attn.{name}_proj.weight"), &[key, hidden], keys);
            }
            part(
                "self_attn.o_proj.weight",
                &[hidden, query],
                "hidden_size, num_attention_heads and head_dim",
            );
            if self.qkv_bias {
                for (name, length) in [("q", query), ("k", key), ("v", key)] {
                    part(
                        &format!("self_attn.{name}_proj.bias"),
                        &[length],
                        "the numbers of heads and head_dim",
                    );
                }
            }
            if self.qk_norm {
                for name in ["q", "k"] {
                    part(&format!("self_attn.{name}_norm.weight"), &[self.head_dim], "head_dim");
                }
            }
            part("post_attention_layernorm.weight", &[hidden], "hidden_size");
            for name in ["gate", "up"] {
                part(
                    &format!("mlp.{name}_proj.weight"),
                    &[wide, hidden],
                    "intermediate_size and hidden_size",
                );
            }
            part("mlp.down_proj.weight", &[hidden, wide], "hidden_size and intermediate_size");
        }
        want("model.norm.weight".into(), &[hidden], "hidden_size");
        if !self.tied {
            want("lm_head.weight".into(), &vocabulary, "vocab_size and hidden_size");
        }
        all
    }
}

impl Shard {
    fn open(path: PathBuf, is_listed: bool) -> Result<Shard, LanguageError> {
        let file = File::open(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound if is_listed => LanguageError::MissingShard { path: path.clone() },
            _ => LanguageError::Read { path: path.clone(), source },
        })?;
        // SAFETY: the map is only read. A file that another process truncates meanwhile ends this one, as with any map.
        let map = unsafe { Mmap::map(&file) };
        let map = map.map_err(|source| LanguageError::Read { path: path.clone(), source })?;
        Ok(Shard { path, map })
    }

    /// Name and place of every tensor.
    fn tensors(&self, number: usize) -> Result<Vec<(String, Place)>, LanguageError> {
        let broken =
            |reason: String| LanguageError::Shard { path: self.path.clone(), reason, bytes: self.map.len() };
        let file = SafeTensors::deserialize(&self.map).map_err(|error| broken(error.to_string()))?;
        let start = self.map.as_ptr() as usize;
        let places = file.tensors().into_iter().map(|(name, view)| {
            let first = view.data().as_ptr() as usize - start;
            let bytes = first..first + view.data().len();
            (name, Place { shard: number, bytes, dtype: view.dtype(), shape: view.shape().to_vec() })
        });
        Ok(places.collect())
    }
}

impl Checkpoint {
    /// Opens the directory and checks that every tensor is there.
    ///
    /// # Errors
    /// Anything wrong with config.json, the index, the shards, or shapes and types of the tensors.
    pub fn open(directory: &Path) -> Result<Checkpoint, LanguageError> {
        let config = ModelConfig::open(directory)?;
        let single = directory.join("model.safetensors");
        let index = directory.join("model.safetensors.index.json");
        let mut shards = Vec::new();
        let mut places = HashMap::new();
        if single.exists() || !index.exists() {
            if !single.exists() {
                return Err(LanguageError::NoWeights { directory: directory.to_owned() });
            }
            let shard = Shard::open(single, false)?;
            places.extend(shard.tensors(0)?);
            shards.push(shard);
        } else {
            let object = read_object(&index)?;
            let no_map =
                || LanguageError::Json { path: index.clone(), reason: "it has no weight_map".into() };
            let map = object.get("weight_map").and_then(|m| m.as_object()).ok_or_else(no_map)?;
            let mut numbers: HashMap<String, usize> = HashMap::new();
            let mut found: Vec<HashMap<String, Place>> = Vec::new();
            for (tensor, file) in map {
                let file = file.as_str().ok_or_else(no_map)?;
                let number = match numbers.get(file) {
                    Some(number) => *number,
                    None => {
                        let shard = Shard::open(directory.join(file), true)?;
                        found.push(shard.tensors(shards.len())?.into_iter().collect());
                        shards.push(shard);
                        numbers.insert(file.to_owned(), shards.len() - 1);
                        shards.len() - 1
                    }
                };
                let place = found[number].remove(tensor).ok_or_else(|| LanguageError::NotInShard {
                    path: shards[number].path.clone(),
                    tensor: tensor.clone(),
                })?;
                places.insert(tensor.clone(), place);
            }
        }
        let checkpoint = Checkpoint { directory: directory.to_owned(), config, shards, places };
        checkpoint.check_tensors()?;
        Ok(checkpoint)
    }

    fn check_tensors(&self) -> Result<(), LanguageError> {
        for wanted in self.config.tensors() {
            let place = self.place(&wanted.name)?;
            let path = || self.shards[place.shard].path.clone();
            if place.shape != wanted.shape {
                return Err(LanguageError::Shape {
                    path: path(),
                    tensor: wanted.name,
                    found: place.shape.clone(),
                    wanted: wanted.shape,
                    keys: wanted.keys,
                });
            }
            if !matches!(place.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
                let found = format!("{:?}", place.dtype);
                return Err(LanguageError::Type { path: path(), tensor: wanted.name, found });
            }
        }
        Ok(())
    }

    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn place(&self, name: &str) -> Result<&Place, LanguageError> {
        self.places.get(name).ok_or_else(|| LanguageError::MissingTensor {
            directory: self.directory.clone(),
            tensor: name.to_owned(),
            family: match self.config.family {
                Family::Qwen3 => "qwen3",
                Family::Qwen2 => "qwen2",
                Family::Llama => "llama",
            },
            layers: self.config.layers,
        })
    }

    /// All values of a tensor, row by row.
    ///
    /// # Errors
    /// When there is no such tensor, or a value is not finite.
    pub fn tensor(&self, name: &str) -> Result<Vec<f32>, LanguageError> {
        let rows = self.place(name)?.shape.first().copied().unwrap_or(1);
        self.rows(name, 0..rows)
    }

    /// Values of some rows of a tensor; those of a vector are its elements.
    ///
    /// # Errors
    /// When there is no such tensor, or a value is not finite.
    ///
    /// # Panics
    /// If the tensor has fewer rows.
    pub fn rows(&self, name: &str, rows: Range<usize>) -> Result<Vec<f32>, LanguageError> {
        let place = self.place(name)?;
        let shard = &self.shards[place.shard];
        let width: usize = place.shape.iter().skip(1).product();
        let size = if place.dtype == Dtype::F32 { 4 } else { 2 };
        let bytes = &shard.map[place.bytes.clone()][rows.start * width * size..rows.end * width * size];
        let values: Vec<f32> = match place.dtype {
            Dtype::F32 => {
                bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
            }
            Dtype::F16 => {
                bytes.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
            }
            _ => bytes.chunks_exact(2).map(|b| half::bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        };
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            return Err(LanguageError::NotFinite {
                path: shard.path.clone(),
                tensor: name.to_owned(),
                index: rows.start * width + at,
                value: values[at],
            });
        }
        Ok(values)
    }
}
