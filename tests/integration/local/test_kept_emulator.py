"""An emulator that is stopped with its data kept continues, including its change streams."""

from __future__ import annotations

from pathlib import Path

from local.emulator import ministack, ports, toolchain
from local.progress import Progress
from local.workspace import PROJECT_ROOT, Workspace
from tests.support.engines.engine import Engine
from tests.support.engines.memory_tables import TABLE, WANTED, item

SHARD = {"ShardIteratorType": "TRIM_HORIZON"}


def streamed(engine: Engine) -> list[str]:
    """Keys of all records of the table's stream, oldest first."""
    streams = engine.client("dynamodbstreams")
    (stream,) = streams.list_streams(TableName=TABLE)["Streams"]
    arn = stream["StreamArn"]
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    begun = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], **SHARD)
    records = streams.get_records(ShardIterator=begun["ShardIterator"])["Records"]
    return [record["dynamodb"]["Keys"]["id"]["S"] for record in records]


def test_tables_and_streams_survive_a_stop(tmp_path: Path) -> None:
    workspace = Workspace(root=PROJECT_ROOT, directory=tmp_path)
    python, port = toolchain.ministack_python(workspace, Progress()), ports.free_port()
    try:
        engine = Engine("ministack", ministack.start(workspace, python, port).endpoint_url)
        engine.dynamodb().create_table(**WANTED)
        for name in ("a", "b"):
            engine.dynamodb().put_item(TableName=TABLE, Item=item(name))
        assert streamed(engine) == ["a", "b"]
        assert ministack.stop_and_keep(workspace) is not None

        ministack.start(workspace, python, port, kept=True)
        engine.dynamodb().put_item(TableName=TABLE, Item=item("c"))
        rows = engine.dynamodb().scan(TableName=TABLE)["Items"]
        assert sorted(row["id"]["S"] for row in rows) == ["a", "b", "c"]
        assert streamed(engine) == ["a", "b", "c"]
        ministack.stop(workspace)

        ministack.start(workspace, python, port)
        assert engine.dynamodb().list_tables()["TableNames"] == []
    finally:
        ministack.stop(workspace)
