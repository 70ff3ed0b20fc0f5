"""Self-distillation: regions find themselves, and the losses, centre and average are as written."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.semantic.distillation import (
    CENTRE_MOMENTUM,
    STUDENT_TEMPERATURE,
    TEACHER_TEMPERATURE,
    Centre,
    Distilled,
    Head,
    cross_entropy,
    follow,
    matches,
    probabilities,
    region_loss,
)
from benchmarks.semantic.encoder import Training, momentum_at
from benchmarks.semantic.lens import Lens
from benchmarks.semantic.views import cut_pieces, look, random_views, recoloured, windows
from witt.metrics.semantic.network import STRIDE, Encoder


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def encoder() -> Encoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Encoder().eval()


def test_regions_of_a_shifted_view_find_themselves(encoder: Encoder) -> None:
    """A view one region further right: region (r, c) is region (r, c − 1) of the other view.

    Exactly so where the border is further away than the encoder sees.
    """
    scene = random(2, 3, 128, 128 + STRIDE)
    first, second = scene[..., STRIDE:], scene[..., :-STRIDE]
    with torch.no_grad():
        a, b = (encoder(view).flatten(2).transpose(1, 2) for view in (first, second))
    side, margin = 128 // STRIDE, 4
    found = matches(a, b).reshape(2, side, side)
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    inner = (slice(None), slice(margin, -margin), slice(margin, -margin))
    expected = (rows * side + columns + 1).expand(2, -1, -1)
    assert torch.equal(found[inner], expected[inner])


def test_region_loss_against_loops() -> None:
    generator = torch.Generator().manual_seed(1)
    student, teacher = (torch.randn((2, 3, 5), generator=generator) for _ in range(2))
    scores, theirs = (torch.randn((2, 3, 4), generator=generator) for _ in range(2))
    target = probabilities(theirs, torch.zeros(4))
    found = region_loss(scores, target, matches(student, teacher))
    for picture in range(2):
        terms = []
        for i in range(3):
            z = student[picture, i].double().numpy()
            likeness = [
                z @ other / np.linalg.norm(z) / np.linalg.norm(other)
                for other in teacher[picture].double().numpy()
            ]
            p = np.exp(theirs[picture, int(np.argmax(likeness))].double().numpy() / 0.05)
            q = np.exp(scores[picture, i].double().numpy() / 0.1)
            terms.append(-(p / p.sum() * np.log(q / q.sum())).sum())
        assert float(found[picture]) == pytest.approx(np.mean(terms), rel=1e-5)


def test_cross_entropy_is_least_where_the_student_is_the_teacher() -> None:
    """Its gradient over the scores is (softmax − target)/τ: zero where they agree."""
    target = probabilities(random(2, 6).double(), torch.zeros(6))
    scores = (STUDENT_TEMPERATURE * target.log()).requires_grad_()
    loss = cross_entropy(scores, target)
    assert loss.tolist() == pytest.approx((-(target * target.log()).sum(dim=-1)).tolist())
    (slope,) = torch.autograd.grad(loss.sum(), scores)
    torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-12)
    flat = cross_entropy(torch.zeros(2, 6), target.float())
    assert flat.tolist() == pytest.approx([math.log(6)] * 2)


def test_centre_in_closed_form() -> None:
    """From 0, c after n steps towards one mean is (1 − mⁿ) of it; scores at c are all alike."""
    scores = random(4, 3, 8)
    centre = Centre(8)
    for _ in range(5):
        centre.update(scores)
    mean = scores.mean(dim=(0, 1))
    torch.testing.assert_close(centre.value, (1 - CENTRE_MOMENTUM**5) * mean)
    same = probabilities(centre.value.expand(2, 8), centre.value)
    torch.testing.assert_close(same, torch.full((2, 8), 1 / 8))
    one = probabilities(torch.tensor([TEACHER_TEMPERATURE * math.log(3), 0.0]), torch.zeros(2))
    torch.testing.assert_close(one, torch.tensor([0.75, 0.25]))


def test_teacher_in_closed_form() -> None:
    """After n steps behind one student: t = mⁿ·t₀ + (1 − mⁿ)·s."""
    teacher, student = nn.Linear(3, 2), nn.Linear(3, 2)
    before = teacher.weight.detach().clone()
    for _ in range(4):
        follow(teacher, student, 0.8)
    expected = 0.8**4 * before + (1 - 0.8**4) * student.weight.detach()
    torch.testing.assert_close(teacher.weight.detach(), expected)
    assert [momentum_at(done) for done in (0, 0.5, 1)] == pytest.approx([0.99, 0.995, 1])


def test_scores_of_a_head_are_cosines() -> None:
    with torch.no_grad():
        scores = Head(16)(100 * torch.randn(50, 16, generator=torch.Generator().manual_seed(2)))
    assert float(scores.abs().max()) <= 1 + 1e-6


def test_lens_keeps_its_bound_and_begins_with_no_change() -> None:
    lens, image = Lens(0.05), random(3, 3, 32, 32)
    assert torch.equal(lens(image), image)
    with torch.no_grad():
        for weight in lens.parameters():
            weight.copy_(20 * torch.randn(weight.shape))
    seen = lens(image).detach()
    change = (seen - image).abs().max()
    assert 0.049 < float(change) <= 0.05 + 1e-6
    assert 0 <= float(seen.min()) <= float(seen.max()) <= 1


def test_lens_goes_uphill_and_the_student_down() -> None:
    """On one batch: the student alone lowers its loss; a lens before a fixed student raises it."""
    views = random(8, 3, 32, 32, seed=3), random(8, 3, 32, 32, seed=4)
    told = {}
    for what in ("student", "lens"):
        training = Training(0.3 if what == "lens" else 0, seed=0)
        if what == "lens":
            training.optimizer.param_groups[0]["params"] = []
            assert training.lens_optimizer is not None
            training.lens_optimizer.param_groups[0]["lr"] = 0.02
        losses = []
        for _ in range(8):
            found = training.step(views, 0.1)
            training.view_centre.value.zero_()
            training.region_centre.value.zero_()
            losses.append(found["view_loss"] + found["region_loss"])
        told[what] = losses
    assert told["student"][-1] < told["student"][1] - 0.05
    assert told["lens"][-1] > told["lens"][1] + 0.03


def test_the_teacher_is_not_trained_but_follows() -> None:
    training = Training(0, seed=0)
    before = training.teacher.encoder.stem.weight.clone()
    student = training.student.encoder.stem.weight.detach().clone()
    training.step((random(4, 3, 32, 32), random(4, 3, 32, 32, seed=1)), 0.1)
    after = training.student.encoder.stem.weight.detach()
    assert not torch.equal(after, student)
    m = momentum_at(0.1)
    torch.testing.assert_close(training.teacher.encoder.stem.weight, m * before + (1 - m) * after)


def test_every_parameter_gets_a_gradient() -> None:
    network = Distilled()
    regions, view, each = network(random(2, 3, 32, 32))
    assert (regions.shape[1], view.shape, each.shape[:2]) == (16, (2, 256), (2, 16))
    losses = cross_entropy(view, random(2, 256)), cross_entropy(each, random(2, 16, 256))
    (losses[0].sum() + losses[1].sum()).backward()
    for name, weight in network.named_parameters():
        if weight.requires_grad:
            assert weight.grad is not None, name
            assert weight.grad.isfinite().all(), name


def test_the_whole_of_a_piece_is_its_mean_of_two_by_two() -> None:
    piece = random(2, 3, 64, 64)
    whole = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).expand(2, -1, -1)
    expected = torch.nn.functional.avg_pool2d(piece, 2)
    torch.testing.assert_close(look(piece, whole), expected)
    mirrored = torch.tensor([[-1.0, 0, 0], [0, 1, 0]]).expand(2, -1, -1)
    torch.testing.assert_close(look(piece, mirrored), expected.flip(3))


def test_windows_stay_inside_and_have_their_area() -> None:
    parts = windows(2000, torch.Generator().manual_seed(0))
    width, height = parts[:, 0, 0], parts[:, 1, 1]
    assert bool(((width.abs() + parts[:, 0, 2].abs()) <= 1 + 1e-6).all())
    assert bool(((height + parts[:, 1, 2].abs()) <= 1 + 1e-6).all())
    area = (width * height).abs()
    assert 0.2 < float(area.min()) < 0.27
    assert float((width < 0).double().mean()) == pytest.approx(0.5, abs=4 * 0.5 / 2000**0.5)


def test_colours_change_and_stay_in_range() -> None:
    grey = torch.full((50, 3, 4, 4), 0.5)
    seen = recoloured(grey, torch.Generator().manual_seed(0))
    # A flat picture stays flat; its brightness is within three tenths of what it was.
    assert float((seen - seen[:, :, :1, :1]).abs().max()) < 1e-6
    mean = seen.mean(dim=(1, 2, 3))
    assert 0.5 * 0.7 * 0.85 <= float(mean.min()) < 0.5 < float(mean.max()) <= 0.5 * 1.3 * 1.15


def test_pieces_are_cut_at_all_scales() -> None:
    """A picture whose values say where they are, so that the scale of a piece can be read off."""
    row = torch.arange(256, dtype=torch.uint8)
    pixels = row[None, :, None].expand(256, -1, 3).contiguous().numpy()
    small = pixels[:, :100].copy()
    generator = torch.Generator().manual_seed(0)
    pieces = torch.cat([cut_pieces(each, 3, generator) for each in (pixels, small, pixels[:63])])
    assert pieces.shape == (6, 3, 64, 64)
    steps = pieces.double().diff(dim=3).mean(dim=(1, 2, 3))
    assert steps.tolist() == pytest.approx([1, 2, 4, 1, 1, 1], abs=0.02)
    views = random_views(pieces, torch.Generator().manual_seed(0))
    assert views.shape == (6, 3, 32, 32)
