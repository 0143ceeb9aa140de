//! Text to token ids and back: `tokenizer.json`.

use crate::error::LanguageError;
use std::path::{Path, PathBuf};

/// A model's tokenizer.
pub struct Tokenizer {
    path: PathBuf,
    tokenizer: tokenizers::Tokenizer,
    vocabulary: usize,
}

impl Tokenizer {
    /// Reads `tokenizer.json` of a directory, for a model with so many tokens.
    ///
    /// # Errors
    /// When the file is missing or is no tokenizer.
    pub fn open(directory: &Path, vocabulary: usize) -> Result<Tokenizer, LanguageError> {
        let path = directory.join("tokenizer.json");
        let bytes =
            std::fs::read(&path).map_err(|source| LanguageError::Read { path: path.clone(), source })?;
        Tokenizer::from_bytes(&path, &bytes, vocabulary)
    }

    /// The same from the bytes of a `tokenizer.json`; `path` is what errors call them.
    ///
    /// # Errors
    /// When they are no tokenizer.
    pub fn from_bytes(path: &Path, bytes: &[u8], vocabulary: usize) -> Result<Tokenizer, LanguageError> {
        let path = path.to_owned();
        let tokenizer = tokenizers::Tokenizer::from_bytes(bytes)
            .map_err(|e| LanguageError::Tokenizer { path: path.clone(), reason: e.to_string() })?;
        Ok(Tokenizer { path, tokenizer, vocabulary })
    }

    /// Token ids of a text, without any that the text does not have.
    ///
    /// # Errors
    /// When a token is not in the model's vocabulary.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, LanguageError> {
        let encoding = self
            .tokenizer
            .encode_fast(text, false)
            .map_err(|e| LanguageError::Tokenizer { path: self.path.clone(), reason: e.to_string() })?;
        let ids = encoding.get_ids().to_vec();
        match ids.iter().find(|id| **id as usize >= self.vocabulary) {
            Some(id) => Err(LanguageError::Vocabulary {
                path: self.path.clone(),
                id: *id,
                vocabulary: self.vocabulary,
            }),
            None => Ok(ids),
        }
    }

    /// The text of token ids; bytes that are no whole character become replacement characters.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.tokenizer.decode(ids, false).unwrap_or_default()
    }

    /// Text of ids that come one after another.
    pub fn stream(&self) -> Stream<'_> {
        Stream { tokenizer: self, ids: Vec::new(), known: 0, shown: 0 }
    }
}

/// Text that grows token by token, and shows whole characters alone.
pub struct Stream<'a> {
    tokenizer: &'a Tokenizer,
    ids: Vec<u32>,
    /// Ids before `known` are not decoded any more; those before `shown` have been shown. A token's text may depend on the one before.
    known: usize,
    shown: usize,
}

impl Stream<'_> {
    /// The text that is complete with this id and was not before.
    pub fn push(&mut self, id: u32) -> String {
        self.ids.push(id);
        let text = self.new_text();
        // The end of a character may be still to come.
        if text.ends_with(char::REPLACEMENT_CHARACTER) {
            return String::new();
        }
        self.known = self.shown;
        self.shown = self.ids.len();
        text
    }

    /// What is left: characters that stayed incomplete.
    pub fn finish(self) -> String {
        self.new_text()
    }

    fn new_text(&self) -> String {
        let before = self.tokenizer.decode(&self.ids[self.known..self.shown]);
        let all = self.tokenizer.decode(&self.ids[self.known..]);
        all.get(before.len()..).unwrap_or_default().to_owned()
    }
}
