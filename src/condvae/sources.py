"""The named data: what each is, which files hold it, where they are published, and their checksums."""

from dataclasses import dataclass
from typing import Literal

from condvae.downloads import Remote

__all__ = ["KNOWN", "Format", "Source"]

Format = Literal["idx", "svhn", "cifar"]


@dataclass(frozen=True)
class Source:
    """One named collection.

    shape is (C, H, W); counts are training and test images; `variants` are sets of files, any one of which is
    the whole collection, in the order training images, training labels, test images, test labels where they
    are apart; `folders` are where they may lie below a data folder; `sums` are SHA-256 of contents, for names
    that end in -ubyte.gz of what is inside; `remotes` are what is downloaded, the files of the first variant;
    `classes` name the integer labels, empty where the integers are the names.
    """

    name: str
    what: str
    field: str
    shape: tuple[int, int, int]
    counts: tuple[int, int]
    format: Format
    variants: tuple[tuple[str, ...], ...]
    folders: tuple[str, ...]
    sums: dict[str, str]
    remotes: tuple[Remote, ...]
    classes: tuple[str, ...] = ()


_IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def _idx_source(
    name: str,
    what: str,
    field: str,
    folders: tuple[str, ...],
    contents: tuple[str, ...],
    gzipped: tuple[tuple[int, str], ...],
    mirrors: tuple[str, ...],
    classes: tuple[str, ...] = (),
) -> Source:
    zipped = tuple(f"{one}.gz" for one in _IDX)
    remotes = tuple(
        Remote(one, size, sha256, tuple(mirror + one for mirror in mirrors))
        for one, (size, sha256) in zip(zipped, gzipped, strict=True)
    )
    sums = dict(zip((*_IDX, *zipped), (*contents, *contents), strict=True))
    shape, counts = (1, 28, 28), (60_000, 10_000)
    return Source(name, what, field, shape, counts, "idx", (zipped, _IDX), folders, sums, remotes, classes)


_MNIST = _idx_source(
    # Y. LeCun and others, "Gradient-based learning applied to document recognition", 1998.
    "mnist",
    "MNIST, handwritten digits",
    "digit",
    ("mnist", "MNIST/raw", "MNIST"),
    (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    (
        (9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        (28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        (1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        (4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    ),
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
)

_FASHION = _idx_source(
    # H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking", 2017.
    "fashion-mnist",
    "Fashion-MNIST, articles of clothing",
    "class",
    ("fashion-mnist", "FashionMNIST/raw", "FashionMNIST"),
    (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    (
        (26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        (29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        (5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    ),
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
)

_SVHN_SUMS = {
    "train_32x32.mat": "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
    "test_32x32.mat": "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
}
_SVHN_SIZES = {"train_32x32.mat": 182_040_794, "test_32x32.mat": 64_275_384}

_SVHN = Source(
    # Y. Netzer and others, "Reading Digits in Natural Images with Unsupervised Feature Learning", 2011.
    name="svhn",
    what="SVHN, house numbers in street photographs, cropped",
    field="digit",
    shape=(3, 32, 32),
    counts=(73_257, 26_032),
    format="svhn",
    variants=(tuple(_SVHN_SUMS),),
    folders=("svhn", "SVHN"),
    sums=_SVHN_SUMS,
    remotes=tuple(
        Remote(one, _SVHN_SIZES[one], sha256, (f"http://ufldl.stanford.edu/housenumbers/{one}",))
        for one, sha256 in _SVHN_SUMS.items()
    ),
)

_CIFAR_TAR = "cifar-10-binary.tar.gz"
_CIFAR_TAR_SUM = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
_CIFAR_SUMS = {
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}

_CIFAR = Source(
    # A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. Never its pickled version.
    name="cifar10",
    what="CIFAR-10, small colour photographs",
    field="class",
    shape=(3, 32, 32),
    counts=(50_000, 10_000),
    format="cifar",
    variants=((_CIFAR_TAR,), tuple(_CIFAR_SUMS)),
    folders=("cifar10", "cifar-10-batches-bin", "cifar10/cifar-10-batches-bin"),
    sums={_CIFAR_TAR: _CIFAR_TAR_SUM, **_CIFAR_SUMS},
    remotes=(Remote(_CIFAR_TAR, 170_052_171, _CIFAR_TAR_SUM, (f"https://www.cs.toronto.edu/~kriz/{_CIFAR_TAR}",)),),
    classes=(
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
)

KNOWN: dict[str, Source] = {one.name: one for one in (_MNIST, _FASHION, _SVHN, _CIFAR)}
