"""The structs of rechost/abi.h and rechost/model.h for ctypes, standard library only.

Only what a host needs in order to drive a model. Field order is the header's; a test compares the sizes with those that a plugin
writes into struct_size.
"""
import ctypes as c

ABI_MAJOR, ABI_MINOR = 1, 0
OPTION_BOOL, OPTION_INT, OPTION_FLOAT, OPTION_STRING, OPTION_PATH, OPTION_INT_LIST, OPTION_FLOAT_LIST, OPTION_STRING_LIST = range(1, 9)
OPTION_REQUIRED = 1
MODULE_MODEL = 1
DEVICE_CPU = 1
DEVICE_CUDA = 2
DTYPE_FLOAT = 2
FEATURE_DENSE, FEATURE_SPARSE = 1, 2
POOLING_NONE, POOLING_SUM, POOLING_MEAN = 0, 1, 2
LABEL_BINARY, LABEL_REGRESSION, LABEL_MULTICLASS = 1, 2, 3
SAMPLES, NEGATIVES = 0, 1
HEAD_BINARY, HEAD_REGRESSION, HEAD_MULTICLASS, HEAD_MULTILABEL, HEAD_EMBEDDING, HEAD_LOSS, HEAD_SCORE = range(1, 8)
BLOCK_POOLED, BLOCK_SEQUENCE = 1, 2
TRAIN, EVAL, PREDICT = 1, 2, 3
MODEL_INTERFACE = b"rechost.model/1"
U32, U64, I32, I64, PTR = c.c_uint32, c.c_uint64, c.c_int32, c.c_int64, c.c_void_p


class String(c.Structure):
    _fields_ = [("data", c.c_char_p), ("size", U64)]

    def text(self):
        return c.string_at(self.data, self.size).decode() if self.size else ""


def string(text):
    data = text.encode() if isinstance(text, str) else text
    return String(data, len(data))


class Host(c.Structure):
    pass


ErrorNew = c.CFUNCTYPE(PTR, c.POINTER(Host), I32, String)
ErrorFree = c.CFUNCTYPE(None, PTR)
GetExtension = c.CFUNCTYPE(PTR, c.POINTER(Host), String)
Host._fields_ = [
    ("struct_size", U32), ("abi_major", U32), ("abi_minor", U32), ("reserved", U32),
    ("error_new", ErrorNew), ("error_message", PTR), ("error_code", PTR), ("error_free", ErrorFree),
    ("get_extension", GetExtension)]


class Option(c.Structure):
    _fields_ = [("struct_size", U32), ("type", U32), ("flags", U32), ("reserved", U32), ("name", String),
                ("default_value", String), ("doc", String), ("minimum", c.c_double), ("maximum", c.c_double),
                ("choices", c.POINTER(String)), ("choice_count", U32), ("reserved_", U32), ("replaced_by", String)]


class OptionValue(c.Structure):
    _fields_ = [("struct_size", U32), ("type", U32), ("name", String), ("integer", I64), ("real", c.c_double),
                ("text", String), ("integers", c.POINTER(I64)), ("reals", c.POINTER(c.c_double)),
                ("texts", c.POINTER(String)), ("count", U64)]


class Config(c.Structure):
    _fields_ = [("struct_size", U32), ("value_stride", U32), ("values", c.POINTER(OptionValue)), ("value_count", U64),
                ("seed", U64), ("threads", U32), ("reserved", U32)]


class Module(c.Structure):
    _fields_ = [("struct_size", U32), ("kind", U32), ("id", String), ("doc", String), ("options", c.POINTER(Option)),
                ("option_count", U32), ("option_stride", U32), ("get_interface", c.CFUNCTYPE(PTR, String))]


class Plugin(c.Structure):
    _fields_ = [("struct_size", U32), ("abi_major", U32), ("minor_needed", U32), ("module_count", U32), ("name", String),
                ("version", String), ("modules", c.POINTER(Module)), ("module_stride", U32), ("reserved", U32),
                ("get_extension", PTR)]


class Device(c.Structure):
    _fields_ = [("type", I32), ("id", I32)]


class DataType(c.Structure):
    _fields_ = [("code", c.c_uint8), ("bits", c.c_uint8), ("lanes", c.c_uint16)]


class Tensor(c.Structure):
    _fields_ = [("data", PTR), ("device", Device), ("ndim", I32), ("dtype", DataType), ("shape", c.POINTER(I64)),
                ("strides", c.POINTER(I64)), ("byte_offset", U64)]


class ManagedTensor(c.Structure):
    pass


ManagedTensor._fields_ = [("version_major", U32), ("version_minor", U32), ("manager_context", PTR),
                          ("deleter", c.CFUNCTYPE(None, c.POINTER(ManagedTensor))), ("flags", U64), ("tensor", Tensor)]


class Feature(c.Structure):
    _fields_ = [("struct_size", U32), ("kind", U32), ("name", String), ("table", String), ("entity", String), ("rows", I64),
                ("max_length", I64), ("pooling", U32), ("is_key", U32)]


class Label(c.Structure):
    _fields_ = [("struct_size", U32), ("kind", U32), ("name", String), ("classes", I64)]


class DataSchema(c.Structure):
    _fields_ = [("struct_size", U32), ("feature_stride", U32), ("features", c.POINTER(Feature)), ("feature_count", U32),
                ("label_count", U32), ("labels", c.POINTER(Label)), ("label_stride", U32), ("reserved", U32)]


class Initializer(c.Structure):
    _fields_ = [("kind", U32), ("reserved", U32), ("a", c.c_double), ("b", c.c_double)]


class TableSpec(c.Structure):
    _fields_ = [("struct_size", U32), ("reserved", U32), ("name", String), ("rows", I64), ("dim", I64),
                ("initializer", Initializer)]


class EmbeddingSpec(c.Structure):
    _fields_ = [("struct_size", U32), ("group", U32), ("feature", String), ("table", U32), ("pooling", U32)]


class ParameterSpec(c.Structure):
    _fields_ = [("struct_size", U32), ("ndim", U32), ("name", String), ("shape", c.POINTER(I64)), ("initializer", Initializer),
                ("decay", U32), ("reserved", U32)]


class HeadSpec(c.Structure):
    _fields_ = [("struct_size", U32), ("kind", U32), ("name", String), ("label", String), ("entity", String), ("size", I64),
                ("weight", c.c_double), ("similarity", U32), ("reserved", U32)]


class NegativesSpec(c.Structure):
    _fields_ = [("struct_size", U32), ("distribution", U32), ("entity", String), ("per_sample", I64), ("per_batch", I64),
                ("power", c.c_double)]


class SpecBuilder(c.Structure):
    pass


def _builder(*arguments):
    return c.CFUNCTYPE(PTR, c.POINTER(SpecBuilder), *arguments)


SpecBuilder._fields_ = [
    ("struct_size", U32), ("reserved", U32), ("context", PTR),
    ("add_dense_features", _builder(U32, c.POINTER(String), U32)),
    ("add_table", _builder(c.POINTER(TableSpec), c.POINTER(U32))),
    ("add_embedding", _builder(c.POINTER(EmbeddingSpec), c.POINTER(U32))),
    ("add_parameter", _builder(c.POINTER(ParameterSpec), c.POINTER(U32))),
    ("add_buffer", _builder(c.POINTER(ParameterSpec), c.POINTER(U32))),
    ("add_head", _builder(c.POINTER(HeadSpec), c.POINTER(U32))),
    ("request_negatives", _builder(c.POINTER(NegativesSpec))),
    ("request_entity_index", _builder(String))]


class ParameterView(c.Structure):
    _fields_ = [("value", c.POINTER(c.c_float)), ("gradient", c.POINTER(c.c_float)), ("size", U64)]


class Placement(c.Structure):
    _fields_ = [("group", U32), ("block", U32), ("slot", U32), ("reserved", U32)]


class EmbeddingBlock(c.Structure):
    _fields_ = [("struct_size", U32), ("kind", U32), ("rows", Tensor), ("offsets", c.POINTER(I64))]


class Inputs(c.Structure):
    _fields_ = [("struct_size", U32), ("block_count", U32), ("rows", I64), ("dense", Tensor),
                ("blocks", c.POINTER(EmbeddingBlock)), ("block_stride", U32), ("reserved", U32), ("labels", Tensor),
                ("weights", Tensor), ("entity_index", c.POINTER(I64)), ("log_probability", c.POINTER(c.c_float))]


class Step(c.Structure):
    _fields_ = [("struct_size", U32), ("phase", U32), ("global_step", I64), ("seed", U64), ("device", Device), ("stream", PTR),
                ("flags", U64), ("heads", U64), ("inputs", c.POINTER(Inputs)), ("group_count", U32), ("inputs_stride", U32)]


GradReady = c.CFUNCTYPE(None, PTR, c.POINTER(Step), U32, U32)


class Binding(c.Structure):
    _fields_ = [("struct_size", U32), ("parameter_count", U32), ("parameters", c.POINTER(ParameterView)),
                ("buffers", c.POINTER(ParameterView)), ("buffer_count", U32), ("embedding_count", U32),
                ("embeddings", c.POINTER(Placement)), ("initialize", U32), ("threads", U32), ("context", PTR),
                ("grad_ready", GradReady), ("device", Device)]


class ModelInterface(c.Structure):
    _fields_ = [("struct_size", U32), ("flags", U32),
                ("create", c.CFUNCTYPE(PTR, c.POINTER(Host), c.POINTER(Config), c.POINTER(PTR))),
                ("declare", c.CFUNCTYPE(PTR, PTR, c.POINTER(DataSchema), c.POINTER(SpecBuilder))),
                ("bind", c.CFUNCTYPE(PTR, PTR, c.POINTER(Binding))),
                ("forward", c.CFUNCTYPE(PTR, PTR, c.POINTER(Step), c.POINTER(Tensor))),
                ("backward", c.CFUNCTYPE(PTR, PTR, c.POINTER(Step), c.POINTER(Tensor), c.POINTER(c.POINTER(ManagedTensor)))),
                ("destroy", c.CFUNCTYPE(None, PTR))]
