import numpy as np
import pytest
from sklearn import metrics

from glassbox.evaluation.intervals import CHUNK, WeightedAuc, bootstrap, resamples
from glassbox.evaluation.predictions import Predictions


def drawn_patients(predictions, evaluation):
    """How often each patient is drawn, in every resample."""
    return np.concatenate([times for times, _ in resamples(predictions, evaluation)])


def naive_area(predictions, drawn):
    """The share of pairs that stand the right way round: the mean over the classes of which there are pairs."""
    positions = [1] if predictions.task == "binary" else range(len(predictions.classes))
    areas = []
    for position in positions:
        labels, scores = predictions.labels[drawn, position], predictions.probabilities[drawn, position]
        if labels.any() and not labels.all():
            areas.append(np.sign(scores[labels][:, None] - scores[~labels]).mean(dtype=float) / 2 + 0.5)
    return np.mean(areas)


def naive_accuracy(predictions, drawn):
    labels, probabilities = predictions.labels[drawn], predictions.probabilities[drawn]
    if predictions.task == "multi_label":
        return np.mean((probabilities > 0.5) == labels)
    return metrics.accuracy_score(labels.argmax(axis=1), probabilities.argmax(axis=1))


@pytest.mark.parametrize("task", ["binary", "single_label", "multi_label"])
def test_intervals_are_those_of_a_naive_bootstrap_with_the_same_draws(make, task):
    predictions, evaluation = make.of_task(task, images=200, patients=60), make.evaluation(resamples=100)
    areas, accuracies = [], []
    for times in drawn_patients(predictions, evaluation):
        drawn = np.repeat(np.arange(len(predictions.images)), times[predictions.patients])
        areas.append(naive_area(predictions, drawn))
        accuracies.append(naive_accuracy(predictions, drawn))
    intervals = bootstrap(predictions, evaluation)
    assert len(areas) == evaluation.resamples
    np.testing.assert_allclose(intervals.roc_auc, np.quantile(areas, (0.025, 0.975)), rtol=1e-12)
    np.testing.assert_allclose(intervals.accuracy, np.quantile(accuracies, (0.025, 0.975)), rtol=1e-12)


def test_the_weighted_area_counts_ties_half(make):
    predictions = make.predicted(digits=1)
    score, positive = predictions.probabilities[:, 1], predictions.labels[:, 1]
    area = WeightedAuc(score, positive)(np.ones((1, 300), dtype=np.int64))
    assert len(np.unique(score)) < 12
    assert area[0] == pytest.approx(metrics.roc_auc_score(positive, score), abs=1e-12)


def test_a_resample_draws_as_many_patients_as_there_are(make):
    predictions, evaluation = make.predicted(), make.evaluation(resamples=2 * CHUNK + 5 + 100)
    times = drawn_patients(predictions, evaluation)
    assert times.shape == (evaluation.resamples, predictions.patient_count)
    assert (times.sum(axis=1) == predictions.patient_count).all()
    assert len(np.unique(times, axis=0)) == len(times)


def test_variants_of_one_test_set_get_the_same_draws(make):
    clean, augmented = make.predicted(signal=2.0), make.predicted(signal=0.5)
    first, second = (drawn_patients(variant, make.evaluation()) for variant in (clean, augmented))
    np.testing.assert_array_equal(first, second)


def test_resamples_of_one_class_are_drawn_again_and_counted(make):
    few = make.binary([0, 0, 1], [[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]])
    evaluation = make.evaluation(resamples=1000)
    times = drawn_patients(few, evaluation)
    assert len(times) == 1000
    assert (times[:, 2] > 0).all()
    assert (times[:, :2].sum(axis=1) > 0).all()
    # Of 27 draws of three, 8 lack the one positive patient and 1 has nobody else: one third is put back.
    assert bootstrap(few, evaluation).redrawn == pytest.approx(500, abs=100)


def test_a_resample_without_one_side_of_a_class_leaves_that_class_out_and_stays(make):
    # The one patient with the last class is missing from a third of all draws; the others keep their areas.
    labels = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]], dtype=bool)
    predictions = Predictions(
        task="multi_label",
        classes=("No Finding", "Effusion", "Mass"),
        images=np.array(list("abcde")),
        patients=np.arange(5),
        labels=labels,
        # Every class but the last is told apart without a mistake.
        probabilities=np.where(labels, 0.9, 0.1).astype(np.float32) * [1, 1, 0],
    )
    intervals = bootstrap(predictions, make.evaluation(resamples=1000))
    times = drawn_patients(predictions, make.evaluation(resamples=1000))
    assert (times[:, 4] == 0).mean() == pytest.approx(0.8**5, abs=0.05)
    # Only draws of patients who all have the same labels, 2.08 %, have no class with both sides.
    assert intervals.redrawn == pytest.approx(21, abs=15)
    # With the last class, whose area is 0.5, and one of the others; and without it.
    assert intervals.roc_auc == (0.75, 1.0)


def test_two_classes_get_the_same_draws_whether_they_are_asked_as_binary_or_as_single_label(make):
    binary = make.predicted(images=30, patients=6)
    single = Predictions(
        "single_label", binary.classes, binary.images, binary.patients, binary.labels, binary.probabilities
    )
    first, second = (drawn_patients(each, make.evaluation()) for each in (binary, single))
    np.testing.assert_array_equal(first, second)


def test_films_of_one_patient_are_drawn_together(make):
    predictions = make.predicted(images=60, patients=60, seed=3)
    copies = make.binary(
        np.repeat(predictions.labels[:, 1], 10),
        np.repeat(predictions.probabilities, 10, axis=0),
        np.repeat(predictions.patients, 10),
    )
    # Ten copies of a film add nothing; a bootstrap over images would take them for ten times the evidence.
    assert bootstrap(copies, make.evaluation()) == bootstrap(predictions, make.evaluation())


def test_intervals_cover_the_truth_about_as_often_as_they_promise(make):
    # Over test sets that are drawn again and again, the area over a very large one stands for the truth.
    large = make.predicted(images=60_000, patients=15_000, seed=1000, digits=6)
    truth = metrics.roc_auc_score(large.labels[:, 1], large.probabilities[:, 1])
    evaluation = make.evaluation(resamples=200, confidence=0.9)
    intervals = [
        bootstrap(make.predicted(images=400, patients=100, seed=seed, digits=6), evaluation).roc_auc
        for seed in range(200)
    ]
    covered = sum(low <= truth <= high for low, high in intervals)
    # Three standard deviations of a binomial (0.9, 200) are 13; percentile intervals fall a little short.
    assert 160 <= covered <= 193


def test_a_bootstrap_over_images_would_promise_too_much(make):
    # The oracle of the test above: the same films, each of a patient of its own.
    predictions = make.predicted(images=400, patients=40)
    as_images = make.binary(predictions.labels[:, 1], predictions.probabilities)
    (low, high), (image_low, image_high) = (
        bootstrap(each, make.evaluation()).roc_auc for each in (predictions, as_images)
    )
    assert high - low > 1.3 * (image_high - image_low)


def test_another_seed_gives_other_intervals_and_the_same_seed_the_same(make):
    predictions = make.predicted()
    first, again, other = (bootstrap(predictions, make.evaluation(seed=seed)) for seed in (1, 1, 2))
    assert first == again != other
