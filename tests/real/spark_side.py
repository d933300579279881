"""A driver of Spark that starts ranks, in the environment of packaging/spark: spark_side.py MASTER WAY RANKS RECHOST_RUN_ARGUMENTS..."""
import os
import sys

sys.path.insert(0, os.path.join(os.environ["RECHOST_SOURCE_DIR"], "packaging", "launch"))

import rechost_spark  # noqa: E402
from pyspark.ml.torch.distributor import TorchDistributor  # noqa: E402
from pyspark.sql import SparkSession  # noqa: E402

master, way, ranks, *arguments = sys.argv[1:]
spark = (SparkSession.builder.master(master).appName("rechost-test")
         .config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1").config("spark.ui.enabled", "false")
         # A failure is the end here: the tests look at it.
         .config("spark.stage.maxConsecutiveAttempts", "1").config("spark.task.maxFailures", "1")
         .config("spark.executor.memory", "512m").config("spark.executorEnv.RECHOST_PROGRAM", os.environ["RECHOST_PROGRAM"]).getOrCreate())
try:
    if way == "barrier":
        print(rechost_spark.run(spark, [*arguments, "--output", "json"], int(ranks)), end="")
    else:
        TorchDistributor(num_processes=int(ranks), local_mode=way == "distributor-local", use_gpu=False).run(rechost_spark.__file__, *arguments)
finally:
    spark.stop()
