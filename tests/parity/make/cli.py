"""What `dept generate` and `dept score` are to write for the tiny models: tests/parity/data/cli.

Gives two of the tiny models of models.py a tokenizer.json of their 96 ids, makes an adapter for each, and runs the lines of the
tests through transformers, one at a time.

    OMP_NUM_THREADS=1 python tests/parity/make/cli.py     (after models.py)
"""
import json
import math
from collections import Counter
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from generation import Gaps

HERE = Path(__file__).resolve().parent
MODELS = HERE.parent / "data" / "models"
DATA = HERE.parent / "data" / "cli"
VOCAB = 96
CORPUS = ["the film is a quiet and generous one", "two hours of noise, and no plot in search of it", "the jokes are old but the cast makes them dance",
          "what is the capital of France?", "a very good question, and a very bad answer", "it was the best of films; it was the worst of films.",
          "Zebras Jump Quickly over six hazy kegs"]


def llama_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=["<pad>", "<s>", "</s>"], show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    return tokenizer


def t5_tokenizer():
    """Every character, then the commonest pieces; a trained Unigram model would keep fewer than 96."""
    words = [word for line in CORPUS for word in ("\u2581" + line.replace(" ", " \u2581")).split()]
    count = Counter(word[i:j] for word in words for i in range(len(word)) for j in range(i + 1, min(len(word), i + 5) + 1))
    characters = sorted(piece for piece in count if len(piece) == 1)
    longer = sorted((piece for piece in count if len(piece) > 1), key=lambda piece: (-count[piece] * len(piece), piece))
    pieces = (characters + longer)[:VOCAB - 3]
    scores = [(piece, math.log(count[piece] / sum(count.values()))) for piece in pieces]
    tokenizer = Tokenizer(models.Unigram([("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *scores], unk_id=2))
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    return tokenizer


def make_adapter(name, task_type, seed):
    """P, A and B as wide as the word embeddings."""
    M, S, R, D = 3, 20, 4, 32
    generator = torch.Generator().manual_seed(seed)
    P, A, B = (0.4 * torch.randn(*shape, generator=generator) for shape in ((M, D), (S, R), (R, D)))
    folder = DATA / name
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"prompt_embeddings": P, "prompt_encoder.lora_embedding_A": A, "prompt_encoder.lora_embedding_B": B},
              folder / "adapter_model.safetensors")
    config = {"peft_type": "PROMPT_TUNING_LORA", "r": R, "lora_alpha": 8, "max_length": S, "num_virtual_tokens": M, "token_dim": D,
              "num_transformer_submodules": 1, "prompt_tuning_init": "RANDOM", "task_type": task_type, "semantics": "dept-cpp",
              "delta_alignment": "end", "base_model_name_or_path": "", "inference_mode": True}
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    return P, 8 / math.sqrt(R) * A @ B


class Model:
    def __init__(self, name, kind, tokenizer, adapter=None):
        self.model = kind.from_pretrained(MODELS / name, attn_implementation="eager").eval()
        self.tokenizer, self.adapter = tokenizer, adapter
        self.t5 = self.model.config.is_encoder_decoder
        self.eos = self.model.generation_config.eos_token_id

    def embeds(self, ids, sources):
        """Prompt and delta in front of and on the first `sources` ids."""
        x = self.model.get_input_embeddings()(torch.tensor(ids, dtype=torch.long))
        if self.adapter is None:
            return x[None]
        P, AB = self.adapter
        first = 0 if self.t5 else len(AB) - sources
        x[:sources] += AB[first:first + sources]
        return torch.cat([P, x])[None]

    def generate(self, ids, **options):
        x = self.embeds(ids, len(ids))
        given = {} if self.t5 or self.adapter is not None else {"input_ids": torch.tensor([ids])}
        if not given:
            given = {"inputs_embeds": x, "attention_mask": torch.ones(x.shape[:2], dtype=torch.long)}
        options = {"eos_token_id": self.eos, "max_new_tokens": 20} | options
        with Gaps() as gaps:
            out = self.model.generate(**given, do_sample=False, output_scores=True, return_dict_in_generate=True, pad_token_id=0, **options)
        if "num_beams" not in options:
            gaps.least = min((s.topk(2).values[0, 0] - s.topk(2).values[0, 1]).item() for s in out.scores)
        lines = []
        for row in out.sequences[:, len(ids) if "input_ids" in given else 1 if self.t5 else 0:].tolist():
            end = next((i for i, token in enumerate(row) if token in options["eos_token_id"]), None)
            new = row if end is None else row[:end + 1]
            lines.append({"text": self.tokenizer.decode(new), "ids": new, "finish_reason": "length" if end is None else "stop"})
        return lines[0] if len(lines) == 1 else {"choices": lines}, gaps.least

    def score(self, ids, labels):
        if self.t5:
            logits = self.model(inputs_embeds=self.embeds(ids, len(ids)), labels=torch.tensor([labels])).logits[0]
            pairs = list(zip(logits, labels))
        else:
            sources = next((i for i, label in enumerate(labels) if label != -100), len(labels))
            logits = self.model(inputs_embeds=self.embeds(ids, sources)).logits[0]
            M = 0 if self.adapter is None else len(self.adapter[0])
            pairs = [(logits[M + i - 1], label) for i, label in enumerate(labels) if M + i > 0]
        nll = [-row.log_softmax(-1)[label].item() for row, label in pairs if label != -100]
        return {"loss": sum(nll) / len(nll) if nll else None, "nll": nll, "tokens": len(nll)}


PROMPTS = ["the film is", "what is the capital of France?", "a very bad", "it was the worst of films; and no plot", "Zebras", "no",
           "two hours of noise", "the cast makes them dance"]
PAIRS = [("the film is", " quiet"), ("a very good question, and", " a very bad answer"), ("two hours", " of noise")]


def generate_case(model, flags, **options):
    lines, answers = [], []
    for i, text in enumerate(PROMPTS):
        ids = model.tokenizer.encode(text).ids
        answer, gap = model.generate(ids, **options)
        if gap < 1e-3:
            continue
        lines.append(text if i % 3 == 0 else {"prompt": text} if i % 3 == 1 else {"input_ids": ids})
        answers.append(answer)
    assert len(lines) >= 5
    print(flags, len(answers), answers[0])
    return {"command": "generate", "flags": flags, "input": lines, "output": answers}


def score_case(model):
    encode = lambda text, special=True: model.tokenizer.encode(text, add_special_tokens=special).ids
    lines, answers = [], []
    for source, target in PAIRS:
        s, t = encode(source), encode(target, model.t5)
        lines.append({"source": source, "target": target})
        answers.append(model.score(s, t) if model.t5 else model.score(s + t, [-100] * len(s) + t))
    ids, labels = [5, 40, 61, 7, 33], [-100, -100, 61, -100, 12]
    lines.append({"input_ids": ids, "labels": labels})
    answers.append(model.score(ids, labels))
    if not model.t5:
        for text in ("it was the best of films", ""):
            lines.append({"text": text})
            answers.append(model.score(encode(text), encode(text)))
    return {"command": "score", "flags": [], "input": lines, "output": answers}


def main():
    torch.set_grad_enabled(False)
    DATA.mkdir(parents=True, exist_ok=True)
    for name, kind, tokenizer, task_type, seed in (("llama-gqa-tied", AutoModelForCausalLM, llama_tokenizer(), "CAUSAL_LM", 21),
                                                   ("t5-v1.0", AutoModelForSeq2SeqLM, t5_tokenizer(), "SEQ_2_SEQ_LM", 22)):
        assert tokenizer.get_vocab_size() == VOCAB, tokenizer.get_vocab_size()
        (MODELS / name / "tokenizer.json").write_text(tokenizer.to_str(pretty=False) + "\n")
        adapter = make_adapter(f"adapter-{name}", task_type, seed)
        plain, adapted = Model(name, kind, tokenizer), Model(name, kind, tokenizer, adapter)
        cases = [generate_case(plain, []), generate_case(plain, ["--max_new_tokens", "5"], max_new_tokens=5),
                 score_case(plain)]
        eos = sorted({answer["ids"][i] for i, answer in enumerate(cases[0]["output"][1:6], 3) if len(answer["ids"]) > i})
        flags = ["--eos_token_id", ",".join(map(str, eos)), "--min_new_tokens", "3"]
        cases.append(generate_case(plain, flags, eos_token_id=eos, min_new_tokens=3))
        if not plain.t5:  # transformers counts T5's start token as well
            cases.append(generate_case(plain, ["--repetition_penalty", "1.3", "--no_repeat_ngram_size", "2"], repetition_penalty=1.3,
                                       no_repeat_ngram_size=2))
        cases.append(generate_case(plain, ["--num_beams", "3", "--length_penalty", "0.5", "--early_stopping", "never", "--num_return_sequences", "2"],
                                   num_beams=3, length_penalty=0.5, early_stopping="never", num_return_sequences=2))
        cases.append(generate_case(plain, ["--num_beams", "2", "--early_stopping", "true", "--max_new_tokens", "6"], num_beams=2,
                                   early_stopping=True, max_new_tokens=6))
        with_adapter = [generate_case(adapted, []), score_case(adapted), generate_case(adapted, ["--num_beams", "2", "--max_new_tokens", "6"], num_beams=2, max_new_tokens=6)]
        (DATA / f"{name}.json").write_text(json.dumps({"plain": cases, "adapter": with_adapter}, indent=1) + "\n")


if __name__ == "__main__":
    main()
