"""Classify handwritten digits: prepare them here, train and evaluate a model on Azure ML."""

from typing import Annotated

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import train_test_split
from zenml import log_metadata, pipeline, step
from zenml.config import DockerSettings

from zenml_azureml import AzureMLStepOperatorSettings

CLUSTER = AzureMLStepOperatorSettings(
    mode="compute-cluster",
    compute_name="evaluation-cluster",  # created with the first step that needs it
    size="Standard_DS3_v2",
    max_instances=2,
)

# Image of the jobs. Without it, ZenML builds one with your code and its requirements.
DOCKER = DockerSettings(skip_build=True, parent_image="python:3.12")


@step
def prepare() -> tuple[
    Annotated[np.ndarray, "train_images"],
    Annotated[np.ndarray, "test_images"],
    Annotated[np.ndarray, "train_digits"],
    Annotated[np.ndarray, "test_digits"],
]:
    """Load 1797 images of 8 x 8 pixels, scale them to 0..1, and keep a quarter for the evaluation."""
    images, digits = load_digits(return_X_y=True)
    train_images, test_images, train_digits, test_digits = train_test_split(
        images / 16, digits, test_size=0.25, random_state=0, stratify=digits
    )
    print(f"{len(train_images)} images to train with, {len(test_images)} to evaluate with")
    return train_images, test_images, train_digits, test_digits


@step(step_operator="azureml", enable_cache=False)
def train(images: np.ndarray, digits: np.ndarray) -> Annotated[ClassifierMixin, "model"]:
    """Fit a random forest, in rounds of 50 trees."""
    model = RandomForestClassifier(oob_score=True, warm_start=True, random_state=0)
    for trees in (50, 100, 150, 200):
        model.set_params(n_estimators=trees).fit(images, digits)
        print(f"{trees} trees: out-of-bag accuracy {model.oob_score_:.4f}")
    return model


@step(step_operator="azureml", settings={"step_operator": CLUSTER}, enable_cache=False)
def evaluate(model: ClassifierMixin, images: np.ndarray, digits: np.ndarray) -> Annotated[float, "accuracy"]:
    """Evaluate the model on images that it has not seen."""
    predicted = model.predict(images)
    accuracy = float(accuracy_score(digits, predicted))
    f1 = float(f1_score(digits, predicted, average="macro"))
    print(f"accuracy {accuracy:.4f}, macro F1 {f1:.4f}")
    log_metadata({"accuracy": accuracy, "f1": f1})
    return accuracy


@pipeline(settings={"docker": DOCKER})
def digits() -> None:
    """Prepare here, train on serverless compute, evaluate on a cluster."""
    train_images, test_images, train_digits, test_digits = prepare()
    model = train(train_images, train_digits)
    evaluate(model, test_images, test_digits)


if __name__ == "__main__":
    digits()
