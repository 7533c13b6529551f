"""Golden values of models that see images: loss, gradients of all that trains, answers.

OMP_NUM_THREADS=1 python tests/parity/make/visual.py  ->  tests/parity/data/adapter/MODEL.visual.{safetensors,json}
The models are those of make/models.py, each example alone and unpadded, in fp32 and fp64 as make/dept_on_models.py has it. What
stands here is a plain PyTorch port after VL-Adapter (Sung et al. 2022): T5's encoder reads [prompt; text; image], and its relative
bias is 0 for each pair with a token of the image; a decoder reads [prompt; image; text]. T5's visual embedding is VL-Adapter's, the
decoder's a linear layer with a vector for each place, times 0.5.
"""
import json
import math

import torch
import torch.nn.functional as F
from dept_on_models import ALPHA, DATA, LENGTHS, M, NEW_TOKENS, R, S, decoder_logits
from models import DATA as MODELS, Plain, VOCAB, WIDTH
from safetensors.torch import save_file
from transformers import LlamaForCausalLM, T5ForConditionalGeneration

T, C = 4, 6  # tokens of an image, numbers of each
SCORES = [0.3, 1.0, 0.6, 0.9]
NAME = "visual_embedding."
SHAPES = {
    "t5-v1.0": {"feat_embedding.0.weight": (WIDTH, C), "feat_embedding.0.bias": (WIDTH,), "feat_embedding.1.weight": (WIDTH,),
                "absolute_vis_pos_embedding.0.weight": (WIDTH, 5), "absolute_vis_pos_embedding.0.bias": (WIDTH,),
                "absolute_vis_pos_embedding.1.weight": (WIDTH,), "img_order_embedding.weight": (1, WIDTH)},
    "llama-gqa-tied": {"linear.weight": (WIDTH, C), "linear.bias": (WIDTH,), "position.weight": (T, WIDTH)},
}


def rms_norm(x, weight):
    return weight * x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6)


def clip_t5(features, table, w):
    boxes = torch.zeros(T, 5, dtype=features.dtype)
    feature = rms_norm(F.linear(features, w["feat_embedding.0.weight"], w["feat_embedding.0.bias"]), w["feat_embedding.1.weight"])
    box = F.linear(boxes, w["absolute_vis_pos_embedding.0.weight"], w["absolute_vis_pos_embedding.0.bias"])
    place = rms_norm(box, w["absolute_vis_pos_embedding.1.weight"])
    return feature + place + w["img_order_embedding.weight"][0] + table[len(table) - 1 - torch.arange(T)]


def linear(features, table, w):
    return 0.5 * (F.linear(features, w["linear.weight"], w["linear.bias"]) + w["position.weight"])


def leave_out_of_bias(model):
    """The encoder's relative bias becomes 0 for each pair with one of the last T tokens."""
    attention = model.encoder.block[0].layer[0].SelfAttention
    whole = attention.compute_bias

    def compute_bias(*args, **kwargs):
        bias = whole(*args, **kwargs)
        of_text = (torch.arange(bias.shape[-1]) < bias.shape[-1] - T).to(bias.dtype)
        return bias * of_text[:, None] * of_text[None, :]

    attention.compute_bias = compute_bias


class Sees:
    """A model, its images and what trains, as logits behind each of an example's ids."""

    def __init__(self, name, model, images, weights):
        self.model, self.images, self.w = model, images, weights
        self.embed = clip_t5 if name.startswith("t5") else linear

    def logits(self, example, ids):
        table = self.model.get_input_embeddings().weight.detach()
        source = torch.tensor(example["source"])
        delta = ALPHA / math.sqrt(R) * (self.w["A"] @ self.w["B"])
        own = {n.removeprefix(NAME): v for n, v in self.w.items() if n.startswith(NAME)}
        image = self.embed(self.images[example["image"]].to(table.dtype), table, own)
        if self.model.config.is_encoder_decoder:
            x = torch.cat([self.w["P"], table[source] + delta[: len(source)], image])
            return decoder_logits(self.model, x, self.w["P"][:0], ids)
        x = torch.cat([self.w["P"], image, table[source] + delta[S - len(source):], table[ids]])
        return self.model(inputs_embeds=x[None]).logits[0, M + T + len(source) - 1:]

    def nll(self, example):
        target = torch.tensor(example["target"])
        return F.cross_entropy(self.logits(example, target[:-1]), target, reduction="sum")

    def loss(self, batch):
        return sum(self.nll(e) for e in batch) / sum(len(e["target"]) for e in batch)

    def scored_loss(self, batch):
        return sum(s * self.nll(e) / len(e["target"]) for s, e in zip(SCORES, batch)) / len(batch)

    @torch.no_grad()
    def greedy(self, example):
        new, lead, ends = [], math.inf, self.model.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        while len(new) < NEW_TOKENS and (not new or new[-1] not in ends):
            best = self.logits(example, torch.tensor(new, dtype=torch.long))[-1].topk(2)
            new.append(best.indices[0].item())
            lead = min(lead, (best.values[0] - best.values[1]).item())
        return new, lead


def golden(name, model, seed):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator)
    ids = lambda n: torch.randint(3, VOCAB, (n,), generator=generator).tolist()
    batch = [{"source": ids(s), "target": ids(t), "image": "ab"[i % 2]} for i, (s, t) in enumerate(LENGTHS[0])]
    table = model.get_input_embeddings().weight.detach()
    values = {"P": table[torch.tensor(ids(M))] + 0.2 * draw(M, WIDTH), "A": (2 * torch.rand(S, R, generator=generator) - 1) / math.sqrt(R),
              "B": 0.1 * draw(R, WIDTH)}
    for n, shape in SHAPES[name].items():
        values[NAME + n] = 1 + 0.3 * draw(*shape) if len(shape) == 1 and n.endswith("1.weight") else 0.5 * draw(*shape)
    images = {n: draw(T, C) for n in "ab"}
    tensors = values | {f"image.{n}": t for n, t in images.items()}
    facts = {"batches": [batch], "scores": SCORES, "losses": {}}
    for kind, dtype in (("fp32", torch.float32), ("fp64", torch.float64)):
        model.to(dtype).requires_grad_(False)
        weights = {n: t.detach().clone().to(dtype).requires_grad_() for n, t in values.items()}
        sees = Sees(name, model, images, weights)
        with torch.enable_grad() if kind == "fp32" else Plain():
            loss = sees.loss(batch)
            loss.backward()
            scored = sees.scored_loss(batch)
            dP = torch.autograd.grad(scored, weights["P"])[0]
        facts["losses"][kind] = {"loss": loss.item(), "scored": scored.item()}
        tensors |= {f"d.{n}.{kind}": w.grad for n, w in weights.items()} | {f"scored.d.P.{kind}": dP}
    for n in values:
        a, b = tensors[f"d.{n}.fp32"].double(), tensors[f"d.{n}.fp64"]
        print(name, n, f"fp32 against fp64 {((a - b).abs().max() / b.abs().max().clamp_min(1e-30)).item():.1e}")
    model.float()
    plain = Sees(name, model, images, values)
    facts["greedy"], leads = zip(*(plain.greedy(e) for e in batch))
    print(name, "greedy", facts["greedy"], "least lead", min(leads))
    save_file(tensors, DATA / f"{name}.visual.safetensors")
    (DATA / f"{name}.visual.json").write_text(json.dumps(facts) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    load = lambda family, name: family.from_pretrained(MODELS / name, attn_implementation="eager").eval()
    golden("llama-gqa-tied", load(LlamaForCausalLM, "llama-gqa-tied"), 41)
    t5 = load(T5ForConditionalGeneration, "t5-v1.0")
    leave_out_of_bias(t5)
    golden("t5-v1.0", t5, 42)
