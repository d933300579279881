#include <array>

#include "app/command.h"
#include "app/data_commands.h"
#include "app/doctor_command.h"
#include "app/model_commands.h"
#include "app/plan_command.h"
#include "app/plugin_commands.h"
#include "app/report_command.h"
#include "app/retrieval_commands.h"
#include "app/run_command.h"
#include "app/show_commands.h"
#include "app/sync_command.h"
#include "app/use_commands.h"

namespace rechost::app {
namespace {

constexpr std::array kCommands{
    Command{"run", "", "Train, evaluate, checkpoint, record.", "--plugin NAME|PATH [--config FILE]... [--set key=value]... [--nproc N] [--resume auto|never|PATH] [--out DIR]",
            "  rechost run --plugin dlrm\n"
            "  rechost run --config configs/dlrm_criteo.toml --set data.path=train.txt\n"
            "  rechost run --plugin dlrm --resume auto          after a kill or a stop\n"
            "  rechost run --plugin dlrm --nproc 4              four processes on this machine, tables spread over them\n"
            "  rechost run --plugin dlrm --nproc 4 --max-restarts 3 --resume auto     and again from the last checkpoint when one is lost\n"
            "  rechost run --plugin ./mymodel.so --set run.epochs=3 --output json\n",
            run_command},
    Command{"eval", "", "Measure a trained model on a split.", "MODEL [--split NAME] [--set key=value]...",
            "  rechost eval runs/dlrm-20260101-120000\n"
            "  rechost eval models:/dlrm@champion --split valid --output json\n"
            "  rechost eval models:/dlrm/3 --set data.path=yesterday.tsv\n",
            eval_command},
    Command{"predict", "", "Score the rows of a split with a trained model.", "MODEL [--split NAME] [--set key=value]... [--out FILE]",
            "  rechost predict runs/dlrm-20260101-120000 --out scores.jsonl\n"
            "  rechost predict models:/dlrm@champion --set data.path=today.tsv | head\n",
            predict_command},
    Command{"export", "", "Write the vectors of items or users for a vector store.", "MODEL --what items|users --out FOLDER",
            "  rechost export models:/towers@champion --what items --out items\n"
            "  rechost export runs/two_tower-20260101-120000 --what users --out users\n",
            export_command},
    Command{"recommend", "", "The best items for each user, as JSON lines.", "MODEL [--k 100] [--users FILE|--split NAME] [--rank MODEL] [--out FILE]",
            "  rechost recommend runs/two_tower-20260101-120000 --k 20 --out lists.jsonl\n"
            "  rechost recommend models:/towers@champion --users ids.txt --rank models:/clicks@champion\n",
            recommend_command},
    Command{"plan", "", "What a configuration needs: tables, memory, bytes moved and time per step.", "--plugin NAME | --config FILE [--nproc N] [--explain]",
            "  rechost plan --plugin dlrm\n"
            "  rechost plan --plugin dlrm --set data.batch_size=8192 --explain\n"
            "  rechost plan --plugin dlrm --nproc 4 --no-time\n"
            "  rechost plan --config configs/dlrm_criteo.toml --output json\n",
            plan_command},
    Command{"data", "synth", "Write a synthetic data set with a known optimum as CSV.", "FOLDER [--rows N] [--set data.option=value]...",
            "  rechost data synth clicks --rows 100000\n"
            "  rechost run --plugin dlrm --config clicks/data.toml\n",
            data_synth_command},
    Command{"data", "inspect", "Show the columns and first rows that a loader delivers.", "--plugin NAME --set data.path=FILE",
            "  rechost data inspect --plugin criteo --set data.path=train.txt\n"
            "  rechost data inspect --plugin synthetic --rows 3\n",
            data_inspect_command},
    Command{"data", "verify", "Read and check every file, hash, row and id; list what is wrong.", "--plugin NAME --set data.path=FILE [--findings N]",
            "  rechost data verify --plugin mds --set data.path=shards\n"
            "  rechost data verify --config configs/dlrm_criteo.toml --output json\n",
            data_verify_command},
    Command{"data", "stats", "Count: missing, distinct, range, most frequent values.", "--plugin NAME --set data.path=FILE [--rows N]",
            "  rechost data stats --plugin criteo --set data.path=train.txt\n"
            "  rechost data stats --config configs/dlrm_criteo.toml --output json\n",
            data_stats_command},
    Command{"data", "order", "Which samples make up each batch of an epoch.", "--config FILE [--epoch N] [--step N] [--ranks N]",
            "  rechost data order --plugin synthetic --set data.rows=100 --set data.batch_size=16\n"
            "  rechost data order --config configs/dlrm_criteo.toml --epoch 2 --step 5 --ranks 2 --output json\n",
            data_order_command},
    Command{"data", "convert", "Write what a loader reads as MDS shards or Parquet files, as it is or encoded.",
            "--plugin NAME --set data.path=FILE --out FOLDER [--to mds|parquet] [--encoded]",
            "  rechost data convert --plugin criteo --set data.path=train.txt --to mds --out shards\n"
            "  rechost run --plugin dlrm --config shards/data.toml\n"
            "  rechost data convert --config clicks.toml --to parquet --encoded --out encoded\n",
            data_convert_command},
    Command{"models", "list", "Registered models.", "", "  rechost models list\n", models_list_command},
    Command{"models", "show", "Versions of a model.", "NAME|models:/NAME/VERSION|models:/NAME@ALIAS",
            "  rechost models show dlrm\n  rechost models show models:/dlrm@champion\n", models_show_command},
    Command{"models", "register", "Register a finished run as a new version.", "NAME RUN",
            "  rechost models register dlrm runs/dlrm-20260101-120000\n", models_register_command},
    Command{"models", "alias", "Point an alias at a version.", "models:/NAME/VERSION ALIAS", "  rechost models alias models:/dlrm/3 challenger\n",
            models_alias_command},
    Command{"models", "promote", "Point an alias at what another one means.", "models:/NAME@ALIAS ALIAS",
            "  rechost models promote models:/dlrm@challenger champion\n", models_promote_command},
    Command{"models", "rollback", "Move an alias back to where it was before.", "NAME ALIAS", "  rechost models rollback dlrm champion\n",
            models_rollback_command},
    Command{"models", "remove", "Delete a version and its files.", "models:/NAME/VERSION", "  rechost models remove models:/dlrm/2\n",
            models_remove_command},
    Command{"models", "verify", "Check every byte of a registered model.", "models:/NAME/VERSION", "  rechost models verify models:/dlrm@champion\n",
            models_verify_command},
    Command{"runs", "list", "What was trained.", "[--root runs]", "  rechost runs list\n", runs_list_command},
    Command{"runs", "show", "One run.", "RUN", "  rechost runs show runs/dlrm-20260101-120000\n", runs_show_command},
    Command{"runs", "report", "A run as one HTML page.", "RUN [--out FILE]",
            "  rechost runs report runs/dlrm-20260101-120000                while it runs, too\n"
            "  rechost runs report runs/dlrm-20260101-120000 --out run.html\n",
            runs_report_command},
    Command{"runs", "sync", "Send to MLflow what it has not got of a run that is over.", "RUN [--uri URI] [--experiment NAME]",
            "  rechost runs sync runs/dlrm-20260101-120000                  the server was away while it ran\n"
            "  rechost runs sync runs/dlrm-20260101-120000 --uri http://mlflow:5000   a run that was never tracked\n",
            runs_sync_command},
    Command{"plugins", "list", "What can be trained and read here.", "", "  rechost plugins list\n  rechost plugins list --output json\n",
            plugins_list_command},
    Command{"plugins", "inspect", "The options of a plugin, with defaults.", "NAME|PATH",
            "  rechost plugins inspect dlrm\n  rechost plugins inspect ./mymodel.so\n", plugins_inspect_command},
    Command{"plugins", "check", "Run the conformance suite on a plugin.", "NAME|PATH [--set option=value]...",
            "  rechost plugins check ./mymodel.so\n", plugins_check_command},
    Command{"plugins", "new", "Write a template project for a model plugin.", "NAME",
            "  rechost plugins new mymodel\n", plugins_new_command},
    Command{"config", "show", "The resolved configuration, with the origin of each value.", "--plugin NAME | --config FILE [--set key=value]...",
            "  rechost config show --plugin dlrm\n  rechost config show --config my.toml --set run.seed=2\n", config_show_command},
    Command{"config", "schema", "All keys as a JSON schema.", "", "  rechost config schema > rechost.schema.json\n", config_schema_command},
    Command{"checkpoint", "show", "What a checkpoint holds.", "CHECKPOINT|RUN|models:/NAME@ALIAS",
            "  rechost checkpoint show runs/dlrm-20260101-120000\n", checkpoint_show_command},
    Command{"checkpoint", "verify", "Check every byte of a checkpoint.", "CHECKPOINT|RUN|models:/NAME@ALIAS",
            "  rechost checkpoint verify runs/dlrm-20260101-120000/checkpoints/latest\n", checkpoint_verify_command},
    Command{"doctor", "", "Look at this machine; each problem with its remedy.", "[launch] [options]",
            "  rechost doctor\n"
            "  rechost doctor launch          which rank the launcher's variables make of this process, and why\n",
            doctor_command},
};

}  // namespace

std::span<const Command> commands() { return kCommands; }

}  // namespace rechost::app
