"""TensorBoard's own reader on the events of three runs: it lists their options, as numbers where they are, and their metrics.

    hparams_in_tensorboard.py DEPT
"""

import math
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups

TESTS = Path(__file__).resolve().parent.parent


def train(dept, folder, name, *more):
    tiny = TESTS / "recipe" / "tiny"
    files = [word for split in ("train", "validation") for word in (f"--{split}_file", str(tiny / f"{split}.csv"))]
    command = [
        *(dept, "train", "--model_name_or_path", str(folder / "model"), "--do_train", "--do_eval", "--predict_by", "score"),
        *("--labels", "no", "yes", "--causal_suffix", " :", "--prefix_length", "3", "--r", "2", "--max_seq_length", "48"),
        *("--max_steps", "4", "--logging_steps", "2", "--eval_strategy", "steps", "--threads", "1", "--seed", "7"),
        *("--output_dir", str(folder / "runs" / name)),
        *files,
        *more,
    ]
    return subprocess.run(command, capture_output=True, text=True)


def session_groups(folder):
    events = plugin_event_multiplexer.EventMultiplexer()
    events.AddRunsFromDirectory(str(folder / "runs"))
    events.Reload()
    provider = data_provider.MultiplexerDataProvider(events, str(folder))
    context = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    request = RequestContext()
    names = context.hparams_metadata(request, "")
    experiment = get_experiment.Handler(
        request, context, "", api_pb2.GetExperimentRequest(experiment_name="", include_metrics=True)
    ).run()
    assert names, "no hparams were found"
    wanted = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=100,
        include_metrics=True,
        allowed_statuses=[api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_RUNNING, api_pb2.STATUS_UNKNOWN],
        col_params=[api_pb2.ColParams(metric=metric.name) for metric in experiment.metric_infos],
    )
    found = list_session_groups.Handler(request, context, "", wanted).run()
    return experiment, found.session_groups


def main():
    dept = str(Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(TESTS / "parity" / "data" / "models" / "llama-gqa-tied", folder / "model")
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(TESTS / "recipe" / "tiny" / file, folder / "model" / file)
        for rate in (0.1, 0.2):
            run = train(dept, folder, f"rate-{rate}", "--learning_rate", str(rate))
            assert run.returncode == 0, run.stderr
        run = train(dept, folder, "rate-1e39", "--learning_rate", "1e39")
        assert run.returncode == 3, (run.returncode, run.stderr)

        experiment, groups = session_groups(folder)
        kinds = {info.name: info.type for info in experiment.hparam_infos}
        assert kinds["learning_rate"] == api_pb2.DATA_TYPE_FLOAT64, kinds["learning_rate"]
        found = {}
        for group in groups:
            assert len(group.sessions) == 1, "a row a run"
            session = group.sessions[0]
            metrics = {value.name.tag: value.value for value in session.metric_values}
            found[group.hparams["learning_rate"].number_value] = (group, session, metrics)
        assert sorted(found) == [0.1, 0.2, 1e39], sorted(found)
        for rate in (0.1, 0.2):
            group, session, metrics = found[rate]
            assert group.hparams["seed"].number_value == 7
            assert group.hparams["do_train"].bool_value is True
            assert group.hparams["labels"].string_value == '["no","yes"]', group.hparams["labels"]
            assert session.status == api_pb2.STATUS_SUCCESS, session.status
            assert 0 < session.end_time_secs - session.start_time_secs < 600
            assert math.isfinite(metrics["eval/accuracy"]) and math.isfinite(metrics["train/loss"]), metrics
        assert found[1e39][1].status == api_pb2.STATUS_FAILURE
        print(f"TensorBoard lists {len(found)} runs with {len(kinds)} options, and their metrics")


if __name__ == "__main__":
    main()
