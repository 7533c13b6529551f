"""Tiny frozen models for whole runs of the original, with tokenizers, as transformers 4.28 writes them. Used by original_runs.py."""

import json
import math
import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    RobertaConfig,
    RobertaForSequenceClassification,
    T5Config,
    T5ForConditionalGeneration,
)

FAMILIES = ("t5", "gpt2", "llama", "bert", "roberta")
WORDS = ("the a of film story actor plays good bad dull bright river mountain stone bird sings falls rises quickly slowly never "
         "always question answer sentence premise hypothesis passage because between window garden winter summer old young").split()


def corpus(seed=5):
    rng = random.Random(seed)
    lines = [" ".join(rng.choice(WORDS) for _ in range(rng.randint(3, 12))) + rng.choice([".", " !", "?", ", it's so."])
             for _ in range(400)]
    keys = ["sentence: ", "sentence1: ", "question: ", "premise: ", "hypothesis: ", "passage: ", "context: ", "answer: "]
    numbers = [f"{rng.choice(keys)}{rng.randint(0, 5)}.{rng.randint(0, 9)} {rng.randint(0, 2)}" for _ in range(200)]
    return lines + numbers + ["Classify this text is postive or not:"] * 5


def unigram(vocab):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=vocab, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing("$A </s>", "$A $B </s>", [("</s>", 1)])
    return tokenizer, {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}


def byte_level(vocab, special):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab, special_tokens=special, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


def gpt2_tokenizer(vocab):
    tokenizer = byte_level(vocab, ["<|endoftext|>"])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    end = "<|endoftext|>"
    return tokenizer, {"tokenizer_class": "GPT2Tokenizer", "bos_token": end, "eos_token": end, "unk_token": end}


def roberta_tokenizer(vocab):
    tokenizer = byte_level(vocab, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    return tokenizer, {"tokenizer_class": "RobertaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>",
                       "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}


def llama_tokenizer(vocab):
    """BPE with byte fallback, as Llama 2's tokenizer.json has it."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=vocab - 259, show_progress=False))
    learned = json.loads(trained.to_str())["model"]
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)] + sorted(learned["vocab"], key=learned["vocab"].get)
    merges = [tuple(merge.split(" ")) for merge in learned["merges"]]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges, unk_token="<unk>", fuse_unk=True))
    whole = json.loads(tokenizer.to_str())
    whole["model"]["byte_fallback"] = True
    tokenizer = Tokenizer.from_str(json.dumps(whole))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A <s> $B", [("<s>", 1)])
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    return tokenizer, {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
                       "clean_up_tokenization_spaces": False}


def bert_tokenizer(vocab):
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(corpus(), trainers.WordPieceTrainer(vocab_size=vocab, special_tokens=special, show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", [("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer, {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "pad_token": "[PAD]", "unk_token": "[UNK]",
                       "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}


def randomise(model, seed):
    """Weights wide enough that the loss depends on the input and the answers differ."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in sorted(model.named_parameters()):
        noise = torch.randn(p.shape, generator=generator)
        if p.dim() == 1:
            p.data = 0.1 * noise if "bias" in name else 1 + 0.1 * noise
        elif any(part in name for part in ("shared", "embed", "wte", "wpe")):
            p.data = (1.0 if "shared" in name else 0.5) * noise
        elif name.endswith(".q.weight"):  # T5 has no 1/sqrt(d): scores of a trained model's size, or runs are chaotic
            p.data = noise * 0.5 / p.shape[1]
        elif name.endswith((".o.weight", ".wo.weight")):  # a T5 that looks at its input
            p.data = noise * 3 / math.sqrt(p.shape[1])
        elif "relative_attention_bias" in name:
            p.data = noise
        else:
            p.data = noise * 1.2 / math.sqrt(p.shape[0] if "c_" in name else p.shape[1])
    return model.eval()


def build(family, width, vocab, variant):
    heads, layers, positions = 2, 2, 80
    if family == "t5":
        gated = variant == "v1.1"
        config = T5Config(vocab_size=vocab, d_model=width, d_kv=width // heads, d_ff=2 * width, num_layers=layers, num_heads=heads,
                          relative_attention_num_buckets=8, relative_attention_max_distance=20, dropout_rate=0.0,
                          feed_forward_proj="gated-gelu" if gated else "relu", tie_word_embeddings=not gated,
                          decoder_start_token_id=0, pad_token_id=0, eos_token_id=1)
        return T5ForConditionalGeneration(config)
    if family == "gpt2":
        config = GPT2Config(vocab_size=vocab, n_positions=positions, n_embd=width, n_layer=layers, n_head=heads, resid_pdrop=0.0,
                            embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0)
        return GPT2LMHeadModel(config)
    if family == "llama":
        config = LlamaConfig(vocab_size=vocab, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers,
                             num_attention_heads=heads, max_position_embeddings=positions, rms_norm_eps=1e-5,
                             bos_token_id=1, eos_token_id=2, pad_token_id=0)
        return LlamaForCausalLM(config)
    common = {"vocab_size": vocab, "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads,
              "intermediate_size": 2 * width, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    if family == "bert":
        return BertForSequenceClassification(BertConfig(max_position_embeddings=positions, **common))
    return RobertaForSequenceClassification(
        RobertaConfig(max_position_embeddings=positions, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2, **common))


TOKENIZERS = {"t5": unigram, "gpt2": gpt2_tokenizer, "llama": llama_tokenizer, "bert": bert_tokenizer, "roberta": roberta_tokenizer}


def write_model(folder, family, width=16, vocab=300, seed=1, variant=""):
    """A folder whose name says the family, as the original wants it."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer, settings = TOKENIZERS[family](vocab)
    model = randomise(build(family, width, tokenizer.get_vocab_size(), variant), seed)
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "model.safetensors").chmod(0o644)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    config = json.loads((folder / "config.json").read_text())
    config.pop("_name_or_path", None)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
