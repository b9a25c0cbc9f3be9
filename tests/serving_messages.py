"""The messages of TensorFlow Serving's apis/*.proto, as far as the tests need them, written down by field number."""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

FIELDS = {
    "PredictionLog": [("predict_log", 6, "PredictLog", False)],
    "PredictLog": [("request", 1, "PredictRequest", False)],
    "PredictRequest": [("model_spec", 1, "ModelSpec", False), ("inputs", 2, "Entry", True)],
    "PredictResponse": [("outputs", 1, "Entry", True), ("model_spec", 2, "ModelSpec", False)],
    "ModelSpec": [("name", 1, str, False), ("signature_name", 3, str, False)],
    "Entry": [("key", 1, str, False), ("value", 2, bytes, False)],
}
KINDS = {str: "TYPE_STRING", bytes: "TYPE_BYTES"}


def messages():
    """Returns {name: class} of the messages."""
    file = descriptor_pb2.FileDescriptorProto(name="serving.proto", package="test", syntax="proto3")
    for message, parts in FIELDS.items():
        described = file.message_type.add(name=message)
        for name, number, kind, repeated in parts:
            label = "LABEL_REPEATED" if repeated else "LABEL_OPTIONAL"
            field = described.field.add(name=name, number=number)
            field.label = descriptor_pb2.FieldDescriptorProto.Label.Value(label)
            field.type = descriptor_pb2.FieldDescriptorProto.Type.Value(KINDS.get(kind, "TYPE_MESSAGE"))
            if kind not in KINDS:
                field.type_name = f".test.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"test.{name}")) for name in FIELDS}


def tensor(content):
    """Decodes the value of an Entry, a TensorProto."""
    from tensorflow.core.framework import tensor_pb2

    return tensor_pb2.TensorProto.FromString(content)
