"""Losses of retrievers and rerankers, as functions of scores: no model, no option and no device is known here.

Each takes what one step has scored and gives the mean over its queries, a float32 scalar, so that the loss of a large batch is
the mean of its parts' losses, weighted by their queries. Where a teacher scores (soft labels, margins, orders) a score that it
lacks is NaN, and NaN in any input makes the loss NaN: a caller stops, nothing is skipped in silence.

In the equations s_i is the model's score of candidate i of a query's n, t_i the teacher's, and candidate 0 the positive.
"""

import math

import torch
from torch.nn import functional

from rader_ir.train.settings import MAIN


def info_nce(
    queries: torch.Tensor, candidates: torch.Tensor, targets: torch.Tensor, temperature: float = 0.01
) -> torch.Tensor:
    """InfoNCE over all candidates of a batch (van den Oord et al., arXiv:1807.03748, Eq. 4), as RaDeR's retriever is trained.

    The mean over queries of -log(exp(q.c+ / T) / sum_j exp(q.c_j / T)). Vectors are taken as they are: unit ones make the
    inner product a cosine, which the small default temperature is meant for.

    Args:
        queries: vectors [q, d].
        candidates: vectors [c, d], each query's positive and everything that serves as a negative.
        targets: int64 [q], where each query's positive is among the candidates.
        temperature: T, above 0.

    Raises:
        ValueError: shapes that do not fit, or a temperature that is not above 0.
        RuntimeError: a target that is no candidate's place.
    """
    if queries.ndim != 2 or candidates.ndim != 2 or queries.shape[1] != candidates.shape[1]:
        raise ValueError(
            f"queries {tuple(queries.shape)} and candidates {tuple(candidates.shape)} do not fit; give [q, d] and [c, d]"
        )
    if targets.shape != queries.shape[:1]:
        raise ValueError(f"targets {tuple(targets.shape)} do not fit {len(queries)} queries; give one index for each")
    _check_temperature(temperature)
    scores = queries.float() @ candidates.float().T / temperature
    return (scores.logsumexp(dim=1) - scores.gather(1, targets.unsqueeze(1)).squeeze(1)).mean()


def soft_cross_entropy(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy with several right answers: the mean over queries of -sum_i p_i log softmax(s)_i.

    Equal to `info_nce` where each p is 1 for one candidate.

    Args:
        scores: [q, c]; -inf takes a candidate out.
        targets: p, [q, c], not differentiated; each row sums to 1, with 0 for candidates that are out.

    Raises:
        ValueError: shapes that do not fit.
    """
    if scores.ndim != 2 or scores.shape != targets.shape or not len(scores):
        raise ValueError(
            f"scores {tuple(scores.shape)} and targets {tuple(targets.shape)} do not fit; give [q, c] of both"
        )
    found, wanted = scores.float().log_softmax(dim=1), targets.detach().float()
    each = torch.where(wanted == 0, 0.0, wanted * found)  # 0 times -inf would be NaN
    return torch.where(found.isnan().any(dim=1), torch.nan, -each.sum(dim=1)).mean()


def group_softmax(scores: torch.Tensor) -> torch.Tensor:
    """Softmax cross-entropy over each query's own candidates, the first of which is right: RaDeR's and RankLLaMA's reranker.

    The mean over queries of log(sum_i exp(s_i)) - s_0, called localised contrastive estimation by Gao et al.
    (arXiv:2101.08751, section 3). Unlike `info_nce` no candidate serves two queries.

    Args:
        scores: [q, n], n at least 2.

    Raises:
        ValueError: another shape.
    """
    _check_groups(scores)
    return (scores.float().logsumexp(dim=1) - scores[:, 0].float()).mean()


def kl_to_teacher(
    scores: torch.Tensor, teacher: torch.Tensor, temperature: float = 1.0, label_weight: float = 0.0
) -> torch.Tensor:
    """Kullback-Leibler divergence of the model's distribution over a query's candidates from the teacher's (soft labels).

    T^2 times the mean over queries of sum_i p_i (log p_i - log m_i), with p = softmax(t / T) and m = softmax(s / T); the factor
    keeps gradients of one size whatever T is (Hinton et al., arXiv:1503.02531, Eq. 1 and section 2). Without
    `label_weight` it is 0 where the scores equal the teacher's up to a constant. Which candidate is the positive enters by
    `label_weight` w alone: p becomes (1 - w) p, with w more for candidate 0.

    Args:
        scores: [q, n], n at least 2.
        teacher: [q, n], not differentiated; -inf gives a candidate the probability 0.
        temperature: T, above 0.
        label_weight: w, from 0 to 1.

    Raises:
        ValueError: shapes that do not fit, a temperature that is not above 0, or a weight beyond 0 and 1.
    """
    _check_groups(scores, teacher)
    _check_temperature(temperature)
    if not 0 <= label_weight <= 1:
        raise ValueError(f"label_weight is {label_weight}; give a share, from 0 to 1")
    wanted = (1 - label_weight) * (teacher.detach().float() / temperature).softmax(dim=1)
    wanted[:, 0] += label_weight
    found = (scores.float() / temperature).log_softmax(dim=1)
    each = functional.kl_div(found, wanted, reduction="none")
    return temperature**2 * each.sum(dim=1).mean()


def margin_mse(scores: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Margin-MSE (Hofstätter et al., arXiv:2010.02666, section 4): the teacher's margins between positive and negatives, learned.

    The mean over queries and negatives of ((s_0 - s_i) - (t_0 - t_i))^2. Margins keep the teacher's scale, unlike `ranknet`.

    Args:
        scores: [q, n], n at least 2.
        teacher: [q, n], not differentiated.

    Raises:
        ValueError: shapes that do not fit.
    """
    _check_groups(scores, teacher)
    found, wanted = scores.float(), teacher.detach().float()
    return functional.mse_loss(found[:, :1] - found[:, 1:], wanted[:, :1] - wanted[:, 1:])


def ranknet(scores: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """RankNet (Burges et al., ICML 2005, Eq. 3): the teacher's order of every two candidates, learned.

    The mean over a query's pairs with t_i > t_j of log(1 + exp(s_j - s_i)), then over queries; pairs that the teacher holds
    equal teach nothing, and a query without other pairs counts as 0.

    Args:
        scores: [q, n], n at least 2.
        teacher: [q, n], not differentiated; only its order is read.

    Raises:
        ValueError: shapes that do not fit.
    """
    _check_groups(scores, teacher)
    found, wanted = scores.float(), teacher.detach().float()
    better = (wanted.unsqueeze(2) > wanted.unsqueeze(1)).float()  # [q, n, n]: is i better than j
    each = functional.softplus(found.unsqueeze(1) - found.unsqueeze(2)) * better
    means = each.sum(dim=(1, 2)) / better.sum(dim=(1, 2)).clamp(min=1)
    # comparisons with NaN are false and would pass over the pair
    return torch.where(wanted.isnan().any(dim=1), torch.nan, means).mean()


def ndcg_loss2(scores: torch.Tensor, gains: torch.Tensor) -> torch.Tensor:
    """NDCGLoss2 of the LambdaLoss framework (Wang et al., CIKM 2018, section 4.3), as IDCM's selector is trained.

    For two candidates with g_i > g_j whose places in the model's own order are d apart, log2(1 + exp(s_j - s_i)) counts
    |1 / log2(1 + d) - 1 / log2(2 + d)| times (2^g_i - 2^g_j) / m, with m the best DCG that the gains allow. Summed over a
    query's pairs, then the mean over queries; a query without gains counts as 0.

    Args:
        scores: [q, n], n at least 2.
        gains: g, 0 or more, [q, n], not differentiated.

    Raises:
        ValueError: shapes that do not fit.
    """
    _check_groups(scores, gains)
    found, labels = scores.float(), gains.detach().float()
    worth = 2**labels - 1
    discounts = torch.log2(torch.arange(found.shape[1], device=found.device) + 2.0)
    most = (worth.sort(dim=1, descending=True).values / discounts).sum(dim=1).clamp(min=1e-9)
    place = found.detach().argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    apart = (place.unsqueeze(2) - place.unsqueeze(1)).abs().clamp(min=1).float()
    delta = (1 / torch.log2(1 + apart) - 1 / torch.log2(2 + apart)).abs()
    better = (worth.unsqueeze(2) - worth.unsqueeze(1)).clamp(min=0) / most[:, None, None]
    each = functional.softplus(found.unsqueeze(1) - found.unsqueeze(2)) / math.log(2)
    total = (each * delta * better).sum(dim=(1, 2))
    return torch.where(found.isnan().any(dim=1) | labels.isnan().any(dim=1), torch.nan, total).mean()


def soft_ranknet(scores: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """RankNet with the teacher's own doubts (DeAR, arXiv:2508.16998, section 3): its probabilities of pairs, learned.

    The mean over a query's pairs i < j of the cross-entropy of sigma(s_i - s_j) with the target sigma(t_i - t_j), then over
    queries. Where the teacher is sure it is `ranknet`; where it holds two equal, equal scores are best.

    Args:
        scores: [q, n], n at least 2.
        teacher: [q, n], not differentiated.

    Raises:
        ValueError: shapes that do not fit.
    """
    _check_groups(scores, teacher)
    found, wanted = scores.float(), teacher.detach().float()
    first, second = torch.triu_indices(found.shape[1], found.shape[1], offset=1, device=found.device)
    targets = (wanted[:, first] - wanted[:, second]).sigmoid()
    return functional.binary_cross_entropy_with_logits(found[:, first] - found[:, second], targets)


def preference(scores: torch.Tensor) -> torch.Tensor:
    """Pairwise preference: the positive before each of its query's negatives, the mean of log(1 + exp(s_i - s_0)).

    With two candidates it is `group_softmax`. `ranknet` with a teacher who knows the labels alone gives the same.

    Args:
        scores: [q, n], n at least 2.

    Raises:
        ValueError: another shape.
    """
    _check_groups(scores)
    found = scores.float()
    return functional.softplus(found[:, 1:] - found[:, :1]).mean()


def binary_cross_entropy(scores: torch.Tensor) -> torch.Tensor:
    """Each candidate by itself: is it the positive? The mean of -log sigma(s_0) and -log(1 - sigma(s_i)) over all candidates.

    Args:
        scores: [q, n], n at least 2.

    Raises:
        ValueError: another shape.
    """
    _check_groups(scores)
    found = scores.float()
    signs = torch.ones_like(found)
    signs[:, 0] = -1
    return functional.softplus(signs * found).mean()


def distilled(
    scores: torch.Tensor, teacher: torch.Tensor, *, main: str = "softmax", alpha: float = 0.1, temperature: float = 2.0
) -> torch.Tensor:
    """DeAR's pointwise loss (arXiv:2508.16998, section 3): (1 - alpha) main + alpha `kl_to_teacher`.

    The main part is `group_softmax`, `soft_ranknet`, or in equal shares `preference` and `group_softmax` ("hybrid"; the
    released code gives its pairs the target sigma(1), which stops at a margin of 1; here the target is 1).

    Args:
        scores: [q, n], n at least 2, the positive first.
        teacher: [q, n], not differentiated.
        main: "softmax", "ranknet" or "hybrid".
        alpha: weight of the divergence, from 0 to 1; the paper's is .1.
        temperature: of the divergence, above 0; the paper's is 2.

    Raises:
        ValueError: shapes that do not fit, an unknown main part, or a value out of range.
    """
    _check_groups(scores, teacher)
    if main not in MAIN:
        raise ValueError(f"main {main!r} is unknown; choose {', '.join(map(repr, MAIN))}")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}; give a share, from 0 to 1")
    if main == "hybrid":
        part = (preference(scores) + group_softmax(scores)) / 2
    else:
        part = group_softmax(scores) if main == "softmax" else soft_ranknet(scores, teacher)
    return (1 - alpha) * part + alpha * kl_to_teacher(scores, teacher, temperature)


def _check_groups(scores: torch.Tensor, teacher: torch.Tensor | None = None) -> None:
    if scores.ndim != 2 or not len(scores) or scores.shape[1] < 2:
        raise ValueError(
            f"scores have the shape {tuple(scores.shape)}; give [queries, candidates], with two candidates or more each"
        )
    if teacher is not None and teacher.shape != scores.shape:
        raise ValueError(f"teacher's scores {tuple(teacher.shape)} do not fit scores {tuple(scores.shape)}")


def _check_temperature(temperature: float) -> None:
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; give a number above 0")
