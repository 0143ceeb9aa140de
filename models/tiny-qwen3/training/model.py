"""Qwen3 in plain PyTorch, with the parameter names of Hugging Face's Qwen3ForCausalLM.

Written from the architecture; export.py checks that transformers computes the same logits from the exported weights.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Sizes:
    """The sizes of the model, named as in config.json."""

    vocab_size: int = 512
    hidden_size: int = 128
    intermediate_size: int = 384
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 32
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000.0
    max_position_embeddings: int = 256


class RmsNorm(nn.Module):
    """Divides by the root of the mean square, then scales each channel."""

    def __init__(self, width: int, epsilon: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        mean_square = x.pow(2).mean(-1, keepdim=True)
        return self.weight * (x * torch.rsqrt(mean_square + self.epsilon))


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotary positions: turns the two halves of each head, `[batch, heads, positions, head_dim]`, against each other."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)


class Attention(nn.Module):
    """Causal attention with fewer key and value heads than query heads; queries and keys are normed, then rotated."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.head_dim = sizes.head_dim
        self.shared = sizes.num_attention_heads // sizes.num_key_value_heads
        query_width = sizes.num_attention_heads * sizes.head_dim
        key_width = sizes.num_key_value_heads * sizes.head_dim
        self.q_proj = nn.Linear(sizes.hidden_size, query_width, bias=False)
        self.k_proj = nn.Linear(sizes.hidden_size, key_width, bias=False)
        self.v_proj = nn.Linear(sizes.hidden_size, key_width, bias=False)
        self.o_proj = nn.Linear(query_width, sizes.hidden_size, bias=False)
        self.q_norm = RmsNorm(sizes.head_dim, sizes.rms_norm_eps)
        self.k_norm = RmsNorm(sizes.head_dim, sizes.rms_norm_eps)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        batch, positions, _ = x.shape

        def heads(projected: Tensor) -> Tensor:
            return projected.view(batch, positions, -1, self.head_dim)

        query = rotate(self.q_norm(heads(self.q_proj(x))).transpose(1, 2), cosine, sine)
        key = rotate(self.k_norm(heads(self.k_proj(x))).transpose(1, 2), cosine, sine)
        value = heads(self.v_proj(x)).transpose(1, 2)
        key = key.repeat_interleave(self.shared, dim=1)
        value = value.repeat_interleave(self.shared, dim=1)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, positions, -1))


class FeedForward(nn.Module):
    """SwiGLU: `down(silu(gate(x)) * up(x))`."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.gate_proj = nn.Linear(sizes.hidden_size, sizes.intermediate_size, bias=False)
        self.up_proj = nn.Linear(sizes.hidden_size, sizes.intermediate_size, bias=False)
        self.down_proj = nn.Linear(sizes.intermediate_size, sizes.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class DecoderLayer(nn.Module):
    """Attention and feed-forward layers, each normed before and added to the residual stream."""

    def __init__(self, sizes: Sizes, dropout: float):
        super().__init__()
        self.input_layernorm = RmsNorm(sizes.hidden_size, sizes.rms_norm_eps)
        self.self_attn = Attention(sizes)
        self.post_attention_layernorm = RmsNorm(sizes.hidden_size, sizes.rms_norm_eps)
        self.mlp = FeedForward(sizes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        x = x + self.dropout(self.self_attn(self.input_layernorm(x), cosine, sine))
        return x + self.dropout(self.mlp(self.post_attention_layernorm(x)))


class Decoder(nn.Module):
    """What the parameter names put below `model.`."""

    def __init__(self, sizes: Sizes, dropout: float):
        super().__init__()
        self.embed_tokens = nn.Embedding(sizes.vocab_size, sizes.hidden_size)
        self.layers = nn.ModuleList(DecoderLayer(sizes, dropout) for _ in range(sizes.num_hidden_layers))
        self.norm = RmsNorm(sizes.hidden_size, sizes.rms_norm_eps)


class Qwen3(nn.Module):
    """The whole model; its head has the embedding's weights."""

    def __init__(self, sizes: Sizes, dropout: float = 0.0):
        super().__init__()
        self.sizes = sizes
        self.model = Decoder(sizes, dropout)
        exponents = torch.arange(0, sizes.head_dim, 2).float() / sizes.head_dim
        positions = torch.arange(sizes.max_position_embeddings).float()
        angles = torch.outer(positions, 1.0 / sizes.rope_theta**exponents)
        self.register_buffer("cosine", angles.cos(), persistent=False)
        self.register_buffer("sine", angles.sin(), persistent=False)
        self._initialise()

    def _initialise(self) -> None:
        """Normal weights; those that end in the residual stream are smaller the more layers add to it."""
        for name, weights in self.named_parameters():
            if weights.dim() < 2:
                continue
            deviation = 0.02 if "embed_tokens" in name else 0.04
            if "o_proj" in name or "down_proj" in name:
                deviation /= (2 * self.sizes.num_hidden_layers) ** 0.5
            nn.init.normal_(weights, 0.0, deviation)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits `[batch, positions, vocabulary]` of ids `[batch, positions]`."""
        x = self.model.embed_tokens(ids)
        cosine, sine = self.cosine[: ids.shape[1]], self.sine[: ids.shape[1]]
        for layer in self.model.layers:
            x = layer(x, cosine, sine)
        return self.model.norm(x) @ self.model.embed_tokens.weight.T
