"""Losses against hand arithmetic, slow loops, and torch's and sentence-transformers' own where those exist."""

import math
from itertools import product

import pytest
import torch
from torch import nn
from torch.nn import functional

from rader_ir.train import losses

TAUGHT = {
    "kl": losses.kl_to_teacher,
    "margin mse": losses.margin_mse,
    "ranknet": losses.ranknet,
    "ndcg loss 2": lambda scores, teacher: losses.ndcg_loss2(scores, teacher.abs()),
}
ALL = TAUGHT | {"group softmax": lambda scores, _: losses.group_softmax(scores)}


def table(rows, **options):
    return torch.tensor(rows, dtype=torch.float32, **options)


def random_scores(seed, queries=5, candidates=7):
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(queries, candidates, generator=generator)


def slow_info_nce(queries, candidates, targets, temperature):
    total = 0.0
    for query, target in zip(queries.tolist(), targets.tolist(), strict=True):
        powers = [math.exp(sum(map(math.prod, zip(query, c, strict=True))) / temperature) for c in candidates.tolist()]
        total -= math.log(powers[target] / sum(powers))
    return total / len(queries)


def slow_ranknet(scores, teacher):
    means = []
    for found, wanted in zip(scores.tolist(), teacher.tolist(), strict=True):
        pairs = [(i, j) for i, j in product(range(len(found)), repeat=2) if wanted[i] > wanted[j]]
        means.append(sum(math.log1p(math.exp(found[j] - found[i])) for i, j in pairs) / max(1, len(pairs)))
    return sum(means) / len(means)


def slow_margin_mse(scores, teacher):
    squares = [
        ((found[0] - s) - (wanted[0] - t)) ** 2
        for found, wanted in zip(scores.tolist(), teacher.tolist(), strict=True)
        for s, t in zip(found[1:], wanted[1:], strict=True)
    ]
    return sum(squares) / len(squares)


def slow_kl(scores, teacher, temperature):
    total = 0.0
    for found, wanted in zip(scores.tolist(), teacher.tolist(), strict=True):
        p, m = (softmax([x / temperature for x in row]) for row in (wanted, found))
        total += sum(a * math.log(a / b) for a, b in zip(p, m, strict=True))
    return temperature**2 * total / len(scores)


def softmax(row):
    return [math.exp(x) / sum(map(math.exp, row)) for x in row]


def test_info_nce_by_hand():
    """Products 1, 0 and 0, 2 at T = .5, so 2, 0 and 0, 4; targets 0 and 0: log(1 + e^-2) and log(1 + e^4)."""
    queries, candidates = table([[1, 0], [0, 1]]), table([[1, 0], [0, 2]])
    found = losses.info_nce(queries, candidates, torch.tensor([0, 0]), temperature=0.5)
    assert found.item() == pytest.approx((math.log(1 + math.exp(-2)) + math.log(1 + math.exp(4))) / 2, abs=1e-6)


def test_info_nce_equals_a_loop_and_torch():
    generator = torch.Generator().manual_seed(0)
    queries, candidates = (functional.normalize(torch.randn(n, 6, generator=generator)) for n in (4, 9))
    targets = torch.tensor([3, 0, 8, 3])
    for temperature in (1.0, 0.1):
        found = losses.info_nce(queries, candidates, targets, temperature).item()
        assert found == pytest.approx(slow_info_nce(queries, candidates, targets, temperature), rel=1e-5)
        assert found == pytest.approx(
            functional.cross_entropy(queries @ candidates.T / temperature, targets).item(), rel=1e-5
        )


def test_info_nce_stays_finite_where_exponentials_do_not():
    """Cosines 1 and -1 at T = .01: the exponents are 100 and -100, e^200 overflows float32; the loss is 200."""
    found = losses.info_nce(table([[1.0]]), table([[1.0], [-1.0]]), torch.tensor([1]))
    assert found.item() == pytest.approx(200, rel=1e-6)


def test_group_softmax_by_hand_and_by_torch():
    """Scores (log 2, 0, 0): 2 / 4 is right, so log 2; equal scores of three: log 3."""
    scores = table([[math.log(2), 0, 0], [5, 5, 5]])
    assert losses.group_softmax(scores).item() == pytest.approx((math.log(2) + math.log(3)) / 2, abs=1e-6)
    scores = random_scores(1)
    right = functional.cross_entropy(scores, torch.zeros(len(scores), dtype=torch.int64))
    assert losses.group_softmax(scores).item() == pytest.approx(right.item(), rel=1e-6)


def test_kl_by_hand_and_by_a_loop():
    """Teacher 3/4 and 1/4, model 1/2 and 1/2: 3/4 log(3/2) + 1/4 log(1/2)."""
    found = losses.kl_to_teacher(table([[1, 1]]), table([[math.log(3), 0]]))
    assert found.item() == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5), abs=1e-6)
    scores, teacher = random_scores(2), random_scores(3)
    for temperature in (0.5, 1.0, 4.0):
        found = losses.kl_to_teacher(scores, teacher, temperature).item()
        assert found == pytest.approx(slow_kl(scores, teacher, temperature), rel=1e-4)
    assert losses.kl_to_teacher(teacher + 7, teacher).item() == pytest.approx(0, abs=1e-6)
    ruled_out = losses.kl_to_teacher(table([[0, 0, 0]]), table([[0, 0, -math.inf]]))  # 1/2, 1/2, 0 against thirds
    assert ruled_out.item() == pytest.approx(math.log(1.5), abs=1e-6)
    for share in (0.0, 0.3, 1.0):
        found = losses.kl_to_teacher(table([[1, 1]]), table([[math.log(3), 0]]), label_weight=share).item()
        first = share + (1 - share) * 0.75
        rest = (1 - first) * math.log(2 * (1 - first)) if share < 1 else 0
        assert found == pytest.approx(first * math.log(2 * first) + rest, abs=1e-6)


def test_margin_mse_by_hand_and_by_a_loop():
    """Margins 2 and 3, the teacher's 1 and 5: (1 + 4) / 2."""
    assert losses.margin_mse(table([[4, 2, 1]]), table([[10, 9, 5]])).item() == pytest.approx(2.5)
    scores, teacher = random_scores(4), random_scores(5)
    assert losses.margin_mse(scores, teacher).item() == pytest.approx(slow_margin_mse(scores, teacher), rel=1e-5)


def test_ranknet_by_hand_and_by_a_loop():
    """The teacher says 0 > 1 and 0 > 2, and nothing of 1 and 2: log(1 + e^-1) and log(1 + e^2); then a row of ties: 0."""
    by_hand = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(2))) / 2
    assert losses.ranknet(table([[1, 0, 3]]), table([[9, 4, 4]])).item() == pytest.approx(by_hand, abs=1e-6)
    both = losses.ranknet(table([[1, 0, 3], [7, -7, 0]]), table([[9, 4, 4], [2, 2, 2]]))
    assert both.item() == pytest.approx(by_hand / 2, abs=1e-6)
    scores, teacher = random_scores(6), random_scores(7).round()
    assert any(len(set(row)) < len(row) for row in teacher.tolist())
    assert losses.ranknet(scores, teacher).item() == pytest.approx(slow_ranknet(scores, teacher), rel=1e-5)


def slow_ndcg_loss2(scores, gains):
    total = 0.0
    for found, labels in zip(scores.tolist(), gains.tolist(), strict=True):
        worth = [2**label - 1 for label in labels]
        most = sum(w / math.log2(2 + place) for place, w in enumerate(sorted(worth, reverse=True)))
        places = {i: place for place, i in enumerate(sorted(range(len(found)), key=lambda i: -found[i]))}
        for i, j in product(range(len(found)), repeat=2):
            if labels[i] > labels[j]:
                apart = abs(places[i] - places[j])
                delta = abs(1 / math.log2(1 + apart) - 1 / math.log2(2 + apart))
                total += math.log2(1 + math.exp(found[j] - found[i])) * delta * (worth[i] - worth[j]) / most
    return total / len(scores)


def test_ndcg_loss_2_by_hand_and_by_a_loop():
    """Gain 1 for the lower of two scores 0 and 1: they are 1 apart, (1/log2(2) - 1/log2(3)) * log2(1 + e), of a best DCG of 1."""
    by_hand = (1 - 1 / math.log2(3)) * math.log2(1 + math.e)
    assert losses.ndcg_loss2(table([[0, 1]]), table([[1, 0]])).item() == pytest.approx(by_hand, rel=1e-6)
    assert losses.ndcg_loss2(table([[0, 1, 5]]), table([[0, 0, 0]])).item() == 0
    scores, gains = random_scores(20), random_scores(21).clamp(min=0).round()
    assert losses.ndcg_loss2(scores, gains).item() == pytest.approx(slow_ndcg_loss2(scores, gains), rel=1e-5)


class Fixed(nn.Module):
    """In place of sentence-transformers' cross-encoder: the scores that were set, whatever the texts."""

    num_labels, device = 1, torch.device("cpu")

    def __init__(self, scores):
        super().__init__()
        self.scores = scores.flatten()

    def preprocess(self, pairs, **_):
        return {"place": torch.tensor([int(doc) for _, doc in pairs])}

    def forward(self, features):
        return {"scores": self.scores[features["place"]]}


def test_sentence_transformers_agrees():
    """Its RankNet averages over the pairs of the whole batch, so it gets one query at a time."""
    from sentence_transformers.cross_encoder.losses import RankNetLoss
    from sentence_transformers.sentence_transformer.losses import DistillKLDivLoss, MarginMSELoss

    scores, teacher = random_scores(8), random_scores(9)
    theirs = [
        RankNetLoss(Fixed(row), reduction_log="natural")((["q"], [[str(i) for i in range(7)]]), [wanted]).item()
        for row, wanted in zip(scores, teacher, strict=True)
    ]
    assert losses.ranknet(scores, teacher).item() == pytest.approx(sum(theirs) / len(theirs), rel=1e-5)

    # theirs score by a function of the query's and the documents' vectors; here a "vector" is the score itself
    vectors = [torch.zeros(len(scores), 1), *scores.T.unsqueeze(2)]
    score = {"similarity_fct": lambda query, docs: (query + docs).squeeze(1)}
    margins = MarginMSELoss(nn.Identity(), **score)
    right = margins.compute_loss_from_embeddings(vectors, teacher[:, :1] - teacher[:, 1:])
    assert losses.margin_mse(scores, teacher).item() == pytest.approx(right.item(), rel=1e-5)
    for temperature in (1.0, 2.0):
        divergence = DistillKLDivLoss(nn.Identity(), **score, temperature=temperature)
        right = divergence.compute_loss_from_embeddings(vectors, teacher)
        assert losses.kl_to_teacher(scores, teacher, temperature).item() == pytest.approx(right.item(), rel=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_a_batch_is_the_mean_of_its_queries(name):
    loss, scores, teacher = ALL[name], random_scores(10), random_scores(11).round()
    alone = [loss(scores[i : i + 1], teacher[i : i + 1]).item() for i in range(len(scores))]
    assert loss(scores, teacher).item() == pytest.approx(sum(alone) / len(alone), rel=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_gradients_equal_differences(name):
    """Central differences of step .01 in float32 against the gradient; none reaches the teacher."""
    loss, scores, teacher = ALL[name], random_scores(12, 2, 4).requires_grad_(), random_scores(13, 2, 4)
    teacher.requires_grad_()
    loss(scores, teacher).backward()
    for place in product(range(2), range(4)):
        step = torch.zeros(2, 4)
        step[place] = 0.01
        slope = (loss(scores.detach() + step, teacher) - loss(scores.detach() - step, teacher)).item() / 0.02
        assert scores.grad[place].item() == pytest.approx(slope, abs=2e-3)
    assert teacher.grad is None


@pytest.mark.parametrize("name", ALL)
def test_nan_is_never_passed_over(name):
    """A score that is NaN, or a teacher's that is missing, anywhere, even where the teacher holds all others equal."""
    loss = ALL[name]
    for place in product(range(2), range(3)):
        scores, teacher = torch.zeros(2, 3), torch.zeros(2, 3)
        scores[place] = math.nan
        assert loss(scores, teacher).isnan()
        teacher[place] = math.nan
        assert name not in TAUGHT or loss(torch.zeros(2, 3), teacher).isnan()
    queries = table([[math.nan]])
    assert losses.info_nce(queries, table([[1.0], [0.0]]), torch.tensor([0])).isnan()


@pytest.mark.parametrize("name", ALL)
def test_half_precision_is_computed_in_float32(name):
    loss, scores, teacher = ALL[name], random_scores(14).bfloat16(), random_scores(15)
    found = loss(scores, teacher)
    assert found.dtype == torch.float32 and found.item() == loss(scores.float(), teacher).item()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: losses.group_softmax(torch.zeros(3)), r"the shape \(3,\); give \[queries, candidates\]"),
        (lambda: losses.group_softmax(torch.zeros(3, 1)), "two candidates or more"),
        (lambda: losses.group_softmax(torch.zeros(0, 4)), r"the shape \(0, 4\)"),
        (lambda: losses.ranknet(torch.zeros(2, 3), torch.zeros(2, 4)), r"teacher's scores \(2, 4\) do not fit"),
        (lambda: losses.margin_mse(torch.zeros(2, 3), torch.zeros(2)), r"teacher's scores \(2,\) do not fit"),
        (lambda: losses.kl_to_teacher(torch.zeros(2, 3), torch.zeros(2, 3), 0), "temperature is 0; give a number"),
        (lambda: losses.info_nce(torch.zeros(2, 3), torch.zeros(4, 2), torch.zeros(2)), r"give \[q, d\] and \[c, d\]"),
        (lambda: losses.info_nce(torch.zeros(2, 3), torch.zeros(4, 3), torch.zeros(1)), "do not fit 2 queries"),
        (lambda: losses.info_nce(torch.zeros(1, 3), torch.zeros(4, 3), torch.zeros(1), math.nan), "temperature is nan"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_target_that_is_no_candidate_is_not_ignored():
    """torch's cross-entropy passes over the target -100."""
    for target in (-100, -1, 4):
        with pytest.raises(RuntimeError, match="out of bounds"):
            losses.info_nce(torch.zeros(1, 3), torch.zeros(4, 3), torch.tensor([target]))


def test_soft_cross_entropy_by_hand():
    """Two candidates of equal score, one that is out; then one right answer, which makes it a plain cross-entropy."""
    found = losses.soft_cross_entropy(table([[2, 2, -math.inf]]), table([[0.25, 0.75, 0]]))
    assert found.item() == pytest.approx(math.log(2), abs=1e-6)
    scores = random_scores(5)
    targets = torch.zeros_like(scores)
    targets[:, 2] = 1
    right = functional.cross_entropy(scores, torch.full((len(scores),), 2))
    assert losses.soft_cross_entropy(scores, targets).item() == pytest.approx(right.item(), rel=1e-6)
    assert losses.soft_cross_entropy(table([[math.nan, 0]]), table([[0, 1]])).isnan()
    with pytest.raises(ValueError, match="do not fit"):
        losses.soft_cross_entropy(torch.zeros(2, 3), torch.zeros(2, 2))
    with pytest.raises(ValueError, match="label_weight is 2"):
        losses.kl_to_teacher(torch.zeros(2, 3), torch.zeros(2, 3), label_weight=2)


def test_soft_ranknet_by_hand():
    """Scores 1 and 0, teacher 2 and 0: target sigma(2) = .880797, logit 1: log(1 + e^1) - .880797 = 1.313262 - .880797.

    A second query whose teacher holds both equal has the target 1/2: log(1 + e^1) - .5. The minimum is where the margin is the
    teacher's, with the target's entropy as the loss.
    """
    scores = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    teacher = torch.tensor([[2.0, 0.0], [3.0, 3.0]])
    assert float(losses.soft_ranknet(scores, teacher)) == pytest.approx((0.432465 + 0.813262) / 2, abs=1e-5)
    p = 1 / (1 + math.exp(-2))
    least = -(p * math.log(p) + (1 - p) * math.log(1 - p))
    assert float(losses.soft_ranknet(teacher[:1], teacher[:1])) == pytest.approx(least, abs=1e-6)
    free = torch.tensor([[0.3, 0.1]], requires_grad=True)
    for _ in range(400):
        (gradient,) = torch.autograd.grad(losses.soft_ranknet(free, teacher[:1]), free)
        free = (free - gradient).detach().requires_grad_()
    assert float(free[0, 0] - free[0, 1]) == pytest.approx(2, abs=0.01)


def test_soft_ranknet_of_three_counts_each_pair_once():
    """Scores 0, 1, 2 with a sure teacher of the same order: pairs have margins 1, 2, 1, all on the right side."""
    scores, sure = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[200.0, 100.0, 0.0]])
    expected = (2 * math.log1p(math.exp(-1)) + math.log1p(math.exp(-2))) / 3
    assert float(losses.soft_ranknet(scores, sure)) == pytest.approx(expected, abs=1e-6)
    assert float(losses.soft_ranknet(scores, sure)) == pytest.approx(float(losses.ranknet(scores, sure)), abs=1e-6)
    assert losses.soft_ranknet(scores, torch.tensor([[1.0, torch.nan, 0.0]])).isnan()


def test_preference_and_binary_cross_entropy_by_hand():
    """Scores 2, 0, 1: preference (log(1 + e^-2) + log(1 + e^-1)) / 2; each by itself log(1 + e^-2), log 2, log(1 + e)."""
    scores = torch.tensor([[2.0, 0.0, 1.0]])
    expected = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1))) / 2
    assert float(losses.preference(scores)) == pytest.approx(expected, abs=1e-6)
    expected = (math.log1p(math.exp(-2)) + math.log(2) + math.log1p(math.e)) / 3
    assert float(losses.binary_cross_entropy(scores)) == pytest.approx(expected, abs=1e-6)
    pair = torch.tensor([[0.7, -0.4]])
    assert float(losses.preference(pair)) == pytest.approx(float(losses.group_softmax(pair)), abs=1e-6)


def test_distilled_by_hand():
    """Scores 1, 0 and teacher 4, 0 at T = 2: p = sigma(2), m = sigma(1/2).

    Divergence 4 (p log(p / m) + (1 - p) log((1 - p) / (1 - m))); main parts: softmax log(1 + e^-1); with targets sigma(4)
    log(1 + e) - sigma(4); the hybrid of two candidates is the softmax again.
    """
    scores, teacher = torch.tensor([[1.0, 0.0]]), torch.tensor([[4.0, 0.0]])
    p, m = 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(-0.5))
    divergence = 4 * (p * math.log(p / m) + (1 - p) * math.log((1 - p) / (1 - m)))
    softmax, ranknet = math.log1p(math.exp(-1)), math.log1p(math.e) - 1 / (1 + math.exp(-4))
    for main, part in (("softmax", softmax), ("ranknet", ranknet), ("hybrid", softmax)):
        for alpha in (0.0, 0.1, 1.0):
            found = float(losses.distilled(scores, teacher, main=main, alpha=alpha))
            assert found == pytest.approx((1 - alpha) * part + alpha * divergence, abs=1e-5)
    with pytest.raises(ValueError, match="main 'ce' is unknown"):
        losses.distilled(scores, teacher, main="ce")
    with pytest.raises(ValueError, match="alpha is 2"):
        losses.distilled(scores, teacher, alpha=2)


def test_the_hybrid_of_three_is_half_of_each():
    scores, teacher = torch.tensor([[0.5, 1.0, -1.0]]), torch.tensor([[2.0, 1.0, 0.0]])
    half = (losses.preference(scores) + losses.group_softmax(scores)) / 2
    assert torch.equal(losses.distilled(scores, teacher, main="hybrid", alpha=0.0), half)
