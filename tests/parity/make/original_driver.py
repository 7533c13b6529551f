"""One whole run of the original's train.py, unmodified, on rows of our own, watched from outside. Used by original_runs.py.

What is put in its place: datasets.load_dataset (our rows instead of the hub's). What is wrapped only to look on: the trainer's
training_step, its callbacks, the random sampler, the post-processor. With `double` weights and inputs are fp64: how far that moves
a run is its own noise.
"""

import json
import os
import sys
import traceback
from pathlib import Path

import datasets
import torch
import transformers

PARTS = {"prompt_embeddings": "P", "prompt_encoder.lora_embedding_A": "A", "prompt_encoder.lora_embedding_B": "B"}


class Watch:
    """What a run did, in the order in which it did it."""

    def __init__(self):
        self.micro, self.losses, self.rates, self.order, self.answers = [], [], [], [], []
        self.logits = None


def serve_rows(rows):
    """datasets.load_dataset as the original calls it, from {"train": [...], "validation": [...], "test": [...]}."""
    real = datasets.load_dataset

    def load_dataset(name, *args, split=None, data_files=None, **kwargs):
        if name == "csv":
            return real("csv", data_files=data_files)
        mapped = {"validation_matched": "test", "validation_mismatched": "validation"}
        tables = {part: datasets.Dataset.from_list(part_rows) for part, part_rows in rows.items()}
        return tables[mapped.get(split, split)] if split else tables

    datasets.load_dataset = load_dataset


def watch_training(watch):
    step = transformers.Trainer.training_step

    def training_step(self, model, inputs):
        loss = step(self, model, inputs)
        watch.micro.append(loss.item())
        return loss

    class Callback(transformers.TrainerCallback):
        def on_step_begin(self, args, state, control, optimizer=None, **kwargs):
            self.rates = [group["lr"] for group in optimizer.param_groups]

        def on_step_end(self, args, state, control, **kwargs):
            watch.losses.append(sum(watch.micro))
            watch.rates.append(self.rates)
            watch.micro.clear()

    init = transformers.Trainer.__init__

    def watched_init(self, *args, **kwargs):
        init(self, *args, **kwargs)
        self.add_callback(Callback())

    predict = transformers.Trainer.predict

    def watched_predict(self, *args, **kwargs):
        output = predict(self, *args, **kwargs)
        watch.logits = output.predictions
        return output

    transformers.Trainer.training_step = training_step
    transformers.Trainer.__init__ = watched_init
    transformers.Trainer.predict = watched_predict

    sampler = torch.utils.data.RandomSampler.__iter__

    def watched_iter(self):
        taken = []
        watch.order.append(taken)
        for index in sampler(self):
            taken.append(index)
            yield index

    torch.utils.data.RandomSampler.__iter__ = watched_iter


def watch_answers(watch):
    from src.postprocessors import PostProcessor

    process = PostProcessor.process

    def watched_process(self, *args, **kwargs):
        decoded = process(self, *args, **kwargs)
        watch.answers.append(decoded)
        return decoded

    PostProcessor.process = watched_process


def use_double(train):
    import peft

    torch.set_default_dtype(torch.float64)
    made, loaded = train.get_peft_model, peft.PeftModel.from_pretrained.__func__
    train.get_peft_model = lambda *args, **kwargs: made(*args, **kwargs).double()
    peft.PeftModel.from_pretrained = classmethod(lambda *args, **kwargs: loaded(*args, **kwargs).double())


def read_json(path):
    return json.loads(path.read_text()) if path.exists() else None


def collect(watch, output):
    state = read_json(output / "trainer_state.json") or {}
    weights = output / "adapter_model.bin"
    result = {
        "losses": watch.losses,
        "rates": watch.rates,
        "order": watch.order,
        "log": state.get("log_history"),
        "best": [state.get("best_metric"), os.path.basename(state.get("best_model_checkpoint") or "") or None],
        "metrics": {part: read_json(output / f"{part}_results.json") for part in ("train", "eval", "test")},
        "answers": watch.answers[-1] if watch.answers else None,
        "all_answers": watch.answers,
        "classes": watch.logits.argmax(-1).tolist() if watch.logits is not None and not watch.answers else None,
        "weights": torch.load(weights, map_location="cpu") if weights.exists() else None,
        "config": read_json(output / "adapter_config.json"),
    }
    return result


def run(checkout, arguments, rows, output, result_file, double=False):
    """In a process of its own. The result is pickled into result_file."""
    output = Path(output)
    watch, error = Watch(), None
    try:
        sys.path.insert(0, str(checkout))
        torch.set_num_threads(1)
        import train

        serve_rows(rows)
        watch_training(watch)
        watch_answers(watch)
        if double:
            use_double(train)
        sys.argv = ["train.py", *map(str, arguments), "--output_dir", str(output), "--report_to", "none", "--no_cuda", "--disable_tqdm", "True"]
        train.main()
    except BaseException as failure:  # what the original cannot run is a result too
        error = f"{type(failure).__name__}: {failure}"
        if not isinstance(failure, SystemExit):
            traceback.print_exc()
    result = collect(watch, output)
    result["error"] = error
    torch.save(result, result_file)


def run_apart(checkout, arguments, rows, output, double=False):
    """run in a forked process: the original keeps state in its modules."""
    result_file = Path(str(output) + ".result")
    child = os.fork()
    if child == 0:
        Path(output).parent.mkdir(parents=True, exist_ok=True)
        with open(str(output) + ".log", "w") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            try:
                run(checkout, arguments, rows, output, result_file, double)
            finally:
                log.flush()
                os._exit(0)
    os.waitpid(child, 0)
    return torch.load(result_file)
