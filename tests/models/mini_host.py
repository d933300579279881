"""A host small enough to read: loads a plugin through the C ABI and runs one model on given numbers. Standard library only.

Embedding rows are plain inputs here, there is no table: what is tested is the part that a plugin does. Tensors are flat ctypes
arrays with their shape beside them (class Array).
"""
import ctypes as c
import math
import random
import tomllib

import abi


class PluginError(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Array:
    """float32 values, row-major."""

    def __init__(self, shape, values=None):
        self.shape = tuple(shape)
        self.size = math.prod(self.shape)
        self.data = (c.c_float * max(1, self.size))()
        if values is not None:
            self.data[: self.size] = values
        self._shape = (abi.I64 * max(1, len(self.shape)))(*self.shape)

    def tensor(self, null=False):
        return abi.Tensor(None if null else c.addressof(self.data), abi.Device(abi.DEVICE_CPU, 0), len(self.shape),
                          abi.DataType(abi.DTYPE_FLOAT, 32, 1), self._shape, None, 0)

    def values(self):
        return list(self.data[: self.size])

    def copy(self):
        return Array(self.shape, self.values())


class Host:
    """Errors are kept here by number; an error pointer is that number."""

    def __init__(self, abi_major=abi.ABI_MAJOR):
        self.errors = {}

        def error_new(_host, code, message):
            number = len(self.errors) + 1
            self.errors[number] = (code, message.text())
            return number

        self._keep = (abi.ErrorNew(error_new), abi.ErrorFree(lambda error: None), abi.GetExtension(lambda host, name: None))
        self.table = abi.Host(c.sizeof(abi.Host), abi_major, abi.ABI_MINOR, 0, self._keep[0], None, None, self._keep[1], self._keep[2])

    def check(self, error):
        if error:
            raise PluginError(*self.errors[error])


class Plugin:
    def __init__(self, path, host=None):
        self.host = host or Host()
        self.library = c.CDLL(path, mode=2)  # RTLD_NOW, local
        entry = self.library.rechost_plugin_v1
        entry.restype = c.POINTER(abi.Plugin)
        entry.argtypes = [c.POINTER(abi.Host), c.POINTER(abi.PTR)]
        error = abi.PTR()
        table = entry(c.byref(self.host.table), c.byref(error))
        self.host.check(error.value)
        self.table = table.contents

    def module(self, name):
        for index in range(self.table.module_count):
            module = self.table.modules[index]
            if module.id.text() == name:
                return module
        raise KeyError(name)


def feature(name, sparse=True, entity="", table="", rows=100, pooling=abi.POOLING_SUM, key=False, max_length=1):
    return dict(name=name, sparse=sparse, entity=entity, table=table or name, rows=rows, pooling=pooling, key=key,
                max_length=max_length)


def label(name, kind=abi.LABEL_BINARY, classes=1):
    return dict(name=name, kind=kind, classes=classes)


class Model:
    """create and declare happen here; what the model declared is in the attributes. Then bind, forward, backward."""

    def __init__(self, plugin, name, options, features, labels, seed=1, threads=1):
        self.host = plugin.host
        self.plugin = plugin
        self.threads = threads
        module = plugin.module(name)
        interface = module.get_interface(abi.string(abi.MODEL_INTERFACE))
        self.interface = c.cast(interface, c.POINTER(abi.ModelInterface)).contents
        self.features, self.labels = features, labels
        self.dense, self.tables, self.embeddings, self.parameters, self.buffers = {}, [], [], [], []
        self.heads, self.negatives, self.entities = [], None, []
        self.handle = abi.PTR()
        config, self._config_keep = make_config(module, options, seed, threads)
        self.host.check(self.interface.create(c.byref(self.host.table), c.byref(config), c.byref(self.handle)))
        self._declare()

    def close(self):
        if self.handle:
            self.interface.destroy(self.handle)
            self.handle = abi.PTR()

    def _declare(self):
        given = (abi.Feature * max(1, len(self.features)))(*[
            abi.Feature(c.sizeof(abi.Feature), abi.FEATURE_SPARSE if f["sparse"] else abi.FEATURE_DENSE, abi.string(f["name"]),
                        abi.string(f["table"] if f["sparse"] else ""), abi.string(f["entity"]), f["rows"], f["max_length"], f["pooling"],
                        f["key"]) for f in self.features])
        labels = (abi.Label * max(1, len(self.labels)))(*[
            abi.Label(c.sizeof(abi.Label), one["kind"], abi.string(one["name"]), one["classes"]) for one in self.labels])
        schema = abi.DataSchema(c.sizeof(abi.DataSchema), c.sizeof(abi.Feature), given, len(self.features), len(self.labels), labels,
                                c.sizeof(abi.Label), 0)

        def add(entries, entry, index):
            entries.append(entry)
            if index:
                index[0] = len(entries) - 1
            return None

        def shaped(spec):
            spec = spec.contents
            return dict(name=spec.name.text(), shape=tuple(spec.shape[i] for i in range(spec.ndim)), decay=spec.decay)

        def dense(_b, group, names, count):
            self.dense[group] = [names[i].text() for i in range(count)]

        def negatives(_b, spec):
            s = spec.contents
            self.negatives = dict(entity=s.entity.text(), per_sample=s.per_sample, distribution=s.distribution)

        functions = dict(
            add_dense_features=dense,
            add_table=lambda _b, s, i: add(self.tables, dict(name=s.contents.name.text(), dim=s.contents.dim), i),
            add_embedding=lambda _b, s, i: add(self.embeddings, dict(
                group=s.contents.group, feature=s.contents.feature.text(), table=s.contents.table, pooling=s.contents.pooling), i),
            add_parameter=lambda _b, s, i: add(self.parameters, shaped(s), i),
            add_buffer=lambda _b, s, i: add(self.buffers, shaped(s), i),
            add_head=lambda _b, s, i: add(self.heads, dict(
                kind=s.contents.kind, name=s.contents.name.text(), label=s.contents.label.text(), entity=s.contents.entity.text(),
                size=s.contents.size, weight=s.contents.weight, similarity=s.contents.similarity), i),
            request_negatives=negatives,
            request_entity_index=lambda _b, entity: self.entities.append(entity.text()))
        types = dict(abi.SpecBuilder._fields_)
        builder = abi.SpecBuilder(struct_size=c.sizeof(abi.SpecBuilder), **{k: types[k](f) for k, f in functions.items()})
        self.host.check(self.interface.declare(self.handle, c.byref(schema), c.byref(builder)))

    def bind(self, initialize=True, device=abi.Device(abi.DEVICE_CPU, 0)):
        """Rows of one group and dimension share a block; a sequence has a block of its own."""
        self.blocks = {abi.SAMPLES: [], abi.NEGATIVES: []}
        self.placements = []
        for embedding in self.embeddings:
            blocks = self.blocks[embedding["group"]]
            key = (self.tables[embedding["table"]]["dim"], embedding["pooling"] == abi.POOLING_NONE)
            block = next((b for b in blocks if b["key"] == key and not key[1]), None)
            if block is None:
                block = dict(key=key, slots=0)
                blocks.append(block)
            self.placements.append((embedding["group"], blocks.index(block), block["slots"]))
            block["slots"] += 1
        for parameter in self.parameters:
            parameter.setdefault("value", Array(parameter["shape"]))
            parameter["gradient"] = Array(parameter["shape"], [math.nan] * math.prod(parameter["shape"]))
        for buffer in self.buffers:
            buffer.setdefault("value", Array(buffer["shape"]))
        views = (abi.ParameterView * max(1, len(self.parameters)))(*[
            abi.ParameterView(p["value"].data, p["gradient"].data, p["value"].size) for p in self.parameters])
        buffers = (abi.ParameterView * max(1, len(self.buffers)))(*[
            abi.ParameterView(b["value"].data, None, b["value"].size) for b in self.buffers])
        placements = (abi.Placement * max(1, len(self.placements)))(*[abi.Placement(g, b, s, 0) for g, b, s in self.placements])
        self.ready = []
        self._grad_ready = abi.GradReady(lambda context, step, first, count: self.ready.extend(range(first, first + count)))
        binding = abi.Binding(c.sizeof(abi.Binding), len(self.parameters), views, buffers, len(self.buffers), len(self.placements),
                              placements, int(initialize), self.threads, None, self._grad_ready, device)
        self.host.check(self.interface.bind(self.handle, c.byref(binding)))
        return self

    def head_index(self, name):
        return next(i for i, head in enumerate(self.heads) if head["name"] == name)

    def head_mask(self, names=None):
        return sum(1 << i for i, head in enumerate(self.heads) if names is None or head["name"] in names)

    def forward(self, batch, phase=abi.TRAIN, heads=None, seed=7, global_step=0, null_groups=(), null_blocks=()):
        """batch: as make_batch gives it. Returns {head name: Array}."""
        groups = (abi.Inputs * len(batch))()
        keep = []
        for number, group in enumerate(batch):
            null = number in null_groups
            blocks = (abi.EmbeddingBlock * max(1, len(group["blocks"])))()
            for i, block in enumerate(group["blocks"]):
                kind = abi.BLOCK_SEQUENCE if block.get("offsets") else abi.BLOCK_POOLED
                offsets = (abi.I64 * len(block["offsets"]))(*block["offsets"]) if block.get("offsets") else None
                blocks[i] = abi.EmbeddingBlock(c.sizeof(abi.EmbeddingBlock), kind,
                                               block["rows"].tensor(null or (number, i) in null_blocks), offsets)
                keep.append(offsets)

            def tensor(name):
                return group[name].tensor(null) if group.get(name) else abi.Tensor()

            index, log_probability = group.get("entity_index"), group.get("log_probability")
            groups[number] = abi.Inputs(
                c.sizeof(abi.Inputs), len(group["blocks"]), group["rows"], tensor("dense"), blocks, c.sizeof(abi.EmbeddingBlock), 0,
                tensor("labels"), tensor("weights"), (abi.I64 * len(index))(*index) if index else None,
                log_probability.data if log_probability else None)
            keep.append(blocks)
        self.step = abi.Step(c.sizeof(abi.Step), phase, global_step, seed, abi.Device(abi.DEVICE_CPU, 0), None, 0,
                             self.head_mask(heads), groups, len(batch), c.sizeof(abi.Inputs))
        rows = batch[0]["rows"]
        self.outputs = {}
        tensors = (abi.Tensor * max(1, len(self.heads)))()
        for i, head in enumerate(self.heads):
            if not (self.step.heads >> i) & 1:
                continue
            shape = (1,) if head["kind"] == abi.HEAD_LOSS else (rows, head["size"])
            self.outputs[head["name"]] = Array(shape, [math.nan] * math.prod(shape))
            tensors[i] = self.outputs[head["name"]].tensor()
        self._keep = (keep, groups)
        self._batch = batch
        self.host.check(self.interface.forward(self.handle, c.byref(self.step), tensors))
        return self.outputs

    def backward(self, gradients):
        """gradients: {head name: Array}. Returns the gradient of every block, per group, None for zero."""
        tensors = (abi.Tensor * max(1, len(self.heads)))()
        for name, gradient in gradients.items():
            tensors[self.head_index(name)] = gradient.tensor()
        count = sum(len(group["blocks"]) for group in self._batch)
        out = (c.POINTER(abi.ManagedTensor) * max(1, count))()
        self.ready.clear()
        self.host.check(self.interface.backward(self.handle, c.byref(self.step), tensors, out))
        position, result = 0, []
        for group in self._batch:
            result.append([])
            for block in group["blocks"]:
                result[-1].append(read_managed(out[position], block["rows"].shape))
                position += 1
        return result


def read_managed(pointer, shape):
    if not pointer:
        return None
    tensor = pointer.contents.tensor
    got = tuple(tensor.shape[i] for i in range(tensor.ndim))
    assert got == shape, f"gradient of shape {got} for a block of shape {shape}"
    assert not tensor.strides, "the gradient of a block must be contiguous"
    values = c.cast(tensor.data, c.POINTER(c.c_float))[: math.prod(shape)]
    pointer.contents.deleter(pointer)
    return Array(shape, values)


def make_config(module, options, seed, threads):
    """Fills in defaults as the real host does; unknown names are a fault of the test."""
    options = dict(options)
    values, keep = [], []
    for index in range(module.option_count):
        option = module.options[index]
        name = option.name.text()
        if name in options:
            value = options.pop(name)
        else:
            assert not option.flags & abi.OPTION_REQUIRED, name
            value = tomllib.loads("x = " + option.default_value.text())["x"]
        entry = abi.OptionValue(c.sizeof(abi.OptionValue), option.type, option.name)
        if option.type in (abi.OPTION_BOOL, abi.OPTION_INT):
            entry.integer = int(value)
        elif option.type == abi.OPTION_FLOAT:
            entry.real = float(value)
        elif option.type in (abi.OPTION_STRING, abi.OPTION_PATH):
            entry.text = abi.string(value)
        else:
            field, kind = {abi.OPTION_INT_LIST: ("integers", abi.I64), abi.OPTION_FLOAT_LIST: ("reals", c.c_double),
                           abi.OPTION_STRING_LIST: ("texts", abi.String)}[option.type]
            elements = [abi.string(v) for v in value] if kind is abi.String else value
            array = (kind * max(1, len(elements)))(*elements)
            keep.append(array)
            setattr(entry, field, array)
            entry.count = len(elements)
        values.append(entry)
    assert not options, f"the module has no options {list(options)}"
    array = (abi.OptionValue * max(1, len(values)))(*values)
    return abi.Config(c.sizeof(abi.Config), c.sizeof(abi.OptionValue), array, len(values), seed, threads, 0), (array, keep)


def make_batch(model, rows, seed=1, weights=False, entity_count=0):
    """Random numbers in the layout that bind chose: [samples] or [samples, negatives]. entity_count: how many different items."""
    generator = random.Random(seed)

    def normal(shape):
        return Array(shape, [generator.gauss(0, 1) for _ in range(math.prod(shape))])

    def group(number, count):
        blocks = []
        for block in model.blocks[number]:
            dim, sequence = block["key"]
            if sequence:
                offsets = [0]
                for _ in range(count):
                    offsets.append(offsets[-1] + generator.randrange(4))
                blocks.append(dict(rows=normal((offsets[-1], dim)), offsets=offsets))
            else:
                blocks.append(dict(rows=normal((count, block["slots"], dim))))
        result = dict(rows=count, blocks=blocks)
        if model.dense.get(number):
            result["dense"] = normal((count, len(model.dense[number])))
        if entity_count:
            result["entity_index"] = [generator.randrange(entity_count) for _ in range(count)]
            result["log_probability"] = Array((count,), [math.log(1 / (2 + index)) for index in result["entity_index"]])
        return result

    samples = group(abi.SAMPLES, rows)
    values = []
    for _ in range(rows):
        for one in model.labels:
            values.append({abi.LABEL_BINARY: lambda: float(generator.random() < 0.4), abi.LABEL_REGRESSION: lambda: generator.gauss(0, 1),
                           abi.LABEL_MULTICLASS: lambda: float(generator.randrange(one["classes"]))}[one["kind"]]())
    samples["labels"] = Array((rows, len(model.labels)), values) if model.labels else None
    if weights:
        samples["weights"] = Array((rows,), [generator.uniform(0.2, 2) for _ in range(rows)])
    if not model.negatives:
        return [samples]
    return [samples, group(abi.NEGATIVES, rows * model.negatives["per_sample"])]
