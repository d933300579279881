"""The model plugins through the C ABI, without PyTorch: gradients by finite differences, subsets of heads, seeds, checkpoints, errors."""
import math
import random
import unittest

import abi
import cases
from mini_host import Array, Host, Plugin, PluginError, feature, label

FOLDER = cases.plugin_folder()


def open_case(name, **options):
    chosen = cases.CASES[name]
    model = cases.open_model(FOLDER, chosen, **options)
    return model, cases.batch_of(model, chosen)


class FiniteDifferences(unittest.TestCase):
    """g . d against (L(x + e d) - L(x - e d)) / 2e for random directions d, in every parameter and block. Kinks would spoil the
    quotient, so the cases run with a smooth activation and, for ccl, with a margin below every cosine."""

    STEP = 4e-3
    TOLERANCE = 1.5e-2  # of the gradient's length: float32 sums leave about 1e-6 in L, and L bends

    def test_all_cases(self):
        for name, chosen in cases.CASES.items():
            if "rows" in chosen:  # float32 sums over many rows are too rough for quotients; see ManyRows
                continue
            smooth = dict(activation="tanh") if chosen["options"].get("activation", "relu") in ("relu", "leaky_relu") else {}
            if chosen["options"].get("loss") == "ccl":
                smooth["margin"] = -1.0
            with self.subTest(name):
                self.check(*open_case(name, **smooth))
            if "batch norm" not in name:
                with self.subTest(name + ", dropout"):
                    self.check(*open_case(name, dropout=0.3, **smooth))

    def check(self, model, batch):
        outputs = model.forward(batch)
        gradients = cases.output_gradients(outputs)
        blocks = model.backward(gradients)
        self.assertEqual(sorted(model.ready), list(range(len(model.parameters))), "each gradient is reported once")

        def loss():
            values = model.forward(batch)
            return sum(g * v for name in values for g, v in zip(gradients[name].values(), values[name].values()))

        tensors = [(p["name"], p["value"], p["gradient"].values()) for p in model.parameters]
        for number, group in enumerate(batch):
            for index, block in enumerate(group["blocks"]):
                gradient = blocks[number][index]
                tensors.append((f"block {number}.{index}", block["rows"], gradient.values() if gradient else [0.0] * block["rows"].size))
        generator = random.Random(5)
        for name, value, gradient in tensors:
            self.assertTrue(all(math.isfinite(g) for g in gradient), name)
            length = math.sqrt(sum(g * g for g in gradient))
            original = value.values()
            for _ in range(2):
                direction = [generator.choice((-1, 1)) for _ in gradient]
                sides = []
                for sign in (1, -1):
                    value.data[: value.size] = [v + sign * self.STEP * d for v, d in zip(original, direction)]
                    sides.append(loss())
                value.data[: value.size] = original
                quotient = (sides[0] - sides[1]) / (2 * self.STEP)
                expected = sum(g * d for g, d in zip(gradient, direction))
                self.assertAlmostEqual(quotient, expected, delta=self.TOLERANCE * max(length, 0.1), msg=name)


class ManyRows(unittest.TestCase):
    """A batch of many rows goes through the layers in blocks, by several threads. Its outputs and gradients are those of its rows in
    small batches, and the same bits each time."""

    SMALL = 50

    def part(self, group, first, count):
        def cut(array):
            width = array.size // group["rows"]
            return Array((count,) + array.shape[1:], array.values()[first * width:(first + count) * width])

        return dict(group, rows=count, dense=cut(group["dense"]), labels=cut(group["labels"]),
                    blocks=[dict(block, rows=cut(block["rows"])) for block in group["blocks"]])

    def step(self, model, batch, gradients):
        outputs = {name: value.values() for name, value in model.forward(batch).items()}
        blocks = [block.values() for block in model.backward(gradients)[0]]
        return outputs, blocks, {p["name"]: p["gradient"].values() for p in model.parameters}

    def assert_close(self, name, ours, expected):
        largest = max(1.0, max(map(abs, expected)))
        self.assertLess(max(abs(a - b) for a, b in zip(ours, expected, strict=True)) / largest, 1e-5, name)

    def test_blocks_of_rows(self):
        for name in ("dlrm dot, many rows", "dlrm dot, long vectors", "deepfm, many rows"):
            with self.subTest(name):
                model, batch = open_case(name)
                rows = batch[0]["rows"]
                gradients = cases.output_gradients(model.forward(batch))
                outputs, blocks, parameters = self.step(model, batch, gradients)
                self.assertEqual(self.step(model, batch, gradients), (outputs, blocks, parameters), "the same bits again")
                expected_outputs, expected_blocks = {key: [] for key in outputs}, [[] for _ in blocks]
                sums = {key: [0.0] * len(values) for key, values in parameters.items()}
                for first in range(0, rows, self.SMALL):
                    count = min(self.SMALL, rows - first)
                    own = {key: Array((count,) + value.shape[1:], value.values()[first * value.size // rows:(first + count) * value.size // rows])
                           for key, value in gradients.items()}
                    one = self.step(model, [self.part(batch[0], first, count)], own)
                    for key, values in one[0].items():
                        expected_outputs[key] += values
                    for index, values in enumerate(one[1]):
                        expected_blocks[index] += values
                    for key, values in one[2].items():
                        sums[key] = [a + b for a, b in zip(sums[key], values)]
                for key, values in outputs.items():
                    self.assert_close(key, values, expected_outputs[key])
                for index, values in enumerate(blocks):
                    self.assert_close(f"block {index}", values, expected_blocks[index])
                for key, values in parameters.items():
                    self.assert_close(key, values, sums[key])


class Heads(unittest.TestCase):
    def test_a_tower_runs_without_the_inputs_of_the_other(self):
        model, batch = open_case("two_tower factorisation")
        full = model.forward(batch, abi.PREDICT)
        for head in ("user", "item"):
            alone = model.forward(batch, abi.PREDICT, heads=[head])
            self.assertEqual(alone[head].values(), full[head].values())
            self.assertEqual(list(alone), [head])

    def test_null_blocks_are_fine_where_no_wanted_head_reads_them(self):
        # Different dimensions would be two blocks; here both towers share one, so negatives are what can be null.
        model, batch = open_case("two_tower bpr")
        full = model.forward(batch, abi.TRAIN)
        alone = model.forward(batch, abi.PREDICT, heads=["item", "user", "score"], null_groups=[1])
        for head in alone:
            self.assertEqual(alone[head].values(), full[head].values())

    def test_unused_parameters_get_zero_gradients(self):
        model, batch = open_case("two_tower bce")
        outputs = model.forward(batch, heads=["item"])
        blocks = model.backward(cases.output_gradients(outputs))
        for parameter in model.parameters:
            values = parameter["gradient"].values()
            self.assertEqual(any(values), parameter["name"].startswith("item."), parameter["name"])
        user_slots = [p[2] for e, p in zip(model.embeddings, model.placements) if e["feature"] in ("user_id", "age")]
        rows = blocks[0][0]
        for row in range(rows.shape[0]):
            for slot in user_slots:
                start = (row * rows.shape[1] + slot) * rows.shape[2]
                self.assertFalse(any(rows.data[start:start + rows.shape[2]]))

    def test_gradients_overwrite(self):
        model, batch = open_case("dlrm dot")
        results = []
        for _ in range(2):
            outputs = model.forward(batch)
            model.backward(cases.output_gradients(outputs))
            results.append([p["gradient"].values() for p in model.parameters])
        self.assertEqual(results[0], results[1])

    def test_a_head_without_gradient_takes_no_part(self):
        model, batch = open_case("dlrm several heads")
        outputs = model.forward(batch)
        gradients = cases.output_gradients(outputs)
        model.backward({name: gradients[name] for name in ("click", "rating")})
        output_layer = next(p for p in model.parameters if p["name"] == "top.2.bias")
        self.assertEqual(output_layer["gradient"].values()[2:], [0.0] * 4)
        self.assertTrue(all(output_layer["gradient"].values()[:2]))

    def test_single_feature_without_layers_is_the_embedding_row(self):
        model, batch = open_case("two_tower factorisation")
        outputs = model.forward(batch, abi.PREDICT)
        rows = batch[0]["blocks"][0]["rows"].values()
        self.assertEqual(outputs["user"].values() + outputs["item"].values(),
                         [v for slot in (0, 1) for row in range(12) for v in rows[(row * 2 + slot) * 4:(row * 2 + slot + 1) * 4]])

    def test_history_reads_the_item_table(self):
        model, _ = open_case("two_tower summed with history")
        tables = {e["feature"]: model.tables[e["table"]]["name"] for e in model.embeddings}
        self.assertEqual(tables["history"], tables["item_id"])

    def test_empty_batch(self):
        model, _ = open_case("dlrm dot")
        batch = cases.batch_of(model, cases.CASES["dlrm dot"], rows=0)
        outputs = model.forward(batch)
        model.backward({name: Array(o.shape) for name, o in outputs.items()})
        for parameter in model.parameters:
            self.assertFalse(any(parameter["gradient"].values()))


class InBatchSoftmax(unittest.TestCase):
    """The loss works through the batch some rows at a time; this batch is larger than one such part."""

    ROWS = 1100

    def run_loss(self, scale):
        chosen = dict(cases.CASES["two_tower factorisation"], entity_count=300, weights=True)
        model = cases.open_model(FOLDER, chosen, loss="softmax", temperature=0.5)
        batch = cases.batch_of(model, chosen, self.ROWS)
        rows = batch[0]["blocks"][0]["rows"]
        rows.data[: rows.size] = [scale * value for value in rows.values()]
        loss = model.forward(batch, heads=["loss"])["loss"].values()[0]
        gradient = model.backward({"loss": Array((1,), [1.0])})[0][0].values()
        return batch[0], loss, gradient

    def reference(self, group, row):
        """Loss of one row, and d loss / d logit for every column."""
        values, index, weight = group["blocks"][0]["rows"].data, group["entity_index"], group["weights"].data[row]
        user = values[row * 8:row * 8 + 4]
        logits = [-math.inf if index[j] == index[row] and j != row else
                  sum(u * v for u, v in zip(user, values[j * 8 + 4:j * 8 + 8])) / 0.5 - group["log_probability"].data[j]
                  for j in range(self.ROWS)]
        largest = max(logits)
        log_sum = largest + math.log(sum(math.exp(value - largest) for value in logits))
        slopes = [weight * (math.exp(value - log_sum) - (j == row)) for j, value in enumerate(logits)]
        return weight * (log_sum - logits[row]), slopes

    def check(self, scale):
        group, loss, gradient = self.run_loss(scale)
        values = group["blocks"][0]["rows"].values()
        total, to_last_item = 0.0, [0.0] * 4
        weight = sum(group["weights"].values())
        for row in range(self.ROWS):
            row_loss, slopes = self.reference(group, row)
            total += row_loss
            for d in range(4):
                to_last_item[d] += slopes[-1] * values[row * 8 + d] / 0.5 / weight
            if row in (0, 700, 952, 953, self.ROWS - 1):
                for d in range(4):
                    expected = sum(slope * values[j * 8 + 4 + d] for j, slope in enumerate(slopes)) / 0.5 / weight
                    self.assertAlmostEqual(gradient[row * 8 + d], expected, delta=1e-5 * scale)
        self.assertAlmostEqual(loss, total / weight, delta=1e-5 * max(1, loss))
        for d in range(4):
            self.assertAlmostEqual(gradient[(self.ROWS - 1) * 8 + 4 + d], to_last_item[d], delta=1e-5 * scale)

    def test_value_and_gradient(self):
        self.check(1.0)

    def test_probabilities_that_underflow(self):
        self.check(8.0)


class Randomness(unittest.TestCase):
    def test_dropout_is_a_function_of_the_seed(self):
        model, batch = open_case("dlrm dot", dropout=0.5)
        first = model.forward(batch, seed=11)["click"].values()
        other = model.forward(batch, seed=12)["click"].values()
        again = model.forward(batch, seed=11)["click"].values()
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)

    def test_no_dropout_outside_training(self):
        model, batch = open_case("dlrm dot", dropout=0.5)
        self.assertEqual(model.forward(batch, abi.EVAL, seed=1)["click"].values(), model.forward(batch, abi.EVAL, seed=2)["click"].values())

    def test_initial_values_are_a_function_of_the_seed(self):
        first, _ = open_case("dlrm dot")
        second, _ = open_case("dlrm dot")
        for a, b in zip(first.parameters, second.parameters):
            self.assertEqual(a["value"].values(), b["value"].values())
            self.assertTrue(any(a["value"].values()))


class Checkpoints(unittest.TestCase):
    def test_bound_values_are_kept_when_not_initialising(self):
        trained, batch = open_case("dlrm batch norm")
        trained.forward(batch)
        expected = trained.forward(batch, abi.EVAL)["click"].values()
        chosen = cases.CASES["dlrm batch norm"]
        restored = cases.Model(Plugin(f"{FOLDER}/dlrm.so"), "dlrm", chosen["options"], chosen["features"], chosen["labels"], seed=99)
        for kind in ("parameters", "buffers"):
            for mine, theirs in zip(getattr(restored, kind), getattr(trained, kind)):
                mine["value"] = theirs["value"].copy()
        restored.bind(initialize=False)
        self.assertEqual(restored.forward(batch, abi.EVAL)["click"].values(), expected)

    def test_batch_norm_statistics_live_in_buffers(self):
        model, batch = open_case("dlrm batch norm")
        before = {b["name"]: b["value"].values() for b in model.buffers}
        self.assertIn("top.norm_0.running_mean", before)
        model.forward(batch, abi.EVAL)
        self.assertEqual(before, {b["name"]: b["value"].values() for b in model.buffers})
        model.forward(batch)
        self.assertNotEqual(before, {b["name"]: b["value"].values() for b in model.buffers})

    def test_the_batch_counter_is_a_buffer_too(self):
        model, batch = open_case("dlrm batch norm")
        counter = next(b["value"] for b in model.buffers if b["name"].endswith("num_batches_tracked"))
        for _ in range(3):
            model.forward(batch)
        self.assertEqual(counter.values(), [3.0])

    def test_a_batch_of_one_row_is_normalised_with_the_running_statistics(self):
        model, _ = open_case("dlrm batch norm")
        batch = cases.batch_of(model, cases.CASES["dlrm batch norm"], rows=1)
        before = {b["name"]: b["value"].values() for b in model.buffers}
        training = model.forward(batch)["click"].values()
        self.assertEqual(before, {b["name"]: b["value"].values() for b in model.buffers})
        self.assertEqual(training, model.forward(batch, abi.EVAL)["click"].values())

    def test_decay_is_for_matrices_only(self):
        model, _ = open_case("dlrm batch norm")
        for parameter in model.parameters:
            self.assertEqual(parameter["decay"], int(len(parameter["shape"]) >= 2), parameter["name"])


class Errors(unittest.TestCase):
    def refuse(self, text, name, options, features, labels=cases.CLICK):
        with self.assertRaises(PluginError) as caught:
            cases.Model(Plugin(f"{FOLDER}/{name}.so"), name, options, features, labels)
        self.assertIn(text, str(caught.exception))
        return caught.exception

    def test_texts(self):
        sequence = [feature("history", pooling=abi.POOLING_NONE)]
        for name in ("dlrm", "deepfm"):
            error = self.refuse('set features.history.pooling to "sum" or "mean"', name, {}, cases.DENSE + sequence)
            self.assertEqual(error.code, 2)
            self.refuse("no label", name, {}, cases.DENSE, [])
            self.refuse("needs at least one feature", name, {}, [])
            self.refuse('heads: "click" has no kind', name, dict(heads=["click"]), cases.DENSE)
            self.refuse("no label 'klick'; it has click", name, dict(heads=["klick:binary"]), cases.DENSE)
            self.refuse("not a number", name, dict(heads=["click:binary:x"]), cases.DENSE)
        self.refuse("cannot be multiclass", "deepfm", {}, cases.DENSE, [label("topic", abi.LABEL_MULTICLASS, 3)])
        self.refuse("the user tower has no feature", "two_tower", {}, cases.ITEM)
        self.refuse("has 8 elements, the item vector 5", "two_tower", dict(user_layers=[8], item_layers=[5]), cases.USER + cases.ITEM)
        self.refuse("need user_layers", "two_tower", dict(user_layers=[], item_layers=[]), cases.USER + cases.ITEM + cases.BOTH_DENSE)
        self.refuse('needs a label', "two_tower", {}, cases.USER + cases.ITEM, [])

    def test_rows_of_another_width_are_refused(self):
        model, batch = open_case("dlrm dot")
        batch[0]["dense"] = Array((12, 2))
        with self.assertRaises(PluginError) as caught:
            model.forward(batch)
        self.assertIn("a linear layer of 3 inputs got [12, 2]", str(caught.exception))

    def test_an_error_of_torch_arrives_without_backtrace(self):
        model, batch = open_case("deepfm")
        batch[0]["dense"] = Array((12, 2))  # the model declared three columns
        with self.assertRaises(PluginError) as caught:
            model.forward(batch)
        text = str(caught.exception)
        self.assertIn("shapes cannot be multiplied", text)
        self.assertNotIn("frame #", text)
        self.assertNotIn("libtorch", text)
        self.assertEqual(caught.exception.code, 1)

    def test_the_model_works_on_after_an_error(self):
        model, batch = open_case("dlrm dot")
        good = model.forward(batch)["click"].values()
        dense, batch[0]["dense"] = batch[0]["dense"], Array((12, 2))
        with self.assertRaises(PluginError):
            model.forward(batch)
        batch[0]["dense"] = dense
        self.assertEqual(model.forward(batch)["click"].values(), good)

    def test_backward_without_forward(self):
        model, batch = open_case("dlrm dot")
        outputs = model.forward(batch, abi.EVAL)
        with self.assertRaises(PluginError) as caught:
            model.backward(cases.output_gradients(outputs))
        self.assertIn("without its forward", str(caught.exception))

    def test_a_drawn_loss_is_refused_where_there_are_no_negatives(self):
        model, batch = open_case("two_tower bpr")
        with self.assertRaises(PluginError) as caught:
            model.forward(batch[:1], abi.EVAL, heads=["loss"])
        self.assertIn("no negatives", str(caught.exception))

    def test_a_host_of_another_major_is_told_why(self):
        with self.assertRaises(PluginError) as caught:
            Plugin(f"{FOLDER}/dlrm.so", Host(abi_major=2))
        self.assertIn("plugin 'dlrm' was built for plugin ABI 1, this rechost speaks plugin ABI 2", str(caught.exception))
        self.assertEqual(caught.exception.code, 6)

    def test_sizes_of_the_structs_match_the_header(self):
        plugin = Plugin(f"{FOLDER}/dlrm.so")
        module = plugin.module("dlrm")
        self.assertEqual(plugin.table.struct_size, abi.c.sizeof(abi.Plugin))
        self.assertEqual(module.struct_size, abi.c.sizeof(abi.Module))
        self.assertEqual(module.option_stride, abi.c.sizeof(abi.Option))


if __name__ == "__main__":
    unittest.main()
