"""What the golden files hold, made from portable random bytes: the input side of the golden tests."""

from dver.objects.builder import Summary, build_manifest, make_file_entry
from dver.objects.codec import Codec
from dver.objects.entry import DirectoryEntry, Entry, FileEntry, LinkEntry, pack_chunk
from dver.objects.ids import ChunkId, NodeId, chunk_id
from dver.objects.indexfile import IndexedPack
from dver.objects.pack import EncodedPack, Kind, PackBuilder, Record
from dver.records import record as lineage
from tests.golden.prng import splitmix_bytes

TEXT = b"name,value\n" * 100
# What zstd made of TEXT once. Later releases may compress differently, so the golden pack brings its own.
TEXT_FRAME = bytes.fromhex("28b52ffd604c03950000586e616d652c76616c75650a01003ef82f5e")
NOISE = splitmix_bytes(7, 500)
LONG = [splitmix_bytes(100 + number, 20 + number) for number in range(70)]


def small_dataset() -> tuple[Summary, dict[NodeId, bytes]]:
    """Return a manifest with every kind of entry, and its nodes."""
    nodes: dict[NodeId, bytes] = {}
    text, noise = pack_chunk(chunk_id(TEXT), len(TEXT)), pack_chunk(chunk_id(NOISE), len(NOISE))
    long = b"".join(pack_chunk(chunk_id(chunk), len(chunk)) for chunk in LONG)
    entries: list[Entry] = [
        DirectoryEntry(b"empty"),
        FileEntry(b"empty.txt", 0, False, b""),
        make_file_entry(b"long.bin", sum(map(len, LONG)), False, long, nodes.__setitem__),
        LinkEntry(b"newest", b"tables/a.csv"),
        FileEntry(b"run \xff.sh", len(NOISE), True, noise),
        FileEntry(b"tables/a.csv", len(TEXT), False, text),
        FileEntry("tables/ä.csv".encode(), len(TEXT) + len(NOISE), False, text + noise),
    ]
    return build_manifest(entries, nodes.__setitem__), nodes


def large_dataset(count: int) -> list[Entry]:
    """Return `count` one-chunk files, enough for a tree of several levels."""
    return [
        FileEntry(
            b"%03d/%06d" % (number // 100, number),
            1 + number % 1000,
            number % 10 == 0,
            pack_chunk(ChunkId(splitmix_bytes(number, 32)), 1 + number % 1000),
        )
        for number in range(count)
    ]


def golden_pack() -> EncodedPack:
    """Return a pack that holds the small dataset, chunks first."""
    builder = PackBuilder()
    builder.add(Record(chunk_id(TEXT), Kind.DATA, Codec.ZSTD, len(TEXT), TEXT_FRAME))
    for chunk in [NOISE, *LONG]:
        builder.add(Record(chunk_id(chunk), Kind.DATA, Codec.RAW, len(chunk), chunk))
    for identity, encoded in small_dataset()[1].items():
        builder.add(Record(identity, Kind.NODE, Codec.RAW, len(encoded), encoded))
    return builder.finish()


def golden_index() -> list[IndexedPack]:
    """Return what the golden index file lists: that pack, and an empty one."""
    packs = [golden_pack(), PackBuilder().finish()]
    return [IndexedPack(pack.id, pack.size, pack.entries) for pack in packs]


def golden_records() -> list[lineage.Record]:
    """Return the lineage records of the golden file: one with all fields, and one with the fewest."""
    full = lineage.Record(
        state=lineage.State.CACHED,
        started="2026-11-23T13:00:00.123Z",
        name="train ä 𝄞",
        command=("python", "train.py", '--say="hi"\n\x7f'),
        shell=True,
        folder="models",
        inputs=(
            lineage.Artifact("data/run \udcff", "b3:" + "12" * 32),
            lineage.Artifact("train.py", "git:" + "34" * 20, kind="code", observed=True),
            lineage.Artifact("data/split/a.csv", "b3:" + "56" * 32, "data/split", "b3:" + "78" * 32),
        ),
        outputs=(lineage.Artifact("models/m", "b3:" + "9a" * 32, kind="model", props={"rows": 7, "none": None}),),
        params={"params.yaml:lr": 0.1, "small": 0.00001, "large": 1.5e16, "epochs": 10, "on": True, "text": ""},
        commit="bc" * 20,
        dirty=True,
        seconds=2.5,
        exit_code=0,
        environment=lineage.Environment("3.12.1", "linux-x86_64", "b3:" + "de" * 32, "sha256:" + "f0" * 32),
        tags={"experiment": "a", "Zone": ""},
        key="b3:" + "13" * 32,
        reuses="b3:" + "24" * 32,
        source="https://example.org/data.csv",
        note="as agreed",
    )
    return [full, lineage.Record(lineage.State.IMPORTED, "2026-11-23T13:00:00.123Z")]
