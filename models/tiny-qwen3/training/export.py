"""Writes trained weights as a Hugging Face directory, and what transformers computes from it.

    python export.py --weights build/best.pt --data build --output build/export

Stops if transformers, an independent implementation, gives other logits than ours.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from model import Qwen3, Sizes

FOLDER = Path(__file__).resolve().parent
END_OF_TEXT = 509
END_OF_TURN = 511
PROMPT = "ROMEO:\n"
GREEDY_TOKENS = 120
LARGEST_DIFFERENCE = 1e-4


def model_config(sizes: Sizes) -> dict:
    """config.json; rotary positions are given twice, in the old and the new spelling."""
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "vocab_size": sizes.vocab_size,
        "hidden_size": sizes.hidden_size,
        "intermediate_size": sizes.intermediate_size,
        "num_hidden_layers": sizes.num_hidden_layers,
        "num_attention_heads": sizes.num_attention_heads,
        "num_key_value_heads": sizes.num_key_value_heads,
        "head_dim": sizes.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": sizes.max_position_embeddings,
        "rms_norm_eps": sizes.rms_norm_eps,
        "rope_theta": sizes.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": sizes.rope_theta},
        "rope_scaling": None,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "sliding_window": None,
        "use_sliding_window": False,
        "max_window_layers": sizes.num_hidden_layers,
        "tie_word_embeddings": True,
        "initializer_range": 0.02,
        "use_cache": True,
        "bos_token_id": END_OF_TEXT,
        "eos_token_id": END_OF_TEXT,
        "torch_dtype": "float32",
        "transformers_version": "4.51.0",
    }


def generation_config() -> dict:
    return {
        "bos_token_id": END_OF_TEXT,
        "eos_token_id": [END_OF_TEXT, END_OF_TURN],
        "do_sample": False,
    }


def tokenizer_config(sizes: Sizes) -> dict:
    return {
        "tokenizer_class": "Qwen2Tokenizer",
        "add_bos_token": False,
        "add_prefix_space": False,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "model_max_length": sizes.max_position_embeddings,
        "clean_up_tokenization_spaces": False,
        "errors": "replace",
        "split_special_tokens": False,
    }


def write_directory(model: Qwen3, data: Path, output: Path) -> None:
    """The files that transformers, and any other reader of this format, opens."""
    output.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().float().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, output / "model.safetensors", metadata={"format": "pt"})
    for name, content in [
        ("config.json", model_config(model.sizes)),
        ("generation_config.json", generation_config()),
        ("tokenizer_config.json", tokenizer_config(model.sizes)),
    ]:
        (output / name).write_text(json.dumps(content, indent=1))
    for name in ["tokenizer.json", "validation_ids.npy"]:
        shutil.copy(data / name, output / name)


@torch.no_grad()
def write_golden(model: Qwen3, output: Path) -> None:
    """What transformers computes from the directory: logits of the first 256 validation tokens, and a greedy continuation."""
    theirs = AutoModelForCausalLM.from_pretrained(output, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(output)
    ids = torch.from_numpy(np.load(output / "validation_ids.npy").astype(np.int64))[:256][None]
    logits = theirs(ids).logits
    difference = (model(ids) - logits).abs().max().item()
    print(f"largest difference from transformers: {difference:.2e}")
    if difference > LARGEST_DIFFERENCE:
        raise SystemExit(f"that is more than {LARGEST_DIFFERENCE:.0e}: model.py or the export is wrong")
    np.save(output / "golden_prompt256_ids.npy", ids.numpy())
    np.save(output / "golden_prompt256_logits_hf.npy", logits.numpy())

    prompt = tokenizer(PROMPT, return_tensors="pt").input_ids
    text = theirs.generate(
        prompt,
        max_new_tokens=GREEDY_TOKENS,
        do_sample=False,
        pad_token_id=END_OF_TEXT,
        eos_token_id=END_OF_TURN,
    )
    np.save(output / "golden_greedy_ids.npy", text[0].numpy())
    print(tokenizer.decode(text[0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, default=FOLDER / "build" / "best.pt", help="what train.py wrote")
    parser.add_argument("--data", type=Path, default=FOLDER / "build", help="what make_tokenizer.py wrote")
    parser.add_argument("--output", type=Path, default=FOLDER / "build" / "export", help="the directory to write")
    arguments = parser.parse_args()

    trained = torch.load(arguments.weights)
    model = Qwen3(Sizes(**trained["sizes"]))
    model.load_state_dict(trained["weights"])
    model.eval()
    write_directory(model, arguments.data, arguments.output)
    write_golden(model, arguments.output)


if __name__ == "__main__":
    main()
