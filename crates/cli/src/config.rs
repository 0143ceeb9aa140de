//! The accelerator's configuration: a preset, or a file.

use crate::arguments::ConfigOptions;
use crate::files;
use anyhow::Context;
use frugal_isa::{Config, ConfigError};
use std::path::Path;

/// Why a file is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    #[error("not the JSON of a configuration: {0}. Its fields are {fields}", fields = fields().join(", "))]
    Json(#[from] serde_json::Error),
    #[error("no field is called '{0}'. The fields are {fields}", fields = fields().join(", "))]
    UnknownField(String),
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// The configuration that the options name.
pub fn load(options: &ConfigOptions) -> anyhow::Result<Config> {
    let name = &options.config;
    let is_file = name.ends_with(".json") || name.contains(std::path::MAIN_SEPARATOR);
    let mut config = if is_file {
        let path = Path::new(name);
        parse(&files::read(path)?).with_context(|| files::show(path))?
    } else {
        Config::preset(name)?
    };
    if let Some(bits) = &options.bus_bits {
        config.bus_bits = bits.parse().context("--bus-bits")?;
    }
    let checked = config.validate();
    if is_file {
        checked.with_context(|| name.clone())?;
    } else {
        checked?;
    }
    Ok(config)
}

fn parse(bytes: &[u8]) -> Result<Config, ConfigFileError> {
    // Straight from the text first: its messages have lines and columns.
    let config: Config = serde_json::from_slice(bytes)?;
    let value: serde_json::Value = serde_json::from_slice(bytes)?;
    let known = fields();
    let unknown = value.as_object().and_then(|object| object.keys().find(|key| !known.contains(key)));
    match unknown {
        Some(field) => Err(ConfigFileError::UnknownField(field.clone())),
        None => Ok(config),
    }
}

/// The names of the fields, from the type itself.
fn fields() -> Vec<String> {
    let example = Config::preset("base").ok().and_then(|config| serde_json::to_value(config).ok());
    let object = example.as_ref().and_then(serde_json::Value::as_object);
    object.map(|object| object.keys().cloned().collect()).unwrap_or_default()
}
