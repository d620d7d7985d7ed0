"""Noise that belongs to the image; bounded decoder batches; a model that nothing happens to."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from vaelab import build_model, presets
from vaelab.errors import DataError, UsageError
from vaelab.evaluation import embed, evaluate, evaluate_bounds, log_likelihood, posterior_statistics
from vaelab.evaluation.draws import BLOCK, frozen_copy, image_batches, images_within, rows_within

PRIORS = ("normal", "mixture:components=4", "vamp:components=4")


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("variant", ["grey", "dynamic"])
def test_scores_depend_on_neither_batch_order_nor_company(small_model, images, prior, variant):
    model, data = small_model(prior=prior), images(23)
    order = torch.randperm(23, generator=torch.Generator().manual_seed(1))
    whole = evaluate_bounds(model, data, variant, samples=3)
    for batch_size in (1, 7, 10):
        other = evaluate_bounds(model, data.take(order), variant, samples=3, batch_size=batch_size)
        torch.testing.assert_close(other.negative_elbo, whole.negative_elbo[order], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(other.kl, whole.kl[order], rtol=1e-5, atol=1e-5)
    alone = evaluate_bounds(model, data.take(torch.tensor([17])), variant, samples=3)
    torch.testing.assert_close(alone.reconstruction, whole.reconstruction[17:18], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("prior", PRIORS)
def test_likelihood_does_not_depend_on_chunks(small_model, images, prior):
    model, data, samples = small_model(prior=prior), images(5), 2 * BLOCK + 7
    whole = log_likelihood(model, data, "grey", samples=samples, rows=10_000)
    for rows in (1, 33, 200):
        chunked = log_likelihood(model, data, "grey", samples=samples, rows=rows)
        torch.testing.assert_close(chunked.log_likelihood, whole.log_likelihood, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(chunked.effective_sample_size, whole.effective_sample_size, rtol=1e-4, atol=1e-4)


def test_another_seed_gives_other_draws(small_model, images):
    model, data = small_model(), images(3)
    first, second = (evaluate_bounds(model, data, "grey", seed=seed).reconstruction for seed in (0, 1))
    assert (first != second).all()


def test_static_pixels_score_alike_before_and_after_they_are_binarised(small_model, images):
    from vaelab.data.pixels import binarise_static

    model, data = small_model(), images(4)
    before, after = (evaluate_bounds(model, d, "static", seed=2).negative_elbo for d in (data, binarise_static(data)))
    assert torch.equal(before, after)


def test_memory_bounds_the_decoder_batch(small_model, images):
    model = small_model(decoder="conv:channels=8/4", encoder="conv:channels=4/8")
    seen = []
    model.decoder.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    few = rows_within(model, memory := 2**18)
    assert 1 < few < 1000
    seen.clear()
    log_likelihood(model, images(30), "grey", samples=120, memory=memory)
    assert max(seen) <= few
    assert sum(seen) == 30 * 120 + 1  # one row to see how large it is
    seen.clear()
    evaluate_bounds(model, images(30), "grey", samples=60, memory=memory)
    assert max(seen) <= few
    seen.clear()
    log_likelihood(model, images(3), "grey", samples=120, memory=1)
    assert max(seen) == 1


@pytest.mark.parametrize("kind", ["vae", "autoencoder"])
def test_memory_bounds_the_encoder_batch(small_model, images, kind):
    model, data = small_model(kind=kind, decoder="linear", encoder="conv:channels=16/32"), images(30)
    seen = []
    model.encoder.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    few = images_within(model, memory := 2**17, 500)
    assert 1 < few < 30
    passes = [partial(evaluate_bounds, memory=memory), partial(posterior_statistics, memory=memory)]
    passes += [partial(embed, memory=memory)]
    if kind == "vae":
        passes += [partial(log_likelihood, samples=1, memory=memory)]
    for score in passes:
        seen.clear()
        score(model, data, "grey")
        assert max(seen) == few, score
        assert sum(seen) == 30 + 1
    seen.clear()
    evaluate(model, data, variant="grey", split="test", memory=1)
    assert max(seen) == 1


def test_an_autoencoders_decoder_counts_as_memory(small_model):
    small, large = (
        images_within(small_model(kind="autoencoder", encoder="linear", decoder=decoder), 2**18, 500)
        for decoder in ("linear", "conv:channels=64/32")
    )
    assert 1 <= large < small


def test_many_components_count_as_memory(small_model):
    assert rows_within(small_model(prior="mixture:components=5000"), 2**22) == 2**22 // (4 * 8 * 15000)


def test_the_encoder_runs_once_for_an_image(small_model, images):
    model, seen = small_model(), []
    model.encoder.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    log_likelihood(model, images(11), "grey", samples=130, rows=100)
    assert sum(seen) == 11 + 1  # one image to see how large it is


def test_the_model_and_the_global_generator_are_left_alone(small_model, images):
    model = small_model(encoder="conv:channels=4/8", decoder="conv:channels=8/4")
    model.decoder.eval()  # a mode of its own
    before = {name: (value.clone(), value.stride()) for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    evaluate(model, images(6), variant="grey", split="test", importance_samples=3)
    embed(model, images(6), "grey")
    assert torch.equal(state, torch.get_rng_state())
    assert model.training
    assert model.encoder.training
    assert not model.decoder.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name][0])
        assert value.stride() == before[name][1]


def test_copy_is_in_evaluation_mode(small_model):
    copied = frozen_copy(small_model(), "cpu")
    assert not copied.training
    assert not any(parameter.requires_grad for parameter in copied.parameters())


def test_scores_carry_no_graph_and_no_inference_mode(small_model, images):
    codes = embed(small_model(), images(4), "grey")
    weight = torch.ones(3, requires_grad=True)
    (codes * weight).sum().backward()
    assert weight.grad is not None


def test_progress_counts_images(small_model, images):
    seen: list[int] = []
    evaluate_bounds(small_model(), images(7), "grey", batch_size=3, progress=seen.append)
    assert seen == [3, 6, 7]
    seen.clear()
    log_likelihood(small_model(), images(7), "grey", samples=10, rows=30, progress=seen.append)
    assert seen == [3, 6, 7]


def test_numbers_below_one_are_refused(small_model, images):
    model, data = small_model(), images(2)
    with pytest.raises(UsageError, match="samples ≥ 1"):
        evaluate_bounds(model, data, "grey", samples=0)
    with pytest.raises(UsageError, match="batch_size ≥ 1"):
        evaluate_bounds(model, data, "grey", batch_size=0)
    with pytest.raises(UsageError, match="importance samples ≥ 1"):
        log_likelihood(model, data, "grey", samples=0)
    with pytest.raises(UsageError, match="rows ≥ 1"):
        log_likelihood(model, data, "grey", rows=0)


def test_unfit_data_is_refused(small_model, images):
    data = images(2)
    with pytest.raises(DataError, match="1×28×28"):
        evaluate_bounds(small_model(image_shape=(1, 28, 28)), data, "grey")
    with pytest.raises(UsageError, match="variant"):
        log_likelihood(small_model(likelihood="logistic"), data, "dynamic")


def test_batches_carry_labels_only_for_a_condition(small_model, images):
    data = images(5)
    plain = list(image_batches(small_model(), data, "grey", seed=0, size=2))
    assert [batch.done for batch in plain] == [2, 4, 5]
    assert all(batch.c is None for batch in plain)
    conditional = list(image_batches(small_model(conditional=True), data, "grey", seed=0, size=2))
    assert torch.cat([batch.c for batch in conditional]).tolist() == [0, 1, 2, 0, 1]


def test_the_bound_of_the_memory_does_not_depend_on_gradients() -> None:
    model = build_model(presets.get("conv-vae").model)
    with torch.no_grad():
        expected = rows_within(model, 2**24), images_within(model, 2**24, 10**6)
    assert (rows_within(model, 2**24), images_within(model, 2**24, 10**6)) == expected
    assert expected[0] == 2**24 // (4 * 8 * 32 * 14 * 14)
