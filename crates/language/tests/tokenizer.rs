//! Text to ids and back, with the tokenizer of models/tiny-qwen3.

use frugal_language::{LanguageError, Tokenizer};
use std::path::Path;

fn directory() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/tiny-qwen3"))
}

#[test]
fn text_comes_back() {
    let tokenizer = Tokenizer::open(directory(), 512).unwrap();
    let corpus = std::fs::read_to_string(directory().join("corpus.txt")).unwrap();
    let start: String = corpus.chars().take(20_000).collect();
    let ids = tokenizer.encode(&start).unwrap();
    assert!(ids.len() * 3 < start.len() * 2, "{} tokens for {} bytes", ids.len(), start.len());
    assert_eq!(tokenizer.decode(&ids), start);
}

#[test]
fn a_stream_shows_whole_characters_in_order() {
    let tokenizer = Tokenizer::open(directory(), 512).unwrap();
    let text =
        "A crown \u{2014} of \u{201c}gold\u{201d}, na\u{ef}ve \u{1f451} kings: \u{65e5}\u{672c}\u{8a9e}.";
    let ids = tokenizer.encode(text).unwrap();
    let mut stream = tokenizer.stream();
    let pieces: Vec<String> = ids.iter().map(|id| stream.push(*id)).collect();
    assert!(pieces.iter().all(|p| !p.contains(char::REPLACEMENT_CHARACTER)), "{pieces:?}");
    assert_eq!(pieces.concat() + &stream.finish(), text);
    // A text that ends within a character.
    let crown = tokenizer.encode("\u{1f451}").unwrap();
    assert!(crown.len() > 1);
    let mut stream = tokenizer.stream();
    assert_eq!(stream.push(crown[0]), "");
    assert!(stream.finish().contains(char::REPLACEMENT_CHARACTER));
}

#[test]
fn bad_tokenizers_are_named() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Tokenizer::open(folder.path(), 512), Err(LanguageError::Read { .. })));
    std::fs::write(folder.path().join("tokenizer.json"), "{\"model\": 3").unwrap();
    let error = Tokenizer::open(folder.path(), 512).err().unwrap().to_string();
    assert!(error.contains("tokenizer.json: this is no tokenizer"), "{error}");
    let small = Tokenizer::open(directory(), 20).unwrap();
    let error = small.encode("To be, or not to be").unwrap_err().to_string();
    assert!(error.contains("vocabulary has 20"), "{error}");
}
