"""Trains a byte-level BPE tokenizer of 512 tokens on the first nine tenths of corpus.txt.

    python make_tokenizer.py --output build

Normalisation and splitting are those of Qwen2's tokenizer, so that what reads this tokenizer reads the real ones. Written to the
output folder: tokenizer.json, and the token ids of both parts of the text, training_ids.npy and validation_ids.npy (uint16).
"""

import argparse
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

FOLDER = Path(__file__).resolve().parent
VOCABULARY = 512
TRAINING_SHARE = 0.9
SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
# What Qwen2 cuts text into before pairs are merged: contractions, words, single digits, punctuation, line ends, spaces.
PIECES = "|".join(
    [
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
        r"[^\r\n\p{L}\p{N}]?\p{L}+",
        r"\p{N}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)


def split_corpus(corpus: Path) -> tuple[str, str]:
    """The text to train on, and the text to validate with."""
    text = corpus.read_text(encoding="utf-8")
    end = int(TRAINING_SHARE * len(text))
    return text[:end], text[end:]


def train_tokenizer(text: str) -> Tokenizer:
    """A tokenizer whose ids are: 256 bytes, then merges in the order they were found, then the special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[],
        show_progress=False,
    )
    # Line by line, as the library reads files.
    tokenizer.train_from_iterator(text.splitlines(keepends=True), trainer)
    tokenizer.add_special_tokens(SPECIAL_TOKENS)
    return tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, default=FOLDER.parent / "corpus.txt", help="the whole text")
    parser.add_argument("--output", type=Path, default=FOLDER / "build", help="folder of what is written")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)

    training, validation = split_corpus(arguments.corpus)
    tokenizer = train_tokenizer(training)
    tokenizer.save(str(arguments.output / "tokenizer.json"))
    for name, text in [("training", training), ("validation", validation)]:
        ids = tokenizer.encode(text).ids
        if tokenizer.decode(ids) != text:
            raise SystemExit(f"the {name} text does not survive encoding and decoding")
        np.save(arguments.output / f"{name}_ids.npy", np.array(ids, dtype=np.uint16))
        print(f"{name}: {len(text.encode())} bytes, {len(ids)} tokens")


if __name__ == "__main__":
    main()
