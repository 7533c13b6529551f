"""What transformers generates with the tiny models of models.py: tests/parity/data/generation.

NAME.json: prompts, and for each set of options the answers to the first of them (ids and, of beams, scores), one prompt at a time,
with the least distance of two scores between which the search had to choose. NAME.safetensors: scores before and after the
processors and warpers of sampling, and the distributions of first tokens.

    OMP_NUM_THREADS=1 python tests/parity/make/generation.py     (after models.py)
"""
import json
import math
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, GenerationConfig, GenerationMixin
from transformers.utils import logging

MODELS = Path(__file__).resolve().parent.parent / "data" / "models"
DATA = MODELS.parent / "generation"
FAMILIES = {"llama-gqa-tied": AutoModelForCausalLM, "t5-v1.0": AutoModelForSeq2SeqLM}
SEVERAL, ONE = [30, 31, 57, 2], [30]

BEAMS = {"num_beams": 4}
CASES = [({}, 200), (BEAMS, 200)]  # options, prompts
GRID = [{"num_beams": beams, "length_penalty": penalty, "early_stopping": early}
        for beams in (2, 4) for penalty in (0.0, 1.0, 2.0, -1.0) for early in (True, False, "never")]
GRID += [BEAMS | options for options in (
    {"num_return_sequences": 4}, {"num_return_sequences": 3, "length_penalty": 0.5, "early_stopping": "never"}, {"min_new_tokens": 5},
    {"max_new_tokens": 3}, {"max_new_tokens": 1, "num_return_sequences": 2}, {"repetition_penalty": 1.4}, {"no_repeat_ngram_size": 2},
    {"eos_token_id": ONE}, {"eos_token_id": ONE, "length_penalty": 2.0, "early_stopping": True}, {"eos_token_id": SEVERAL[:2], "min_new_tokens": 2},
    {"repetition_penalty": 1.2, "no_repeat_ngram_size": 3, "min_new_tokens": 4, "length_penalty": 0.8, "num_return_sequences": 2},
    {"repetition_penalty": 0.8, "max_new_tokens": 20, "eos_token_id": ONE, "early_stopping": "never", "length_penalty": -0.5},
    {"num_beams": 3, "no_repeat_ngram_size": 1, "min_new_tokens": 3, "early_stopping": True}, {"num_beams": 7, "num_return_sequences": 5})]
GRID += [{"min_new_tokens": 5}, {"repetition_penalty": 1.4, "no_repeat_ngram_size": 2}, {"eos_token_id": ONE, "max_new_tokens": 20},
         {"min_new_tokens": 3, "repetition_penalty": 0.7, "no_repeat_ngram_size": 1}]
CASES += [(options, 10) for options in GRID]


class Gaps:
    """Records how near to each other scores are between which a beam search has to choose."""
    NAMES = ("_get_running_beams_for_next_iteration", "_update_finished_beams", "_check_early_stop_heuristic")

    def __enter__(self):
        self.least, self.originals = math.inf, {name: vars(GenerationMixin)[name] for name in self.NAMES}
        running, finished, heuristic = (getattr(GenerationMixin, name) for name in self.NAMES)

        def next_running(model, *, topk_log_probs, next_token_hits_stopping_criteria, num_beams, **more):
            going = topk_log_probs[0][~next_token_hits_stopping_criteria[0]].sort(descending=True).values
            self.see(going[num_beams - 1:num_beams + 1])
            return running(model, topk_log_probs=topk_log_probs, next_token_hits_stopping_criteria=next_token_hits_stopping_criteria,
                           num_beams=num_beams, **more)

        def update(model, **a):
            n, hits, scores = a["num_beams"], a["next_token_hits_stopping_criteria"][0], a["topk_log_probs"][0]
            if hits[:n + 1].any():
                self.see(scores[n - 1:n + 1])
            ended = scores[:n][hits[:n]] / (a["cur_len"] + 1 - a["decoder_prompt_len"]) ** a["length_penalty"]
            self.see(torch.cat([a["beam_scores"][0], ended]).sort(descending=True).values[:n + 1])
            return finished(model, **a)

        def check(**a):
            length = a["max_length" if a["early_stopping"] == "never" and a["length_penalty"] > 0 else "cur_len"] - a["decoder_prompt_len"]
            self.see(torch.stack([a["running_beam_scores"][0, 0] / length ** a["length_penalty"], a["beam_scores"].min()]))
            return heuristic(**a)

        for name, new in zip(self.NAMES, (next_running, update, staticmethod(check))):
            setattr(GenerationMixin, name, new)
        return self

    def see(self, scores):
        scores = scores[scores > -1e8].double().sort().values
        if len(scores) > 1:
            self.least = min(self.least, scores.diff().min().item())

    def __exit__(self, *_):
        for name, original in self.originals.items():
            setattr(GenerationMixin, name, original)


def answer(model, ids, options):
    options = {"max_new_tokens": 12, "eos_token_id": SEVERAL} | options
    ids = torch.tensor([ids])
    with Gaps() as gaps:
        out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, output_scores=True, return_dict_in_generate=True,
                             pad_token_id=0, **options)
    for scores in out.scores if options.get("num_beams", 1) == 1 else ():
        gaps.see(scores[0].topk(2).values)
    begin = 1 if model.config.is_encoder_decoder else ids.shape[1]
    answers = []
    for row in out.sequences[:, begin:].tolist():
        end = next((i for i, token in enumerate(row) if token in options["eos_token_id"]), len(row) - 1)
        answers.append(row[:end + 1])
    return answers, None if "sequences_scores" not in out else out.sequences_scores.tolist(), gaps.least


def searches(model, name, seed):
    generator = torch.Generator().manual_seed(seed)
    prompts = [torch.randint(3, 96, (1 + i % 9,), generator=generator).tolist() for i in range(200)]
    cases = []
    for options, count in CASES:
        rows = [answer(model, ids, options) for ids in prompts[:count]]
        case = {"options": options, "answers": [row[0] for row in rows], "gap": [float(f"{row[2]:.1e}") for row in rows]}
        if rows[0][1] is not None:
            case["scores"] = [[round(score, 5) for score in row[1]] for row in rows]
        cases.append(case)
        print(name, options, "stopped", sum(len(a) < 12 for row in rows for a in row[0]), "of", sum(len(row[0]) for row in rows), "unsure",
              sum(row[2] < 1e-4 for row in rows), flush=True)
    text = json.dumps({"max_new_tokens": 12, "eos_ids": SEVERAL, "prompts": prompts, "cases": cases}, separators=(",", ":"))
    (DATA / f"{name}.json").write_text(text.replace('},{', '},\n{') + "\n")


WARPERS = [{}, {"temperature": 0.7}, {"top_k": 5}, {"top_k": 0}, {"top_p": 0.6}, {"top_k": 0, "top_p": 0.9}, {"top_p": 0.0}, {"top_k": 1},
           {"temperature": 1.8, "top_k": 20, "top_p": 0.8}, {"repetition_penalty": 1.5, "temperature": 0.5, "top_k": 12, "top_p": 0.95},
           {"no_repeat_ngram_size": 2, "min_new_tokens": 9, "top_p": 0.7}, {"num_beams": 3, "top_k": 2, "top_p": 0.1},
           {"num_beams": 3, "temperature": 0.6, "min_new_tokens": 9, "repetition_penalty": 1.2, "top_k": 9}]


def distributions(model, name, seed):
    """Scores with equals among them, through the processors that generate() would make for each set of options."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(6, 96, generator=generator) * torch.tensor([0.3, 1.0, 2.0, 3.0, 3.0, 5.0])[:, None]
    scores[4] = scores[4].round()
    history = torch.randint(3, 96, (6, 9), generator=generator)
    history[:, 6:8] = history[:, 1:3]
    history[:, 8] = history[:, 1]
    out = {"scores": scores, "history": history}
    for i, options in enumerate(WARPERS):
        config = GenerationConfig(do_sample=True, eos_token_id=SEVERAL, pad_token_id=0, decoder_start_token_id=0, **({"top_k": 50} | options))
        model._prepare_special_tokens(config, True, device="cpu")
        given = 4  # of the history; the rest is new
        processors = model._get_logits_processor(config, input_ids_seq_length=given, device="cpu")
        out[f"processed.{i}"] = processors(history, scores.clone()).contiguous()
    prompt = torch.tensor([[11, 40, 7, 62]])
    out["prompt"] = prompt[0]
    start = {"decoder_input_ids": torch.tensor([[0]])} if model.config.is_encoder_decoder else {}
    first = model(prompt, **start).logits[0, -1]
    k = first.topk(4).indices
    second = []
    for token in k.tolist():
        if model.config.is_encoder_decoder:
            logits = model(prompt, decoder_input_ids=torch.tensor([[0, token]])).logits[0, -1]
        else:
            logits = model(torch.cat([prompt, torch.tensor([[token]])], 1)).logits[0, -1]
        second.append(logits)
    out["first"], out["first_ids"], out["second"] = first.contiguous(), k, torch.stack(second)
    save_file(out, DATA / f"{name}.safetensors", metadata={"options": json.dumps(WARPERS)})


def main():
    torch.set_grad_enabled(False)
    logging.set_verbosity_error()
    DATA.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or FAMILIES:
        seed = list(FAMILIES).index(name)
        model = FAMILIES[name].from_pretrained(MODELS / name, attn_implementation="eager").eval()
        searches(model, name, 300 + seed)
        distributions(model, name, 400 + seed)
    (DATA / "warpers.json").write_text(json.dumps(WARPERS) + "\n")


if __name__ == "__main__":
    main()
