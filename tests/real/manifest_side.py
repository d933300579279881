"""Reads a manifest with the models that Kubernetes, JobSet and Kubeflow Trainer generate from their own types, in the environment of
packaging/kubernetes: prints its documents as JSON, or says what does not belong there."""
import json
import sys

import yaml
from kubeflow_trainer_api import models

KINDS = {
    ("v1", "Service"): models.IoK8sApiCoreV1Service,
    ("batch/v1", "Job"): models.IoK8sApiBatchV1Job,
    ("jobset.x-k8s.io/v1alpha2", "JobSet"): models.JobsetV1alpha2JobSet,
    ("trainer.kubeflow.org/v1alpha1", "ClusterTrainingRuntime"): models.TrainerV1alpha1ClusterTrainingRuntime,
    ("trainer.kubeflow.org/v1alpha1", "TrainJob"): models.TrainerV1alpha1TrainJob,
}


def lost(given, kept, path):
    """What a model has not taken over: it drops keys that it does not know."""
    if isinstance(given, dict):
        for key, value in given.items():
            if not isinstance(kept, dict) or key not in kept:
                yield f"{path}.{key}"
            else:
                yield from lost(value, kept[key], f"{path}.{key}")
    elif isinstance(given, list):
        if not isinstance(kept, list) or len(given) != len(kept):
            yield path
        else:
            for number, (value, other) in enumerate(zip(given, kept)):
                yield from lost(value, other, f"{path}[{number}]")
    elif given != kept:
        yield path


def problems(document):
    kind = (document.get("apiVersion"), document.get("kind"))
    if kind not in KINDS:
        return [f"{kind}: no such kind"]
    try:
        kept = KINDS[kind].from_dict(document).to_dict()
    except ValueError as error:
        return [str(error)]
    return list(lost(document, json.loads(json.dumps(kept, default=str)), document["kind"]))


documents = list(yaml.safe_load_all(sys.stdin))
found = [problem for document in documents for problem in problems(document)]
if found:
    sys.exit("\n".join(found))
print(json.dumps(documents))
