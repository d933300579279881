# label: real
"""The manifests in packaging/launch fit the types of Kubernetes, JobSet and Kubeflow Trainer, and what they start trains what --nproc trains.
There is no cluster here: the pods are processes with the environment that the controllers would give them."""
import json
import os
import pathlib
import socket
import subprocess

from launched import run_folder

from checkpoints import expect_same_weights
from program import BIN, SMALL, SOURCE, expect, folder, main, rechost

MANIFESTS = SOURCE / "packaging" / "launch"
SETTINGS = [*SMALL, "--set", "run.deterministic=true"]


def read(text):
    """Its documents; what does not fit the types is the second."""
    python = subprocess.run([SOURCE / "packaging" / "kubernetes"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    done = subprocess.run([python, SOURCE / "tests" / "real" / "manifest_side.py"], input=text, capture_output=True, text=True, timeout=120)
    return (json.loads(done.stdout), "") if done.returncode == 0 else (None, done.stderr)


def documents(name):
    found, problems = read((MANIFESTS / name).read_text())
    expect(found is not None, f"{name}: {problems}")
    return {document["kind"]: document for document in found}


def all_manifests_fit_their_types():
    names = sorted(path.name for path in MANIFESTS.glob("*.yaml"))
    expect(len(names) == 4, f"{names}")
    for name in names:
        documents(name)
    # What these types look like to somebody who makes a mistake.
    job = (MANIFESTS / "indexed-job.yaml").read_text()
    for wrong, change in (("Job.spec.completionmode", ("completionMode:", "completionmode:")), ("parallelism", ("parallelism: 2", 'parallelism: "2"')),
                          ("fieldref", ("fieldRef:", "fieldref:")), ("no such kind", ("batch/v1", "batch/v2"))):
        found, problems = read(job.replace(*change))
        expect(found is None and wrong in problems, f"{wrong} is not seen: {problems}")
    runtime = (MANIFESTS / "cluster-training-runtime.yaml").read_text()
    expect("numProcPerNode" in read(runtime.replace("torch: {}", "torch: {numProcPerNode: 2}"))[1], "a field of an older version is not seen")


def pods_of(spec, uid):
    """Environment and command of each pod of a Job, as the Job controller makes them."""
    expect(spec["completionMode"] == "Indexed" and spec["completions"] == spec["parallelism"], f"{spec}")
    container, = spec["template"]["spec"]["containers"]
    environment = {}
    for entry in container.get("env", []):
        if "value" in entry:
            environment[entry["name"]] = entry["value"]
        else:
            expect(entry["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['batch.kubernetes.io/controller-uid']", f"{entry}")
            environment[entry["name"]] = uid
    command = [*container["command"], *container.get("args", [])]
    return [({**environment, "JOB_COMPLETION_INDEX": str(index)}, command) for index in range(spec["completions"])]


def start(place, pods, address):
    """Runs the pods on this machine: the name of the first becomes that of the loopback interface, and their volume a folder."""
    started = []
    for environment, command in pods:
        named = [name for name, value in environment.items() if value == address]
        expect(len(named) == 1, f"the pod with rank 0 is {address}, and {environment} says otherwise")
        command = [str(place) if word == "/runs" else word for word in command]
        expect(command[:2] == ["rechost", "run"] and str(place) in command, f"{command}")
        started.append(subprocess.Popen([BIN, *command[1:], *SETTINGS], env={**os.environ, **environment, named[0]: "127.0.0.1"},
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL))
    said = [process.communicate(timeout=120)[1] for process in started]
    expect([process.returncode for process in started] == [0] * len(pods), "\n".join(said))
    expect("placement: 4 ranks" in said[0], said[0])


def what_they_start_trains_what_nproc_trains():
    with folder() as made:
        place = pathlib.Path(made)
        rechost("run", "--plugin", "dlrm", *SETTINGS, "--nproc", 4, "--out", place / "nproc")

        job = documents("indexed-job.yaml")
        service, spec = job["Service"], job["Job"]["spec"]
        # Pods are named <job>-<index>, and found under the service that selects them and that they name as their subdomain.
        expect(service["spec"]["selector"] == {"batch.kubernetes.io/job-name": job["Job"]["metadata"]["name"]}, f"{service}")
        expect(spec["template"]["spec"]["subdomain"] == service["metadata"]["name"], f"{spec}")
        start(place / "job", pods_of(spec, "uid-of-a-job"), f"{job['Job']['metadata']['name']}-0.{service['metadata']['name']}")

        jobset = documents("jobset.yaml")["JobSet"]
        replicated, = jobset["spec"]["replicatedJobs"]
        expect(replicated["replicas"] == 1, f"{replicated}")
        name = jobset["metadata"]["name"]
        start(place / "jobset", pods_of(replicated["template"]["spec"], "uid-of-a-jobset"), f"{name}-{replicated['name']}-0-0.{name}")

        runtime = documents("cluster-training-runtime.yaml")["ClusterTrainingRuntime"]
        train = documents("train-job.yaml")["TrainJob"]
        expect(train["spec"]["runtimeRef"]["name"] == runtime["metadata"]["name"], f"{train}")
        replicated, = runtime["spec"]["template"]["spec"]["replicatedJobs"]
        trainer, container = train["spec"]["trainer"], replicated["template"]["spec"]["template"]["spec"]["containers"][0]
        # The names that the torch plugin of Trainer looks for.
        expect(replicated["name"] == "node" and container["name"] == "node", f"{replicated}")
        expect(replicated["template"]["metadata"]["labels"] == {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}, f"{replicated}")
        container["args"] = trainer["args"]
        spec = {**replicated["template"]["spec"], "completionMode": "Indexed", "completions": trainer["numNodes"], "parallelism": trainer["numNodes"]}
        address = f"{train['metadata']['name']}-node-0-0.{train['metadata']['name']}"
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = str(server.getsockname()[1])
        pods = [({**environment, "PET_NNODES": str(trainer["numNodes"]), "PET_NPROC_PER_NODE": str(trainer["numProcPerNode"]),
                  "PET_NODE_RANK": environment["JOB_COMPLETION_INDEX"], "PET_MASTER_ADDR": address, "PET_MASTER_PORT": port}, command)
                for environment, command in pods_of(spec, "uid-of-a-train-job")]
        start(place / "train-job", pods, address)

        for out in ("job", "jobset", "train-job"):
            expect_same_weights(run_folder(place / "nproc"), run_folder(place / out))


main([all_manifests_fit_their_types, what_they_start_trains_what_nproc_trains])
