"""The loop: what is logged is right, and a run that is stopped continues as if it had not been."""

from __future__ import annotations

import dataclasses
import itertools
import math
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from vaelab import build_model
from vaelab.checkpoint import load_checkpoint
from vaelab.config import ModelConfig, TrainingConfig
from vaelab.data import ImageData
from vaelab.errors import DataError, Interrupted, TrainingError, UsageError, VaelabError
from vaelab.optimisation import learning_rate
from vaelab.runfolder import RunFolder
from vaelab.training import Callback, Row, Training, fit

MODEL = ModelConfig(encoder="mlp:hidden=16", decoder="mlp:hidden=16", image_shape=(1, 8, 8), classes=3)
TRAINING = TrainingConfig(epochs=3, batch_size=16, checkpoint_steps=4, lr=5e-3)


@pytest.fixture
def data() -> ImageData:
    source = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (70, 1, 8, 8), generator=source, dtype=torch.uint8)
    return ImageData("random", images, torch.arange(70) % 3, ("a", "b", "c"))


def run(
    folder: Path, data: ImageData, config: TrainingConfig = TRAINING, model: ModelConfig = MODEL, **options: Any
) -> tuple[Training, RunFolder]:
    """Train anew, or resume where ``resume`` is asked for."""
    made = RunFolder.open(folder) if options.get("resume") else RunFolder.create(folder, {})
    training = fit(build_model(model, 0), data, config, held_out=data, held_out_split="test", folder=made, **options)
    return training, made


def weights(training: Training) -> dict[str, torch.Tensor]:
    return training.model.state_dict()


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


class StopAt(Callback):
    """Sends a signal to this process after some flush or epoch."""

    def __init__(self, epoch: int, signum: signal.Signals = signal.SIGINT) -> None:
        self.epoch, self.signum = epoch, signum

    def on_epoch(self, training: Training, rows: list[Row]) -> None:
        if training.progress.epoch == self.epoch:
            signal.raise_signal(self.signum)


def test_train_row_weights_every_image_once(data: ImageData, tmp_path: Path) -> None:
    _, folder = run(tmp_path / "run", data)
    history = folder.history()
    steps = history.where(split="step", epoch=1)
    counts = [16, 16, 16, 16, 6]  # the short last batch counts for what it holds
    for name in ("loss", "reconstruction", "kl", "negative_elbo"):
        expected = sum(n * value for n, value in zip(counts, steps[name], strict=True)) / 70
        assert history.where(split="train", epoch=1)[name][0] == pytest.approx(expected, rel=1e-12)


def test_held_out_row_is_the_mean_over_images(data: ImageData, tmp_path: Path) -> None:
    training, folder = run(tmp_path / "run", data, dataclasses.replace(TRAINING, objective="elbo:samples=200"))
    last = folder.history().where(split="test")["reconstruction"][-1]
    alone = [training.evaluate(data.take(torch.tensor([i])))[2] for i in range(len(data))]
    assert last == pytest.approx(sum(alone) / len(alone), rel=0.01)


def test_history_parts_add_up_to_the_bound(data: ImageData, tmp_path: Path) -> None:
    _, folder = run(tmp_path / "run", data, dataclasses.replace(TRAINING, objective="elbo:beta=4,warmup=2"))
    history = folder.history()
    for row in range(len(history["step"])):
        total = history["reconstruction"][row] + history["kl"][row]
        assert history["negative_elbo"][row] == pytest.approx(total, rel=1e-5)
    assert history.where(split="step")["beta"][0] == 0
    assert history.where(split="step")["beta"][-1] == 4
    assert history.where(split="step")["loss"][-1] > history.where(split="step")["negative_elbo"][-1]


@pytest.mark.parametrize(("average", "optimizer"), [(0.0, "adam"), (0.9, "adam"), (0.0, "muon")])
@pytest.mark.parametrize("model", [MODEL, dataclasses.replace(MODEL, conditional=True, prior="vamp:components=4")])
def test_resume_is_bit_for_bit_at_an_epoch_end(
    data: ImageData, tmp_path: Path, model: ModelConfig, average: float, optimizer: str
) -> None:
    config = dataclasses.replace(TRAINING, average=average, optimizer=optimizer)
    whole, first = run(tmp_path / "whole", data, config, model)
    with pytest.raises(Interrupted) as stopped:
        run(tmp_path / "parts", data, config, model, callbacks=[StopAt(2)])
    assert stopped.value.exit_code == 130
    rest, second = run(tmp_path / "parts", data, config, model, resume=True)
    assert same(weights(whole), weights(rest))
    assert first.history_path.read_bytes() == second.history_path.read_bytes()


def test_resume_is_bit_for_bit_within_an_epoch(
    data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, first = run(tmp_path / "whole", data)
    step = Training.step

    def power_cut(self: Training, *batch: Any) -> None:
        if self.progress.step == 14:  # the last checkpoint is that of step 12, in the middle of the third epoch
            raise KeyboardInterrupt
        step(self, *batch)

    monkeypatch.setattr(Training, "step", power_cut)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", data)
    monkeypatch.setattr(Training, "step", step)
    assert load_checkpoint(tmp_path / "parts" / "checkpoints", "last").state["step"] == 12
    rest, second = run(tmp_path / "parts", data, resume=True)
    assert same(weights(whole), weights(rest))
    assert first.history_path.read_bytes() == second.history_path.read_bytes()


def test_sigterm_exits_with_its_own_code(data: ImageData, tmp_path: Path) -> None:
    with pytest.raises(Interrupted) as stopped:
        run(tmp_path / "run", data, callbacks=[StopAt(1, signal.SIGTERM)])
    assert stopped.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_equal_seeds_leave_equal_bytes_and_others_do_not(data: ImageData, tmp_path: Path) -> None:
    one, folder = run(tmp_path / "one", data)
    torch.rand(17)  # the global generator plays no part
    two, other = run(tmp_path / "two", data)
    three, _ = run(tmp_path / "three", data, dataclasses.replace(TRAINING, seed=1))
    assert same(weights(one), weights(two))
    assert folder.history_path.read_bytes() == other.history_path.read_bytes()
    assert not same(weights(one), weights(three))


@pytest.mark.parametrize("objective", ["elbo", "iwae:samples=3"])
def test_a_loss_that_is_not_finite_stops_with_step_cause_and_checkpoint(
    data: ImageData, tmp_path: Path, objective: str
) -> None:
    config = dataclasses.replace(TRAINING, lr=1e30, objective=objective)
    expected = r"step \d+.*learning rate 1e\+30.*lower --lr.*checkpoint of step 0 is kept"
    with pytest.raises(TrainingError, match=expected):
        run(tmp_path / "run", data, config)
    kept = load_checkpoint(tmp_path / "run" / "checkpoints", "last")
    assert kept.state["step"] == 0
    assert all(bool(tensor.isfinite().all()) for tensor in kept.tensors["model"].values())


def test_best_validation_epoch_is_put_back_and_patience_stops(data: ImageData, tmp_path: Path) -> None:
    config = dataclasses.replace(TRAINING, epochs=50, patience=2, lr=0.1)
    folder = RunFolder.create(tmp_path / "run", {})
    training = fit(build_model(MODEL, 0), data, config, held_out=data, held_out_split="validation", folder=folder)
    losses = folder.history().where(split="validation")["loss"]
    best = losses.index(min(losses)) + 1
    assert len(losses) < 50
    assert len(losses) == best + 2
    assert load_checkpoint(folder.checkpoints, "best").state["epoch"] == best
    assert same(weights(training), load_checkpoint(folder.checkpoints, "best").tensors["model"])


def test_averaged_weights_are_what_is_kept(data: ImageData, tmp_path: Path) -> None:
    training, folder = run(tmp_path / "run", data, dataclasses.replace(TRAINING, average=0.9))
    saved = load_checkpoint(folder.checkpoints, "last").tensors
    assert same(dict(training.model.named_parameters()), saved["average"])
    raw, _ = run(tmp_path / "raw", data)
    assert same(saved["model"], weights(raw))  # averaging leaves the steps as they are


def test_denoising_sees_corrupted_inputs_and_clean_targets(data: ImageData) -> None:
    model = build_model(dataclasses.replace(MODEL, kind="autoencoder"), 0)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    training = Training(
        model,
        data,
        dataclasses.replace(TRAINING, objective="reconstruction", corruption="masking:fraction=0.5"),
        "grey",
        None,
        "test",
        None,
    )
    objective = training.objective

    def watch(model: Any, x: torch.Tensor, c: Any, target: torch.Tensor, **rest: Any) -> Any:
        seen.append((x, target))
        return objective(model, x, c, target, **rest)

    training.objective = watch  # type: ignore[assignment]
    training.step(data.images[:16], None)
    x, target = seen[0]
    assert torch.equal(target, data.images[:16].float() / 255)
    assert 0.3 < float((x == 0).float().mean()) < 0.7


@pytest.mark.parametrize("variant", ["grey", "dynamic", "static"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_variants_and_precisions_train(data: ImageData, variant: str, precision: str) -> None:
    config = dataclasses.replace(TRAINING, precision=precision, optimizer="adamw", clip=10.0, schedule="one-cycle")
    training = fit(build_model(MODEL, 0), data, config, variant=variant)
    assert all(parameter.dtype == torch.float32 for parameter in training.model.parameters())
    assert all(map(math.isfinite, training.evaluate(data)))


def test_one_cycle_rises_to_the_peak_and_falls_almost_to_zero() -> None:
    config = dataclasses.replace(TRAINING, schedule="one-cycle", lr=1.0)
    rates = [learning_rate(config, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 25)
    assert max(rates) == rates[30] == pytest.approx(1.0)
    assert rates[-1] < 0.01
    assert rates[:31] == sorted(rates[:31])
    assert rates[30:] == sorted(rates[30:], reverse=True)


def test_linear_is_two_straight_lines() -> None:
    config = dataclasses.replace(TRAINING, schedule="linear", lr=1.0)
    rates = [learning_rate(config, step, 100) for step in range(101)]
    assert rates[0] == pytest.approx(1 / 25)
    assert max(rates) == rates[15] == pytest.approx(1.0)
    assert rates[100] == pytest.approx(1e-4)
    for part in (rates[:16], rates[15:]):
        steps = [after - before for before, after in itertools.pairwise(part)]
        assert steps == pytest.approx([steps[0]] * len(steps))


def without_labels(data: ImageData) -> ImageData:
    return ImageData(data.name, data.images)


@pytest.mark.parametrize(
    ("change", "model", "variant", "message"),
    [
        (lambda d: d.take(torch.arange(5)), MODEL, "grey", "at least one batch of 16 training images, got 5"),
        (without_labels, dataclasses.replace(MODEL, conditional=True), "grey", "needs a label for each image"),
        (lambda d: d, dataclasses.replace(MODEL, image_shape=(1, 9, 9)), "grey", "1×9×9"),
        (lambda d: d, dataclasses.replace(MODEL, conditional=True, classes=2), "grey", "labels in 0…1, got 2"),
        (lambda d: d, dataclasses.replace(MODEL, likelihood="logistic"), "dynamic", "--variant or --likelihood"),
    ],
)
def test_preflight_refuses_in_one_sentence(
    data: ImageData, change: Any, model: ModelConfig, variant: str, message: str
) -> None:
    with pytest.raises(UsageError if "--variant" in message else DataError, match=message):
        fit(build_model(model, 0), change(data), TRAINING, variant=variant)


def test_an_unknown_device_is_refused() -> None:
    from vaelab.devices import choose_device

    with pytest.raises(VaelabError, match="--device cpu"):
        choose_device("cuda:99")


def test_an_importance_weighted_run_logs_the_elbo_beside_its_loss(data: ImageData, tmp_path: Path) -> None:
    _, folder = run(tmp_path / "run", data, dataclasses.replace(TRAINING, objective="iwae:samples=20"))
    history = folder.history()
    for row in range(len(history["step"])):
        total = history["reconstruction"][row] + history["kl"][row]
        assert history["negative_elbo"][row] == pytest.approx(total, rel=1e-5)
    assert history.where(split="test")["loss"][-1] < history.where(split="test")["negative_elbo"][-1]


def test_an_autoencoder_has_beta_zero_in_every_row(data: ImageData, tmp_path: Path) -> None:
    config = dataclasses.replace(TRAINING, objective="reconstruction")
    _, folder = run(tmp_path / "run", data, config, dataclasses.replace(MODEL, kind="autoencoder"))
    assert set(folder.history()["beta"]) == {0.0}


def test_weights_that_blew_up_never_replace_a_good_checkpoint(data: ImageData, tmp_path: Path) -> None:
    config = dataclasses.replace(TRAINING, lr=1e20, checkpoint_steps=1)
    with pytest.raises(TrainingError, match="checkpoint of step 0 is kept"):
        run(tmp_path / "run", data, config)


def test_a_signal_during_the_last_epoch_end_is_not_swallowed(data: ImageData, tmp_path: Path) -> None:
    with pytest.raises(Interrupted) as stopped:
        run(tmp_path / "run", data, callbacks=[StopAt(TRAINING.epochs, signal.SIGTERM)])
    assert stopped.value.exit_code == 143
    rest, _ = run(tmp_path / "run", data, resume=True)
    assert rest.finished


def test_large_images_are_evaluated_few_at_once(data: ImageData) -> None:
    images = torch.zeros(8, 3, 400, 400, dtype=torch.uint8)
    model = build_model(dataclasses.replace(MODEL, encoder="conv", decoder="conv", image_shape=(3, 400, 400)), 0)
    training = Training(
        model, ImageData("large", images), dataclasses.replace(TRAINING, batch_size=2), "grey", None, "test", None
    )
    assert training.evaluation_batch == 2
    small = Training(build_model(MODEL, 0), data, TRAINING, "grey", None, "test", None)
    assert small.evaluation_batch == 500
