"""What a server is held to on a real engine, and what is said of one that wanted more."""

from pathlib import Path

from lab import vega
from lab.site import BRISK, IMPATIENT, IN_A_CONTAINER, Site
from lab.vega import Site as Vega

HOG = "const hog = []; for (;;) hog.push(Buffer.alloc(16 << 20, 1));"


def test_limits_apply_and_an_out_of_memory_server_is_named_and_put_back(clean: Site) -> None:
    clean.configure(probes=BRISK, test='memory = "384Mi"\ncpus = "1.5"')
    clean.commit("limited")
    limited = clean.inv("release", "--to", "test")
    proven, host = clean.revision, clean.inspect("test")["HostConfig"]
    clean.configure(probes=IMPATIENT, test='memory = "384Mi"\ncpus = "1.5"')
    clean.begin_server(f"{IN_A_CONTAINER} {{ {HOG} }}", "a server that takes all memory")

    failed = clean.inv("release", "--to", "test")

    assert limited.returncode == 0, limited.stderr
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (384 << 20, 384 << 20, 1_500_000_000)
    assert failed.returncode == 51, failed.stderr
    assert "out of memory: its limit is 384 MiB" in failed.stderr
    assert clean.version("test")["revision"] == proven


def test_more_cpus_than_the_engine_has_are_refused_before_the_gates(clean: Site) -> None:
    clean.configure(test='cpus = "4096"')
    clean.commit("greedy")

    refused = clean.inv("release")

    assert refused.returncode == 10, refused.stderr
    assert "environments.test.cpus: 4096: the engine has " in refused.stderr
    assert "gate " not in refused.stderr


def test_vega_has_its_limits_with_and_without_compose_and_names_an_excess(live: Vega, tmp_path: Path) -> None:
    live.settle('memory = "96Mi"\ncpus = "500m"', probes="deadline = 20")
    without = vega.without(["compose"], tmp_path / "config")

    live.good("vega.up")
    by_compose = live.inspect()["HostConfig"]
    live.good("vega.restart", **without)
    by_run = live.inspect()["HostConfig"]
    live.checkout.edit('const WORD = "one";', f'const WORD = "one"; {HOG}')
    failed = live.inv("vega.restart", "--build")

    for host in (by_compose, by_run):
        assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (96 << 20, 96 << 20, 500_000_000)
    assert failed.returncode == 51, failed.stderr
    assert "out of memory: its limit is 96 MiB" in failed.stderr
    assert live.get("/api/version")["word"] == "one"
