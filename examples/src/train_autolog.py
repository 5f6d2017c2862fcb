import argparse

import mlflow
import pandas as pd
from sklearn.tree import DecisionTreeClassifier

parser = argparse.ArgumentParser()
parser.add_argument("--data")
args = parser.parse_args()

mlflow.autolog()
flowers = pd.read_csv(args.data)
features = flowers[["petal_length", "petal_width"]].to_numpy()
with mlflow.start_run():
    DecisionTreeClassifier(max_depth=3).fit(features, flowers["species"])
    mlflow.log_metric("rows", len(flowers))
